"""Monitor's health panel, its line on small screens, the list of findings, and their keys."""

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ...core.config import RunConfig
from ...core.health.findings import examine, shares
from ...core.health.table import thresholds
from ...core.status import ILL
from ...core.text import one_line
from ..format import sentences
from ..services.health_board import HealthBoard
from ..services.run_model import RunModel
from ..widgets.frame import FrameScreen
from . import health_lines as lines
from .monitor_lines import READING

KEYS = frozenset(("health", "acknowledge"))
"""The keys that act on findings."""
REDRAW_S = 1.0
NARROW_ROWS = 3
"""Rows that the worst finding may take where there is no room for the panel."""


class HealthKeys(FrameScreen):
    """The health of the run that a screen watches; the screen gives the model."""

    _model: RunModel
    _config: RunConfig | None

    def __init__(self) -> None:
        super().__init__()
        self._board = HealthBoard()
        self._judged = False
        """Whether the run was looked at before: what it had then is no news."""
        self._health_drawn: dict[str, Text] = {}

    def health_panel(self) -> Static:
        """Returns the panel beside the chart."""
        panel = Static(id="health", classes="panel", markup=False)
        panel.can_focus, panel.border_title = True, "Health"
        return panel

    def health_line(self) -> Static:
        """Returns the line that stands for it on a small screen."""
        return Static(id="health-line", markup=False)

    def forget_health(self) -> None:
        """Begins anew for another run."""
        self._board, self._judged = HealthBoard(), False

    def paint_health(self) -> None:
        """Judges the run once it was read, says what is new, and draws what changed."""
        if not self._model.complete:
            for name, before in (("health", ""), ("health-line", " Health  ")):
                self._draw(name, Text(f"{before}{READING}"))
            return
        history, active = self._model.history, self._model.status.active
        self._board.well = self._model.status.word not in ILL
        any_before = bool(self._board.findings)
        new = self._board.update(examine(history, active=active, config=self._config))
        told = [each for each in new if each.key]  # the trainer's own warnings are news already
        if self._judged and told:
            self.notice = one_line(f"{sentences(told[0].message)} w shows what to do.")
        self._judged = True
        if bool(self._board.findings) != any_before:
            self.refresh_footer()
        variables = self.sft.theme_variables
        box = self.query_one("#health", Static)
        size = box.content_size.width, box.content_size.height
        self._draw("health", lines.panel(self._board, shares(history), size, variables))
        rows = NARROW_ROWS if self.has_class("tiny") else 1
        self._draw("health-line", lines.line(self._board, self.size.width, variables, rows))

    def _draw(self, id: str, text: Text) -> None:
        if self._health_drawn.get(id) != text:
            self._health_drawn[id] = text
            self.query_one(f"#{id}", Static).update(text, layout=self.has_class("tiny"))

    def may_in_health(self, action: str) -> bool:
        """Returns whether a key of the findings does something now."""
        return bool(self._board.findings if action == "health" else self._board.open)

    def health_in_words(self) -> str:
        """Returns all findings, and when rules fire."""
        if not self._model.complete:
            return f"Health: {READING}"
        return lines.in_words(self._board)

    def action_health(self) -> None:
        """Lists all findings."""
        self.sft.push_screen(HealthList(self._board), lambda _: self._after_list())

    def action_acknowledge(self) -> None:
        """Takes note of the newest finding that the viewer has not taken note of."""
        finding = self._board.open[0]
        self._board.acknowledge(finding)
        self.did(f"Acknowledged for this window: {finding.rule}.")
        self._after_list()

    def _after_list(self) -> None:
        self.paint_health()
        self.refresh_footer()


class HealthList(ModalScreen[None]):
    """All findings with their remedies, or when rules fire."""

    BINDINGS = [
        Binding("escape,q,w", "close", "Close"),
        Binding("space", "acknowledge", "Acknowledge"),
        Binding("i", "rules", "Rules"),
        Binding("down,j", "move(1)", "Down"),
        Binding("up,k", "move(-1)", "Up"),
    ]

    def __init__(self, board: HealthBoard) -> None:
        super().__init__()
        self._board = board
        self._rules = False
        """Whether it shows when rules fire, not what they found."""
        self._shown: list[str] = []

    def compose(self) -> ComposeResult:
        """Shows the findings, newest first."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Text("Health")
            dialog.border_subtitle = Text("space acknowledge   i rules   Esc close")
            yield OptionList(markup=False)

    def on_mount(self) -> None:
        """Draws, and keeps to what is found."""
        self.call_after_refresh(self._show)
        self.set_interval(REDRAW_S, self._show)

    def on_resize(self) -> None:
        """Wraps the words anew."""
        self.call_after_refresh(self._show)

    @property
    def _list(self) -> OptionList:
        return self.query_one(OptionList)

    def _show(self) -> None:
        width = self._list.content_size.width
        told = [lines.in_full(self._board, each, width) for each in self._board.findings]
        told = told or [f"{lines.QUIET}: nothing is found any more."]
        if self._rules:
            told = [lines.hang(rule, width) for rule in thresholds()]
        if told == self._shown:
            return
        self._shown, here = told, self._list.highlighted or 0
        self._list.clear_options()
        self._list.add_options([Option(text) for text in told])
        self._list.highlighted = min(here, len(told) - 1)

    def action_move(self, by: int) -> None:
        """Goes to the next finding, or the one before."""
        if by > 0:
            self._list.action_cursor_down()
        else:
            self._list.action_cursor_up()

    def action_acknowledge(self) -> None:
        """Takes note of the finding under the cursor, or no longer."""
        at = self._list.highlighted
        if at is not None and at < len(self._board.findings) and not self._rules:
            self._board.acknowledge(self._board.findings[at])
            self._show()

    def action_rules(self) -> None:
        """Shows when rules fire, and again the findings."""
        self._rules = not self._rules
        self._show()

    def action_close(self) -> None:
        """Goes back to Monitor."""
        self.dismiss(None)
