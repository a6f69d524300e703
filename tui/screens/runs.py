"""Runs: is my job all right, and what did earlier ones give?"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from textual.message import Message
from textual.widgets import Static

from ...core.errors import SftError
from ...core.notes import read_note
from ...core.rundir import home, runs_folder
from ...core.status import ACTIVE, Status
from ...core.text import one_line
from ..control_flow import READ_ONLY, RunControl, can_resume, may_go_on
from ..format import from_home
from ..key import Key
from ..keys import bindings
from .runs_care import RunCare
from .runs_lines import detail_lines, welcome
from .runs_list import TALL, RunListScreen
from .runs_queue import Queued, go_on, lines, read_queue, take_out

if TYPE_CHECKING:
    from ...core.run_index import RunIndex
    from ...core.summary import Summary

SCAN_S, IMPORT_S = 1.0, 0.3
_OF_RUN = (
    "open", "mark", "compare", "control", "resume", "duplicate", "export", "note", "delete",
)  # fmt: skip
"""What is done to the run under the cursor of the table."""


class RunsScreen(RunListScreen):
    """The list of runs with the details of the one under the cursor."""

    BINDINGS = bindings("runs")
    scope = "runs"

    class Scanned(Message):
        """A scan of the folder is done."""

        def __init__(
            self,
            summaries: "list[Summary]",
            problem: str | None,
            of: int | None = None,
            folder: Path | None = None,
        ) -> None:
            super().__init__()
            self.folder = folder
            self.summaries = summaries
            self.problem = problem
            self.of = of
            """How many runs there are, while not all were read."""

    class Waited(Message):
        """What waits in the queue was read."""

        def __init__(self, found: Queued) -> None:
            super().__init__()
            self.found = found

    def __init__(self) -> None:
        super().__init__()
        self._index: RunIndex | None = None
        self._control = RunControl(self)
        self._care = RunCare(self)
        self._scanning = False
        self._scanned = False
        self._problem = self._queue_problem = ""
        self._complete = False
        self._details = ("", "")

    def on_mount(self) -> None:
        """Begins to scan."""
        self.query_one("#welcome").display = False
        self.fit()
        self.scan()
        self.set_interval(SCAN_S, self.scan)
        self.set_timer(IMPORT_S, lambda: self.beside(self.sft.import_new))

    def on_screen_resume(self) -> None:
        """Scans at once when shown again, another folder where that is chosen now."""
        if self._index is not None and self._index.folder != self.sft.runs_folder:
            self._forget()
        self.scan()

    def scan(self) -> None:
        """Reads the folder in a thread and posts what was found; one scan at a time."""
        if not self._scanning:
            self._scanning = True
            self.beside(self._scan)

    def _scan(self) -> None:
        try:
            self.deliver(self._read_folder())
            self.deliver(self.Waited(read_queue()))
            self._queue_problem = ""
        except SftError as error:
            if self._queue_problem != (said := f"{error}. {error.remedy}"):
                self._queue_problem = said
                self.deliver(self.Said(said, wrong=True))
        finally:
            self._scanning = False

    def _read_folder(self) -> Scanned:
        from ...core.run_index import RunIndex  # 40 ms with what it reads configurations with

        index = self._index
        if index is None or index.folder != self.sft.runs_folder:
            index = self._index = RunIndex(self.sft.runs_folder)
        try:
            found, problem = index.refresh(self._tell_part), None
        except SftError as error:
            problem = f"{error}. {error.remedy}; r reads it again, O takes another folder"
            found = []
        except OSError as error:  # one run's files: saying so beats a list that never changes
            found, problem = [], f"Cannot be read ({error.strerror}): {error.filename or 'a run'}"
        return self.Scanned(found, problem, folder=index.folder)

    def _tell_part(self, found: "list[Summary]", of: int) -> None:
        if not self._complete:  # later scans are quick, and rows must not come and go
            folder = None if self._index is None else self._index.folder
            self.deliver(self.Scanned(found, None, of, folder))

    def on_runs_screen_scanned(self, message: Scanned) -> None:
        """Updates rows in place; cursor and scroll stay where they are."""
        if message.folder != self.sft.runs_folder:
            return  # of the folder that was shown before
        if message.problem is not None:
            self._problem = self.notice = one_line(message.problem)
            if not self.summaries:
                self._scanned = False  # what an empty folder offers would be false
                self.show_instead(self._problem, "Runs")
                self.refresh_footer()
            return
        reading = (
            "" if message.of is None else f"Read {len(message.summaries)} of {message.of} runs."
        )
        ours = self.notice == self._problem  # and is over; what others said stays
        self._problem, self._complete = reading if ours else "", message.of is None
        if ours:
            self.notice = reading
        self.summaries = {summary.id: summary for summary in message.summaries}
        self._scanned = True
        self.fill()

    def on_runs_screen_waited(self, message: Waited) -> None:
        """Shows what waits."""
        if message.found != self.queue.found:
            was_there, gone = self.in_queue, self.queue.found.without(message.found)
            self.queue.show(message.found)
            if any(self.notice.startswith(f"{entry_id} waits:") for entry_id in gone):
                self.notice = ""  # it does not wait any more
            if was_there and not message.found.rows:
                self.table.focus()
            self.refresh_footer()

    @property
    def awaits(self) -> bool:
        """Whether it is not known yet which runs there are."""
        return not self._scanned and not self._problem

    def welcome(self) -> str:
        """Returns what an empty folder of runs offers."""
        # To read a draft costs 40 ms, where there is one.
        begun = (home() / "draft.json").exists() and bool(self.sft.drafts.draft.values)
        return welcome(runs_folder(self.sft.runs_folder), begun)

    def show_details(self) -> None:
        """Shows state, cause, remedy, facts, note and health of the run under the cursor."""
        summary = self.selected
        box = self.query_one("#details", Static)
        if summary is None:
            self._details = ("", "")
            box.update("")
            return
        width = box.content_size.width or self.size.width
        lines = detail_lines(summary, width, self.describe_key, at_length=self.size.height >= TALL)
        shown = (one_line(summary.id), "\n".join(lines))
        if shown != self._details:
            self._details = shown
            box.border_title = Text(shown[0])  # a plain string would be read as markup
            box.update(shown[1])
        self.refresh_footer()

    @property
    def _may_write(self) -> bool:
        """Whether the folder of the run under the cursor may be written."""
        return (summary := self.selected) is not None and summary.writable

    @property
    def _may_go_on(self) -> bool:
        """Whether the run under the cursor ended, and can be resumed or extended."""
        summary = self.selected
        if summary is None or summary.model is None or not summary.writable:
            return False
        return may_go_on(Status(summary.status))

    @property
    def owes(self) -> bool:
        """Whether a key waits for the disk."""
        return self._control.after_look.soon

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides what the run under the cursor does not allow."""
        if action in ("unqueue", "start_queue"):
            return self.in_queue and (action == "unqueue" or self.queue.found.held)
        if self.in_queue and action in _OF_RUN:
            return False
        summary = self.selected
        if action == "control":
            if summary is None:
                return False
            told = not summary.writable and may_go_on(Status(summary.status))  # why it may not
            return summary.status in ACTIVE or self._may_go_on or told
        if action == "resume":
            return self._may_go_on and summary is not None and can_resume(Status(summary.status))
        if action in ("duplicate", "export"):
            return summary is not None and summary.model is not None
        if action in ("open", "compare", "mark", "down", "up", "first", "last", "note", "delete"):
            return summary is not None
        if action in ("filter", "order"):
            return bool(self.summaries)
        if action == "clear":
            return bool(self.words or self.marked)
        if action == "start_demo":
            return self._scanned and not self.summaries
        return True

    def offered(self) -> list[Key]:
        """Returns the keys that do something now; those that only say why they may not are none."""
        idle = () if self._may_write else ("note", "delete")
        return [key for key in super().offered() if key.name not in idle]

    def describe(self) -> str:
        """Returns the run under the cursor in sentences."""
        if self.in_queue:
            return "\n".join([f"{self.queue.border_title}.", *lines(self.queue.found.rows)])
        if (summary := self.selected) is None:
            return self.welcome() if self._scanned and not self.summaries else ""
        from .in_words import listed_run  # only what is read aloud needs it

        return listed_run(summary, self.table.cursor_row + 1, self.table.row_count)

    def describes(self) -> bool:
        """Returns whether there is a run, or the welcome."""
        return self._scanned

    def copyable(self) -> str | None:
        """Returns the folder of the run under the cursor."""
        return None if (summary := self.selected) is None else summary.path

    def on_data_table_row_selected(self) -> None:
        """Enter on a row opens it."""
        self.action_open()

    def action_open(self) -> None:
        """Opens Monitor on the run."""
        if (run := self.run_at_cursor) is not None:
            self.sft.watch_run(run)

    def action_refresh(self) -> None:
        """Reads the folder now."""
        self.scan()

    def action_other_folder(self) -> None:
        """Asks for another folder whose runs are shown from now on."""
        from .runs_care import ask_for_folder

        ask_for_folder(self.sft, self._show_folder)

    def _show_folder(self, folder: Path) -> None:
        self.sft.runs_folder = folder
        self._forget()
        self.did(f"Runs of {one_line(str(folder))}: what starts from now on lies there too.")
        self.scan()

    def _forget(self) -> None:
        """Empties the list: the runs of another folder come."""
        self.summaries, self._scanned, self._complete = {}, False, False
        self.table.marks.clear()
        place = runs_folder(self.sft.runs_folder)
        self.table.border_subtitle = Text(one_line(from_home(str(place)), 60))
        self.show_instead("Reading…", "Runs")

    def action_export(self) -> None:
        """Shows what of the run under the cursor can be exported."""
        if (run := self.run_at_cursor) is not None:
            self.sft.export_run(run)

    def action_note(self) -> None:
        """Asks for the note of the run under the cursor."""
        if (run := self.run_at_cursor) is not None and self._writes():
            self._control.after_look(lambda: read_note(run), partial(self._care.note, run))

    def action_delete(self) -> None:
        """Tells what goes with the run under the cursor, and asks for its last letters."""
        if (run := self.run_at_cursor) is not None and self._writes():
            self._care.delete(run)

    def _writes(self) -> bool:
        """Returns whether the run under the cursor may be written; says so where it may not."""
        if not self._may_write:
            self.notice = f"{READ_ONLY} It can be neither noted on nor deleted."
        return self._may_write

    def action_unqueue(self) -> None:
        """Asks, and takes the run under the cursor out of the queue."""
        if (entry_id := self.queue.chosen) is not None:
            take_out(self, entry_id)

    def action_start_queue(self) -> None:
        """Lets the queue go on."""
        go_on(self)

    def action_start_demo(self) -> None:
        """Shows what the demo does, where there is no run to open yet."""
        self.sft.review_demo()

    def action_open_file(self) -> None:
        """Asks for a YAML file and takes it as the draft."""
        from .new.open_file import ask_for_file

        ask_for_file(self.sft)

    def action_control(self) -> None:
        """Opens the control menu of the run under the cursor."""
        run, summary = self.run_at_cursor, self.selected
        if run is not None and summary is not None:
            status, end = Status(summary.status), summary.total_steps
            self._control.menu(run, None, status, summary.writable, end)

    def action_resume(self) -> None:
        """Resumes the run under the cursor."""
        if (run := self.run_at_cursor) is not None:
            self._control.resume(run)

    def action_duplicate(self) -> None:
        """Starts a new run with the configuration of the one under the cursor."""
        if (run := self.run_at_cursor) is not None:
            self._control.duplicate(run)
