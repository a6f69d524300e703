"""The keys that move over the table of models."""

from textual.screen import Screen

from .table import ModelTable


class TableMoves(Screen[None]):
    """Moves the cursor of the table that a screen shows."""

    @property
    def table(self) -> ModelTable:
        """The table."""
        return self.query_one(ModelTable)

    def action_down(self) -> None:
        """Moves to the next model."""
        self.table.action_cursor_down()

    def action_up(self) -> None:
        """Moves to the previous model."""
        self.table.action_cursor_up()

    def action_first(self) -> None:
        """Moves to the first model."""
        self.table.move_cursor(row=0)

    def action_last(self) -> None:
        """Moves to the last model."""
        self.table.move_cursor(row=self.table.row_count - 1)

    def action_page_up(self) -> None:
        """Moves a page up."""
        self.table.action_page_up()

    def action_page_down(self) -> None:
        """Moves a page down."""
        self.table.action_page_down()
