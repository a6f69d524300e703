"""The keys that move over the list of fields."""

from textual.screen import Screen

from .field_list import FieldList


class FieldMoves(Screen[None]):
    """Moves the cursor of the list that a screen shows."""

    @property
    def fields(self) -> FieldList:
        """The list."""
        return self.query_one(FieldList)

    def action_down(self) -> None:
        """Moves to the next field."""
        self.fields.move(1)

    def action_up(self) -> None:
        """Moves to the field before."""
        self.fields.move(-1)

    def action_page_down(self) -> None:
        """Moves down by what is seen."""
        self.fields.move(max(self.fields.size.height - 1, 1))

    def action_page_up(self) -> None:
        """Moves up by what is seen."""
        self.fields.move(-max(self.fields.size.height - 1, 1))

    def action_first(self) -> None:
        """Moves to the first field."""
        self.fields.move_to_end(last=False)

    def action_last(self) -> None:
        """Moves to the last field."""
        self.fields.move_to_end(last=True)
