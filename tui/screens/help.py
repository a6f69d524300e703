"""Help: the keys of the screen below and of the application, straight from the registry."""

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from ..keys import SCOPES, Key, of_scope

_WORDS = """\
EMA: running average that forgets old steps.   eval: loss on rows that are not trained.
grad: size of the update before clipping.   tok/s: tokens without padding, per second of training.
–: not known.   ETA: steps, evaluations and saves still to come, at their median times."""


class HelpScreen(ModalScreen[None]):
    """Shows the keys of one screen, then those that work everywhere."""

    BINDINGS = [Binding("escape,q,question_mark,f1", "close", "Close")]

    def __init__(self, scope: str, offered: list[Key]) -> None:
        super().__init__()
        self._scope = scope
        self._offered = offered

    def compose(self) -> ComposeResult:
        """Lists the keys."""
        with VerticalScroll(classes="dialog help"):
            yield Static(self._text())

    def _text(self) -> Text:
        text = Text()
        text.append("Esc closes   ↑ ↓ scroll\n\n", "dim")
        for scope, keys in ((self._scope, self._offered), ("app", of_scope("app"))):
            text.append(f"{SCOPES[scope]}\n", "bold")
            for key in keys:
                text.append(f"  {key.shown:<7}", "bold")
                text.append(f"{key.help}\n")
            text.append("\n")
        text.append("Words\n", "bold")
        text.append(_WORDS)
        return text

    def action_close(self) -> None:
        """Goes back to the screen."""
        self.dismiss(None)
