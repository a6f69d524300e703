"""What a panel shows, in plain sentences: for those who read rather than look."""

from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.widgets import Static

from ...core.text import printable
from ..widgets.notice import Notice
from .reading import ReadingScreen

if TYPE_CHECKING:
    from ..widgets.frame import FrameScreen


class Reading(ReadingScreen):
    """Shows a text; Esc closes, `y` copies it.

    Args:
        title: What it is about.
        text: What is read.
        screen: The screen below, which says where a copy is too.
    """

    BINDINGS = [
        Binding("escape,q,i,enter", "close", "Close"),
        Binding("y", "copy", "Copy"),
    ]

    def __init__(self, title: str, text: str, screen: "FrameScreen") -> None:
        super().__init__()
        self._title = title
        self._frame = screen
        self._text = printable(text)

    def compose(self) -> ComposeResult:
        """Shows the text."""
        with VerticalScroll(classes="dialog described", can_focus=False) as dialog:
            dialog.border_title = Text(self._title)
            dialog.border_subtitle = Text("y copy   Esc close")
            yield Static(Text(self._text))

    def action_copy(self) -> None:
        """Copies the text."""
        self._frame.copy(self._text)

    def action_close(self) -> None:
        """Goes back to the screen."""
        self.dismiss(None)


class Describe(Reading):
    """Shows what a screen says of its panel, and its notice: first where only a part was seen."""

    def __init__(self, screen: "FrameScreen") -> None:
        parts = [screen.describe(), f"» {screen.notice}" if screen.notice else ""]
        if screen.query_one(Notice).cut:
            parts.reverse()
        super().__init__("In words", "\n\n".join(filter(None, parts)), screen)
