"""Shows what this terminal sends: a key that never arrives, or as another one, is seen here."""

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.events import Key, Paste
from textual.screen import ModalScreen
from textual.widgets import Static

from .help import shown

KEPT = 8
_HINT = "Press any key. Esc twice ends."


def told(key: str, character: str | None, aliases: list[str]) -> str:
    """Returns a key as users write it, its character, and what else sends the same."""
    others = [shown(other) for other in aliases if other != key and "_" not in other]
    code = f"  {character!r} U+{ord(character):04X}" if character and len(character) == 1 else ""
    same = f"  the same as {', '.join(others)}" if others else ""
    return f"{shown(key):<14}{code}{same}"


class KeyTest(ModalScreen[None]):
    """Takes every key, and does nothing but tell it."""

    AUTO_FOCUS = ""

    def __init__(self) -> None:
        super().__init__()
        self._told: list[str] = []
        self._before = ""

    def compose(self) -> ComposeResult:
        """Shows the last keys."""
        with Vertical(classes="dialog"):
            yield Static("What this terminal sends", classes="question", markup=False)
            yield Static("\n" * (KEPT - 1), id="keys", markup=False)
            yield Static(_HINT, classes="hint", markup=False)

    def on_key(self, event: Key) -> None:
        """Tells it; the second Esc in a row ends."""
        event.stop()
        event.prevent_default()
        if event.key == "escape" == self._before:
            self.dismiss(None)
            return
        self._before = event.key
        self._tell(told(event.key, event.character, event.aliases))

    def on_paste(self, event: Paste) -> None:
        """Tells that it was pasted."""
        event.stop()
        self._before = "paste"
        self._tell(f"{'Paste':<14}  {len(event.text):,} characters")

    def _tell(self, text: str) -> None:
        self._told = [*self._told, text][-KEPT:]
        lines = [*self._told, *[""] * (KEPT - len(self._told))]
        self.query_one("#keys", Static).update("\n".join(lines))
