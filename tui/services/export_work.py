"""The export that is under way: written, pushed where that was asked for, verified.

It goes on whatever screen is seen, in child processes that end with it; what it did not finish
leaves nothing behind.
"""

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from textual.signal import Signal

from ...core import export as exports
from ...core import verify as verification
from ...core.errors import SftError
from ...core.export_choices import Choice
from ...core.hub.child import Events
from ...core.hub.progress import Event
from ...core.rundir import RunDir

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from textual.dom import DOMNode

    from ...core.hub.push import Destination, Plan

_EVERY_S = 0.25
"""Seconds between two tellings of progress."""


@dataclass(frozen=True)
class Order:
    """What is to be exported, in which form, and where to; `repo` is "" for no push."""

    run: RunDir
    choice: Choice
    merge: bool
    folder: Path
    repo: str = ""
    public: bool = False


@dataclass
class Outcome:
    """How far an order came. `doing` is "" where nothing is under way."""

    order: Order
    doing: str = ""
    event: Event | None = None
    folder: Path | None = None
    """What was written."""
    plan: "Plan | None" = None
    """A push that was not agreed to yet."""
    pushed: str = ""
    verdict: verification.Verdict | None = None
    failure: SftError | None = None
    said: list[str] = field(default_factory=list[str])
    """What else there is to say."""


class ExportWork:
    """Does one order after the other. Lives in the application's loop.

    Args:
        owner: The application.

    Attributes:
        changed: Published whenever `outcome` changed.
        outcome: Of the last order, None before the first.
    """

    def __init__(self, owner: "DOMNode") -> None:
        self.changed: Signal[None] = Signal(owner, "export")
        self.outcome: Outcome | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        return self._task is not None and not self._task.done()

    def start(self, order: Order) -> None:
        """Exports, and looks at what a push would do where one was asked for."""
        self.outcome = Outcome(order)
        self._begin("exporting", self._export(self.outcome))

    def push(self) -> None:
        """Does the push that was agreed to."""
        if self.outcome is not None and self.outcome.plan is not None:
            self._begin("pushing", self._push(self.outcome, self.outcome.plan))

    def withhold(self) -> None:
        """Does not push; what was written stays."""
        if self.outcome is not None:
            self.outcome.plan = None
            self.outcome.said = ["Nothing was pushed."]
            self.changed.publish(None)

    def verify(self, runs: Path | None) -> None:
        """Loads what was written, and compares it; `runs` is the folder of the runs."""
        if self.outcome is not None and self.outcome.folder is not None:
            self._begin("verifying", self._verify(self.outcome, self.outcome.folder, runs))

    def cancel(self) -> None:
        """Ends what is under way."""
        if self._task is not None:
            self._task.cancel()

    async def close(self) -> None:
        """Ends what is under way, and waits until its process and its leavings are gone."""
        self.cancel()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def _begin(self, doing: str, work: "Coroutine[None, None, None]") -> None:
        assert self.outcome is not None and not self.busy  # keys of a busy one are not offered
        outcome = self.outcome
        outcome.doing, outcome.event, outcome.failure, outcome.said = doing, None, None, []
        self._task = asyncio.create_task(self._told(outcome, work))
        self.changed.publish(None)

    async def _told(self, outcome: Outcome, work: "Coroutine[None, None, None]") -> None:
        doing = outcome.doing
        try:
            await work
        except SftError as error:
            outcome.failure = error
        except asyncio.CancelledError:
            outcome.said = [f"{doing.capitalize()} was cancelled; nothing of it was left behind."]
        except Exception as error:  # the program's own fault: told like any other
            why = f"{type(error).__name__}: {error}"
            outcome.failure = SftError(f"{doing} failed", why, "press the key again")
        outcome.doing, outcome.event = "", None
        self.changed.publish(None)

    async def _follow(self, outcome: Outcome, told: Events) -> Event:
        """Shows how it goes, and returns the last event."""
        last, at = Event("done"), 0.0
        async with aclosing(told):
            async for last in told:
                outcome.event = last
                if time.monotonic() - at >= _EVERY_S:
                    at = time.monotonic()
                    self.changed.publish(None)
        return last

    async def _export(self, outcome: Outcome) -> None:
        order = outcome.order
        to = await self._destination(order) if order.repo else None
        repo = order.repo or None
        told = exports.export(
            order.run, order.choice.chosen, order.folder, merge=order.merge, repo=repo
        )
        outcome.folder = Path((await self._follow(outcome, told)).folder)
        if to is not None:
            from ...core.hub import push

            outcome.plan = push.plan(outcome.folder, to)

    async def _destination(self, order: Order) -> "Destination":
        """Asks the Hub before the work: what stands against a push is told at once."""
        from ...core.hub import push  # with huggingface_hub: 0.2 s, and so in a thread

        look = push.look(order.repo, public=order.public)
        return await asyncio.to_thread(asyncio.run, look)

    async def _push(self, outcome: Outcome, plan: "Plan") -> None:
        from ...core.hub import push

        folder, public = str(outcome.folder), outcome.order.public
        request = push.Request(plan.to.id, folder, public)
        done = await self._follow(outcome, push.push(request))
        outcome.plan, outcome.pushed = None, f"{done.folder} at {done.commit}"
        if done.reason:
            outcome.said = [f"{done.reason}."]

    async def _verify(self, outcome: Outcome, folder: Path, runs: Path | None) -> None:
        looked = await asyncio.to_thread(verification.look, folder, runs)
        done = await self._follow(outcome, verification.verify(looked))
        outcome.verdict = verification.verdict(looked, done.answer)
