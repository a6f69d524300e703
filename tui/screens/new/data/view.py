"""What Data shows: the list of sources, and the mapping of the one under the cursor."""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import msgspec
from rich.text import Text
from textual.containers import Horizontal
from textual.widget import Widget
from textual.worker import WorkerError

from .....core.config import DataConfig, SourceConfig
from .....core.data.found import Found
from .....core.data.looked import Looked
from .....core.errors import SftError
from .....core.text import one_line
from ..step import StepScreen
from . import data_lines
from .hub import HubData
from .looks import Looks
from .mapping_panel import MappingPanel
from .sources_panel import PATH, Entry, SourcesPanel

NARROW = 100
"""Below this width the panels are tabs."""


def key_of(source: Found | SourceConfig) -> tuple[str, str | None]:
    """Returns what tells one source from another."""
    return source.source, source.config


class DataView(StepScreen):
    """Sources at the left, the mapping of the one under the cursor at the right.

    Asks for what it shows and draws it. The keys are of the subclass.
    """

    AUTO_FOCUS = "#data-list"
    scope = "data"

    def __init__(self) -> None:
        super().__init__()
        self.looks = Looks(self)
        self.hub = HubData(self)
        self._then: Callable[[], None] | None = None
        self._told = ""
        self._row = 0

    def step_body(self) -> Iterable[Widget]:
        """The two panels."""
        with Horizontal(id="data"):
            yield SourcesPanel()
            yield MappingPanel()

    @property
    def sources(self) -> SourcesPanel:
        """The panel at the left."""
        return self.query_one(SourcesPanel)

    @property
    def mapping(self) -> MappingPanel:
        """The panel at the right."""
        return self.query_one(MappingPanel)

    @property
    def current(self) -> Found | None:
        """What is under the cursor; None while nothing is listed."""
        if not self.is_mounted or self.looks.choice is None:
            return None
        return self.sources.current

    @property
    def awaits(self) -> bool:
        """Whether sources are still listed."""
        return self.looks.choice is None

    @property
    def owes(self) -> bool:
        """Whether a key waits for the first rows of a source."""
        return self._then is not None

    @property
    def looked(self) -> Looked | None:
        """The first rows of what is under the cursor."""
        return self.looks.looked

    @property
    def data(self) -> DataConfig:
        """The draft's settings of the data."""
        return msgspec.convert(self.draft.raw()["data"], DataConfig)

    @property
    def mix(self) -> list[SourceConfig]:
        """The sources that the draft has."""
        return self.data.sources if self.draft.chosen("data.sources.0.source") else []

    @property
    def mixed(self) -> bool:
        """Whether what is under the cursor is one of several sources of the draft."""
        keys, found = [key_of(mine) for mine in self.mix], self.current
        return len(keys) > 1 and found is not None and key_of(found) in keys

    def candidate(self, found: Found) -> SourceConfig:
        """Returns a source as it would be trained: as the draft has it where it has it."""
        for mine in self.mix:
            if key_of(mine) == key_of(found):
                return mine
        return SourceConfig(source=found.source, config=found.config, split=found.split)

    def begin(self, work: Callable[[], Awaitable[object]], group: str) -> None:
        """Starts work in place of what the group did before; what fails is said."""

        async def guarded() -> None:
            try:
                await work()
            except SftError as error:
                self._then = None
                self.notice = one_line(f"{error}. {error.remedy}")
            except Exception as error:
                self._then = None
                self.post_message(self.Failed(error))

        self.run_worker(guarded, group=group, exclusive=True, exit_on_error=False)

    def end(self, *groups: str) -> None:
        """Ends what the groups do; it leaves no trace."""
        for group in groups:
            cast(Any, self.workers).cancel_group(self, group)

    async def on_unmount(self) -> None:
        """The application is left: a download is ended, and waited for until it has."""
        for worker in [each for each in self.workers if each.node is self]:
            worker.cancel()
            with suppress(WorkerError):
                await worker.wait()

    def on_mount(self) -> None:
        """Begins in the list."""
        self.sources.table.focus()

    def on_screen_resume(self) -> None:
        """Lists what there is now, and goes on where it was."""
        self.begin(self._list, "list")

    def on_screen_suspend(self) -> None:
        """Nobody looks: what takes long waits."""
        self._then = None
        self.looks.pause()

    async def _list(self) -> None:
        first = self.looks.choice is None
        await self.looks.refresh()
        self.fill(self._first_row() if first else None)
        self.look()
        if first and self._then is not None and not self.looks.waiting:
            self._then = None
            self.use()  # what is under the cursor has no rows to wait for
        self.begin(self.looks.glance, "glance")

    def use(self) -> None:
        """Enter was pressed on the row under the cursor."""

    # The list

    def fill(self, at: int | None = None) -> None:
        """Shows the list of the source that is on: files, or the Hub's."""
        choice, panel = self.looks.choice, self.sources
        if choice is None:
            panel.note("Looking for data: files of this folder, what was used lately, the cache…")
            return
        used = [key_of(mine) for mine in self.mix]
        if self.hub.on:
            panel.show(self.hub.entries(), self.hub.HEADINGS, used, at)
            panel.note(self.hub.says if self.hub.bringing else self.hub.note)
        else:
            wide = 19 if panel.size.width > 68 else 13  # the longest name of a shape, or not
            panel.show(
                [self._entry(found) for found in self._listed()],
                (("SIZE", 11), ("ROWS", 11), ("SHAPE", wide)),
                used,
                at,
            )
            more = f"{choice.left_off} more files are not listed: type a path with /."
            told = choice.problem or (more if choice.left_off else "")
            panel.note(self.hub.says if self.hub.bringing else told)
        self._title()
        self.refresh_footer()

    def _listed(self) -> list[Found]:
        listed = self.looks.listed
        keys = [key_of(each) for each in listed]
        # The draft may come from a file of a configuration, or be the copy of a run.
        more = [
            Found(mine.source, Path(mine.source).name or mine.source, "recent", config=mine.config)
            for mine in self.mix
            if key_of(mine) not in keys
        ]
        return [*more, *listed, PATH]

    def place_of(self, found: Found) -> int:
        """Returns the row of a source."""
        return [key_of(each) for each in self._listed()].index(key_of(found))

    def _first_row(self) -> int:
        """Returns where the cursor begins: on the draft's source, else on the first file."""
        every = self._listed()
        if self.mix:
            return [key_of(found) for found in every].index(key_of(self.mix[0]))
        order = ("file", "folder", "recent", "hub", "demo")
        usable = [n for n, found in enumerate(every) if found is not PATH and not found.problem]
        return min(usable, key=lambda n: (order.index(every[n].kind), n))

    def _entry(self, found: Found) -> Entry:
        if found is PATH:
            return Entry(found, ("", "", ""))
        size = data_lines.size(found.size)
        if found.problem:
            return Entry(found, (size, data_lines.UNKNOWN, "✗ its name"))
        told = self.looks.glanced(found)
        shape = "✗ problem" if told.problem else told.shape or data_lines.UNKNOWN
        return Entry(found, (size, data_lines.amount(told.rows), shape))

    # The source under the cursor

    def draft_changed(self) -> None:
        """Looks again where the settings of the data are others."""
        self.fill()
        self.look()

    def on_sources_panel_highlighted(self) -> None:
        """Another source: its rows are looked at once the cursor rests."""
        if self.hub.on and self.sources.on_last:
            self.hub.more()
        self.look()

    def look(self, *, anew: bool = False) -> None:
        """Looks at the source under the cursor, unless that was done."""
        found = self.current
        if found is None or found is PATH or found.problem:
            self.looks.forget()
        elif self.hub.on and not self.hub.is_here(found):
            self.hub.peek(found)
        else:
            if self.hub.bringing is None:
                self.hub.says = ""
            self.looks.look((self.candidate(found), self.data), anew=anew)
        self.draw(top=True)

    def when_looked(self) -> None:
        """The first rows are known: shows them, and does what a key asked for meanwhile."""
        looked = self.looked
        assert looked is not None
        self._row = min(self._row, max(len(looked.rows) - 1, 0))
        self.draw()
        self.fill()
        bad = [row for row in looked.bad if row.is_error]
        if bad:
            self._told = f"{len(bad)} of {len(looked.rows)} rows: {bad[0].sentence()}"
            self.notice = self._told
        elif self.notice == self._told:  # it was of the source before
            self.notice = ""
        then, self._then = self._then, None
        if then is not None:
            then()

    def use_brought(self, found: Found) -> None:
        """A data set was downloaded."""

    def draw(self, *, top: bool = False) -> None:
        """Draws the mapping of what is under the cursor."""
        self._title()
        self.mapping.show(self._lines(), top=top)

    def _lines(self) -> Iterable[data_lines.Line]:
        found, looked = self.current, self.looked
        if found is None:
            yield data_lines.plain("Looking for data…")
        elif found is PATH:
            yield data_lines.plain("Enter or / types the path of a file or folder, or a Hub id.")
        elif found.problem:
            yield data_lines.marked("✗", f"{found.name}: {found.problem}")
        elif self.hub.says:
            yield data_lines.plain(self.hub.says)
        elif looked is None:
            yield data_lines.plain(f"Reading the first rows of {found.name}…")
        if found is None or looked is None or self.hub.bringing:
            return
        yield from data_lines.mapping(looked)
        if self.looks.of is not None and looked.trouble is None:
            seed = self.draft.value("train.seed")
            source, data = self.looks.of
            yield from data_lines.sides(source, data, seed, self.looks.rows, looked)
        if self.mixed:
            weight = f"weight {self.candidate(found).weight:g}"
            yield data_lines.line("mix", f"one of {len(self.mix)} · ", weight, ("   W", "$muted"))
        yield from data_lines.problems(looked, self.looks.checked)
        if looked.rows:
            yield data_lines.plain("")
            row = looked.rows[self._row]
            of = f"{self._row + 1} of {len(looked.rows)} looked at"
            of += "" if looked.whole else "; Preview shows all"
            yield data_lines.line("result", (f"row {row.number}", "bold"), (f"   {of}", "$muted"))
            yield from data_lines.turns(row)

    def _title(self) -> None:
        on = ("File", "▌Hub▐") if self.hub.on else ("▌File▐", "Hub")
        narrow = self.has_class("narrow")
        self.sources.border_title = Text(f"Sources   {on[0]} · {on[1]}")
        self.sources.border_subtitle = Text("Tab mapping" if narrow else "")
        found, name = self.current, ""
        if found is not None and found is not PATH:
            name = f"   {one_line(found.name, 40)}"
        self.mapping.border_title = Text(f"Mapping{name}")
        self.mapping.border_subtitle = Text("Tab sources" if narrow else "")

    def on_resize(self) -> None:
        """Below a width the panels are tabs."""
        self.set_class(self.size.width < NARROW, "narrow")
        self._title()
