"""Compare: up to six runs side by side, also those that others trained."""

from collections.abc import Callable, Iterable
from pathlib import Path

from rich.text import Text
from textual.containers import Horizontal
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from ...core.compare import LETTERS, MOST, Comparison, as_csv
from ...core.rundir import RunDir
from ...core.subject import METRICS, OWN, Subject
from ...core.text import one_line
from ..keys import bindings
from ..services.compare_feed import CompareFeed, Told
from ..widgets.chart.line_chart import LineChart
from ..widgets.pieces import Line, Piece, PieceView
from . import compare_chart as chart
from . import compare_lines as lines
from .dialogs import Ask, write_asked
from .piece_moves import PieceMoves

VIEWS = ("chart", "differences", "samples")
WIDE, BROAD, TALL = 100, 140, 28
_OF_RUNS = ("export", "view", "again", "down", "up", "first", "last", "page_up", "page_down")
_OF_ONE = ("baseline", "hide", "remove")


class RunList(PieceView):
    """The runs that are compared, each with the colour of its line."""

    COMPONENT_CLASSES = {f"pieces--{kind}" for kind in (*LETTERS.lower(), "differs")}


class CompareScreen(chart.CompareChart, PieceMoves):
    """Curves, differences of the configurations, and answers of the runs that are compared."""

    AUTO_FOCUS = "#chart"
    BINDINGS = bindings("compare")
    scope = "compare"
    moves_first = "#compared"

    class Arrived(Message):
        """What a feed told of a run."""

        def __init__(self, feed: CompareFeed, told: Told) -> None:
            super().__init__()
            self.feed = feed
            self.told = told

    def __init__(self) -> None:
        super().__init__()
        self._folders: list[Path] = []
        self._found: dict[int, Subject] = {}
        self._problems: dict[int, str] = {}
        self._reading: dict[int, tuple[int, int]] = {}
        self._gone: set[int] = set()
        """The places of the folders that went away after they were read."""
        self._feed: CompareFeed | None = None
        self._baseline: Path | None = None
        self._away: set[Path] = set()
        self._view_at = 0
        self.comparison: Comparison | None = None
        self.hidden: set[int] = set()
        self._shown: list[int] = []
        """The places of the folders whose runs are there."""

    def body(self) -> Iterable[Widget]:
        """What there is to do without runs; else chart and runs on top, differences below."""
        yield Static(lines.NOTHING, id="nothing", classes="panel", markup=False)
        with Horizontal(id="top"):
            yield LineChart(self._view, id="chart", classes="panel")
            yield RunList(id="compared", classes="panel", pointer=True)
        yield RunList(id="differences", classes="panel")
        yield RunList(id="samples", classes="panel")

    def on_mount(self) -> None:
        """Takes the runs that the application holds."""
        self.query_one("#compared").border_title = "Runs"
        self.query_one("#samples").border_title = "Samples"
        self.on_screen_resume()

    def on_screen_resume(self) -> None:
        """Reads the runs that the application holds now."""
        if self.sft.compared != self._folders or self._feed is None:
            self._read(list(self.sft.compared))
        self.paint()

    def on_unmount(self) -> None:
        """Ends the reading thread."""
        if self._feed is not None:
            self._feed.close()

    def _read(self, folders: list[Path]) -> None:
        if self._feed is not None:
            self._feed.close()
        known = {folder: self._found.get(place) for place, folder in enumerate(self._folders)}
        self._folders = folders
        self._found = {
            place: subject
            for place, folder in enumerate(folders)
            if (subject := known.get(folder)) is not None
        }
        self._problems, self._reading, self._gone = {}, {}, set()
        self.forget_view()
        feed = CompareFeed(folders, lambda told: self._deliver(feed, told))
        self._feed = feed
        if folders:
            self.beside(feed.read_forever)
        self._arrange()

    def _deliver(self, feed: CompareFeed, told: Told) -> None:
        self.deliver(self.Arrived(feed, told))

    def on_compare_screen_arrived(self, message: Arrived) -> None:
        """Takes a run that was read."""
        told = message.told
        if message.feed is not self._feed:
            return
        if told.read is not None:
            self._reading[told.place] = told.read
        else:
            self._reading.pop(told.place, None)
        if told.problem:
            self._problems[told.place] = told.problem
            self.notice = told.problem
        if told.gone is not None:
            self._note_folder(told.place, gone=told.gone)
        if told.subject is not None:
            self._found[told.place] = told.subject
            self._arrange()
        self.paint()

    def _note_folder(self, place: int, *, gone: bool) -> None:
        """Says that the folder of a run went away, or is there again."""
        self._gone = self._gone | {place} if gone else self._gone - {place}
        name = one_line(self._folders[place].name)
        if gone:
            self.notice = f"The folder of {name} is gone: what was read of it is still shown."
        else:
            self.did(f"The folder of {name} is back: r reads it anew.")

    def _arrange(self) -> None:
        """Makes the comparison of the runs that are there."""
        self._shown = sorted(self._found)
        folders = [self._folders[place] for place in self._shown]
        base = folders.index(self._baseline) if self._baseline in folders else 0
        subjects = [self._found[place] for place in self._shown]
        self.comparison = Comparison(subjects, base) if subjects else None
        self.hidden = {at for at, folder in enumerate(folders) if folder in self._away}
        self.refresh_footer()

    def on_resize(self) -> None:
        """Chooses the layout for the new size."""
        width, height = self.size
        self.set_class(width >= WIDE and height >= TALL, "wide")
        self.set_class(width >= BROAD and height >= TALL, "broad")
        self.call_after_refresh(self.paint)

    def paint(self) -> None:
        """Draws everything that is seen."""
        if not self.is_mounted or not self.is_current:
            return
        self.set_class(not self._folders, "without-runs")
        self.set_class(bool(self._folders), "with-runs")
        for name in VIEWS:
            self.set_class(name == VIEWS[self._view_at], f"view-{name}")
        comparison = self.comparison
        if comparison is None:
            self.paint_waiting()
            return
        self.paint_chart(self._no_point())
        notes = [
            *self._waiting(),
            *self._of_gone(),
            *lines.notes_of(comparison, self._metric, self.column),
        ]
        compared, dotted = self.query_one("#compared", RunList), self.dotted
        count = len(comparison.subjects)
        compared.show(
            lambda width: lines.run_lines(comparison, self.hidden, dotted, notes, width), count
        )
        title, _ = lines.difference_lines(comparison, 80)
        self._fill("#differences", lambda width: lines.difference_lines(comparison, width)[1])
        self.query_one("#differences").border_title = Text(title)
        self._fill("#samples", lambda width: lines.sample_lines(comparison, width))

    def paint_waiting(self) -> None:
        """Says what is read, while no run is there yet."""
        said = self._waiting()
        self.query_one("#compared", RunList).show(lambda width: [[Piece(s)] for s in said])

    def _fill(self, selector: str, make: Callable[[int], list[Line]]) -> None:
        view = self.query_one(selector, RunList)
        if view.display:
            view.show(make)

    def _waiting(self) -> list[str]:
        """Returns what is known of runs that are not there: how far they are read, or why not."""
        said = [
            f"Reading {one_line(self._folders[place].name)}: {done / 2**20:.0f} of "
            f"{size / 2**20:.0f} MiB."
            for place, (done, size) in self._reading.items()
        ]
        known = {*self._found, *self._problems, *self._reading}
        left = len(self._folders) - len(known)
        said += [f"Reading {left} more runs."] if left > 0 else []
        return [*said, *self._problems.values()]

    def _of_gone(self) -> list[str]:
        """Returns which runs are shown whose folder is gone."""
        return [
            f"{LETTERS[at]}: its folder is gone; this is what was read of it."
            for at, place in enumerate(self._shown)
            if place in self._gone
        ]

    def _no_point(self) -> str:
        if self._reading or len(self._found) + len(self._problems) < len(self._folders):
            return "Reading…"
        return f"No run that is shown has a point of {METRICS[self._metric]} by {self.column}."

    def changed(self, notice: str = "") -> None:
        """Says what a key did, and draws it."""
        super().changed(notice)
        self.paint()

    @property
    def place(self) -> int:
        """The place of the run under the cursor of the list."""
        return max(self.query_one("#compared", RunList).cursor, 0)

    @property
    def under_cursor(self) -> Subject | None:
        """The run under the cursor, where the list is seen."""
        if self.comparison is None or self._view_at or not self.is_mounted:
            return None
        return self.comparison.subjects[min(self.place, len(self.comparison.subjects) - 1)]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides what the runs do not allow now."""
        if action in chart.KEYS:
            return self.is_mounted and self.may_in_chart(action)
        if action in _OF_RUNS:
            return self.comparison is not None
        if action in _OF_ONE:
            return self.under_cursor is not None
        if action == "open":
            return self.under_cursor is not None and self.under_cursor.source == OWN
        return True

    def describe(self) -> str:
        """Returns the comparison in sentences."""
        if self.comparison is None:
            return "\n".join(self._waiting()) or lines.NOTHING
        return lines.in_words(self.comparison, self._metric, self.column)

    def describes(self) -> bool:
        """Returns whether there is anything to say, which there always is."""
        return True

    def copyable(self) -> str | None:
        """Returns the comparison in sentences."""
        return None if self.comparison is None else self.describe()

    def action_view(self) -> None:
        """Shows the next of chart, differences and samples."""
        self._view_at = (self._view_at + 1) % len(VIEWS)
        self.paint()
        panel = ("#chart", "#differences", "#samples")[self._view_at]
        self.call_after_refresh(self.query_one(panel).focus)
        self.changed(f"View: {VIEWS[self._view_at]}.")

    def action_open(self) -> None:
        """Watches the run under the cursor."""
        if (subject := self.under_cursor) is not None:
            self.sft.watch_run(RunDir(Path(subject.path)))

    def action_baseline(self) -> None:
        """Holds the others against the run under the cursor."""
        self._baseline = self._folders[self._shown[self.place]]
        self._arrange()
        self.changed(f"Baseline: {LETTERS[self.place]}.")

    def action_hide(self) -> None:
        """Draws the line of the run under the cursor no more, or again."""
        self._away ^= {self._folders[self._shown[self.place]]}
        self._arrange()
        drawn = "not drawn" if self.place in self.hidden else "drawn"
        self.changed(f"{LETTERS[self.place]} is {drawn}.")

    def action_remove(self) -> None:
        """Takes the run under the cursor out of the comparison."""
        folder = self._folders[self._shown[self.place]]
        self.sft.compared = [each for each in self._folders if each != folder]
        self._read(list(self.sft.compared))
        self.changed(f"{one_line(folder.name)} is no longer compared; its files stay.")

    def action_add(self) -> None:
        """Asks for the folder of one more run."""
        if len(self._folders) >= MOST:
            self.notice = f"Compare holds {MOST} runs: D takes one away."
            return

        def check(text: str) -> str | None:
            try:
                path = Path(text.strip()).expanduser().absolute()
                if not text.strip() or not path.exists():
                    return f"There is nothing at {one_line(text, 60) or 'an empty name'}."
            except (OSError, RuntimeError, ValueError) as error:
                return one_line(f"It cannot be read: {error}.")
            return "It is compared already." if path in self._folders else None

        def take(text: str | None) -> None:
            if text is not None:
                folder = Path(text.strip()).expanduser().absolute()
                self.sft.compared = [*self._folders, folder]
                self._read(list(self.sft.compared))
                self.changed(f"Added: {one_line(folder.name)}.")

        detail = "A run of sft-tui, transformers (trainer_state.json), TensorBoard or W&B."
        self.sft.push_screen(Ask("Folder of the run", check, detail), take)

    def action_again(self) -> None:
        """Reads all runs anew."""
        self._read(self._folders)
        self.changed("Read anew.")

    def action_export(self) -> None:
        """Asks for a path and writes every point of every curve there."""
        comparison = self.comparison
        if comparison is None:
            return

        def take(text: str | None) -> None:
            if text is not None:
                self.did(f"Written: {text}")

        def save(text: str) -> str | None:
            return write_asked(text, lambda: as_csv(comparison.subjects).encode(), "curves.csv")

        self.sft.push_screen(Ask("Path of the CSV file to write", save), take)
