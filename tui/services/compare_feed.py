"""Reads the runs that are compared beside the event loop, those that train again and again.

A living run is handed over as a copy: what this thread reads on must not change what is drawn.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import SftError
from ...core.find import run_at
from ...core.foreign import look
from ...core.history import History
from ...core.regular import is_gone
from ...core.rundir import RunDir
from ...core.status import Status, status_of
from ...core.subject import Subject, of_run
from ...core.summary import newest_config
from ...core.tail import Tail
from ...core.text import one_line
from ..format import sentences

POLL_S = 2.0
_LONG_BYTES = 1 << 23
"""Of a larger file it is told how far it was read."""


@dataclass(frozen=True)
class Told:
    """What is known of the run at a place: the run, why there is none, or how far it was read."""

    place: int
    subject: Subject | None = None
    problem: str = ""
    read: tuple[int, int] | None = None
    gone: bool | None = None
    """Whether its folder went away since it was read, or is there again."""


class CompareFeed:
    """Reads until it is closed.

    Args:
        folders: The runs, or folders of others' runs.
        deliver: Takes what is known; called in the reading thread, so it must only post.
    """

    def __init__(self, folders: list[Path], deliver: Callable[[Told], None]) -> None:
        self._folders = folders
        self._deliver = deliver
        self._ended = threading.Event()

    def close(self) -> None:
        """Ends the reading."""
        self._ended.set()

    def read_forever(self) -> None:
        """Delivers every run once, and those that train whenever they changed. Runs in a thread.

        Of those that are there it is told as well when their folder goes away, and comes back.
        """
        living: dict[int, _Run] = {}
        gone: set[int] = set()
        for place, folder in enumerate(self._folders):
            if self._ended.is_set():
                return
            if run_at(str(folder)) is None:
                self._deliver(told := _foreign(place, folder))
                gone |= {place} if told.subject is None and is_gone(folder) else set()
                continue
            run = _Run(RunDir(folder))
            subject = run.read(self._ended, lambda at, p=place: self._deliver(Told(p, read=at)))
            if subject is not None:
                self._deliver(Told(place, subject))
                if subject.may_grow:
                    living[place] = run
        while not self._ended.wait(POLL_S):
            for place, folder in enumerate(self._folders):
                if is_gone(folder) != (place in gone):
                    gone ^= {place}
                    self._deliver(Told(place, gone=place in gone))
            for place, run in list(living.items()):
                if place in gone:
                    continue
                subject = run.read(self._ended)
                if subject is not None:
                    self._deliver(Told(place, subject))
                    if not subject.may_grow:
                        del living[place]


def _foreign(place: int, folder: Path) -> Told:
    try:
        return Told(place, look.read(folder))
    except SftError as error:
        return Told(place, problem=one_line(sentences(str(error), error.remedy)))


class _Run:
    """One run of this project, read on from where it was read to."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._tail = Tail(run.events)
        self._history = History()
        self._status: Status | None = None

    def read(
        self,
        ended: threading.Event,
        tell: Callable[[tuple[int, int]], None] = lambda at: None,
    ) -> Subject | None:
        """Returns the run where anything changed, else None."""
        changed, restarts = False, self._tail.restarts
        while not ended.is_set() and (block := self._block()):
            if self._tail.restarts != restarts:
                self._history, restarts = History(), self._tail.restarts
            self._history.add_lines(block)
            changed = True
            if (at := self._tail.progress())[1] > _LONG_BYTES:
                tell(at)
        status = status_of(self._run)
        before, self._status = self._status, status
        if not changed and before == status:
            return None
        subject = of_run(self._run, self._history, status, newest_config(self._run)[0])
        return subject.copy() if subject.may_grow else subject

    def _block(self) -> bytes:
        try:
            return self._tail.read_block()
        except OSError:  # not ours to read, or gone: the status says so
            return b""
