"""What the draft's configuration does, asked anew after every change: the last change wins."""

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from textual.signal import Signal

from ...core.config import ModelConfig, RunConfig
from ...core.errors import SftError
from ...core.sidecar.effect_calls import Effects, Rows, Wanted

if TYPE_CHECKING:
    from ...core.draft import Draft
    from ..app import SftApp

PAUSE_S = 0.15
"""How long the draft must rest before it is asked."""


class DraftEffects:
    """Holds the effects of the draft for every screen.

    Args:
        app: The application.

    Attributes:
        changed: Published whenever anything below changed.
        found: The last answer, or None before the first. While `waiting` is true it is of the
            draft as it was before the last change.
        error: Why the last question was not answered at all; what cannot be known of an answered
            one stands in `found`.
        waiting: Whether an answer is on its way.
    """

    def __init__(self, app: "SftApp") -> None:
        self._app = app
        self._asked: bytes | None = None
        self._rows: tuple[bytes, Rows] | None = None
        self._task: asyncio.Task[None] | None = None
        self.changed: Signal[None] = Signal(app, "effects")
        self.found: Effects | None = None
        self.error: SftError | None = None
        self.waiting = False
        self.doing = ""
        self._model: ModelConfig | None = None
        self._checks: Any = getattr(app, "checks", None)  # who counts the rows
        if self._checks is not None:
            self._checks.changed.subscribe(app, self._look)
        app.drafts.changed.subscribe(app, self._look)
        self.look()

    @property
    def told(self) -> tuple[Effects | None, SftError | None, str]:
        """What is known, why nothing is, and what takes its time while it is asked for."""
        return self.found, self.error, self.doing

    @property
    def statistics(self) -> Any:
        """What a whole pass over the rows of the draft found, or None while there was none."""
        result = None if self._checks is None else self._checks.result
        return result.statistics if result is not None and result.complete else None

    def look(self) -> None:
        """Asks, where something is not as it was when it was last asked."""
        wanted = self.wanted(self._app.drafts.draft)
        encoded = msgspec.json.encode(wanted)
        if encoded == self._asked:
            return
        self._asked = encoded
        self._begin(wanted)

    def _look(self, _: None) -> None:
        self.look()

    def again(self) -> None:
        """Asks anew, whatever is known: something outside the draft may have changed."""
        self._asked = None
        self.look()

    def wanted(self, draft: "Draft") -> Wanted:
        """Returns what is asked about a draft."""
        config, _ = draft.checked()
        folder = self._app.runs_folder
        return Wanted(
            config=config or RunConfig(),  # a draft refuses values that are none
            has_model="model" not in draft.missing(),
            rows=None if config is None else self._counted(config),
            runs_folder=None if folder is None else str(folder),
        )

    def _counted(self, config: RunConfig) -> Rows | None:
        """Returns the rows that a whole pass counted, while nothing changed that they follow from.

        Sizes of batches do not change them, though a pass begins anew for its steps.
        """
        checks = self._checks
        if checks is not None and checks.result is not None and checks.result.complete:
            found = checks.result.statistics
            longest = found.lengths.max if found.lengths else 0
            rows = Rows(found.train_rows, found.tokens, longest, found.trained_share)
            self._rows = _key(checks.config), rows
        if self._rows is None or self._rows[0] != _key(config):
            return None
        return self._rows[1]

    def stop(self) -> None:
        """Asks nothing more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _begin(self, wanted: Wanted) -> None:
        self.stop()
        self.waiting, self.doing = True, ""
        if self._model != wanted.config.model:  # another model's figures would be false
            self.found, self.error, self._model = None, None, wanted.config.model
        self._task = asyncio.create_task(self._ask(wanted))
        self.changed.publish(None)

    async def _ask(self, wanted: Wanted) -> None:
        await asyncio.sleep(PAUSE_S)
        try:
            self.found = await self._app.sidecar.ask("effects", wanted, Effects, self._hear)
            self.error = None
        except SftError as error:
            self.found, self.error = None, error
        self.waiting, self.doing = False, ""
        self.changed.publish(None)

    def _hear(self, told: Any) -> None:
        self.doing = str(told)
        self.changed.publish(None)


def _key(config: RunConfig) -> bytes:
    """Returns what the trained rows and their tokens follow from."""
    return msgspec.json.encode([config.model.name, config.data, config.train.seed])
