"""Lines of text that can be paged through: follows the newest line until the user pages up."""

from collections.abc import Sequence

from rich.text import Text
from textual.widgets import Static

from ...core.text import one_line

Line = str | Text
"""A text that is still to be made harmless, or one that is, with its styles."""


class TabPane(Static, can_focus=True):
    """Shows the part of some lines that fits.

    With `follow` the newest lines are at the bottom and stay there. Paging up holds the lines as
    they were then, so that what is read never moves; paging down to their end follows again.
    `wanted` is what is looked for: it is shown in reverse wherever it stands.
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self._lines: Sequence[Line] = ()
        self._follow = True
        self._held: list[Line] | None = None
        self._top = 0
        self._drawn: Text | None = None
        self._found: int | None = None
        self.wanted = ""

    @property
    def held(self) -> bool:
        """Whether newer lines are kept from the view."""
        return self._held is not None

    def show(self, lines: Sequence[Line], *, follow: bool) -> None:
        """Takes the lines as they are now."""
        self._lines, self._follow = lines, follow
        self._draw()

    def forget(self) -> None:
        """Other lines come: goes back to where reading begins."""
        self._held, self._top, self._found = None, 0, None
        self.wanted = ""

    def page(self, direction: int) -> None:
        """Moves a page up (-1) or down (1)."""
        height = max(self.content_size.height, 1)
        self.step(direction * max(height - 1, 1))

    def step(self, by: int) -> None:
        """Moves by lines."""
        self._go(self._place() + by)

    def _place(self) -> int:
        """Returns the first line that is seen."""
        last = self._last(len(self._shown()))
        return last if self._follow and self._held is None else min(self._top, last)

    def _shown(self) -> list[Line]:
        return self._held if self._held is not None else list(self._lines)

    def _last(self, count: int) -> int:
        return max(count - max(self.content_size.height, 1), 0)

    def _go(self, top: int) -> None:
        lines = self._shown()
        last = self._last(len(lines))
        self._top = min(max(top, 0), last)
        if self._follow:
            self._held = None if self._top == last else lines
        self._draw()

    def find(self, words: str, direction: int = 0) -> tuple[int, int]:
        """Goes to a line that contains words, in whatever case.

        Args:
            words: What is looked for.
            direction: 1 is the next after the one that was found last, -1 the one before; 0 the
                last of all where the newest line is followed, else the first.

        Returns:
            Which of the lines that contain the words it is, from 1 on, and how many there are;
            0 of 0 where there is none.
        """
        self.wanted = words
        lines = self._shown()
        low = words.lower()
        matches = [at for at, line in enumerate(lines) if low in str(line).lower()] if low else []
        if not matches:
            self._found = None
            self._draw()
            return 0, 0
        if direction == 0 or self._found is None:
            which = len(matches) - 1 if self._follow else 0
        else:
            before = sum(at < self._found for at in matches)
            after = before + (self._found in matches) if direction > 0 else before - 1
            which = after % len(matches)
        self._found = matches[which]
        if self._follow and self._held is None:
            self._held = lines  # what was found stays where it is
        self._go_near(matches[which], lines)
        return which + 1, len(matches)

    def _go_near(self, line: int, lines: list[Line]) -> None:
        height = max(self.content_size.height, 1)
        self._top = min(max(line - height // 2, 0), self._last(len(lines)))
        self._draw()

    def position(self) -> str:
        """Returns which lines are seen, where not all are; that newer ones are held is said."""
        height = self.content_size.height
        total = len(self._shown())
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
        lines, top = self._shown(), self._place()
        shown = (_cut(line, width) for line in lines[top : top + height])
        text = Text("\n", no_wrap=True).join(shown)
        if self.wanted:
            text.highlight_words([self.wanted], "reverse", case_sensitive=False)
        if text != self._drawn:
            self._drawn = text  # only what changed goes over the wire
            self.update(text, layout=False)


def _cut(line: Line, width: int) -> Text:
    """Returns a line cut to the width with its indentation kept, harmless."""
    if isinstance(line, Text):
        return line[:width]
    indent = len(line) - len(line.lstrip(" "))
    return Text((" " * indent + one_line(line, max(width - indent, 1)))[:width])
