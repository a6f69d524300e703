"""What dialogs share that are read: the keys that move through their text."""

from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen


class ReadingScreen(ModalScreen[None]):
    """A dialog whose text lies in one `VerticalScroll`."""

    BINDINGS = [
        Binding("down,j", "scroll('down')", "Down"),
        Binding("up,k", "scroll('up')", "Up"),
        Binding("pagedown,ctrl+d,space", "scroll('page_down')", "Page down"),
        Binding("pageup,ctrl+u", "scroll('page_up')", "Page up"),
        Binding("home,g", "scroll('home')", "Top"),
        Binding("end,G", "scroll('end')", "Bottom"),
    ]
    AUTO_FOCUS = ""

    def action_scroll(self, where: str) -> None:
        """Moves through the text."""
        getattr(self.query_one(VerticalScroll), f"scroll_{where}")(animate=False)
