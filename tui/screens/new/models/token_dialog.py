"""Asks for a token of the Hub: hidden while it is typed, kept by huggingface_hub alone."""

import asyncio
import os

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from .....core.errors import SftError
from .....core.text import one_line
from ....format import sentences

_ABOUT = (
    "For gated and private models, and to push. Make one at "
    "https://huggingface.co/settings/tokens; reading is enough, but a push needs one that "
    "may write. It is shown to nobody: "
    "huggingface_hub keeps it, as `hf auth login` does."
)
_ENVIRONMENT = "HF_TOKEN is set: it goes before the one that is kept here, until you unset it."


class HiddenInput(Input):
    """Shows dots, and gives what was typed to no clipboard."""

    def __init__(self) -> None:
        super().__init__(password=True)

    def action_copy(self) -> None:
        """Copies nothing."""

    def action_cut(self) -> None:
        """Copies nothing, and removes nothing."""


class TokenDialog(ModalScreen[str | None]):
    """Returns the name of the account, or None."""

    BINDINGS = [Binding("escape", "cancel", "Cancel")]

    def __init__(self) -> None:
        super().__init__()
        self._asking = False

    def compose(self) -> ComposeResult:
        """Shows what a token is for, the box, and how it goes."""
        with Vertical(classes="dialog"):
            yield Static("Token of the Hugging Face Hub", classes="question", markup=False)
            about = f"{_ABOUT} {_ENVIRONMENT}" if os.environ.get("HF_TOKEN") else _ABOUT
            yield Static(about, classes="detail", markup=False)
            yield HiddenInput()
            yield Static("Enter keep it   Esc cancel", classes="hint", id="hint", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Asks the Hub whose it is."""
        event.stop()
        if self._asking or not event.value.strip():
            return
        self._asking = True
        self._say("Asking the Hub whose it is…", wrong=False)
        self.run_worker(self._store(event.value), exit_on_error=False)

    async def _store(self, token: str) -> None:
        from .....core.hub import tokens  # with huggingface_hub: 0.2 s

        try:
            name = await asyncio.to_thread(tokens.store, token)
        except SftError as error:
            said = one_line(sentences(str(error), error.remedy))
            self._say(said[:1].upper() + said[1:], wrong=True)
            return
        except Exception as error:  # a fault of the program: its text might hold the token
            self._say(f"The token was not kept: {type(error).__name__}.", wrong=True)
            return
        finally:
            self._asking = False
        self.dismiss(name)

    def _say(self, text: str, *, wrong: bool) -> None:
        hint = self.query_one("#hint", Static)
        hint.update(text)
        hint.set_class(wrong, "wrong")

    def action_cancel(self) -> None:
        """Keeps nothing."""
        self.dismiss(None)
