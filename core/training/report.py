"""The only writer of `events.jsonl`: one line per event, one write per line, nothing swallowed."""

import errno
import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from .. import events
from ..errors import DiskFull
from ..hardware import Sampler
from ..hub.progress import Event
from ..rundir import RunDir
from ..status import with_room

HEARTBEAT_S = 10.0
SYSTEM_S = 5.0
_PHASE_PROGRESS_S = 1.0
DISK_WAIT_S = 60.0
"""How long a write waits for space to return before the run fails."""


class Progress(Protocol):
    """Is told which phase the work is in."""

    def phase(
        self, name: str, done: int | None = None, total: int | None = None, unit: str | None = None
    ) -> None:
        """Takes a phase, and how much of it is done."""
        ...


def downloads(report: Progress) -> Callable[[Event], None]:
    """Returns what tells of a download as a phase."""

    def tell(event: Event) -> None:
        if event.event == "waiting":
            report.phase("waiting_for_hub", 0, event.wait_s, "s")
        elif event.bytes_total:
            report.phase("downloading", event.bytes_done, event.bytes_total, "bytes")

    return tell


class Report:
    """Tells the run's events. Used by the main thread and by the heartbeat's.

    Example:
        with Report(run) as report:
            report.phase("loading_model")
            report.emit(events.Step(step=1, loss=2.0))
    """

    def __init__(self, run: RunDir, disk_wait_s: float = DISK_WAIT_S) -> None:
        self.run = run
        self.step = 0
        self.started = False
        """Whether `run_started` was told."""
        self.longest_row: int | None = None
        """Tokens of the longest row, once it is known."""
        self.gpus: list[int] = []
        """The numbers of the GPUs that the run computes on."""
        self.began = time.monotonic()
        self._disk_wait_s = disk_wait_s
        self._progress = 0
        self._phase_t = 0.0
        self._phase_name = ""
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._descriptor = os.open(run.events, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        size = os.fstat(self._descriptor).st_size
        self._torn = size > 0 and os.pread(self._descriptor, 1, size - 1) != b"\n"
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> "Report":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start_heartbeat(self) -> None:
        """Begins the heartbeat and the hardware samples, after the first event was written."""
        self._thread.start()

    def close(self) -> None:
        """Ends the heartbeat and closes the file."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        os.close(self._descriptor)

    @property
    def elapsed_s(self) -> float:
        """Seconds since this start of the trainer."""
        return time.monotonic() - self.began

    def tick(self) -> None:
        """Moves the progress counter: the main thread is alive and at work."""
        self._progress += 1

    def emit(self, event: events.Event) -> None:
        """Writes one event.

        Raises:
            DiskFull: The disk was full and stayed so.
        """
        event.t = time.time()
        if isinstance(event, events.Step):
            self.step = event.step
        self.started |= isinstance(event, events.RunStarted)
        line = events.encode(event)
        with self._lock:
            # After an earlier writer or a short write the last line may be torn: end it first,
            # or it would swallow this event.
            self._write(b"\n" + line if self._torn else line)
            self._torn = False

    def phase(
        self, name: str, done: int | None = None, total: int | None = None, unit: str | None = None
    ) -> None:
        """Says what begins now, or how far it is; amounts are told at most once a second."""
        self.tick()
        now = time.monotonic()
        if name == self._phase_name and now - self._phase_t < _PHASE_PROGRESS_S and done != total:
            return
        self._phase_name, self._phase_t = name, now
        self.emit(events.Phase(name=name, done=done, total=total, unit=unit))

    def warn(self, code: str, message: str, remedy: str, row: int | None = None) -> None:
        """Writes a warning event."""
        self.emit(
            events.Warning_(code=code, message=message, remedy=remedy, step=self.step, row=row)
        )

    def _write(self, data: bytes) -> None:
        deadline: float | None = None
        while data:
            try:
                count = os.write(self._descriptor, data)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                count = 0
            data = data[count:]
            if not data:
                return
            self._torn = True
            now = time.monotonic()
            if deadline is None:
                deadline = now + self._disk_wait_s
                print(f"disk full: {self.run.events} cannot grow; waiting", file=sys.stderr)
            if now >= deadline:
                raise DiskFull(
                    "the disk is full",
                    f"{self.run.events} could not be written for {self._disk_wait_s:.0f} s",
                    with_room(self.run),
                )
            time.sleep(min(0.5, max(deadline - now, 0.0)))

    def _beat(self) -> None:
        sampler = Sampler(self.run.path, os.getpid())
        next_beat = time.monotonic() + HEARTBEAT_S
        next_sample = time.monotonic() + 1.0
        while not self._ended.wait(max(min(next_beat, next_sample) - time.monotonic(), 0.0)):
            try:
                if time.monotonic() >= next_sample:
                    next_sample += SYSTEM_S
                    self.emit(sampler.sample())
                if time.monotonic() >= next_beat:
                    next_beat += HEARTBEAT_S
                    self.emit(events.Heartbeat(progress=self._progress, step=self.step))
            except (DiskFull, OSError) as error:
                # The main thread meets the same fault at its next event and ends the run.
                print(f"{error}; no more heartbeats", file=sys.stderr)
                return
