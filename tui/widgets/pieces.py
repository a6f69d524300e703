"""Lines made of pieces, some of them items that a cursor can stand on: tokens, problems, rows."""

from bisect import bisect_left
from collections.abc import Callable
from typing import NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

NONE = -1
"""The item of a piece that belongs to none."""


class Piece(NamedTuple):
    """A part of a line: harmless text without line feeds, its style, the item it belongs to."""

    text: str
    kind: str = ""
    item: int = NONE


Line = list[Piece]


class PieceView(ScrollView, can_focus=True, inherit_bindings=False):
    """Shows lines, draws only those that are seen, and moves a cursor from item to item.

    Items are numbered in the order in which they stand; the lines of an item follow each other.

    Args:
        pointer: Whether `▸` marks the first line of the cursor's item, as in lists.
    """

    COMPONENT_CLASSES = {
        f"pieces--{kind}"
        for kind in (
            "trained context special cut bracket cursor away strong muted info good warn bad"
        ).split()
    }

    class Moved(Message):
        """The cursor stands on another item."""

        def __init__(self, view: "PieceView", item: int) -> None:
            super().__init__()
            self.view = view
            self.item = item

        @property
        def control(self) -> "PieceView":
            """The view that moved."""
            return self.view

    def __init__(
        self, *, id: str | None = None, classes: str | None = None, pointer: bool = False
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._pointer = pointer
        self._lines: list[Line] = []
        self._spans: list[tuple[int, int]] = []
        """The first and the last line of each item."""
        self._cursor = NONE
        self._strips: dict[int, Strip] = {}
        self._styles: dict[str, Style] = {}
        self.make: Callable[[int], list[Line]] | None = None
        """Makes the lines for a width; called again when that changes."""
        self._width = self._items = 0

    @property
    def lines(self) -> list[Line]:
        """What is shown."""
        return self._lines

    @property
    def room(self) -> int:
        """Columns that a line has."""
        return max(self.scrollable_content_region.width - 2 * self._pointer, 1)

    @property
    def cursor(self) -> int:
        """The item that the cursor stands on, `NONE` where there are none."""
        return self._cursor

    @property
    def items(self) -> int:
        """How many items there are."""
        return len(self._spans)

    def show(
        self,
        make: Callable[[int], list[Line]],
        items: int = 0,
        *,
        cursor: int | None = None,
        top: bool = False,
    ) -> None:
        """Shows other lines.

        Args:
            make: Makes them for a width.
            items: How many items there are; one without a piece stands where the next one does.
            cursor: The item that the cursor goes to, `NONE` for none of them; None keeps its
                number, where there is one.
            top: Goes back to the beginning.
        """
        self.make, self._items = make, items
        self._lay_out()
        wanted = max(self._cursor, 0) if cursor is None else cursor
        self._cursor = min(wanted, self.items - 1)
        if top:
            self.scroll_to(0, 0, animate=False)
        if cursor is not None or not top:
            self._follow()
        self.refresh()

    def _lay_out(self) -> None:
        self._width = self.room
        self._lines = self.make(self._width) if self.make is not None else []
        self._strips.clear()
        spans: list[tuple[int, int]] = []
        for number, line in enumerate(self._lines):
            for piece in line:
                item = piece.item
                if item < 0:
                    continue
                while len(spans) <= item:
                    spans.append((number, number))
                spans[item] = spans[item][0], number
        last = max(len(self._lines) - 1, 0)
        spans += [(last, last)] * (self._items - len(spans))
        self._spans = spans
        self.virtual_size = Size(self.room, len(self._lines))

    def on_resize(self) -> None:
        """Makes the lines for the new width."""
        if self.make is not None and self.room != self._width:
            self._lay_out()
            self._follow()

    def notify_style_update(self) -> None:
        """Draws with the new styles."""
        super().notify_style_update()
        self._styles.clear()
        self._strips.clear()

    def on_focus(self) -> None:
        """Draws the cursor as the one that moves."""
        self._redraw(self._cursor)

    def on_blur(self) -> None:
        """Draws the cursor as one that stays."""
        self._redraw(self._cursor)

    def render_line(self, y: int) -> Strip:
        """Draws a line, from what was drawn before where the cursor is elsewhere."""
        number = y + self.scroll_offset.y
        width = self.scrollable_content_region.width
        if number >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        if 0 <= self._cursor < self.items:
            first, last = self._spans[self._cursor]
            if first <= number <= last:
                return self._strip(number, first).crop_extend(0, width, self.rich_style)
        strip = self._strips.get(number)
        if strip is None:
            strip = self._strip(number, NONE).crop_extend(0, width, self.rich_style)
            self._strips[number] = strip
        return strip

    def _strip(self, number: int, cursor_line: int) -> Strip:
        here = self._cursor if cursor_line >= 0 and (self.has_focus or not self._pointer) else NONE
        marked = self._style("cursor" if self.has_focus else "away")
        parts: list[tuple[str, Style]] = []
        if self._pointer:
            parts.append(("▸ " if number == cursor_line else "  ", self._style("")))
        for text, kind, item in self._lines[number]:
            style = self._style(kind)
            if item == here and item != NONE:
                style += marked
            if parts and parts[-1][1] is style:  # one segment for many tokens of a kind
                parts[-1] = parts[-1][0] + text, style
            else:
                parts.append((text, style))
        if self._pointer and here != NONE and self._lines[number]:
            # In a list the cursor marks the whole line, as in tables.
            length = sum(cell_len(text) for text, _ in parts)
            room = self.scrollable_content_region.width - length
            parts.append((" " * max(room, 0), self._style("") + marked))
        return Strip(Segment(text, style) for text, style in parts)

    def _style(self, kind: str) -> Style:
        """Returns the style of a kind; with ` edge` behind its name it is underlined."""
        if kind not in self._styles:
            name, _, edge = kind.partition(" ")
            style = self.get_component_rich_style(f"pieces--{name}") if name else self.rich_style
            self._styles[kind] = style + Style(underline=True) if edge else style
        return self._styles[kind]

    def go_to(self, item: int) -> None:
        """Moves the cursor to an item."""
        item = min(max(item, 0), self.items - 1)
        if item == self._cursor:
            return
        before, self._cursor = self._cursor, item
        self._redraw(before)
        self._redraw(item)
        self._follow()
        self.post_message(self.Moved(self, item))

    def _redraw(self, item: int) -> None:
        if 0 <= item < self.items:
            first, last = self._spans[item]
            self.refresh_lines(first, last - first + 1)

    def _follow(self) -> None:
        """Scrolls so far that the cursor's item is seen."""
        if not 0 <= self._cursor < self.items:
            return
        first, last = self._spans[self._cursor]
        height = max(self.scrollable_content_region.height, 1)
        top = self.scroll_offset.y
        if first < top or last - first >= height:
            self.scroll_to(y=first, animate=False)
        elif last >= top + height:
            self.scroll_to(y=last - height + 1, animate=False)

    def step(self, by: int) -> None:
        """Moves the cursor by items, or scrolls where there are none."""
        if self.items:
            self.go_to(self._cursor + by)
        else:
            self.scroll_to(y=self.scroll_offset.y + by, animate=False)

    def step_lines(self, by: int) -> None:
        """Moves the cursor to the item below or above, or scrolls where there are none."""
        if not self.items:
            self.scroll_to(y=self.scroll_offset.y + by, animate=False)
            return
        first, last = self._spans[self._cursor]
        column = self._column(first, self._cursor)
        number, direction = (last if by > 0 else first), 1 if by > 0 else -1
        here, left = self._cursor, abs(by)
        while left and 0 <= number + direction < len(self._lines):
            number += direction
            near = self._nearest(number, column)
            if near != NONE and self._apart(near, here, direction):
                here, left = near, left - 1
                number = self._spans[here][1 if direction > 0 else 0]
        if here == self._cursor:
            here = self.items - 1 if by > 0 else 0
        self.go_to(here)

    def _apart(self, item: int, here: int, direction: int) -> bool:
        """Whether an item begins on another line than one, on that side."""
        return (self._spans[item][0] - self._spans[here][0]) * direction > 0

    def page(self, direction: int) -> None:
        """Moves by a page."""
        height = max(self.scrollable_content_region.height - 1, 1)
        if not self.items:
            self.scroll_to(y=self.scroll_offset.y + direction * height, animate=False)
            return
        target = self._spans[self._cursor][0] + direction * height
        firsts = [first for first, _ in self._spans]
        self.go_to(bisect_left(firsts, target))

    def to_end(self, last: bool) -> None:
        """Moves to the first or the last item, or line."""
        if self.items:
            self.go_to(self.items - 1 if last else 0)
        else:
            self.scroll_to(y=len(self._lines) if last else 0, animate=False)

    def _column(self, number: int, item: int) -> int:
        column = 0
        for piece in self._lines[number]:
            if piece.item == item:
                return column
            column += len(piece.text)
        return column

    def _nearest(self, number: int, column: int) -> int:
        """Returns the item at a column of a line, or the last before it."""
        found, at = NONE, 0
        for piece in self._lines[number]:
            if piece.item != NONE and (found == NONE or at <= column):
                found = piece.item
            at += len(piece.text)
        return found
