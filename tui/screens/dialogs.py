"""Questions that a screen asks: yes or no, a word to type, a value, a choice."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from ...core.rundir import write_atomic
from ...core.text import one_line

_LOW = 18
"""Rows of a screen below which the meaning of an answer scrolls, so that its box is in sight."""
_AT_ONCE_S = 0.4
"""How long a key that is typed ahead waits for what is found out of a text."""


class Confirm(ModalScreen[bool]):
    """Asks yes or no: Enter yes, Esc no."""

    BINDINGS = [
        Binding("enter,y", "answer(True)", "Yes"),
        Binding("escape,n,q", "answer(False)", "No"),
    ]

    def __init__(self, question: str, detail: str = "") -> None:
        super().__init__()
        self._question = question
        self._detail = detail

    def compose(self) -> ComposeResult:
        """Shows the question, what follows from yes, and the two keys."""
        with Vertical(classes="dialog"):
            yield Static(self._question, classes="question", markup=False)
            if self._detail:
                yield Static(self._detail, classes="detail", markup=False)
            yield Static("Enter yes   Esc no", classes="hint", markup=False)

    def action_answer(self, yes: bool) -> None:
        """Answers."""
        self.dismiss(yes)


class Ask(ModalScreen[str | None]):
    """Asks for a text; bad input keeps the box open and says why.

    Args:
        question: What is asked.
        check: Returns what is wrong with a text, or None; called in a thread, as it may ask a disk
            that does not answer.
        detail: What the answer means.
        value: What stands in the box at first.
    """

    BINDINGS = [
        Binding("escape", "cancel", "Cancel"),
        Binding("down,pagedown", "read_on(1)", "Read on"),
        Binding("up,pageup", "read_on(-1)", "Read back"),
    ]

    def __init__(
        self,
        question: str,
        check: Callable[[str], str | None],
        detail: str = "",
        value: str = "",
    ) -> None:
        super().__init__()
        self._value = value
        self._question = question
        self._check = check
        self._detail = detail
        self._asked: asyncio.Future[str | None] | None = None
        """What was found out of the text that was typed, once that is known."""

    def compose(self) -> ComposeResult:
        """Shows the question, the box, and what is wrong."""
        with Vertical(classes="dialog"):
            yield Static(self._question, classes="question", markup=False)
            if self._detail:
                with VerticalScroll(classes="detail", can_focus=False):
                    yield Static(self._detail, markup=False)
            yield Input(self._value, select_on_focus=False)
            yield Static("Enter take it   Esc cancel", classes="hint", id="hint", markup=False)

    def on_resize(self) -> None:
        """Keeps the box and what is wrong in sight on a low screen."""
        self.set_class(self.size.height < _LOW, "low")

    def action_read_on(self, by: int) -> None:
        """Scrolls what the answer means, where it has no room."""
        for detail in self.query(".detail"):
            detail.scroll_relative(y=by, animate=False)

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        """Takes the text, or says what is wrong with it: at once, or when the disk answers."""
        if self._asked is not None:
            return
        self._asked = asyncio.ensure_future(asyncio.to_thread(self._check, event.value))
        known, _ = await asyncio.wait([self._asked], timeout=_AT_ONCE_S)
        if known:
            self._take(event.value)
            return
        self._say("The disk does not answer yet. Esc leaves.")
        self._asked.add_done_callback(lambda _: self.call_later(self._take, event.value))

    def _take(self, text: str) -> None:
        if self._asked is None or not self.is_current:  # Esc was pressed meanwhile
            return
        wrong, self._asked = self._asked.result(), None
        if wrong is None:
            self.dismiss(text)
        else:
            self._say(wrong)

    def _say(self, text: str) -> None:
        hint = self.query_one("#hint", Static)
        hint.update(text)
        hint.add_class("wrong")

    def action_cancel(self) -> None:
        """Leaves everything as it was."""
        self._asked = None
        self.dismiss(None)


class Choose(ModalScreen[str | None]):
    """Offers actions, each with its letter; the letter or Enter chooses.

    Args:
        title: Above the list.
        choices: (letter, text) of each.
    """

    BINDINGS = [Binding("escape,q,x", "cancel", "Cancel")]

    def __init__(self, title: str, choices: list[tuple[str, str]]) -> None:
        super().__init__()
        self._title = title
        self._choices = choices

    def compose(self) -> ComposeResult:
        """Shows the choices."""
        with Vertical(classes="dialog"):
            yield Static(self._title, classes="question", markup=False)
            yield OptionList(
                *(Option(f"{letter}  {text}", id=letter) for letter, text in self._choices),
                markup=False,
            )
            yield Static("letter or Enter chooses   Esc cancels", classes="hint", markup=False)

    def on_key(self, event: Key) -> None:
        """A letter chooses at once; it is no key of the screen below."""
        if event.character in {choice for choice, _ in self._choices}:
            event.stop()
            self.dismiss(event.character)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter chooses."""
        self.dismiss(event.option_id)

    def action_cancel(self) -> None:
        """Chooses nothing."""
        self.dismiss(None)


def write_asked(text: str, content: Callable[[], bytes], example: str) -> str | None:
    """Writes a new file whose path was asked for; returns why it cannot be, or None.

    Args:
        text: The path.
        content: Makes what is written.
        example: A name such as it may have.
    """
    try:
        path = Path(text.strip()).expanduser()
        if not text.strip() or path.is_dir():
            return f"Type the name of a file, such as {example}."
        write_atomic(path, content(), exclusive=True)
    except FileExistsError:
        return f"{one_line(text, 60)} exists: choose another name."
    except (OSError, RuntimeError, ValueError) as error:
        return one_line(f"It cannot be written: {getattr(error, 'strerror', None) or error}.")
    return None
