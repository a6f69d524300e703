"""The list of fields: draws rows, moves a cursor over them. What they mean is the screen's."""

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from .rows import Row

_LABEL = 23
_MARKS = 3
VALUE_AT = _MARKS + _LABEL
"""The column where values begin, and the box in which one is edited."""


class FieldList(ScrollView, can_focus=True, inherit_bindings=False):
    """Rows of fields with a cursor; headings are passed over."""

    COMPONENT_CLASSES = {
        "field-list--heading",
        "field-list--default",
        "field-list--effect",
        "field-list--problem",
        "field-list--changed",
        "field-list--cursor",
    }

    class Moved(Message):
        """The cursor is on another row."""

    def __init__(self) -> None:
        super().__init__(id="fields")
        self._rows: list[Row] = []
        self._effects: dict[str, str] = {}
        self._cursor = 0
        self._drawn: LRUCache[tuple[Row, bool, str, int], Strip] = LRUCache(256)

    def notify_style_update(self) -> None:
        """Draws anew: the colours may be others."""
        super().notify_style_update()
        self._drawn.clear()

    @property
    def row(self) -> Row | None:
        """The row under the cursor."""
        return self._rows[self._cursor] if self._cursor < len(self._rows) else None

    @property
    def line_of_cursor(self) -> int:
        """The line of the cursor's row, counted from the first one that is seen."""
        return self._cursor - round(self.scroll_y)

    def show(self, rows: list[Row], effects: dict[str, str]) -> None:
        """Draws rows, and beside each field its effect; the cursor stays on its field."""
        here = self.row
        self._rows, self._effects = rows, effects
        self.virtual_size = Size(0, len(rows))
        if here is not None and not self.move_to(here.path, here.kind):
            self._place(min(self._cursor, len(rows) - 1))
        elif here is None:
            self._place(0)
        self.refresh()

    def show_effects(self, effects: dict[str, str]) -> None:
        """Draws other effects beside the same rows."""
        if effects != self._effects:
            self._effects = effects
            self.refresh()

    def move(self, by: int) -> None:
        """Moves the cursor over rows that can be chosen, as far as there are some."""
        self._place(self._cursor + by, 1 if by > 0 else -1)

    def move_to_end(self, last: bool) -> None:
        """Moves to the last row, or the first."""
        self._place(len(self._rows) - 1 if last else 0, -1 if last else 1)

    def move_to(self, path: str, kind: str = "field") -> bool:
        """Moves to the row of a field; returns whether it is there."""
        same = [i for i, row in enumerate(self._rows) if row.path == path and _stands(row)]
        if not same:
            return False
        self._place(next((i for i in same if self._rows[i].kind == kind), same[0]))
        return True

    def _place(self, wanted: int, direction: int = 1) -> None:
        """Puts the cursor on the nearest row that can be chosen, looking in a direction first."""
        wanted = max(0, min(wanted, len(self._rows) - 1))
        for places in (
            range(wanted, len(self._rows) if direction > 0 else -1, direction),
            range(wanted, -1 if direction > 0 else len(self._rows), -direction),
        ):
            found = next((i for i in places if _stands(self._rows[i])), None)
            if found is not None:
                break
        else:
            return
        moved = found != self._cursor
        self._cursor = found
        # With the line above: it may be the heading.
        top = max(found - 1, 0)
        self.scroll_to_region(Region(0, top, 1, found - top + 1), animate=False, force=True)
        if moved:
            self.refresh()
            self.post_message(self.Moved())

    def on_resize(self) -> None:
        """Fits the lines to the new width and keeps the cursor in sight."""
        self.virtual_size = Size(0, len(self._rows))
        if self._rows:  # it may be laid out before it is filled
            self._place(self._cursor)

    def on_click(self, event: events.Click) -> None:
        """Puts the cursor where the mouse points."""
        place = event.y + round(self.scroll_y)
        if place < len(self._rows) and _stands(self._rows[place]):
            self._place(place)

    def render_line(self, y: int) -> Strip:
        """Draws one line."""
        place = y + round(self.scroll_y)
        width = self.scrollable_content_region.width
        if place >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        row = self._rows[place]
        on_cursor = place == self._cursor and _stands(row)
        key = (row, on_cursor, self._effects.get(row.path, ""), width)
        strip = self._drawn.get(key)
        if strip is None:
            strip = self._drawn[key] = self._strip(row, on_cursor, width)
        return strip

    def _strip(self, row: Row, on_cursor: bool, width: int) -> Strip:
        text = self._text(row, on_cursor, width)
        style = self.get_component_rich_style("field-list--cursor") if on_cursor else Style()
        segments = [
            Segment(part.text, (part.style or Style()) + style)
            for part in text.render(self.app.console)  # pyright: ignore[reportUnknownMemberType]
            if part.text != "\n"
        ]
        return (
            Strip(segments)
            .adjust_cell_length(width, self.rich_style + style)
            .apply_style(self.rich_style)
        )

    def _text(self, row: Row, on_cursor: bool, width: int) -> Text:
        def style(name: str) -> Style:
            return self.get_component_rich_style(f"field-list--{name}", partial=True)

        text = Text(no_wrap=True, end="")
        if row.kind == "heading":
            return _cut(text.append(f" {row.text}", style("heading")), width)
        text.append("▸" if on_cursor else " ")
        if row.kind == "problem":
            return _cut(text.append(f"    {row.text}", style("problem")), width)
        if row.kind == "hidden":
            return _cut(text.append(f"  {row.text}", style("default")), width)
        text.append("* " if row.changed else "  ", style("changed"))
        text.append_text(_cell(Text(row.text), _LABEL))
        effect = self._effects.get(row.path, "")
        value = Text(row.value, style("changed") if row.changed else Style())
        if row.default:
            value.append(f" {row.default}", style("default"))
        room = max(width - text.cell_len, 0)
        share = min(max(18, room * 42 // 100), room) if effect else room
        text.append_text(_cell(value, share))
        return _cut(text.append(effect, style("effect")), width)


def _stands(row: Row) -> bool:
    """Returns whether the cursor can stand on a row."""
    return row.kind in ("field", "problem")


def _cut(text: Text, width: int) -> Text:
    text.truncate(width, overflow="ellipsis")
    return text


def _cell(text: Text, width: int) -> Text:
    """Returns a text of a width, with a space at its end."""
    text.truncate(max(width - 1, 0), overflow="ellipsis")
    text.append(" " * (width - text.cell_len))
    return text
