"""The application's one connection to the Hub: opened when first needed, told whether it answers.

One connection means one memory of answers and one of the Hub's limits, for every screen.
"""

import asyncio
import math
import time
from collections.abc import Callable

from ...core.errors import SftError
from ...core.hub.client import HubClient, HubError

AWAY = ("offline", "unreachable", "timeout", "garbled")
"""Kinds of errors after which nothing more of the Hub is to be had for the moment."""


class HubLink:
    """Opens and closes the connection.

    Args:
        tell: Told after every question whether the Hub is away.
    """

    def __init__(self, tell: Callable[[bool], None]) -> None:
        self._tell = tell
        self._client: HubClient | None = None
        self._opening = asyncio.Lock()
        self._free_at = 0.0

    @property
    def wait_s(self) -> int:
        """Seconds until the Hub may be asked again, by its own word."""
        return max(0, math.ceil(self._free_at - time.monotonic()))

    async def client(self) -> HubClient:
        """Returns the open connection."""
        async with self._opening:
            if self._client is None:
                client = HubClient()
                await client.__aenter__()
                self._client = client
            return self._client

    def heard(self, error: SftError | None) -> None:
        """Takes what a question gave: an answer (None), or why there was none."""
        if error is None:
            self._free_at = 0.0
        elif isinstance(error, HubError) and error.wait_s:
            self._free_at = time.monotonic() + error.wait_s
        if error is None or isinstance(error, HubError):
            self._tell(error is not None and error.kind in AWAY)

    async def close(self) -> None:
        """Closes it, with all answers that were kept; the next question opens another."""
        client, self._client = self._client, None
        if client is not None:
            await client.__aexit__()
