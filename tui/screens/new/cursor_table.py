"""A table of rows, with a glyph at the row of the cursor: it is found without colour."""

from collections.abc import Iterable, Sequence
from typing import Any, cast

from rich.text import Text
from textual.actions import SkipAction
from textual.coordinate import Coordinate
from textual.widgets import DataTable

GLYPH = 2
"""Columns that the glyph takes."""


class CursorTable(DataTable[Text]):
    """Rows of text under headings of fixed widths."""

    def __init__(self, *, id: str, classes: str = "") -> None:
        super().__init__(
            id=id, classes=classes, cursor_type="row", cell_padding=0, zebra_stripes=False
        )

    def fill(
        self,
        columns: Sequence[tuple[str, int]],
        rows: Iterable[Sequence[Text]],
        at: int | None = None,
    ) -> None:
        """Shows other rows; the cursor goes to `at`, or stays where it is."""
        place, scroll = self.cursor_row if at is None else at, self.scroll_y
        with cast(Any, self).app.batch_update():
            self.clear(columns=True)
            for heading, width in (("", GLYPH), *columns):
                self.add_column(heading, width=width)
            for row in rows:
                self.add_row(Text(" "), *row)
            self.scroll_to(y=scroll, animate=False)
        self.go(place)

    def go(self, row: int) -> None:
        """Puts the cursor on a row, or on the last where there are fewer."""
        if self.row_count:
            self.move_cursor(row=min(max(row, 0), self.row_count - 1), animate=False)
            self._point()

    def action_select_cursor(self) -> None:
        """Enter; while there is no row the key is the screen's."""
        if not self.row_count:
            raise SkipAction
        super().action_select_cursor()

    def on_data_table_row_highlighted(self) -> None:
        """Points at the row."""
        self._point()

    def _point(self) -> None:
        for row in range(self.row_count):
            glyph, place = "▸" if row == self.cursor_row else " ", Coordinate(row, 0)
            if str(self.get_cell_at(place)) != glyph:
                self.update_cell_at(place, Text(glyph))
