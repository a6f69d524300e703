"""The table of models: rows in place, columns by width, the cursor kept at its model."""

from collections.abc import Callable
from typing import Any, cast

from rich.segment import Segment
from rich.text import Text
from textual.actions import SkipAction
from textual.coordinate import Coordinate
from textual.message import Message
from textual.strip import Strip
from textual.widgets import DataTable

from .listing import Entry
from .model_words import role

# (heading, width, dropped below this many columns); FIT takes what is left.
_COLUMNS = (
    ("MODEL", 22, 0),
    ("PARAMS", 6, 60),
    ("DTYPE", 5, 100),
    ("LICENCE", 11, 110),
    ("GATED", 5, 70),
    ("CHAT", 4, 116),
    ("CACHED", 8, 90),
)
_FIT_LEAST = 28
_MODEL_MOST = 48


class ModelTable(DataTable[Text]):
    """Lists entries; `cells` gives those of an entry by heading."""

    class EndReached(Message):
        """The cursor was to go on behind the last row."""

    def __init__(self, cells: Callable[[Entry], dict[str, str]]) -> None:
        super().__init__(id="models", cursor_type="row", zebra_stripes=False)
        self._make_cells = cells
        self._entries: dict[str, Entry] = {}
        self._drawn: dict[str, dict[str, str]] = {}
        self._layout: tuple[tuple[str, int], ...] = ()
        self.touched = False
        """Whether the cursor is where somebody put it."""

    def on_key(self) -> None:
        """Leaves the cursor alone from now on."""
        self.touched = True

    def on_click(self) -> None:
        """Leaves the cursor alone from now on."""
        self.touched = True

    @property
    def entry(self) -> Entry | None:
        """The model under the cursor."""
        return self._entries.get(self._name_at(self.cursor_row))

    def entry_of(self, name: str) -> Entry | None:
        """Returns the row of a model."""
        return self._entries.get(name)

    def _name_at(self, row: int) -> str:
        if not 0 <= row < self.row_count:
            return ""
        return self.coordinate_to_cell_key(Coordinate(row, 0)).row_key.value or ""

    def in_sight(self) -> list[Entry]:
        """Returns the models that are seen, the one under the cursor first."""
        first = int(self.scroll_y)
        height = max(self.scrollable_content_region.height - self.header_height, 1)
        names = [self._name_at(self.cursor_row)]
        names += [self._name_at(row) for row in range(first, first + height)]
        return [self._entries[name] for name in dict.fromkeys(names) if name in self._entries]

    def lay_out(self, about: str) -> None:
        """Chooses the columns for the width there is; `about` says what FIT is said of."""
        width = cast(Any, self).app.size.width
        shown = [column for column in _COLUMNS if width >= column[2]]
        # Two cells of padding each, the cursor's column, the border and the scroll bar.
        room = width - sum(least + 2 for _, least, _ in shown) - 3 - 2 - 2 - 1
        wider = min(max(room - _FIT_LEAST, 0) // 2, _MODEL_MOST - 22)
        widths = {name: least + (wider if name == "MODEL" else 0) for name, least, _ in shown}
        layout = (*widths.items(), ("FIT", max(room - wider, 9)))
        heading = Text(f"FIT ({about})")
        if layout == self._layout:
            column = next(c for key, c in self.columns.items() if key.value == "FIT")
            if column.label != heading:  # in place: building all rows anew takes long
                column.label = heading
                self._clear_caches()
                self.refresh()
            return
        here, self._layout = self._name_at(self.cursor_row), layout
        self.clear(columns=True)
        self.add_column("", width=1, key="cursor")
        for name, size in layout:
            self.add_column(heading if name == "FIT" else Text(name), width=size, key=name)
        self._drawn.clear()
        self.show(list(self._entries.values()), here)

    def show(self, entries: list[Entry], at: str | None = None) -> None:
        """Shows these entries; the cursor goes to the named one, else stays at its model.

        More rows behind the same ones are added alone: a page more must not cost all before it.
        """
        if not self._layout:
            self._entries = {entry.name: entry for entry in entries}
            return
        at = self._name_at(self.cursor_row) if at is None else at
        drawn, names = list(self._drawn), [entry.name for entry in entries]
        before, self._entries = self._entries, {entry.name: entry for entry in entries}
        if names[: len(drawn)] != drawn:
            scroll = self.scroll_y
            self.clear()
            self._drawn.clear()
            self._add(entries)
            self.scroll_to(y=scroll, animate=False)
            row = self.get_row_index(at) if at in self._entries else 0
            self.move_cursor(row=row, animate=False)
        else:
            self._add(entries[len(drawn) :])
            if at in self._entries:
                self.move_cursor(row=self.get_row_index(at), animate=False)
            for name in drawn:
                if self._entries[name] != before.get(name):
                    self.redraw(name)

    def _add(self, entries: list[Entry]) -> None:
        for entry in entries:
            drawn = self._drawn[entry.name] = self._make_cells(entry)
            row = [self._text(name, drawn[name]) for name, _ in self._layout]
            self.add_row(Text(""), *row, key=entry.name)

    def _text(self, heading: str, cell: str) -> Text:
        if heading != "FIT":
            return Text(cell, no_wrap=True, overflow="ellipsis")
        colour = getattr(cast(Any, self).app.current_theme, role(cell), None) or ""
        # The palettes of terminals are named otherwise by Textual than by Rich.
        style = colour.removeprefix("ansi_")
        return Text(cell, no_wrap=True, overflow="ellipsis", style=style)

    def redraw(self, name: str) -> None:
        """Draws the cells of a row that changed."""
        entry = self._entries.get(name)
        if entry is None or name not in self._drawn:
            return
        new, old = self._make_cells(entry), self._drawn[name]
        for heading, _ in self._layout:
            if new[heading] != old[heading]:
                self.update_cell(name, heading, self._text(heading, new[heading]))
        self._drawn[name] = new

    def recolour(self) -> None:
        """Draws the cells that have a colour of the theme, which is another one now."""
        for name, drawn in self._drawn.items():
            self.update_cell(name, "FIT", self._text("FIT", drawn["FIT"]))

    def redraw_sight(self) -> None:
        """Draws the rows in sight anew; the others are when they come into it."""
        for entry in self.in_sight():
            self.redraw(entry.name)

    def render_line(self, y: int) -> Strip:
        """Marks the row under the cursor with a glyph, so that it is found without colour.

        Not as a cell: a cell that changes has all others drawn anew, which takes 30 ms.
        """
        strip, heading = super().render_line(y), self.header_height if self.show_header else 0
        row = y - heading + int(self.scroll_y)
        if y < heading or row != self.cursor_row or row >= self.row_count or self.scroll_x:
            return strip
        before, cell, after = strip.divide([1, 2, strip.cell_length])
        return Strip.join([before, Strip([Segment("▸", each.style) for each in cell], 1), after])

    def action_select_cursor(self) -> None:
        """Enter; while there is no row the key is the screen's."""
        if not self.row_count:
            raise SkipAction
        super().action_select_cursor()

    def action_scroll_home(self) -> None:
        """Moves to the first row."""
        self.move_cursor(row=0)

    def action_scroll_end(self) -> None:
        """Moves to the last row."""
        self.move_cursor(row=self.row_count - 1)

    def action_page_down(self) -> None:
        """Moves a page down; behind the last row there may be more."""
        if self.cursor_row >= self.row_count - 1:
            self.post_message(self.EndReached())
        super().action_page_down()
