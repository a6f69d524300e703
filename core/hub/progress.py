"""How a download or an upload goes: what its process tells, and how fast it is."""

import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

_EVERY_S = 0.25
_RATE_OVER_S = 5.0


class Failure(msgspec.Struct, frozen=True):
    """Why it ended; `kind` is that of a `HubError`, or `local`."""

    kind: str
    what: str
    why: str
    remedy: str
    wait_s: int | None = None


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a child process; `reason` is what it does or waits for.

    `answer` is what was found by work that is asked for that.
    """

    event: Literal["progress", "waiting", "done", "failed"]
    bytes_done: int = 0
    bytes_total: int = 0
    files_done: int = 0
    files_total: int = 0
    bytes_per_s: float | None = None
    left_s: float | None = None
    wait_s: int | None = None
    reason: str = ""
    folder: str = ""
    commit: str = ""
    answer: dict[str, Any] | None = None
    failure: Failure | None = None


def snapshot_done(folder: Path) -> Event:
    """Returns the end of a download; a snapshot's folder is named by its commit."""
    return Event("done", folder=str(folder), commit=folder.name)


class Meter:
    """Counts what comes, from several threads, and tells four times a second.

    While it is entered it tells once a second also of nothing, so that a standing line shows, and
    a reader that has gone is noticed.

    Args:
        tell: Takes the events.
        bytes_total: Bytes that were missing at the start.
        files_total: Files that were missing at the start.
    """

    def __init__(self, tell: Callable[[Event], None], bytes_total: int, files_total: int) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._bytes, self._files = 0, 0
        self._bytes_total, self._files_total = bytes_total, files_total
        self._points: deque[tuple[float, int]] = deque()
        self._told = 0.0
        self._ended = threading.Event()
        self._report(time.monotonic())

    def __enter__(self) -> "Meter":
        threading.Thread(target=self._tick, daemon=True).start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._ended.set()

    def _tick(self) -> None:
        while not self._ended.wait(1.0):
            with self._lock:
                now = time.monotonic()
                if now - self._told >= 1.0:
                    self._forget(now)
                    self._report(now)

    def _forget(self, now: float) -> None:
        while self._points and self._points[0][0] < now - _RATE_OVER_S:
            self._points.popleft()

    def add(self, count: int) -> None:
        """More bytes are there; fewer where a damaged part was thrown away."""
        with self._lock:
            self._bytes += count
            now = time.monotonic()
            self._points.append((now, self._bytes))
            self._forget(now)
            if now - self._told >= _EVERY_S:
                self._report(now)

    def resumed(self, count: int) -> None:
        """Bytes of an earlier attempt count, but not for the rate."""
        with self._lock:
            self._bytes += count
            self._points = deque((when, had + count) for when, had in self._points)
            self._report(time.monotonic())

    def file_done(self) -> None:
        """A file is whole."""
        with self._lock:
            self._files += 1
            self._report(time.monotonic())

    def waiting(self, seconds: int, reason: str) -> None:
        """Nothing comes for some seconds, and why."""
        with self._lock:
            self._tell(self._event("waiting", wait_s=seconds, reason=reason))

    def finish(self) -> None:
        """Everything is there, the small files too."""
        with self._lock:
            self._bytes, self._files = self._bytes_total, self._files_total
            self._report(time.monotonic())

    def _report(self, now: float) -> None:
        self._told = now
        self._tell(self._event("progress"))

    def _event(self, name: Literal["progress", "waiting"], **more: Any) -> Event:
        rate = None
        if len(self._points) > 1:
            (began, had), (now, have) = self._points[0], self._points[-1]
            rate = (have - had) / (now - began) if now > began and have > had else None
        left = self._bytes_total - self._bytes
        return Event(
            name,
            self._bytes,
            self._bytes_total,
            self._files,
            self._files_total,
            rate,
            left / rate if rate else None,
            **more,
        )
