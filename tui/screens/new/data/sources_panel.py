"""The list of sources: files, folders and data sets, or what a search of the Hub found."""

from collections.abc import Iterable, Sequence

import msgspec
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import DataTable, Input, Static

from .....core.data.found import Found
from .....core.text import one_line
from ..cursor_table import CursorTable

PATH = Found("", "+ path or Hub id…", "file")
"""The row under which a path can be typed."""

_NUMBERS = ("SIZE", "ROWS", "DOWNLOADS")
"""Headings of cells that stand at the right."""


class Entry(msgspec.Struct, frozen=True):
    """A row of the list: what it stands for, and its cells behind the name."""

    found: Found
    cells: tuple[str, ...]


class Words(Input):
    """The box above the list; ↑ ↓ and Esc go back into the list."""

    BINDINGS = [
        Binding("escape", "close", "Close", show=False),
        Binding("down,up", "list", "List", show=False),
    ]

    class Closed(Message):
        """Esc was pressed."""

    def action_close(self) -> None:
        """Leaves the box."""
        self.post_message(self.Closed())

    def action_list(self) -> None:
        """Goes into the list."""
        if isinstance(self.parent, SourcesPanel):
            self.parent.table.focus()


class SourcesPanel(Vertical):
    """A box to type in, the list, and a line about it."""

    class Highlighted(Message):
        """The cursor came to another row."""

    class Chosen(Message):
        """Enter was pressed on a row."""

    def __init__(self) -> None:
        super().__init__(id="data-sources", classes="panel")
        self._entries: list[Entry] = []
        self._headings: tuple[tuple[str, int], ...] = ()
        self._drawn: tuple[object, ...] = ()
        self._told: tuple[str, str, str | None] | None = None
        self._used: tuple[tuple[str, str | None], ...] = ()

    def compose(self) -> ComposeResult:
        """The box, hidden until it is asked for; the list; the line."""
        yield Words(id="data-words")
        yield CursorTable(id="data-list")
        yield Static(id="data-note", markup=False)

    def on_mount(self) -> None:
        """Nothing is typed at first."""
        self.words.display = False

    @property
    def table(self) -> CursorTable:
        """The list."""
        return self.query_one("#data-list", CursorTable)

    @property
    def words(self) -> Words:
        """The box."""
        return self.query_one("#data-words", Words)

    @property
    def current(self) -> Found | None:
        """What the row under the cursor stands for."""
        at = self.table.cursor_row
        return self._entries[at].found if 0 <= at < len(self._entries) else None

    @property
    def on_last(self) -> bool:
        """Whether the cursor is on the last row."""
        return bool(self._entries) and self.table.cursor_row == len(self._entries) - 1

    def note(self, text: str) -> None:
        """Says something below the list; "" takes the line away."""
        line = self.query_one("#data-note", Static)
        line.update(Text(one_line(text, 600)))
        line.display = bool(text)

    def show(
        self,
        entries: Sequence[Entry],
        headings: tuple[tuple[str, int], ...],
        used: Sequence[tuple[str, str | None]],
        at: int | None = None,
    ) -> None:
        """Shows rows; the cursor stays on its source unless `at` says where it goes.

        Args:
            entries: The rows.
            headings: Of the cells behind the name, with their widths.
            used: Source and config of what the draft has, which gets a tick.
            at: The row of the cursor.
        """
        before = self.current
        self._entries, self._headings, self._used = list(entries), headings, tuple(used)
        if at is None and before is not None:
            names = [(e.found.source, e.found.config) for e in entries]
            key = (before.source, before.config)
            at = names.index(key) if key in names else min(self.table.cursor_row, len(names) - 1)
        self._fill(max(at or 0, 0))

    def on_resize(self) -> None:
        """Gives the name the room that there is."""
        self._fill(max(self.table.cursor_row, 0))

    def _fill(self, at: int) -> None:
        if not self.size.width:
            return
        rest = sum(width for _, width in self._headings)
        wide = max(self.content_size.width - rest - 5, 12)
        drawn = (wide, self._headings, self._used, tuple(self._entries))
        if drawn == self._drawn:
            self.table.go(at)
        else:
            self._drawn = drawn
            columns = [("", 2), ("SOURCE", wide)]
            for heading, width in self._headings:
                right = heading in _NUMBERS
                columns.append((f"{heading:>{width - 2}}" if right else heading, width))
            rows = [list(self._cells(entry, wide)) for entry in self._entries]
            self.table.fill(columns, rows, at)
        self._tell()

    def _cells(self, entry: Entry, wide: int) -> Iterable[Text]:
        found = entry.found
        used = (found.source, found.config) in self._used
        yield Text("✓" if used else " ")
        yield Text(one_line(found.name, wide - 1))
        for cell, (heading, width) in zip(entry.cells, self._headings, strict=True):
            right = heading in _NUMBERS
            text = one_line(cell, width - 2)
            yield Text(f"{text:>{width - 2}}" if right else text)

    def _tell(self) -> None:
        found = self.current
        told = (found.kind, found.source, found.config) if found is not None else None
        if told != self._told:
            self._told = told
            self.post_message(self.Highlighted())

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Tells when the cursor is on another source."""
        event.stop()
        self._tell()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Enter or a click on the row of the cursor."""
        event.stop()
        self.post_message(self.Chosen())
