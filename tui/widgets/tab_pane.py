"""Lines of text that can be paged through: follows the newest line until the user pages up."""

from collections.abc import Sequence

from rich.text import Text
from textual.widgets import Static

from ...core.text import one_line


class TabPane(Static, can_focus=True):
    """Shows the part of some lines that fits.

    With `follow` the newest lines are at the bottom and stay there. Paging up holds the lines as
    they were then, so that what is read never moves; paging down to their end follows again.
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self._lines: Sequence[str] = ()
        self._follow = True
        self._held: list[str] | None = None
        self._top = 0
        self._drawn: str | None = None

    @property
    def held(self) -> bool:
        """Whether newer lines are kept from the view."""
        return self._held is not None

    def show(self, lines: Sequence[str], *, follow: bool) -> None:
        """Takes the lines as they are now."""
        self._lines, self._follow = lines, follow
        self._draw()

    def forget(self) -> None:
        """Other lines come: goes back to where reading begins."""
        self._held, self._top = None, 0

    def page(self, direction: int) -> None:
        """Moves a page up (-1) or down (1)."""
        height = max(self.content_size.height, 1)
        lines = self._held if self._held is not None else list(self._lines)
        last = max(len(lines) - height, 0)
        at = last if self._follow and self._held is None else min(self._top, last)
        self._top = min(max(at + direction * max(height - 1, 1), 0), last)
        if self._follow:
            self._held = None if self._top == last else lines
        self._draw()

    def position(self) -> str:
        """Returns which lines are seen, where not all are; that newer ones are held is said."""
        height = self.content_size.height
        total = len(self._held if self._held is not None else self._lines)
        if total <= height:
            return ""
        if self._follow and self._held is None:
            return f"last {height} of {total}"
        seen = f"{self._top + 1}–{min(self._top + height, total)} of {total}"
        return f"{seen} HELD, PgDn follows" if self.held else seen

    def _draw(self) -> None:
        width, height = self.content_size
        if height < 1:
            return
        lines = self._held if self._held is not None else list(self._lines)
        last = max(len(lines) - height, 0)
        top = last if self._follow and self._held is None else min(self._top, last)
        text = "\n".join(_cut(line, width) for line in lines[top : top + height])
        if text != self._drawn:  # only what changed goes over the wire
            self._drawn = text
            self.update(Text(text, no_wrap=True), layout=False)


def _cut(line: str, width: int) -> str:
    """Returns a line cut to the width with its indentation kept, harmless."""
    indent = len(line) - len(line.lstrip(" "))
    return (" " * indent + one_line(line, max(width - indent, 1)))[:width]
