"""Review: everything that will happen, and the launch."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from ....core.config import ConfigError
from ....core.text import one_line
from ...keys import bindings
from .step import StepScreen

if TYPE_CHECKING:
    from ....core.config import RunConfig


class ReviewScreen(StepScreen):
    """One page with all that a run will do; Enter starts it."""

    BINDINGS = bindings("review")
    scope = "review"

    def step_body(self) -> Iterable[Widget]:
        """The page."""
        with VerticalScroll(id="review"):
            yield Static(id="review-page", markup=False)

    def draft_changed(self) -> None:
        """Draws the page for the draft as it is now."""
        try:
            text = in_words(self.draft.config())
        except ConfigError as error:
            text = "\n".join(f"✗ {problem.message}" for problem in error.problems)
        self.query_one("#review-page", Static).update(text)

    def action_launch(self) -> None:
        """Starts the run."""
        from ....core import launch

        try:
            config = self.draft.config()
        except ConfigError as error:
            self.notice = one_line(f"Not launched: {error.why}")
            return
        self.sft.start_run(lambda: launch.start(config, self.sft.runs_folder))


def in_words(config: "RunConfig") -> str:
    """Returns what a configuration does, in a few lines."""
    train = config.train
    length = f"{train.max_steps} steps" if train.max_steps else f"{train.epochs} epochs"
    data = ", ".join(source.source for source in config.data.sources)
    rows = train.micro_batch_size * train.gradient_accumulation
    return one_line(
        f"{config.model.name} on {data}: LoRA rank {config.method.rank}, {length}, "
        f"{rows} rows a step, learning rate {config.optim.learning_rate:g}, {train.precision}"
    )
