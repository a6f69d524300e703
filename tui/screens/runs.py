"""Runs: is my job all right, and what did earlier ones give?"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rich.text import Text
from textual.css.query import NoMatches
from textual.message import Message
from textual.widget import Widget
from textual.widgets import DataTable, Static

from ...core.errors import SftError
from ...core.rundir import RunDir, home, runs_folder
from ...core.status import ACTIVE, Status
from ...core.text import one_line
from ..control_flow import RunControl, can_resume
from ..keys import bindings
from ..theme import with_status
from ..widgets.frame import TINY, FrameScreen
from .runs_lines import cells, columns, counted, detail_lines, welcome

if TYPE_CHECKING:
    from ...core.run_index import RunIndex
    from ...core.summary import Summary

SCAN_S, IMPORT_S = 1.0, 0.3
TALL = 30
"""Rows of the screen from which a run's folder is told too."""


class RunsScreen(FrameScreen):
    """The list of runs with the details of the one under the cursor."""

    BINDINGS = bindings("runs")
    scope = "runs"

    class Scanned(Message):
        """A scan of the folder is done."""

        def __init__(
            self, summaries: "list[Summary]", problem: str | None, of: int | None = None
        ) -> None:
            super().__init__()
            self.summaries = summaries
            self.problem = problem
            self.of = of
            """How many runs there are, while not all were read."""

    def __init__(self) -> None:
        super().__init__()
        self._index: RunIndex | None = None
        self._summaries: dict[str, Summary] = {}
        self._cells: dict[str, tuple[str, ...]] = {}
        self._headings: tuple[str, ...] = ()
        self._control = RunControl(self)
        self._scanning = False
        self._scanned = False
        self._problem = ""
        self._complete = False
        self._details = ("", "")

    def body(self) -> Iterable[Widget]:
        """The welcome for an empty folder, the table, the details."""
        yield Static(id="welcome", classes="panel", markup=False)
        yield DataTable[Text](id="runs", classes="panel", cursor_type="row", zebra_stripes=False)
        yield Static(id="details", classes="panel", markup=False)

    def on_mount(self) -> None:
        """Begins to scan."""
        box = self.query_one("#welcome")
        box.display, box.border_title = False, "Welcome"
        self._rebuild()
        self.scan()
        self.set_interval(SCAN_S, self.scan)
        self.set_timer(IMPORT_S, lambda: self.beside(self.sft.import_new))

    def on_screen_resume(self) -> None:
        """Scans at once when shown again."""
        self.scan()

    def scan(self) -> None:
        """Reads the folder in a thread and posts what was found; one scan at a time."""
        if not self._scanning:
            self._scanning = True
            self.beside(self._scan)

    def _scan(self) -> None:
        try:
            self.deliver(self._read_folder())
        finally:
            self._scanning = False

    def _read_folder(self) -> Scanned:
        from ...core.run_index import RunIndex  # 40 ms with what it reads configurations with

        if self._index is None:
            self._index = RunIndex(self.sft.runs_folder)
        try:
            found, problem = self._index.refresh(self._tell_part), None
        except SftError as error:
            found, problem = [], f"{error}. {error.remedy}"
        except OSError as error:  # one run's files: saying so beats a list that never changes
            found, problem = [], f"Cannot be read ({error.strerror}): {error.filename or 'a run'}"
        return self.Scanned(found, problem)

    def _tell_part(self, found: "list[Summary]", of: int) -> None:
        if not self._complete:  # later scans are quick, and rows must not come and go
            self.deliver(self.Scanned(found, None, of))

    def on_runs_screen_scanned(self, message: Scanned) -> None:
        """Updates rows in place; cursor and scroll stay where they are."""
        if message.problem is not None:
            self._problem = self.notice = one_line(message.problem)
            if not self._summaries:
                self._scanned = False  # what an empty folder offers would be false
                self._show_instead(self._problem)
                self.refresh_footer()
            return
        reading = (
            "" if message.of is None else f"Read {len(message.summaries)} of {message.of} runs."
        )
        if reading or self.notice == self._problem:
            self.notice = reading  # what was said before is over
        self._problem, self._complete = reading, message.of is None
        self._summaries = {summary.id: summary for summary in message.summaries}
        self._scanned = True
        self._fill()

    @property
    def awaits(self) -> bool:
        """Whether it is not known yet which runs there are."""
        return not self._scanned and not self._problem

    def on_resize(self) -> None:
        """Drops or brings back columns for the new width."""
        self._rebuild()

    def on_data_table_row_highlighted(self) -> None:
        """Shows the details of the run under the cursor, and points at its row."""
        self._point()
        self._show_details()

    def _point(self) -> None:
        """Marks the row under the cursor with a glyph, so that it is found without colour."""
        table, here = self._table, self._id_at_cursor(self._table)
        for run_id in self._cells:
            glyph = "▸" if run_id == here else " "
            if str(table.get_cell(run_id, "cursor")) != glyph:
                table.update_cell(run_id, "cursor", Text(glyph))

    def on_data_table_row_selected(self) -> None:
        """Enter on a row opens it."""
        self.action_open()

    @property
    def selected(self) -> "Summary | None":
        """The run under the cursor."""
        try:
            table = self._table
        except NoMatches:  # asked while the screen is still being put together
            return None
        if not 0 <= table.cursor_row < table.row_count:
            return None
        key = table.ordered_rows[table.cursor_row].key.value
        return self._summaries.get(key or "")

    @property
    def _table(self) -> DataTable[Text]:
        return cast(DataTable[Text], self.query_one("#runs"))

    def _rebuild(self) -> None:
        tiny = self.size.width < TINY[0]
        shown = columns(self.size.width, tiny=tiny)
        self._table.show_header = not tiny
        headings = tuple(c[0] for c in shown)
        if headings == self._headings or not self.size.width:
            return
        selected = self.selected
        table = self._table
        table.clear(columns=True)
        self._cells.clear()
        self._headings = headings
        table.add_column("", width=1, key="cursor")
        for heading, width in shown:
            table.add_column(heading, width=width, key=heading)
        if self._scanned:
            self._fill()
            self._move_to(selected.id if selected else None)

    def _fill(self) -> None:
        table = self._table
        table.border_title = counted(self._summaries.values())
        self._show_instead(None if self._summaries else self._welcome())
        if list(self._cells) != list(self._summaries):
            self._refill(table)
        for run_id, summary in self._summaries.items():
            new = cells(summary, self._headings)
            if new != self._cells[run_id]:
                before = self._cells[run_id]
                for heading, old, cell in zip(self._headings, before, new, strict=True):
                    if old != cell:
                        table.update_cell(run_id, heading, self._text(heading, cell, run_id))
                self._cells[run_id] = new
        self._show_details()
        self.refresh_footer()

    def _show_instead(self, text: str | None) -> None:
        """Shows a text in place of the table and its details; None shows these."""
        box = self.query_one("#welcome", Static)
        box.update(text or "")
        box.display = text is not None
        self._table.display = self._table.can_focus = text is None  # hidden, it would take Enter
        self.query_one("#details").set_class(text is not None, "away")

    def _refill(self, table: DataTable[Text]) -> None:
        """The set or order of runs changed: builds the rows anew, cursor and scroll kept."""
        selected, scroll = self.selected, table.scroll_y
        chosen = self._id_at_cursor(table) or (selected.id if selected else None)
        table.clear()
        self._cells.clear()
        for run_id, summary in self._summaries.items():
            self._cells[run_id] = cells(summary, self._headings)
            row = zip(self._headings, self._cells[run_id], strict=True)
            texts = [self._text(heading, cell, run_id) for heading, cell in row]
            table.add_row(Text(""), *texts, key=run_id)
        table.scroll_to(y=scroll, animate=False)
        self._move_to(chosen)  # last: scrolls on only where the row would be out of sight
        self._point()

    def _text(self, heading: str, cell: str, run_id: str) -> Text:
        """Returns a cell; that of the status has its colour, which says no more than its word."""
        if heading != "STATUS":
            return Text(cell)
        return with_status(cell, self._summaries[run_id].status, self.sft.theme_variables)

    def theme_changed(self) -> None:
        """Colours the statuses for the other theme."""
        for run_id in self._cells if "STATUS" in self._headings else ():
            cell = self._cells[run_id][self._headings.index("STATUS")]
            self._table.update_cell(run_id, "STATUS", self._text("STATUS", cell, run_id))

    def _id_at_cursor(self, table: DataTable[Text]) -> str | None:
        if 0 <= table.cursor_row < table.row_count:
            return table.ordered_rows[table.cursor_row].key.value
        return None

    def _move_to(self, run_id: str | None) -> None:
        if run_id in self._cells:
            self._table.move_cursor(row=self._table.get_row_index(run_id), animate=False)

    def _welcome(self) -> str:
        # To read a draft costs 40 ms, where there is one.
        begun = (home() / "draft.json").exists() and bool(self.sft.drafts.draft.values)
        return welcome(runs_folder(self.sft.runs_folder), begun)

    def _show_details(self) -> None:
        summary = self.selected
        box = self.query_one("#details", Static)
        if summary is None:
            self._details = ("", "")
            box.update("")
            return
        lines = detail_lines(summary, at_length=self.size.height >= TALL)
        shown = (one_line(summary.id), "\n".join(lines))
        if shown != self._details:
            self._details = shown
            box.border_title = Text(shown[0])  # a plain string would be read as markup
            box.update(shown[1])
        self.refresh_footer()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides what the run under the cursor does not allow."""
        summary = self.selected
        if action == "control":
            return summary is not None and summary.status in ACTIVE
        if action == "resume":
            return summary is not None and can_resume(Status(summary.status))
        if action == "duplicate":
            return summary is not None and summary.model is not None
        if action in ("open", "compare", "down", "up", "first", "last"):
            return summary is not None
        if action == "start_demo":
            return self._scanned and not self._summaries
        return True

    def describe(self) -> str:
        """Returns the run under the cursor in sentences."""
        if (summary := self.selected) is None:
            return self._welcome() if self._scanned and not self._summaries else ""
        from .in_words import listed_run  # only what is read aloud needs it

        return listed_run(summary, self._table.cursor_row + 1, len(self._summaries))

    def describes(self) -> bool:
        """Returns whether there is a run, or the welcome."""
        return self._scanned

    def copyable(self) -> str | None:
        """Returns the folder of the run under the cursor."""
        return None if (summary := self.selected) is None else summary.path

    def action_open(self) -> None:
        """Opens Monitor on the run."""
        if (summary := self.selected) is not None:
            self.sft.watch_run(RunDir(Path(summary.path)))

    def action_compare(self) -> None:
        """Takes the run under the cursor to Compare, which is shown from the second one on."""
        if (summary := self.selected) is not None:
            taken = self.sft.compare_too(Path(summary.path))
            if taken < 2:
                self.notice = f"{one_line(summary.id)} is to be compared: c takes another run."

    def action_start_demo(self) -> None:
        """Shows what the demo does, where there is no run to open yet."""
        self.sft.review_demo()

    def action_open_file(self) -> None:
        """Asks for a YAML file and takes it as the draft."""
        from .new.open_file import ask_for_file

        ask_for_file(self.sft)

    def action_down(self) -> None:
        """Moves to the next run."""
        self._table.action_cursor_down()

    def action_up(self) -> None:
        """Moves to the previous run."""
        self._table.action_cursor_up()

    def action_first(self) -> None:
        """Moves to the first run."""
        self._table.move_cursor(row=0)

    def action_last(self) -> None:
        """Moves to the last run."""
        self._table.move_cursor(row=self._table.row_count - 1)

    def action_control(self) -> None:
        """Opens the control menu of the run under the cursor."""
        if (summary := self.selected) is not None:
            self._control.menu(RunDir(Path(summary.path)), None)

    def action_resume(self) -> None:
        """Resumes the run under the cursor."""
        if (summary := self.selected) is not None:
            self._control.resume(RunDir(Path(summary.path)))

    def action_duplicate(self) -> None:
        """Starts a new run with the configuration of the one under the cursor."""
        if (summary := self.selected) is not None:
            self._control.duplicate(RunDir(Path(summary.path)))
