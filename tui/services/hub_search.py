"""Search as one types: waits for a pause, asks once, and lets only the newest answer through."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import msgspec

from ...core.errors import SftError
from ...core.hub import search
from ...core.hub.client import HubClient

_PAUSE_S = 0.3
_FEWEST_LETTERS = 2


R = TypeVar("R", search.ModelRow, search.DatasetRow)


class Found(msgspec.Struct, Generic[R], frozen=True):
    """An answer: `rows` are all pages so far."""

    words: str
    rows: list[R]
    more: bool
    elapsed_s: float


class Failed(msgspec.Struct, frozen=True):
    """No answer, and why."""

    words: str
    error: SftError


class HubSearch(Generic[R]):
    """Searches models or data sets while someone types. Lives in the event loop of the screen.

    Args:
        client: An open connection.
        ask: `search.models` or `search.datasets`.
        tell: Takes what is found or why not; called in the event loop.
        pause_s: How long typing must rest before the Hub is asked.
    """

    def __init__(
        self,
        client: HubClient,
        ask: Callable[..., Awaitable[search.Page[R]]],
        tell: Callable[[Found[R] | Failed], None],
        *,
        pause_s: float = _PAUSE_S,
    ) -> None:
        self._client = client
        self._tell = tell
        self._ask = ask
        self._pause_s = pause_s
        self._task: asyncio.Task[None] | None = None
        self._words = ""
        self._filters = search.Filters()
        self._rows: list[R] = []
        self._next: str | None = None

    def look_for(self, words: str, filters: search.Filters | None = None) -> None:
        """Asks for words after a pause, in place of what was asked before.

        A single letter asks nothing; no letters ask for the whole list.
        """
        self.stop()
        self._words, self._filters = words.strip(), filters or self._filters
        self._rows, self._next = [], None
        if len(self._words) == 0 or len(self._words) >= _FEWEST_LETTERS:
            self._task = asyncio.create_task(self._run(self._pause_s))

    def more(self) -> None:
        """Asks for the next page, unless an answer is awaited or there is none."""
        if self._next is not None and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run(0.0))

    def stop(self) -> None:
        """Ends what is under way; its answer will not come."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        began = time.monotonic()
        try:
            page = await self._ask(self._client, self._words, self._filters, page=self._next)
        except SftError as error:
            self._tell(Failed(self._words, error))
            return
        self._rows += page.rows
        self._next = page.next
        more = page.next is not None
        self._tell(Found(self._words, list(self._rows), more, time.monotonic() - began))
