"""Requests to the Hub's API: with timeouts, cancellable, and every failure as a clear message.

Speaks through the session of huggingface_hub, so that its endpoint, proxies, tokens and offline
switch hold here too. Knows nothing of what the answers mean.
"""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import msgspec

from ..errors import SftError
from ..text import one_line
from . import endpoint, tokens

if TYPE_CHECKING:
    import httpx2

CONNECT_S, READ_S, WHOLE_S = 5.0, 10.0, 25.0
"""Seconds until a connection, between two parts of an answer, and for a whole answer."""
_KEPT, _KEPT_S = 128, 300.0
_LARGEST = 32 << 20
_WINDOW = re.compile(r'"(\w+)"\s*;\s*r\s*=\s*(\d+)\s*;\s*t\s*=\s*(\d+)')
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')

Params = Mapping[str, "str | int | list[str]"]


class HubError(SftError):
    """The Hub did not give what was asked for.

    `kind` is offline, unreachable, timeout, token, gated, missing, limit, server, elsewhere or
    garbled; `wait_s` tells for `limit` how many seconds to wait.
    """

    def __init__(
        self, kind: str, what: str, why: str, remedy: str, wait_s: int | None = None
    ) -> None:
        super().__init__(what, why, remedy)
        self.kind = kind
        self.wait_s = wait_s


class Answer(msgspec.Struct, frozen=True):
    """A JSON answer, and the address of the next page where there is one."""

    value: Any
    next: str | None


class HubClient:
    """A connection to the Hub, to be used as an async context manager.

    Answers are kept for five minutes. After a rate limit nothing is sent until it has passed.
    """

    def __init__(self) -> None:
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
                "the Hub was not asked",
                "HF_HUB_OFFLINE is set",
                "unset it, or use what is on this machine",
            ) from error
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise HubError(
                "timeout",
                "the Hub gives no answer",
                f"{self._host()} was silent or too slow for {time.monotonic() - began:.0f} s",
                "try again, or use what is on this machine",
            ) from error
        except httpx2.HTTPError as error:
            raise unreachable(error, self._host()) from error

    def _host(self) -> str:
        return host_of(self.endpoint)

    def _refuse_blocked(self, signed_in: bool) -> None:
        left = self._blocked_until - time.monotonic()
        if left > 0:
            raise _limit(int(left) + 1, signed_in)

    def _garbled(self, response: "httpx2.Response") -> HubError:
        return garbled(self._host(), response.headers.get("content-type", "nothing"))


def _session() -> "tuple[str, httpx2.AsyncClient]":
    endpoint.check()
    import anyio
    from huggingface_hub import constants
    from huggingface_hub.utils import get_async_session

    anyio.run(anyio.sleep, 0)  # loads what httpx2 would load with the first request
    return constants.ENDPOINT.rstrip("/"), get_async_session()


def host_of(endpoint: str) -> str:
    """Returns host and port of an address, without a name and password in it."""
    return endpoint.partition("://")[2].rpartition("@")[2]


def refusal(
    response: "httpx2.Response", repo: str, endpoint: str, *, signed_in: bool
) -> HubError | None:
    """Returns the message for an answer that is none, by its status and the Hub's own code.

    Args:
        response: The answer.
        repo: The page of the repository that it is about, `OWNER/NAME` or `datasets/OWNER/NAME`;
            or "".
        endpoint: Of the Hub.
        signed_in: Whether a token was sent.
    """
    status, code = response.status_code, response.headers.get("x-error-code", "")
    if status < 400:
        return None
    if status == 429:
        return _limit(_wait_s(response.headers), signed_in)
    said = one_line(response.headers.get("x-error-message", ""), 200)
    if status in (401, 403) and (code == "GatedRepo" or "gated" in said.lower()):
        return gated(repo, endpoint, signed_in=signed_in)
    if status in (401, 403) and "credentials" in said.lower():
        return HubError(
            "token",
            "the Hub does not accept the token",
            said,
            "give another one with `hf auth login`, or unset HF_TOKEN",
        )
    host = response.url.netloc.decode("ascii", "replace")
    if status in (401, 403, 404) and response.history and not code and host != host_of(endpoint):
        return _elsewhere(repo, host_of(endpoint), f"{host}, which answered {status}")
    if status in (401, 403, 404):
        return missing(repo, code, signed_in=signed_in)
    return HubError(
        "server",
        "the Hub cannot answer now",
        f"{host} answered {status} {said or one_line(response.reason_phrase, 200)}",
        "try again in a minute, or use what is on this machine",
    )


