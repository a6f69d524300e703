"""The list of runs, kept fresh cheaply: of each run only what is new is read again."""

import time
from collections.abc import Callable
from pathlib import Path

from . import control
from .health.table import WINDOW
from .history import History
from .rundir import RunDir, list_runs
from .status import ACTIVE, status_of
from .summary import Summary, describe
from .tail import Tail

_TOLD_EVERY_S = 0.3
_KEPT_STEPS = WINDOW
"""Steps of each run that are kept: enough for speed, the time left and the rules of health."""


class RunIndex:
    """Summaries of a folder's runs. `refresh` reads the events that came since the last call."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._known: dict[str, tuple[Tail, History]] = {}
        self._ended: dict[str, tuple[list[int], Summary]] = {}

    def refresh(self, tell: Callable[[list[Summary], int], None] | None = None) -> list[Summary]:
        """Returns every run's summary, those at work first, then the newest first.

        Args:
            tell: Told now and then, while many runs are read, those so far and how many there are.

        Raises:
            SftError: The folder cannot be read.
        """
        runs = list_runs(self.folder)
        found: list[Summary] = []
        told = time.monotonic()
        for run in runs:
            found.append(self._summary(run))
            if tell is not None and time.monotonic() - told > _TOLD_EVERY_S:
                tell(_in_order(found), len(runs))
                told = time.monotonic()
        return _in_order(found)

    def _summary(self, run: RunDir) -> Summary:
        mark = _mark(run)
        seen = self._ended.get(run.id)
        if seen is not None and seen[0] == mark:
            return seen[1]
        tail, history = self._known.setdefault(run.id, (Tail(run.events), History()))
        restarts = tail.restarts
        while block := _read(tail):
            if tail.restarts != restarts:
                history = History()
                self._known[run.id] = (tail, history)
                restarts = tail.restarts
            history.add_lines(block)
            history.steps.keep_last(_KEPT_STEPS)
            history.superseded.clear()
        status = status_of(run)
        summary = describe(run, status, history).summary
        if status.may_speak:
            self._ended.pop(run.id, None)
        else:
            self._ended[run.id] = (mark, summary)
        return summary


def _in_order(found: list[Summary]) -> list[Summary]:
    return sorted(found, key=lambda summary: summary.status not in ACTIVE)


def _read(tail: Tail) -> bytes:
    try:
        return tail.read_block()
    except OSError:  # not ours to read: the status says so
        return b""


def _mark(run: RunDir) -> list[int]:
    """Returns when what a run that ended may still change was written, and whether it may be.

    Events and the process file change where it begins again, and checkpoints may be removed.
    """
    times: list[int] = []
    for path in (run.events, run.process, run.note, run.checkpoints):
        try:
            times.append(path.stat().st_mtime_ns)
        except OSError:
            times.append(0)
    return [*times, control.may_append(run.control)]
