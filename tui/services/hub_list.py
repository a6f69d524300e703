"""The Hub's list of models for a screen: its rows, whether there are more, and why there are none.

A rate limit is waited for, and then asked again.
"""

import asyncio
from collections.abc import Callable

from ...core.errors import SftError
from ...core.hub import search
from ...core.hub.client import HubError
from .hub_link import HubLink
from .hub_search import Failed, Found, HubSearch


class HubList:
    """Asks as one types; see `HubSearch`, which waits and drops old answers.

    Args:
        link: The connection.
        changed: Called when an answer came, or none.

    Attributes:
        rows: All pages so far.
        error: Why the last question has no answer.
        more: Whether there are more pages.
        answered: The words of the last answer; None before the first.
        elapsed_s: How long the last answer took.
        asking: Whether an answer is awaited.
        endpoint: Of the Hub, once it was asked.
    """

    def __init__(self, link: HubLink, changed: Callable[[], object]) -> None:
        self._link = link
        self._changed = changed
        self._search: HubSearch[search.ModelRow] | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiting = False
        self._words = ""
        self.filters = search.Filters()
        self.rows: list[search.ModelRow] = []
        self.error: SftError | None = None
        self.more = False
        self.answered: str | None = None
        self.elapsed_s: float | None = None
        self.asking = False
        self.endpoint = ""

    @property
    def wait_s(self) -> int:
        """Seconds until the Hub may be asked again."""
        return self._link.wait_s

    def ask(self, words: str, filters: search.Filters | None = None) -> None:
        """Asks for words in place of what was asked before."""
        self._words, self.filters = words, filters or self.filters
        self.asking = len(words.strip()) != 1  # for one letter nothing is asked
        if self._search is not None:
            self._search.look_for(self._words, self.filters)
        elif self._task is None or self._task.done():
            self._task = asyncio.create_task(self._open())

    async def _open(self) -> None:
        """Opens the connection, which takes 0.2 s at first, and asks for the newest words."""
        try:
            client = await self._link.client()
        except Exception as error:  # a proxy or certificate that cannot be used
            why = f"{type(error).__name__}: {error}"
            remedy = "check HF_ENDPOINT and the proxy, or use what is on this machine"
            self._tell(Failed("", HubError("unreachable", "the Hub cannot be asked", why, remedy)))
            return
        self.endpoint = client.endpoint
        self._search = HubSearch(client, search.models, self._tell)
        self._search.look_for(self._words, self.filters)

    def next_page(self) -> None:
        """Asks for the next page, if there is one."""
        if self._search is not None and self.more and not self.asking:
            self.asking = True
            self._search.more()

    def tick(self) -> bool:
        """Asks once more when a rate limit has passed; to be called once a second.

        Returns:
            Whether one is counted down, or has just passed.
        """
        was, self._waiting = self._waiting, self.wait_s > 0
        passed = was and not self._waiting
        if passed and isinstance(self.error, HubError) and self.error.kind == "limit":
            self.error = None
            self.ask(self._words)
        return self._waiting or passed

    def _tell(self, told: Found[search.ModelRow] | Failed) -> None:
        self.asking = False
        if isinstance(told, Failed):
            self.error = told.error
            self._link.heard(told.error)
        else:
            self.error = None
            self.rows, self.more, self.elapsed_s = told.rows, told.more, told.elapsed_s
            self.answered = told.words
            self._link.heard(None)
        self._changed()

    def stop(self) -> None:
        """Leaves off what is under way."""
        if self._search is not None:
            self._search.stop()
        if self._task is not None:
            self._task.cancel()
        self.asking = False

    async def renew(self) -> None:
        """Asks over a new connection: what the Hub shows may depend on who asks."""
        self.stop()
        self._search = None
        await self._link.close()
        self.ask(self._words)
