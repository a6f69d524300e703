"""The table of Runs: rows that change in place under a cursor, a scroll and marks that stay."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast

from rich.text import Text
from textual.widgets import DataTable

from ..theme import with_status
from .runs_lines import cells, columns

if TYPE_CHECKING:
    from ...core.summary import Summary
    from ..app import SftApp

MARKED = "●"
_CURSOR = 2
"""Cells of the column with the glyphs of the cursor and of a mark."""


class RunTable(DataTable[Text]):
    """What is known of each run in a row. It keeps marks also of runs that a filter hides."""

    def __init__(self) -> None:
        super().__init__(id="runs", classes="panel", cursor_type="row", zebra_stripes=False)
        self.marks: list[str] = []
        """Ids of the marked runs, in the order in which they were marked."""
        self.pointing = True
        """Whether the glyph of the cursor is here; else it is where keys act."""
        self._shown: dict[str, Summary] = {}
        self._cells: dict[str, tuple[str, ...]] = {}
        self._columns: list[tuple[str, int]] = []

    def on_resize(self) -> None:
        """Keeps the cursor in sight where what stands below takes more rows."""
        if self.row_count:
            self.move_cursor(row=self.cursor_row, animate=False)

    def action_scroll_home(self) -> None:
        """Home goes to the first row: there is nothing to scroll to at the side."""
        self.move_cursor(row=0)

    def action_scroll_end(self) -> None:
        """End goes to the last row."""
        self.move_cursor(row=self.row_count - 1)

    @property
    def selected(self) -> "Summary | None":
        """The run under the cursor."""
        return self._shown.get(self._id_at_cursor() or "")

    def fit(self, width: int, order: str, *, tiny: bool) -> None:
        """Drops or brings back columns for a width of the screen, and for what it is ordered by."""
        self.show_header = not tiny
        shown = columns(width, tiny=tiny, order=order)
        if shown == self._columns or not width:
            return
        chosen = self._id_at_cursor()
        self.clear(columns=True)
        self._cells.clear()
        self._columns = shown
        self.add_column("", width=_CURSOR, key="cursor")
        for heading, size in shown:
            self.add_column(heading, width=size, key=heading)
        self._refill()
        self._move_to(chosen)

    def show(self, summaries: "Iterable[Summary]") -> None:
        """Shows these runs in this order; cells that did not change are left alone."""
        self._shown = {summary.id: summary for summary in summaries}
        if list(self._cells) != list(self._shown):
            self._refill()
            return
        for run_id, summary in self._shown.items():
            new, before = cells(summary, self._columns), self._cells[run_id]
            for (heading, _), old, cell in zip(self._columns, before, new, strict=True):
                if old != cell:
                    self.update_cell(run_id, heading, self._text(heading, cell, run_id))
            self._cells[run_id] = new

    def _refill(self) -> None:
        """Builds the rows anew, cursor and scroll kept."""
        chosen, scroll = self._id_at_cursor(), self.scroll_y
        self.clear()
        self._cells.clear()
        for run_id, summary in self._shown.items() if self._columns else ():
            self._cells[run_id] = cells(summary, self._columns)
            row = zip(self._columns, self._cells[run_id], strict=True)
            texts = [self._text(heading, cell, run_id) for (heading, _), cell in row]
            self.add_row(Text(""), *texts, key=run_id)
        self.scroll_to(y=scroll, animate=False)
        self._move_to(chosen)  # last: scrolls on only where the row would be out of sight
        self.point()

    def point(self) -> None:
        """Marks rows with glyphs, so that cursor and marks are found without colour."""
        here = self._id_at_cursor() if self.pointing else None
        for run_id in self._cells:
            glyphs = f"{'▸' if run_id == here else ' '}{MARKED if run_id in self.marks else ' '}"
            if str(self.get_cell(run_id, "cursor")) != glyphs:
                self.update_cell(run_id, "cursor", Text(glyphs))

    def mark(self) -> None:
        """Marks the run under the cursor, or takes its mark away, and goes to the next one."""
        if (run_id := self._id_at_cursor()) is None:
            return
        if run_id in self.marks:
            self.marks.remove(run_id)
        else:
            self.marks.append(run_id)
        self.action_cursor_down()
        self.point()

    def colour(self) -> None:
        """Colours the statuses for another theme."""
        for at, (heading, _) in enumerate(self._columns):
            for run_id, row in self._cells.items() if heading == "STATUS" else ():
                self.update_cell(run_id, heading, self._text(heading, row[at], run_id))

    def _text(self, heading: str, cell: str, run_id: str) -> Text:
        """Returns a cell; that of the status has its colour, which says no more than its word."""
        if heading != "STATUS":
            return Text(cell)
        variables: Mapping[str, str] = cast("SftApp", self.app).theme_variables  # pyright: ignore[reportUnknownMemberType]
        return with_status(cell, self._shown[run_id].status, variables)

    def _id_at_cursor(self) -> str | None:
        if 0 <= self.cursor_row < self.row_count:
            return self.ordered_rows[self.cursor_row].key.value
        return None

    def _move_to(self, run_id: str | None) -> None:
        if run_id in self._cells:
            self.move_cursor(row=self.get_row_index(run_id), animate=False)
