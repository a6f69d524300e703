"""What all rows of the draft amount to: one pass in the helper process, anew when it matters."""

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from textual.signal import Signal

from ...core.config import ConfigError, RunConfig
from ...core.data.results import Checked, Progress
from ...core.draft import Draft
from ...core.errors import SftError
from ...core.sidecar.preview_calls import Gather, state_of

if TYPE_CHECKING:
    from ..app import SftApp

PAUSE_S = 0.3
"""How long the draft must rest before a pass begins: one change often follows another."""


class Checks:
    """Runs the pass of the draft and holds what it found, for every screen.

    A pass begins when the draft has a model and data, and again whenever something changes that
    could change its result: model, data, the files themselves, seed, sizes of the batches. Then
    `result` and `error` are of `config`, and nothing is told of an earlier one.

    Args:
        app: The application.

    Attributes:
        changed: Published whenever anything below changed.
        config: The configuration that is or was looked at, None where something is missing.
        missing: What the draft lacks: `model`, `data`.
        running: Whether a pass is on its way; it may be waiting for the draft to rest.
        cancelled: Whether someone ended it before it saw all rows.
        progress: How far it is.
        result: What was found: a sample first, at the end of all rows.
        error: Why nothing can be found.
    """

    def __init__(self, app: "SftApp") -> None:
        self._app = app
        self._key: tuple[Any, ...] | None = None
        self._task: asyncio.Task[None] | None = None
        self.changed: Signal[None] = Signal(app, "checks")
        self.config: RunConfig | None = None
        self.missing: list[str] = []
        self.running = False
        self.cancelled = False
        self.progress = Progress()
        self.result: Checked | None = None
        self.error: SftError | None = None
        app.drafts.changed.subscribe(app, lambda _: self.look())
        self.look()

    @property
    def settled(self) -> bool:
        """Whether all is known that rows can refuse a launch for: all were seen, or none can be."""
        done = self.result is not None and self.result.complete
        return self.config is not None and not self.running and (done or self.error is not None)

    @property
    def tokenizer_is_loading(self) -> bool:
        """Whether rows cannot be formatted yet: asking for one now would load it a second time."""
        return self.running and bool(self.progress.words)

    def look(self) -> None:
        """Begins a pass where the draft, or a file that it names, is not what was looked at."""
        self.missing = self._app.drafts.draft.missing()
        config, error = (None, None) if self.missing else configured(self._app.drafts.draft)
        key = None if config is None else _key_of(config)
        if key is not None and key == self._key:
            if config != self.config and config is not None:
                self.config = config
                self.result = self.result and self.result.with_steps_of(config)
                self.changed.publish(None)
            return
        self._forget()
        self._key, self.config, self.error = key, config, error
        if config is not None:
            self._begin(config)
        self.changed.publish(None)

    def again(self) -> None:
        """Begins anew, whatever was found."""
        self._key = None
        self.look()

    def go_on(self) -> None:
        """Begins a pass where the files changed, or where the last one was ended or failed."""
        if self.cancelled or self.error is not None:
            self.again()
        else:
            self.look()

    def cancel(self) -> None:
        """Ends the pass; what was found so far stays."""
        if self.running:
            self._end_task()
            self.cancelled = True
            self.changed.publish(None)

    async def stop(self) -> None:
        """Ends the pass and waits until its process has gone; nothing is told any more."""
        task = self._task
        self._end_task()
        if task is not None:
            await asyncio.wait([task])

    def _forget(self) -> None:
        self._end_task()
        self.cancelled = False
        self.progress, self.result, self.error = Progress(), None, None

    def _end_task(self) -> None:
        self.running = False
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _begin(self, config: RunConfig) -> None:
        self.running = True
        self.progress = Progress(words="The pass over all rows begins.")
        self._task = asyncio.create_task(self._pass(config))

    async def _pass(self, config: RunConfig) -> None:
        await asyncio.sleep(PAUSE_S)
        try:
            self.result = await self._app.passes.ask(
                "gather", Gather(config), Checked, self._hear, end_when_cancelled=True
            )
        except SftError as error:
            self.error, self.result = error, None
        except Exception as error:  # the program's own fault; nobody waits for this task
            why = f"{type(error).__name__}: {error}"
            self.error = SftError("looking at all rows failed", why, "press r to try it again")
        if self.result is not None and self.config is not None:
            self.result = self.result.with_steps_of(self.config)
        self.running = False
        self.changed.publish(None)

    def _hear(self, told: Any) -> None:
        if not self.running:
            return
        self.progress = msgspec.convert(told, Progress)
        if self.progress.sample is not None:
            self.result = self.progress.sample
        self.changed.publish(None)


def configured(draft: Draft) -> tuple[RunConfig | None, SftError | None]:
    """Returns the draft's configuration, or why there is none that rows could be read with."""
    config, problems = draft.checked()
    if config is None or any(each.path.startswith("data.sources") for each in problems):
        return None, ConfigError(problems, "of the draft")
    return config, None


def _key_of(config: RunConfig) -> tuple[Any, ...]:
    """Returns what the result depends on: settings and the state of the files that they name."""
    # What may pass changes nothing that is found.
    data, train = msgspec.structs.replace(config.data, ignore_problems=[]), config.train
    named = [data.eval_source, *(source.source for source in data.sources)]
    files = [*named, *(source.template_file for source in data.sources)]
    return (
        msgspec.json.encode([config.model.name, config.model.revision, data]),
        (train.micro_batch_size, config.micro_batches, train.loss_normalisation, train.seed),
        tuple(map(state_of, files)),
    )
