"""What Monitor knows of a run: the history, its curves, and its events in words.

A plain object, changed only by `apply`; widgets read it when they repaint.
"""

from collections import deque
from collections.abc import Sequence

from ...core import events
from ...core.history import History, Told
from ...core.status import ILL, Status
from ...core.steps import Steps
from ...core.summary import position
from ...core.text import one_line, thousands
from .. import clocks
from ..format import number, rate, sentences
from .asked import Asked
from .curves import Curves
from .gpu_board import GpuBoard
from .run_feed import Batch

_KEPT_LINES = 500
_SILENT = (events.Heartbeat, events.System, events.Phase, events.Sample)
"""They get no line."""


class RunModel:
    """The state behind Monitor."""

    def __init__(self) -> None:
        self.history = History()
        self.curves = Curves(self.history)
        self.ahead: Curves | None = None
        """What a sample of a long file tells, until it was read to its end."""
        self.status = Status("unknown")
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._untold: deque[Told] = deque()
        self.log: list[str] = []
        self.gpus = GpuBoard()
        self.no_gpu: str | None = None
        self.known = False
        """Whether anything was read: before, its status is not even asked for."""
        self.complete = False
        """Whether the file was read to its end, be it that more was written since."""
        self.reading: tuple[int, int] | None = None
        self.gone = False
        self.silent_s = 0
        """For how many seconds the disk has not answered, where that is long."""
        self.asked = Asked()
        self.halted: int | None = None
        """The pid of the trainer where its process stands still."""
        self.writable = True
        self.saved: int | None = None
        self.news: str | None = None
        """The last event worth a sentence; the screen takes it for its notice line."""
        self.news_wrong = False
        """Whether that tells of something that was refused or failed."""

    @property
    def system(self) -> events.System | None:
        """The newest sample of the host, measured here or recorded by the trainer."""
        return self.gpus.system

    @property
    def position(self) -> tuple[int | None, int | None]:
        """The step that the run is at, and the one that it ends at."""
        return position(self.status, self.history, self.saved)

    def apply(self, batch: Batch) -> None:
        """Adds what a batch brought."""
        if batch.restarted:
            log, status, asked = self.log, self.status, self.asked
            self.__init__()
            self.log, self.status, self.asked = log, status, asked
        for told in batch.found:
            self._add(told)
        self._tell(batch.found)
        self.history.unreadable += batch.unreadable
        self.status = batch.status
        self.known = True
        self.complete = self.complete or batch.complete
        if batch.glimpse is not None:
            self.ahead = Curves(batch.glimpse)
        if self.complete:
            self.ahead = None
        self.reading = None if self.complete else batch.reading
        if batch.unreadable:
            count = self.history.unreadable
            lines = "1 unreadable line was" if count == 1 else f"{count} unreadable lines were"
            self.news, self.news_wrong = f"{lines} skipped.", True
        self.gone = batch.gone
        self.writable = batch.writable
        self.halted = batch.halted
        self.asked.add(batch.asked)
        if self.status.active and (waits := self.asked.newest(batch.asked)) is not None:
            self.news, self.news_wrong = waits, False
        self.saved = batch.saved
        if batch.log is not None:
            self.log = batch.log
        if batch.system is not None:
            self.no_gpu = batch.no_gpu
            self.gpus.add(batch.system, batch.watched, live=True)

    def _add(self, told: Told) -> None:
        self.history.add(told)
        if isinstance(told, events.Control):
            self.asked.answer(told)
        if isinstance(told, events.System):
            if not self.gpus.live:
                self.gpus.add(told, live=False)
        elif isinstance(told, events.Event):
            self.curves.note(told)

    def _tell(self, found: list[Told]) -> None:
        """Keeps what may get a line, and the sentence of the last event that is news."""
        for told in reversed(found):
            if isinstance(told, Steps | events.Step):
                continue
            if (line := _in_words(told)) is not None:
                self.news = one_line(line[:1].upper() + line[1:])
                self.news_wrong = _is_wrong(told)
                break
        self._untold.extend(told for told in found if not isinstance(told, _SILENT))
        waiting = sum(map(_count, self._untold))
        while (first := _count(self._untold[0]) if self._untold else 0) and (
            waiting - first >= _KEPT_LINES
        ):
            self._untold.popleft()
            waiting -= first

    @property
    def lines(self) -> Sequence[str]:
        """The last events in words, oldest first; none is put into words before it is asked for."""
        for told in self._untold:
            for event in told[-_KEPT_LINES:] if isinstance(told, Steps) else [told]:
                if (line := _in_words(event)) is not None:
                    clock = clocks.at(event.t, "%H:%M:%S")
                    self._lines.append(one_line(f"{clock} {line}"))
        self._untold.clear()
        return self._lines


def _count(told: Told) -> int:
    return len(told) if isinstance(told, Steps) else 1


def _is_wrong(told: Told) -> bool:
    """Returns whether an event tells of something that was refused or failed."""
    if isinstance(told, events.Control):
        return told.outcome == "refused"
    return isinstance(told, events.Warning_) or (
        isinstance(told, events.RunFinished) and told.status in ILL
    )


def _in_words(event: events.Event) -> str | None:
    match event:
        case events.Step():
            return (
                f"step {event.step} loss {number(event.loss)} lr {rate(event.learning_rate)} "
                f"grad {number(event.grad_norm)}"
            )
        case events.Eval():
            return f"evaluation after step {event.step}: loss {number(event.loss)}"
        case events.Checkpoint():
            return f"checkpoint {event.step} saved ({event.bytes / 2**20:.1f} MiB)"
        case events.Warning_():
            return f"warning: {sentences(event.message, event.remedy)}"
        case events.Control():
            return _control_in_words(event)
        case events.RunStarted():
            where = (
                f"resumed from step {event.resumed_from_step}"
                if event.resumed_from_step
                else "began"
            )
            rows = thousands(event.train_rows)
            return f"run {where}: {rows} rows on {event.device}, {event.dtype}"
        case events.RunFinished():
            why = f": {event.reason}" if event.reason else ""
            at = "" if event.step is None else f" at step {event.step}"
            return f"run {event.status}{at}{why}"
        case _:
            return None


def _control_in_words(event: events.Control) -> str:
    name = event.command if event.command != "set" else (event.key or "learning_rate")
    name = name.replace("_", " ")
    change = ""
    if event.old is not None and event.new is not None:
        change = f" {float(event.old):.6g} → {float(event.new):.6g}"
    elif event.new is not None:
        change = f" {'→' if event.key else 'loss'} {float(event.new):.6g}"
    why = f": {event.reason}" if event.reason else ""
    return f"{name} {event.outcome}{change} (asked by {event.by}, step {event.step}){why}"
