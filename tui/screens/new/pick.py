"""A list to pick from: a split of a data set, the role of a turn, a row with a problem."""

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ....core.text import one_line


class Pick(ModalScreen[int | None]):
    """Shows lines, of which Enter picks one.

    Args:
        title: Above the list.
        lines: What can be picked; text of others is made harmless here.
        hint: What the keys do.
        at: Where the cursor begins.
    """

    BINDINGS = [
        Binding("escape,q", "cancel", "Cancel"),
        Binding("j", "move(1)", "Down"),
        Binding("k", "move(-1)", "Up"),
    ]

    def __init__(self, title: str, lines: Sequence[str], hint: str, at: int = 0) -> None:
        super().__init__()
        self._title = title
        self._lines = lines
        self._hint = hint
        self._at = at

    def compose(self) -> ComposeResult:
        """The title, the list, the keys."""
        with Vertical(classes="dialog wide"):
            yield Static(Text(one_line(self._title)), classes="question")
            yield OptionList(*(Option(Text(one_line(line, 400))) for line in self._lines))
            yield Static(self._hint, classes="hint", markup=False)

    def on_mount(self) -> None:
        """Puts the cursor where it begins."""
        self.query_one(OptionList).highlighted = self._at

    def action_move(self, by: int) -> None:
        """Moves the cursor."""
        options = self.query_one(OptionList)
        options.action_cursor_down() if by > 0 else options.action_cursor_up()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter picks."""
        self.dismiss(event.option_index)

    def action_cancel(self) -> None:
        """Picks nothing."""
        self.dismiss(None)
