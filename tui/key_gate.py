"""Keys one after the other: each reaches the screen that is seen once the one before was done."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from textual.events import Event, Key
from textual.message_pump import MessagePump

from .keys import of_scope

if TYPE_CHECKING:
    from .shared_app import SharedApp

Give = Callable[[Event], Awaitable[MessagePump]]
LONGEST_S = 0.5
"""The next key is let go then, whatever the one before still does."""
LONGEST_WAIT_S = 3.0
"""How long keys wait for a screen that is not ready."""
_ROUNDS = 8
_POLL_S = 0.02


class KeyGate:
    """Holds back keys that are typed ahead.

    Textual gives a key to what has the focus at that moment. What the key before it does goes
    through the queues of several widgets, and may show another screen: a key that follows at once
    would reach the screen or the box that is just left.

    Args:
        app: Whose keys these are.
        give: Gives a key to what has the focus, and returns that.
    """

    def __init__(self, app: "SharedApp", give: Give) -> None:
        self._app = app
        self._give = give
        self._held: deque[Event] = deque()
        self._task: asyncio.Task[None] | None = None
        self._waits = False
        """Whether the first of the held ones waits for the screen to be ready."""

    async def take(self, event: Event) -> None:
        """Gives a key on, or keeps it until it would do what it is meant to do."""
        if self._task is not None:
            if isinstance(event, Key) and event.key == "escape" and self._waits:
                self._held.clear()  # nothing of what was typed ahead is wanted
                await self._give(event)
            else:
                self._held.append(event)
        elif self._must_wait(event):
            self._held.append(event)
            self._task = asyncio.create_task(self._go_on(None))
        else:
            self._task = asyncio.create_task(self._go_on(await self._give(event)))

    def _must_wait(self, event: Event) -> bool:
        """Whether a key could not do yet what it is meant to do."""
        screen = self._app.frame
        if screen is None or screen is not self._app.screen:
            return False
        owes = self._app.owes or screen.owes
        if not (owes or screen.awaits):
            return False
        always = ("app",) if owes else ("app", *screen.shared)
        keys = (self._app.remapped.get(key.id, key) for each in always for key in of_scope(each))
        return not isinstance(event, Key) or all(event.key not in key.keys for key in keys)

    async def _go_on(self, target: MessagePump | None) -> None:
        try:
            while True:
                if target is not None:
                    await self._settle(target)
                await self._until_ready()
                if not self._held:
                    return
                target = await self._give(self._held.popleft())
        except Exception as error:  # where everybody sees it: nobody waits for this task
            self._app.call_later(_raise, error)
        finally:
            self._task = None

    async def _until_ready(self) -> None:
        began = time.monotonic()
        self._waits = True
        while self._held and self._must_wait(self._held[0]):
            if time.monotonic() - began > LONGEST_WAIT_S:
                break
            await asyncio.sleep(_POLL_S)
        self._waits = False

    async def _settle(self, target: MessagePump) -> None:
        """Waits until a key, and all that follows from it, was dealt with."""
        began, before = time.monotonic(), self._app.screen
        around = cast(Any, target).ancestors_with_self  # its messages rise up to the application
        for _ in range(_ROUNDS):
            pumps = list(dict.fromkeys([*around, self._app.screen, self._app]))
            for pump in pumps:
                await _reached(pump.call_later)
            if not any(pump.message_queue_size for pump in pumps if pump.is_running):
                break
            if time.monotonic() - began > LONGEST_S:
                break
        if self._app.screen is not before:  # it is seen first
            await _reached(self._app.screen.call_after_refresh)


async def _reached(call: Callable[[Callable[[], None]], bool]) -> None:
    """Waits until a widget has dealt with what it has to do now, or is gone."""
    done = asyncio.get_running_loop().create_future()
    if call(lambda: None if done.done() else done.set_result(None)):
        await asyncio.wait([done], timeout=LONGEST_S)


def _raise(error: Exception) -> None:
    raise error
