"""The list of Runs: filter, order, marks and cursor over the runs that are known."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rich.text import Text
from textual.css.query import NoMatches
from textual.events import DescendantFocus
from textual.widget import Widget
from textual.widgets import Input, Static, TextArea

from ...core.rundir import RunDir
from ...core.status import ACTIVE
from ...core.text import one_line
from ..control_flow import of_ended
from ..key import Key
from ..widgets.find_box import FindBox
from ..widgets.frame import TINY, FrameScreen
from .runs_lines import ORDERS, listed, matching, ordered
from .runs_queue import QueuePanel
from .runs_table import RunTable

if TYPE_CHECKING:
    from ...core.summary import Summary

TALL = 30
"""Rows of the screen from which details are told at length."""


class RunListScreen(FrameScreen):
    """A table of runs, or a text in its place where there is none to show.

    Subclasses find the runs, and tell what an empty folder offers and what the cursor is on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.summaries: dict[str, Summary] = {}
        self.words = ""
        """What is filtered by."""
        self._order = ORDERS[0]

    def body(self) -> Iterable[Widget]:
        """The text for an empty list, the table, the details."""
        yield Static(id="welcome", classes="panel", markup=False)
        yield RunTable()
        yield QueuePanel()
        yield Static(id="details", classes="panel", markup=False)

    def welcome(self) -> str:
        """Returns what is shown where there is no run at all."""
        return ""

    def show_details(self) -> None:
        """Shows more of the run under the cursor."""

    def on_resize(self) -> None:
        """Drops or brings back columns for the new width."""
        self.set_class(self.size.height >= TALL, "tall")
        self.fit()

    def fit(self) -> None:
        """Shows the columns that there is room for."""
        self.table.fit(self.size.width, self._order, tiny=self.size.width < TINY[0])

    def on_data_table_row_highlighted(self) -> None:
        """Shows the details of the run under the cursor, and points at its row."""
        self.table.point()
        self.show_details()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Points at what keys act on, the run or what waits: at one of the two alone."""
        super().on_descendant_focus(event)
        self.table.pointing, self.queue.pointing = not self.in_queue, self.in_queue
        self.table.point()
        self.queue.point()

    @property
    def marked(self) -> int:
        """How many runs are marked."""
        try:
            return len(self.table.marks)
        except NoMatches:  # asked while the screen is still being put together
            return 0

    @property
    def selected(self) -> "Summary | None":
        """The run under the cursor."""
        try:
            return self.table.selected
        except NoMatches:  # asked while the screen is still being put together
            return None

    @property
    def run_at_cursor(self) -> RunDir | None:
        """The folder of the run under the cursor."""
        return None if (summary := self.selected) is None else RunDir(Path(summary.path))

    @property
    def table(self) -> RunTable:
        """The rows."""
        return cast(RunTable, self.query_one("#runs"))

    def fill(self) -> None:
        """Shows what is known now; cursor, scroll and marks stay where they are."""
        table = self.table
        table.marks = [run_id for run_id in table.marks if run_id in self.summaries]
        found = ordered(matching(self.summaries.values(), self.words), self._order)
        table.show(found)
        every = self.summaries.values()
        table.border_title = Text(listed(every, found, self.words, self._order, table.marks))
        if not self.summaries:
            self.show_instead(self.welcome(), "Welcome")
        elif not found:
            if self.focused is self.table:
                self.set_focus(None)  # the queue would get it, and D take a run out of that
            said = f"No run matches “{one_line(self.words, 40)}”. Esc clears the filter."
            self.show_instead(said, str(table.border_title))
        else:
            self.show_instead(None)
            if self.focused is None:
                self.table.focus()
        self.show_details()
        self.refresh_footer()

    def show_instead(self, text: str | None, title: str = "") -> None:
        """Shows a text in place of the table and its details; None shows these."""
        box = self.query_one("#welcome", Static)
        box.update(text or "")
        box.display, box.border_title = text is not None, Text(title)
        self.table.display = self.table.can_focus = text is None  # hidden, it would take Enter
        self.query_one("#details").set_class(text is not None, "away")

    def theme_changed(self) -> None:
        """Colours the statuses for the other theme."""
        self.table.colour()

    def offered(self) -> list[Key]:
        """Returns the keys that do something now; Compare tells how many are marked."""
        keys = [
            replace(key, label=f"Compare({self.marked})")
            if key.name == "compare" and self.marked
            else key
            for key in super().offered()
        ]
        summary = self.selected
        return of_ended(keys) if summary is not None and summary.status not in ACTIVE else keys

    def edit_keys(self, box: Input | TextArea) -> list[tuple[str, str]]:
        """Returns what the keys do while the filter is typed."""
        if isinstance(box, FindBox):
            return [("Enter", "Keep it"), ("Esc", "Clear")]
        return super().edit_keys(box)

    def action_mark(self) -> None:
        """Marks the run under the cursor, or not any longer."""
        self.table.mark()
        self.fill()

    def action_compare(self) -> None:
        """Takes the marked runs to Compare, or the one under the cursor to those there."""
        if marks := self.table.marks:
            if len(marks) == 1:
                self.did("1 run is marked: space marks another, then c compares.")
            else:
                self._compare([Path(self.summaries[run_id].path) for run_id in marks])
        elif (summary := self.selected) is not None:
            taken = self.sft.compare_too(Path(summary.path))
            if taken < 2:
                self.did(f"{one_line(summary.id)} is to be compared: c takes another run.")

    def compare_marked(self) -> bool:
        """Takes the runs that are marked to Compare; returns whether there are several."""
        if self.marked > 1:
            self.action_compare()
        return self.marked > 1

    def _compare(self, folders: list[Path]) -> None:
        from ...core.compare import MOST  # with what it reads runs with

        if len(folders) > MOST:
            self.did(f"Compare holds {MOST} runs, and {len(folders)} are marked: space unmarks.")
        else:
            self.sft.compare_runs(folders)

    def action_filter(self) -> None:
        """Opens the line in which words are typed that the runs must have."""
        box = FindBox("words of a run's name, status, model, data, method or note")
        box.value = self.words
        self.mount(box, before="#details")
        box.focus()
        self.call_after_refresh(self.refresh_footer)

    def on_find_box_typed(self, message: FindBox.Typed) -> None:
        """Shows the runs that have the words."""
        self.words = message.words
        self.fill()

    def on_find_box_left(self, message: FindBox.Left) -> None:
        """Closes the line; the filter stays unless it is cancelled."""
        self.set_focus(None)
        self.query_one(FindBox).remove()
        if not message.stay:
            self.words = ""
        self.fill()
        self.call_after_refresh(self.refresh_footer)

    def action_clear(self) -> None:
        """Takes the filter away, and after it the marks."""
        if self.words:
            self.words = ""
        else:
            self.table.marks.clear()
            self.table.point()
        self.fill()

    def action_order(self) -> None:
        """Orders the list by what comes next; the cursor stays on its run."""
        self._order = ORDERS[(ORDERS.index(self._order) + 1) % len(ORDERS)]
        self.fit()
        self.fill()

    @property
    def in_queue(self) -> bool:
        """Whether keys act on what waits."""
        return isinstance(self.focused, QueuePanel)

    @property
    def queue(self) -> QueuePanel:
        """What waits."""
        return cast(QueuePanel, self.query_one("#queue"))

    def action_down(self) -> None:
        """Moves to the next run."""
        (self.queue if self.in_queue else self.table).action_cursor_down()

    def action_up(self) -> None:
        """Moves to the previous run."""
        (self.queue if self.in_queue else self.table).action_cursor_up()

    def action_first(self) -> None:
        """Moves to the first run."""
        if self.in_queue:
            self.queue.action_first()
        else:
            self.table.move_cursor(row=0)

    def action_last(self) -> None:
        """Moves to the last run."""
        if self.in_queue:
            self.queue.action_last()
        else:
            self.table.move_cursor(row=self.table.row_count - 1)
