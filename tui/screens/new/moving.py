"""A step whose panels show pieces: the keys that move in them."""

from ...widgets.pieces import PieceView
from .step import StepScreen


class MovingStep(StepScreen):
    """Moves in the panel that `moved` gives; its scope declares the keys."""

    @property
    def moved(self) -> PieceView:
        """The panel that keys move in."""
        raise NotImplementedError

    def action_right(self) -> None:
        """Moves to the next token."""
        self.moved.step(1)

    def action_left(self) -> None:
        """Moves to the token before."""
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
