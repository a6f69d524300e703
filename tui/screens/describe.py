"""What a panel shows, in plain sentences: for those who read rather than look."""

from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.widgets import Static

from ...core.text import printable
from .reading import ReadingScreen

if TYPE_CHECKING:
    from ..widgets.frame import FrameScreen


class Describe(ReadingScreen):
    """Shows sentences; Esc closes, `y` copies them."""

    BINDINGS = [
        Binding("escape,q,i,enter", "close", "Close"),
        Binding("y", "copy", "Copy"),
    ]

    def __init__(self, screen: "FrameScreen") -> None:
        super().__init__()
        self._frame = screen
        said = f"» {screen.notice}" if screen.notice else ""
        self._text = printable("\n\n".join(filter(None, (screen.describe(), said))))

    def compose(self) -> ComposeResult:
        """Shows the sentences."""
        with VerticalScroll(classes="dialog described", can_focus=False) as dialog:
            dialog.border_title = Text("In words")
            dialog.border_subtitle = Text("y copy   Esc close")
            yield Static(Text(self._text))

    def action_copy(self) -> None:
        """Copies the sentences; the screen below says where they are too."""
        self._frame.copy(self._text)

    def action_close(self) -> None:
        """Goes back to the screen."""
        self.dismiss(None)
