"""Downloads that go on while other screens are seen, each in a child process."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from textual.signal import Signal

from ...core.errors import SftError
from ...core.hub.datasets import Wanted
from ...core.hub.download import download
from ...core.hub.fetch import Request
from ...core.hub.progress import Event

if TYPE_CHECKING:
    from textual.dom import DOMNode

_EVERY_S = 0.5
"""Seconds between two tellings of progress: screens are drawn no more often."""


class Download:
    """One download: its last event, or why it ended."""

    def __init__(self, request: Request | Wanted) -> None:
        self.request = request
        self.state: Literal["running", "done", "failed", "stopped"] = "running"
        self.event: Event | None = None
        self.failure: SftError | None = None

    @property
    def share(self) -> float | None:
        """How much of what was missing is there; None before that is known."""
        if self.event is None or not self.event.bytes_total:
            return None
        return self.event.bytes_done / self.event.bytes_total


class Downloads:
    """Starts and stops downloads, one for each repository. Lives in the application's loop.

    Args:
        owner: The application.
        ended: Told of every download that ended by itself.

    Attributes:
        changed: Published with the id when one begins, goes on, or ends.
    """

    def __init__(self, owner: "DOMNode", ended: Callable[[Download], None]) -> None:
        self.changed: Signal[str] = Signal(owner, "downloads")
        self._ended = ended
        self._every: dict[str, Download] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def of(self, id: str) -> Download | None:
        """Returns the last download of a repository in this session."""
        return self._every.get(id)

    def running(self) -> list[Download]:
        """Returns those that are under way, the oldest first."""
        return [each for each in self._every.values() if each.state == "running"]

    def start(self, request: Request | Wanted) -> None:
        """Begins, or goes on where an earlier one ended; one that runs is left alone."""
        known = self._every.get(request.id)
        if known is not None and known.state == "running":
            return
        self._every.pop(request.id, None)
        started = self._every[request.id] = Download(request)
        self._tasks[request.id] = asyncio.create_task(self._follow(started))
        self.changed.publish(request.id)

    def stop(self, id: str) -> None:
        """Ends one; what came stays, and the next start goes on from there."""
        known = self._every.get(id)
        if known is not None and known.state == "running":
            known.state = "stopped"
            self._tasks.pop(id).cancel()
            self.changed.publish(id)

    async def close(self) -> None:
        """Ends all, and waits until their processes are gone."""
        for known in self.running():
            known.state = "stopped"
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, one: Download) -> None:
        told, at = download(one.request), 0.0
        try:
            async for event in told:
                one.event = event
                if time.monotonic() - at >= _EVERY_S:
                    at = time.monotonic()
                    self.changed.publish(one.request.id)
            one.state = "done"
        except SftError as error:
            one.state, one.failure = "failed", error
        except Exception as error:  # the program's own fault: told like any other
            one.state = "failed"
            one.failure = SftError(
                f"the download of {one.request.id} failed",
                f"{type(error).__name__}: {error}",
                "start it again: it goes on where it was",
            )
        finally:
            await told.aclose()  # ends the process
        self._ended(one)
        self.changed.publish(one.request.id)