def _elsewhere(repo: str, host: str, answered: str) -> HubError:
    """Returns the message for a refusal by the host that the Hub redirects to for large files."""
    return HubError(
        "elsewhere",
        f"the files of {repo} cannot be had",
        f"{host} sends on to {answered}",
        "let the proxy or firewall pass that host, and check this machine's clock: its addresses "
        "hold for a time only; then start it again",
    )


def unreachable(error: BaseException, host: str) -> HubError:
    """Returns the message for a connection that failed."""
    return HubError(
        "unreachable",
        "the Hub is not reachable",
        _cause(error, host),
        "check the connection and HF_ENDPOINT, or use what is on this machine",
    )


def garbled(host: str, kind: str) -> HubError:
    """Returns the message for an answer of another kind than the Hub gives."""
    return HubError(
        "garbled",
        "the answer is not the Hub's",
        f"{host} sent {one_line(kind, 60)} where data were asked for",
        "a proxy or a login page may stand between: check HF_ENDPOINT and the proxy",
    )


def gated(repo: str, endpoint: str, *, signed_in: bool) -> HubError:
    """Returns the message for a repository whose licence was not accepted."""
    why = "its licence must be accepted first"
    how = "" if signed_in else ", then give a token with `hf auth login` or HF_TOKEN"
    scheme = endpoint.partition("://")[0]
    remedy = f"open {scheme}://{host_of(endpoint)}/{repo} in a browser and accept it{how}"
    return HubError("gated", f"{_name(repo)} is gated", why, remedy)


def missing(repo: str, code: str, *, signed_in: bool) -> HubError:
    """Returns the message for what is not there, or hidden from this account."""
    if code == "RevisionNotFound":
        return HubError(
            "missing",
            f"{_name(repo)} has no such revision",
            "no branch, tag or commit has that name",
            "check the revision",
        )
    if code == "EntryNotFound":
        return HubError(
            "missing",
            f"{_name(repo)} has no such file",
            "the Hub does not know it",
            "check its name",
        )
    other = "this account may not see it" if signed_in else "it is private and no token is given"
    return HubError(
        "missing",
        f"{_name(repo)} is not on the Hub",
        f"there is none of that name, or {other}",
        "check the name; for a private one give a token with `hf auth login` or HF_TOKEN",
    )


def _name(repo: str) -> str:
    return repo.removeprefix("datasets/") or "the repository"


def _limit(wait_s: int, signed_in: bool) -> HubError:
    more = "" if signed_in else "; a token (`hf auth login`) raises the limit"
    return HubError(
        "limit",
        f"the Hub asks to wait {wait_s} s",
        "too many requests came from here",
        f"wait, or use what is on this machine{more}",
        wait_s,
    )


def _wait_s(headers: Mapping[str, str]) -> int:
    """Reads how long a limit lasts, from `RateLimit` (IETF draft) or `Retry-After`."""
    found = _WINDOW.search(headers.get("ratelimit", ""))
    if found is not None and found[2] == "0":
        return max(int(found[3]), 1)
    after = headers.get("retry-after", "").strip()
    return max(int(after), 1) if after.isdigit() else 60


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


def _cause(error: BaseException, host: str) -> str:
    """Returns why a connection failed, in the system's words where it has some."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return f"{host}: {one_line(seen.strerror, 200)}"
        seen = seen.__cause__ or seen.__context__
    return f"{host}: {one_line(str(error), 200) or type(error).__name__}"
