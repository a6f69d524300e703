"""Which run Play shows, and what is read of it; the newest where none was chosen."""

from functools import partial

from textual.message import Message

from ...core.history import History
from ...core.rundir import RunDir, list_runs
from ...core.status import Status, status_of
from ...core.text import one_line
from ..control_flow import RunControl
from ..off_loop import off_loop
from ..services.run_feed import Batch, RunFeed
from ..theme import badge
from .play_live import LiveKeys

_WITH_STATE = 24
"""Of so many runs the state is looked up before they are offered, the newest ones."""


class PlayRun(LiveKeys):
    """The run of a screen that plays with one; the disk is asked beside the event loop."""

    class Arrived(Message):
        """A batch of the feed of a run."""

        def __init__(self, run: RunDir, batch: Batch) -> None:
            super().__init__()
            self.run, self.batch = run, batch

    def __init__(self) -> None:
        super().__init__()
        self._run: RunDir | None = None
        self._feed: RunFeed | None = None
        self._history = History()
        self._status = Status("unknown")
        self._saved: int | None = None
        self._complete = False
        self._others, self._writable = False, True
        self._dirty = True
        self._control = RunControl(self)

    def begin_anew(self) -> None:
        """Shows the newest answers of another run."""
        raise NotImplementedError

    def _repaint(self) -> None:
        """Draws what changed."""
        raise NotImplementedError

    def on_screen_resume(self) -> None:
        """Shows the run that was chosen, the same one, or at first the newest active one."""
        run = self.sft.watched or self._run
        if run is None:
            off_loop(self, self.sft.newest_run, self._take_newest)
        elif self._run is None or run.path != self._run.path:
            self.show_run(run)
        elif self._talk.state == "none":
            self.look()
        self._dirty = True
        self.call_after_refresh(self._repaint)

    def _take_newest(self, run: RunDir | None) -> None:
        if run is not None and self._run is None:
            self.show_run(self.sft.watched or run)

    @property
    def owes(self) -> bool:
        """Whether a key waits for the disk."""
        return self._control.after_look.soon

    async def on_unmount(self) -> None:
        """Ends the reading thread."""
        if self._feed is not None:
            self._feed.close()

    def show_run(self, run: RunDir) -> None:
        """Shows another run from now on."""
        if self._feed is not None:
            self._feed.close()
        if self._talk.exchanges:  # another run's model gave those answers
            self._talk.clear()
        self._run, self._history, self._status = run, History(), Status("unknown")
        self._complete, self._saved = False, None
        self.begin_anew()
        off_loop(self, lambda: len(list_runs(self.sft.runs_folder)) > 1, self._know_others)
        self._want(checkpoint=None)
        self._feed = RunFeed(run, lambda batch: self._deliver(run, batch))
        self.beside(self._feed.read_forever)
        self.look()
        self.notice = ""
        self._dirty = True

    def _know_others(self, any_: bool) -> None:
        self._others = any_
        self.refresh_footer()

    def _deliver(self, run: RunDir, batch: Batch) -> None:
        self.deliver(self.Arrived(run, batch))

    def on_play_run_arrived(self, message: Arrived) -> None:
        """Takes what is new of the run."""
        batch = message.batch
        if message.run is not self._run:
            return
        if batch.restarted:
            self._history = History()
        for told in batch.found:
            self._history.add(told)
        before = (self._status.word, self._saved, self._complete)
        self._status, self._complete, self._saved = batch.status, batch.complete, batch.saved
        self._writable = batch.writable
        if batch.found or before != (self._status.word, self._saved, self._complete):
            self._dirty = True
        if before[:2] != (self._status.word, self._saved):
            if self._talk.state == "none":
                self.look()
            self.refresh_footer()

    def action_pick_run(self) -> None:
        """Offers all runs, found by any part of their names."""
        from .palette import Entry, Palette  # only where it is asked for

        def entry(at: int, run: RunDir) -> Entry:
            state = badge(status_of(run).word) if at < _WITH_STATE else ""
            return Entry("run", one_line(run.id), state, partial(self._take_run, run))

        entries = [entry(at, run) for at, run in enumerate(self.sft.all_runs())]
        self.sft.push_screen(Palette(self, entries, "Play with"), lambda run: run and run())

    def _take_run(self, run: RunDir) -> None:
        self.sft.watched = run
        self.call_later(self._change_run, run)

    async def _change_run(self, run: RunDir) -> None:
        await self._talk.end()
        self.show_run(run)
