"""The line in which a field is looked for."""

from textual.binding import Binding
from textual.message import Message
from textual.widgets import Input

from .....core.fields import declared, nearest
from .....core.text import one_line
from .rows import label_of, search


class FindBox(Input):
    """Tells at every letter what is looked for; Enter stays there, Esc goes back."""

    BINDINGS = [Binding("escape", "cancel", "Cancel")]

    class Typed(Message):
        """What is looked for now."""

        def __init__(self, words: str) -> None:
            super().__init__()
            self.words = words

    class Left(Message):
        """The box is to be closed; `stay` where what was found is wanted."""

        def __init__(self, stay: bool) -> None:
            super().__init__()
            self.stay = stay

    def __init__(self) -> None:
        super().__init__(id="find", placeholder="name, path or help of a field", compact=True)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Tells the letters."""
        event.stop()
        self.post_message(self.Typed(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Stays at what was found."""
        event.stop()
        self.post_message(self.Left(True))

    def action_cancel(self) -> None:
        """Goes back."""
        self.post_message(self.Left(False))


class Finder:
    """The fields that were looked for, the one that is shown first.

    Attributes:
        said: What was found, in a sentence.
    """

    def __init__(self) -> None:
        self._found: list[str] = []
        self.said = ""

    @property
    def several(self) -> bool:
        """Whether there is another to go to."""
        return len(self._found) > 1

    def look(self, words: str) -> str | None:
        """Looks for words; returns the path of the best match."""
        self._found = search(words)
        self.said = ""
        if self._found:
            path = self._found[0]
            more = f", n the next of {len(self._found)}" if self.several else ""
            self.said = f"{label_of(path)} ({path}). Enter stays{more}."
            return path
        if words.strip():
            near = nearest(words.strip(), [field.path for field in declared()])
            hint = f" The nearest is {label_of(near)} ({near})." if near else ""
            self.said = one_line(f"No field is called {words!r}.{hint}")
        return None

    def turn(self, way: int) -> str:
        """Returns the next match, 1, or the one before, -1."""
        self._found = [*self._found[way:], *self._found[:way]]
        return self._found[0]

    def forget(self) -> None:
        """Looks for nothing any more."""
        self._found = []
