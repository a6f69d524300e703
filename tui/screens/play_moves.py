"""How Play moves: through its prompts, and through the text of both answers."""

from ..widgets.pieces import PieceView
from ..widgets.tab_pane import TabPane
from .piece_moves import PieceMoves


class PlayMoves(PieceMoves):
    """The keys that move; the list of prompts and both panels are the screen's."""

    moves_first = "#prompts"

    def forget_panes(self) -> None:
        """Lets both panels begin at their first line, or follow the newest."""
        for side in ("#base", "#tuned"):
            self.query_one(side, TabPane).forget()

    def action_next_prompt(self) -> None:
        """Shows the next prompt; behind the last one your own questions."""
        self._move_prompt(1)

    def action_previous_prompt(self) -> None:
        """Shows the prompt before."""
        self._move_prompt(-1)

    def _move_prompt(self, by: int) -> None:
        view = self.query_one("#prompts", PieceView)
        view.go_to((view.cursor + by) % view.items)

    def action_down(self) -> None:
        """Moves a line down."""
        self._scroll(1)

    def action_up(self) -> None:
        """Moves a line up."""
        self._scroll(-1)

    def _scroll(self, by: int) -> None:
        if isinstance(self.focused, TabPane):
            self.focused.step(by)
        else:
            self.moved.step_lines(by)

    def action_page_down(self) -> None:
        """Moves a page down; in both panels at once where neither has the focus."""
        self._page(1)

    def action_page_up(self) -> None:
        """Moves a page up."""
        self._page(-1)

    def _page(self, direction: int) -> None:
        focused = self.focused
        both = [self.query_one(side, TabPane) for side in ("#base", "#tuned")]
        for pane in [focused] if isinstance(focused, TabPane) else both:
            pane.page(direction)
