"""The keys that move in panels of lines with a cursor."""

from textual.screen import Screen

from ..widgets.pieces import PieceView


class PieceMoves(Screen[None]):
    """Moves in the panel that has the focus, else in the one of `moves_first`."""

    moves_first = ""

    @property
    def moved(self) -> PieceView:
        """The panel that keys move in."""
        focused = self.focused
        if isinstance(focused, PieceView):
            return focused
        return self.query_one(self.moves_first, PieceView)

    def action_right(self) -> None:
        """Moves to the next item."""
        self.moved.step(1)

    def action_left(self) -> None:
        """Moves to the item before."""
        self.moved.step(-1)

    def action_down(self) -> None:
        """Moves a line down."""
        self.moved.step_lines(1)

    def action_up(self) -> None:
        """Moves a line up."""
        self.moved.step_lines(-1)

    def action_first(self) -> None:
        """Moves to the first."""
        self.moved.to_end(last=False)

    def action_last(self) -> None:
        """Moves to the last."""
        self.moved.to_end(last=True)

    def action_page_down(self) -> None:
        """Moves a page down."""
        self.moved.page(1)

    def action_page_up(self) -> None:
        """Moves a page up."""
        self.moved.page(-1)
