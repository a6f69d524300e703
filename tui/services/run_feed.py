"""Follows one run beside the event loop: events in batches, status, log, live hardware.

A thread reads and decodes; the screen gets one message per batch, at most ten a second, and
changes its own state. Nothing here touches a widget.
"""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ...core import events
from ...core.glimpse import glimpse
from ...core.gpu_watch import Watched
from ...core.hardware import Sampler
from ...core.history import History, Told, decode
from ...core.process import alive
from ...core.regular import open_regular
from ...core.rundir import RunDir
from ...core.status import Status, status_of
from ...core.tail import Tail
from ...core.text import printable

BATCH_S = 0.1
STATUS_S = 0.5
HARDWARE_S = 1.0
_LOG_BYTES = 1 << 16
_BATCH_BYTES = 1 << 21
_LONG_BYTES = 1 << 23
"""A larger file is looked at in a few places before it is read."""


@dataclass
class Batch:
    """What is new: `restarted` says that everything before is to be forgotten."""

    status: Status
    restarted: bool = False
    found: list[Told] = field(default_factory=list[Told])
    glimpse: History | None = None
    """What a few places of a long file tell, before it is read."""
    unreadable: int = 0
    complete: bool = True
    """Whether the file was read to its end."""
    log: list[str] | None = None
    system: events.System | None = None
    watched: list[Watched] = field(default_factory=list[Watched])
    """What is known of the GPUs beside their numbers."""
    no_gpu: str | None = None
    """Why this host shows no GPU, where it was asked."""
    reading: tuple[int, int] | None = None
    """Bytes of the file that were read, and its size, until it was read to its end."""
    gone: bool = False
    saved: int | None = None
    """The step of the newest complete checkpoint on the disk, which events alone cannot know."""


class RunFeed:
    """Reads a run until it is closed.

    Args:
        run: The run.
        deliver: Takes each batch; called in the reading thread, so it must only post.
    """

    def __init__(self, run: RunDir, deliver: Callable[[Batch], None]) -> None:
        self.run = run
        self._deliver = deliver
        self._ended = threading.Event()
        self._tail = Tail(run.events)
        self._log_size = -1
        self._sampler: Sampler | None = None
        self._saved: int | None = None

    def close(self) -> None:
        """Ends the reading after the batch at hand."""
        self._ended.set()

    def read_forever(self) -> None:
        """Delivers batches until closed. Runs in a thread."""
        next_status = next_hardware = 0.0
        status, complete, saved = status_of(self.run), False, None
        self._deliver(Batch(status, complete=False, glimpse=self._glimpse()))
        while not self._ended.is_set():
            now = time.monotonic()
            batch = self._read(status)
            if now >= next_status:
                next_status = now + STATUS_S
                batch.status = status_of(self.run)
                batch.log = self._read_log()
                batch.gone = not self.run.path.is_dir()
                self._saved = self._newest_checkpoint()
            batch.saved = self._saved
            if now >= next_hardware and batch.complete:
                next_hardware = now + HARDWARE_S
                self._sample(batch)
            changed = batch.status != status or batch.log is not None or batch.system is not None
            changed = changed or batch.complete != complete or batch.saved != saved
            if batch.found or changed or batch.restarted or batch.unreadable or batch.gone:
                self._deliver(batch)
            status, complete, saved = batch.status, batch.complete, batch.saved
            if batch.complete:
                self._ended.wait(BATCH_S)

    def _read(self, status: Status) -> Batch:
        restarts = self._tail.restarts
        try:
            lines = self._tail.read(_BATCH_BYTES)
        except OSError:  # removed or unreadable meanwhile: the status tells
            lines = []
        found, unreadable = decode(lines)
        return Batch(
            status,
            restarted=self._tail.restarts != restarts,
            found=found,
            unreadable=unreadable,
            complete=not lines,
            reading=self._tail.progress() if lines else None,
        )

    def _glimpse(self) -> History | None:
        try:
            if self.run.events.stat().st_size < _LONG_BYTES:
                return None
            return glimpse(self.run.events)
        except OSError:  # removed or unreadable: the status tells
            return None

    def _newest_checkpoint(self) -> int | None:
        try:
            found = self.run.complete_checkpoints()
        except OSError:  # removed or unreadable meanwhile
            return None
        return found[-1][0] if found else None

    def _read_log(self) -> list[str] | None:
        """Returns the log's last lines when it changed."""
        try:
            with open_regular(self.run.log) as file:
                size = file.seek(0, 2)
                if size == self._log_size:
                    return None
                self._log_size = size
                file.seek(max(0, size - _LOG_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return None
        return [line for line in printable(text).split("\n") if line.strip()]

    def _sample(self, batch: Batch) -> None:
        """Samples this host where the run is on it; elsewhere the trainer's own samples stand."""
        record = self.run.process_record()
        if record is None or record.host != socket.gethostname():
            return
        if self._sampler is None:
            self._sampler = Sampler(self.run.path)
        batch.system, batch.no_gpu = self._sampler.sample(), self._sampler.no_gpu_reason
        batch.watched = self._sampler.watch(record.pid if alive(record) else None)
