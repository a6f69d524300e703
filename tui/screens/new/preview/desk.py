"""The row that is looked at: asks the helper process for it, in the form that is shown."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .....core.config import RunConfig
from .....core.data.results import BatchRows, PreviewedRow, RawView
from .....core.errors import SftError
from .....core.fields import as_list, as_map
from .....core.sidecar.preview_calls import Batch, Row
from ....services.checks import Checks, configured
from .batch_lines import ShownBatch

if TYPE_CHECKING:
    from ....app import SftApp
    from ..step import StepScreen

Shown = PreviewedRow | RawView | ShownBatch


class Desk:
    """One row of one source, and how it is looked at.

    Args:
        screen: The step.

    Attributes:
        config: The configuration of the draft, None where rows cannot be read with it.
        source, row: What is asked for; the row is None until it is known which is the first.
        view: text, tokens, ids, raw or batch.
        shown: What was answered last, or None.
        trouble: Why nothing is shown.
        ahead: What is said above a row that stands in for what was asked.
        waits: Whether the row is asked for again once the tokenizer is there.
    """

    def __init__(self, screen: "StepScreen") -> None:
        self._screen = screen
        self.config: RunConfig | None = None
        self._refused: SftError | None = None
        self.source = 0
        self.row: int | None = None
        self.view = "text"
        self.shown: Shown | None = None
        self.trouble: SftError | None = None
        self.ahead = ""
        self.waits = False
        self._model: tuple[object, ...] = ()
        """The model whose tokenizer is known to be there."""

    @property
    def _sft(self) -> "SftApp":
        return self._screen.sft

    @property
    def checks(self) -> Checks:
        """What all rows amount to."""
        return self._sft.checks

    def look(self) -> None:
        """Takes the configuration of the draft as it is now; it is kept, as making it takes ms."""
        draft = self._sft.drafts.draft
        self.config, self._refused = configured(draft)
        if "data" in draft.missing():
            self.config, self._refused = None, None

    def names(self) -> list[str]:
        """Returns the sources; the one of the evaluation rows, where they have their own, last."""
        result = self.checks.result
        if result is not None:
            return [source.source for source in result.sources]
        config = self.config
        return [source.source for source in config.data.sources] if config is not None else [""]

    def has_template(self) -> bool:
        """Returns whether the source has a template to choose: evaluation rows take the first's."""
        return self.config is not None and self.source < len(self.config.data.sources)

    def template_file(self) -> str | None:
        """Returns the file of the source's own template, where it has one."""
        if self.config is None or self.source >= len(self.config.data.sources):
            return None
        return self.config.data.sources[self.source].template_file

    def walk_to(self, source: int, row: int | None) -> None:
        """Chooses another row."""
        self.source, self.row = source, row

    async def load(self, told: Callable[[str], None]) -> None:
        """Asks for the row; what takes long is told in words."""
        self.ahead, self.waits = "", False
        config = self.config
        if config is None:
            self.shown, self.trouble = None, self._refused
            return
        if self.source > len(config.data.sources):
            self.source = 0
        try:
            shown = await self._asked(config, lambda words: told(str(words)))
        except SftError as error:
            self.shown, self.trouble = None, error
            return
        self.shown, self.trouble = shown, None
        if not isinstance(shown, ShownBatch):
            self.row = shown.row

    async def _asked(self, config: RunConfig, told: Callable[[Any], None]) -> Shown:
        asked = Row(config, self.source, self.row)
        if "model" in self._sft.drafts.draft.missing():
            self.ahead = (
                "No model was chosen yet: this is the row as it stands in its file. Press < twice "
                "to choose a model."
            )
            return await self._raw(asked)
        if self.view == "raw":
            return await self._raw(asked)
        model = (config.model.name, config.model.revision)
        if model != self._model:
            raw = await self._raw(asked)
            if not raw.can_format and self.checks.tokenizer_is_loading:
                self.waits = True
                self.ahead = (
                    f"Loading the tokenizer of {config.model.name}: some seconds, the first time. "
                    "Until then this is the row as it stands in its file."
                )
                return raw
            self.row = raw.row
        if self.view == "batch":
            found = await self._batch(config, told)
        else:
            found = await self._sft.sidecar.ask("row", asked, PreviewedRow, told)
        self._model = model
        return found

    async def _raw(self, asked: Row) -> RawView:
        return await self._sft.sidecar.ask("raw", asked, RawView)

    async def _batch(self, config: RunConfig, told: Callable[[Any], None]) -> ShownBatch:
        result = self.checks.result
        epoch = result.epoch if result is not None else None
        if result is None or epoch is None:
            raise SftError(
                "the micro-batch of this row is not known yet",
                "the pass over all rows has not ended",
                "wait for it, or press b for the row",
            )
        batch = epoch.batch_of(self.source, self.row or 0)
        if batch is None:
            raise SftError(
                f"row {self.row} is in no micro-batch",
                "it is held out for evaluation, or left out",
                "press ] for another row, or b for the row itself",
            )
        packing = result.statistics.packing
        asked = Batch(config, batch.members, packing.layout)
        found = await self._sft.sidecar.ask("batch", asked, BatchRows, told)
        return ShownBatch(batch, found, packing.layout, packing.on_trial)


def where_from(made_of: dict[str, Any] | None) -> list[tuple[Any, ...]]:
    """Returns where the rows come from: what decides whether a row's number means the same."""
    sources = as_list(as_map((made_of or {}).get("data")).get("sources"))
    return [
        tuple(as_map(each).get(key) for key in ("source", "config", "split")) for each in sources
    ]
