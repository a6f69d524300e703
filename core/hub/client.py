"""Requests to the Hub's API: with timeouts, cancellable, and every failure as a clear message.

Speaks through the session of huggingface_hub, so that its endpoint, proxies, tokens and offline
switch hold here too. Knows nothing of what the answers mean.
"""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import msgspec

from . import endpoint, tokens
from .endpoint import host_of
from .failures import HubError, garbled, limit, name_of, refusal, silent, unreachable

if TYPE_CHECKING:
    import httpx2

CONNECT_S, READ_S, WHOLE_S = 5.0, 10.0, 25.0
"""Seconds until a connection, between two parts of an answer, and for a whole answer."""
PATIENT_S = 1.5
"""Seconds without an answer after which somebody who waits is told whom we ask."""
_KEPT, _KEPT_S = 128, 300.0
_LARGEST = 32 << 20
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')

Params = Mapping[str, "str | int | list[str]"]


class Answer(msgspec.Struct, frozen=True):
    """A JSON answer, and the address of the next page where there is one."""

    value: Any
    next: str | None


class HubClient:
    """A connection to the Hub, to be used as an async context manager.

    Answers are kept for five minutes. After a rate limit nothing is sent until it has passed.

    Args:
        tell: Told once in words, where an answer takes long.
    """

    def __init__(self, tell: Callable[[str], None] | None = None) -> None:
        self._tell = tell
        self._session: httpx2.AsyncClient | None = None
        self._kept: OrderedDict[str, tuple[float, Answer]] = OrderedDict()
        self._blocked_until = 0.0
        self.endpoint = ""

    async def __aenter__(self) -> Self:
        # In a thread: the import takes 0.2 s, in which a screen would stand still.
        self.endpoint, self._session = await asyncio.to_thread(_session)
        return self

    async def __aexit__(self, *reason: object) -> None:
        if self._session is not None:
            await self._session.aclose()

    async def json(self, path: str, params: Params | None = None, *, repo: str = "") -> Answer:
        """Returns what an address of the API answers.

        Args:
            path: `/api/…`, or the whole address of a next page.
            params: The query; lists are repeated keys.
            repo: The repository's page that it is about, for messages.

        Raises:
            HubError: There is no such answer.
        """
        key = f"{path}?{sorted((params or {}).items())}"
        kept = self._kept.get(key)
        if kept is not None and time.monotonic() - kept[0] < _KEPT_S:
            self._kept.move_to_end(key)
            return kept[1]
        async with self._request(path, params, {}, repo) as response:
            body = await _whole(response)
            try:
                value = msgspec.json.decode(body)
            except msgspec.DecodeError as error:
                raise self._garbled(response) from error
            found = _NEXT.search(response.headers.get("link", ""))
        answer = Answer(value, found[1] if found else None)
        self._kept[key] = time.monotonic(), answer
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return answer

    async def part(self, repo: str, path: str, begin: int, end: int) -> bytes:
        """Returns bytes `begin` to `end` (exclusive) of a file, fewer where it is shorter.

        Args:
            repo: Prefix, id and revision, such as `org/name/resolve/main`.
            path: The file's path in the repository.
            begin: The first byte.
            end: The byte behind the last.

        Raises:
            HubError: It cannot be had.
        """
        headers = {"Range": f"bytes={begin}-{end - 1}"}
        address = f"/{repo}/{quote(path)}"
        async with self._request(address, None, headers, repo.partition("/resolve/")[0]) as answer:
            if answer.status_code not in (200, 206):
                raise self._garbled(answer)
            found, skipped = bytearray(), 0 if answer.status_code == 206 else begin
            async for piece in answer.aiter_bytes():
                found += piece
                if len(found) >= skipped + end - begin:  # a server that gives the whole file
                    break
            return bytes(found[skipped : skipped + end - begin])

    @asynccontextmanager
    async def _request(
        self, path: str, params: Params | None, headers: dict[str, str], repo: str
    ) -> AsyncIterator["httpx2.Response"]:
        import httpx2
        from huggingface_hub.errors import OfflineModeIsEnabled

        assert self._session is not None, "use the client as a context manager"
        # In a thread: huggingface_hub may have to ask for a fresh token.
        own = await asyncio.to_thread(tokens.headers)
        signed_in = "authorization" in own
        self._refuse_blocked(signed_in)
        address = path if path.startswith("http") else self.endpoint + path
        if not address.startswith((f"{self.endpoint}/", "https://datasets-server.huggingface.co/")):
            own = {}  # the next page of an answer may lie anywhere; a token goes to the Hub alone
        began = time.monotonic()
        patience = asyncio.get_running_loop().call_later(PATIENT_S, self._still_asking)
        try:
            async with (
                asyncio.timeout(WHOLE_S),
                self._session.stream(
                    "GET",
                    address,
                    params=params,
                    headers={**own, **headers},
                    timeout=httpx2.Timeout(READ_S, connect=CONNECT_S),
                ) as response,
            ):
                failure = refusal(response, repo, self.endpoint, signed_in=signed_in)
                if failure is not None:
                    self._blocked_until = time.monotonic() + (failure.wait_s or 0)
                    raise failure
                yield response
        except OfflineModeIsEnabled as error:
            raise HubError(
                "offline",
                f"{name_of(repo)} is not on this machine" if repo else "the Hub was not asked",
                "HF_HUB_OFFLINE is set",
                "unset it, or use what is on this machine",
            ) from error
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise silent(self._host(), time.monotonic() - began) from error
        except httpx2.HTTPError as error:
            raise unreachable(error, self._host()) from error
        finally:
            patience.cancel()

    def _still_asking(self) -> None:
        if self._tell is not None:
            self._tell(f"asking {self._host()} …")
            self._tell = None

    def _host(self) -> str:
        return host_of(self.endpoint)

    def _refuse_blocked(self, signed_in: bool) -> None:
        left = self._blocked_until - time.monotonic()
        if left > 0:
            raise limit(int(left) + 1, signed_in)

    def _garbled(self, response: "httpx2.Response") -> HubError:
        return garbled(self._host(), response.headers.get("content-type", "nothing"))


def _session() -> "tuple[str, httpx2.AsyncClient]":
    endpoint.check()
    import anyio
    from huggingface_hub import constants
    from huggingface_hub.utils import get_async_session

    anyio.run(anyio.sleep, 0)  # loads what httpx2 would load with the first request
    return constants.ENDPOINT.rstrip("/"), get_async_session()


async def _whole(response: "httpx2.Response") -> bytes:
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > _LARGEST:
            raise HubError(
                "garbled",
                "the answer is not the Hub's",
                f"it is larger than {_LARGEST >> 20} MiB",
                "check HF_ENDPOINT",
            )
    return bytes(body)
