"""The notice line: the last event in words, above the footer."""

from typing import Any, cast

from rich.cells import cell_len, set_cell_size
from rich.text import Text
from textual.content import Content
from textual.widgets import Static

MOST_LINES = 2
"""Of what is longer the middle is left out: its end says what to do."""
_HEAD = " » "


class Notice(Static):
    """One line, or two where what is said is long."""

    def __init__(self) -> None:
        super().__init__(id="notice", markup=False)
        self.cut = False
        """Whether there is room for a part of it only."""

    def show(self, text: str, key: str, most: int = MOST_LINES) -> None:
        """Says something.

        Args:
            text: What is said.
            key: Shows the whole of it.
            most: Lines that there is room for.
        """
        width = cast(Any, self).app.size.width - len(_HEAD) - 1
        self.cut = len(wrapped(text, width)) > most
        lines = in_lines(text, width, most, f" {key} all")
        self.styles.height = max(len(lines), 1)  # all is laid out anew where that is another
        said = ("\n" + " " * len(_HEAD)).join(lines)
        self.update(Text(_HEAD + said if said else ""), layout=False)


def cut_in_the_middle(text: str, room: int) -> str:
    """Returns a text of at most `room` cells: what is left out is in the middle.

    The last sentence is what to do about it, so it stays whole where half the room holds it.
    """
    if cell_len(text) <= room:
        return text
    remedy = text.rstrip(".").rpartition(". ")[2] + "." * text.endswith(".")
    end = cell_len(remedy) if 0 < cell_len(remedy) <= room * 2 // 3 else room // 2
    start = set_cell_size(text, max(room - end - 2, 0)).rstrip(" .,;:")
    return f"{start}… {set_cell_size(text[::-1], end)[::-1].lstrip()}"[:room]


def in_lines(text: str, width: int, most: int, more: str) -> list[str]:
    """Returns a text in lines; a longer one loses its middle, and has `more` at its end."""
    lines, room = wrapped(text, width), width * most - len(more)
    while len(lines) > most and room > 0:
        lines = wrapped(cut_in_the_middle(text, room) + more, width)
        room -= 4
    return lines[:most]


def wrapped(text: str, width: int) -> list[str]:
    """Returns a text in lines of at most `width` cells, broken between words where it can be."""
    if width < 1:
        return []
    lines = Content(text).wrap(width) if text else []
    return [line.plain.rstrip() for line in lines]
