"""Follows one run beside the event loop: events in batches, status, log, live hardware.

A thread reads and decodes; the screen gets one message per batch, at most ten a second, and
changes its own state. Nothing here touches a widget.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ...core import control, events
from ...core.config import RunConfig
from ...core.glimpse import glimpse
from ...core.gpu_watch import Watched
from ...core.hardware import Sampler
from ...core.history import History, Told, decode
from ...core.process import alive, halted
from ...core.regular import is_gone, open_regular, read_small
from ...core.rundir import RunDir
from ...core.status import Status, newest_checkpoint, status_of
from ...core.summary import newest_config
from ...core.tail import Tail
from ...core.text import printable

BATCH_S = 0.1
NO_CONFIG = "The folder has no config.yaml."
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
    again: bool = False
    """Whether it was asked for by `look_again`."""
    asked: list[control.Command] = field(default_factory=list[control.Command])
    """Commands of any client that are new in the file."""
    halted: int | None = None
    """The pid of the trainer where its process stands still, as after SIGSTOP."""
    writable: bool = True
    """Whether this user may send the run commands."""
    configured: "Configured | None" = None
    """The run's configuration, where it may have changed."""
    saved: int | None = None
    """The step of the newest complete checkpoint on the disk, which events alone cannot know."""


@dataclass(frozen=True)
class Configured:
    """The newest configuration of a run, its text, and why it cannot be used, if so."""

    config: RunConfig | None
    text: str
    problem: str | None


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
        self._commands = Tail(run.control)
        self._log_size = -1
        self._sampler: Sampler | None = None
        self._config_text = ""
        self._asking_since: float | None = None
        self._again = threading.Event()

    def look_again(self) -> None:
        """Looks at the folder now, and delivers what it finds, be it new or not."""
        self._again.set()

    def silent_s(self) -> float:
        """Returns for how many seconds the disk has owed an answer; 0 when it owes none."""
        since = self._asking_since
        return 0.0 if since is None else time.monotonic() - since

    def close(self) -> None:
        """Ends the reading after the batch at hand."""
        self._ended.set()

    def read_forever(self) -> None:
        """Delivers batches until closed. Runs in a thread."""
        next_status = next_hardware = 0.0
        self._asking_since = time.monotonic()
        last = Batch(status_of(self.run), complete=False)
        last.glimpse, last.configured = self._glimpse(), self._configured()
        last.reading = self._tail.progress() if last.glimpse is not None else None
        self._hand_over(last)
        while not self._ended.is_set():
            self._asking_since = now = time.monotonic()
            batch = self._read(last)
            batch.again = self._again.is_set()
            if now >= next_status or batch.again:
                self._again.clear()
                next_status = now + STATUS_S
                self._look(batch)
            if now >= next_hardware and batch.complete:
                next_hardware = now + HARDWARE_S
                self._sample(batch)
            if _may_have_another_config(batch, last):
                batch.configured = self._configured()
            if batch.found or batch.unreadable or _differs(batch, last):
                self._hand_over(batch)
            self._asking_since, last = None, batch
            if batch.complete:
                self._ended.wait(BATCH_S)

    def _hand_over(self, batch: Batch) -> None:
        self._asking_since = None  # from here on the screen is waited for
        self._deliver(batch)

    def _look(self, batch: Batch) -> None:
        """Looks at all but the events."""
        batch.status = status_of(self.run)
        batch.log = self._read_log()
        batch.gone = is_gone(self.run.path) or os.path.isfile(self.run.path)
        batch.saved = newest_checkpoint(self.run)
        batch.writable = control.may_append(self.run.control)
        batch.asked = self._read_commands()
        record = self.run.process_record()
        batch.halted = record.pid if record is not None and halted(record) else None

    def _read_commands(self) -> list[control.Command]:
        try:
            found = [control.decode(line) for line in self._commands.read()]
        except OSError:  # removed or unreadable meanwhile: the status tells
            return []
        return [command for command in found if command is not None]

    def _read(self, last: Batch) -> Batch:
        restarts = self._tail.restarts
        try:
            block = self._tail.read_block(_BATCH_BYTES)
        except OSError:  # removed or unreadable meanwhile: the status tells
            block = b""
        found, unreadable = decode(block)
        return Batch(
            last.status,
            gone=last.gone,
            saved=last.saved,
            halted=last.halted,
            writable=last.writable,
            restarted=self._tail.restarts != restarts,
            found=found,
            unreadable=unreadable,
            complete=not block,
            reading=self._tail.progress() if block else None,
        )

    def _glimpse(self) -> History | None:
        try:
            if self.run.events.stat().st_size < _LONG_BYTES:
                return None
            return glimpse(self.run.events)
        except OSError:  # removed or unreadable: the status tells
            return None

    def _configured(self) -> Configured:
        config, problem = None, None
        try:
            config, problem = newest_config(self.run)
            known = self.run.configs()
            text = read_small(known[-1]).decode(errors="replace") if known else NO_CONFIG
            self._config_text = text
        except OSError as error:  # the text that was read last stands
            problem = f"{error.strerror}: {error.filename}"
        return Configured(config, self._config_text, problem)

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


def _differs(batch: Batch, last: Batch) -> bool:
    """Returns whether anything but events is new."""
    news = batch.log is not None or batch.system is not None or batch.configured is not None
    news = news or bool(batch.asked)
    return news or batch.restarted or batch.again or _state(batch) != _state(last)


def _state(batch: Batch) -> tuple[object, ...]:
    return batch.status, batch.complete, batch.saved, batch.gone, batch.writable, batch.halted


def _may_have_another_config(batch: Batch, last: Batch) -> bool:
    """Returns whether a start began, which has its own, or a run ended before it could say so."""
    if any(isinstance(told, events.RunStarted) for told in batch.found):
        return True
    state, before = ((each.status.word, each.gone) for each in (batch, last))
    return state != before and not batch.gone
