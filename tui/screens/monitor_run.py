"""Which run Monitor shows, the ways to the others, and what can be done with one that ended."""

from ...core.rundir import RunDir, list_runs
from ..control_flow import RunControl
from ..off_loop import off_loop
from ..widgets.frame import FrameScreen


class RunChoice(FrameScreen):
    """The run of a screen that watches one; the disk is asked beside the event loop."""

    def __init__(self) -> None:
        super().__init__()
        self._run: RunDir | None = None
        self._others = self._seeks = False
        self._dirty = True
        self._control = RunControl(self)

    def watch_run(self, run: RunDir) -> None:
        """Watches another run from now on."""
        raise NotImplementedError

    def _repaint(self) -> None:
        """Draws what changed."""
        raise NotImplementedError

    def seek_newest(self) -> None:
        """Looks for the newest run, where none was chosen."""
        self._dirty = self._seeks = True
        off_loop(self, self.sft.newest_run, self._take_newest, self._found)

    def _found(self) -> None:
        self._dirty, self._seeks = True, False

    def _take_newest(self, run: RunDir | None) -> None:
        if run is not None and self._run is None:
            self.watch_run(self.sft.watched or run)
        self._repaint()

    @property
    def awaits(self) -> bool:
        """Whether it is looked for the run to show."""
        return self._seeks

    @property
    def owes(self) -> bool:
        """Whether a key waits for the disk."""
        return self._control.after_look.soon

    def action_next_run(self) -> None:
        """Watches the next older run."""
        self._other(1)

    def action_previous_run(self) -> None:
        """Watches the next newer run."""
        self._other(-1)

    def action_resume(self) -> None:
        """Goes on with the run."""
        if self._run is not None:
            self._control.resume(self._run)

    def action_duplicate(self) -> None:
        """Starts a new run like this one."""
        if self._run is not None:
            self._control.duplicate(self._run)

    def action_export(self) -> None:
        """Shows what of the run can be exported."""
        if self._run is not None:
            self.sft.export_run(self._run)

    def count_runs(self) -> None:
        """Learns whether there are other runs to go to."""
        off_loop(self, self._all_runs, self._count)

    def _all_runs(self) -> list[RunDir]:
        return list_runs(self.sft.runs_folder)

    def _count(self, runs: list[RunDir]) -> None:
        if self._others != (len(runs) > 1):
            self._others = not self._others
            self.refresh_footer()

    def _other(self, direction: int) -> None:
        self._control.after_look(self._all_runs, lambda runs: self._go_by(direction, runs))

    def _go_by(self, direction: int, runs: list[RunDir]) -> None:
        paths = [run.path for run in runs]
        if self._run is None or not runs:
            return
        here = paths.index(self._run.path) if self._run.path in paths else 0
        run = runs[(here + direction) % len(runs)]
        self.sft.watched = run
        self.watch_run(run)
        self._repaint()
