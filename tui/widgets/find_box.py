"""The line in which something is looked for, such as a field or a word of a log."""

from textual.binding import Binding
from textual.message import Message
from textual.widgets import Input


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

    def __init__(self, placeholder: str) -> None:
        super().__init__(id="find", placeholder=placeholder, compact=True)

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
