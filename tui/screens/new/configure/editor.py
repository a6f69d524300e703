"""The box in which a value is edited, on the line where it stands."""

from collections.abc import Callable
from typing import Any

from textual.binding import Binding
from textual.containers import Container
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from .....core.fields import Field
from .....core.typed import NotTaken, editable, shown, taken


class BoxLeft(Message):
    """The box is left without a value."""


class ValueInput(Input):
    """One line of text; letters type, Esc leaves."""

    BINDINGS = [Binding("escape", "cancel", "Cancel")]

    def action_cancel(self) -> None:
        """Leaves the value as it is."""
        self.post_message(BoxLeft())


class ChoiceList(OptionList):
    """The values of a choice; Enter takes one, Esc leaves."""

    BINDINGS = [
        Binding("escape,q", "cancel", "Cancel"),
        Binding("j", "cursor_down", "Down"),
        Binding("k", "cursor_up", "Up"),
    ]

    def action_cancel(self) -> None:
        """Leaves the value as it is."""
        self.post_message(BoxLeft())


class FieldEditor(Container):
    """Holds the list and, above it while a value is edited, the box."""

    class Ended(Message):
        """The box is closed."""

    class Refused(Message):
        """What was typed is no value, and why; the box stays."""

        def __init__(self, why: str) -> None:
            super().__init__()
            self.why = why

    def __init__(self, *children: Widget, take: Callable[[Field, Any], str | None]) -> None:
        """Makes an editor.

        Args:
            children: What lies below the box.
            take: Takes a valid value; returns why it cannot be after all, or None.
        """
        super().__init__(*children, id="fields-box", classes="panel")
        self._take = take
        self._field: Field | None = None
        self._before = ""

    @property
    def is_open(self) -> bool:
        """Whether a value is edited."""
        return self._field is not None

    def open(self, field: Field, value: Any, line: int, column: int) -> None:
        """Opens the box for a value that stands at a place of the list."""
        self._field = field
        box = self._choices(field, value) if field.kind == "choice" else self._text(field, value)
        if isinstance(box, OptionList):
            line = max(min(line, self.size.height - box.option_count - 2), 0)
        box.styles.offset = (column, line)
        room = max(self.size.width - column - 1, 10)
        if field.kind == "choice":
            room = min(room, max(map(len, field.choices)) + 6)
        box.styles.width = room
        self.mount(box)
        box.focus()

    def _text(self, field: Field, value: Any) -> ValueInput:
        self._before = editable(field, value)
        return ValueInput(self._before, classes="value-box", compact=True)

    def _choices(self, field: Field, value: Any) -> ChoiceList:
        options = [Option(shown(field, choice)) for choice in field.choices]
        box = ChoiceList(*options, classes="value-box", markup=False, compact=True)
        box.highlighted = field.choices.index(value)
        return box

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Takes what was typed, or keeps the box open and says why not."""
        event.stop()
        field = self._field
        if field is None:
            return
        if event.value == self._before:
            self.close()
            return
        try:
            self._end(field, taken(field, event.value))
        except NotTaken as error:
            self.post_message(self.Refused(str(error)))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Takes the choice."""
        event.stop()
        if self._field is not None:
            self._end(self._field, self._field.choices[event.option_index])

    def on_box_left(self, event: BoxLeft) -> None:
        """Closes the box."""
        event.stop()
        self.close()

    def _end(self, field: Field, value: Any) -> None:
        why = self._take(field, value)
        if why is None:
            self.close()
        else:
            self.post_message(self.Refused(why))

    def close(self) -> None:
        """Closes the box; the list has the keys again."""
        self._field = None
        for box in self.query(".value-box"):
            box.remove()
        self.post_message(self.Ended())
