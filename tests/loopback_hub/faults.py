"""What can go wrong on the wire, as rules; and the log of what came and what was answered.

Knows connections and bytes, and nothing of repositories.
"""

import asyncio
import re
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

Kind = Literal[
    "status", "hang", "close", "close_mid_body", "truncate", "slow", "wrong_bytes", "html", "delay"
]

PROXY_PAGE = "<html><head><title>Sign in</title></head><body>Sign in to the network</body></html>"
_FLIPPED = bytes(255 - byte for byte in range(256))


@dataclass
class Fault:
    """A rule: what goes wrong with the requests that it fits.

    Kinds: `status` answers with `status`, `headers` and `body`; `html` with a proxy's page and
    200; `delay` answers after `seconds`; `slow` sends `rate` bytes per second; `close` closes
    without an answer. These keep the true Content-Length and go wrong from byte `after` on:
    `truncate` ends the connection in order, `close_mid_body` resets it, `wrong_bytes` sends other
    bytes. `hang` sends nothing for `seconds` (until the stop if None), then closes; with `after`
    it sends as many bytes first.
    """

    kind: Kind
    path: str = ""
    """A regular expression that is searched in the path as it was sent; "" fits all.

    LFS files come from paths that begin with `/cdn/`.
    """
    method: str | None = None
    """Such as GET; None fits all, HEAD too."""
    times: int | None = 1
    """How many requests it spoils; None spoils all."""
    skip: int = 0
    """How many fitting requests pass before the first is spoilt."""
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    seconds: float | None = None
    after: int | None = None
    """A number of bytes of the body; None is half of it, and for `hang` none at all."""
    rate: int = 10_000

    def takes(self, method: str, path: str) -> bool:
        """Returns whether it spoils this request, and counts it."""
        if self.times == 0 or self.method not in (None, method) or not re.search(self.path, path):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times = None if self.times is None else self.times - 1
        return True


def rate_limited(
    path: str = "", seconds: int = 1, times: int | None = 1, bucket: str = "api"
) -> Fault:
    """Returns a rule that answers 429 as the Hub does, to be asked again in some seconds."""
    headers = {
        "RateLimit": f'"{bucket}";r=0;t={seconds}',
        "RateLimit-Policy": f'"fixed window";"{bucket}";q=500;w=300',
        "Retry-After": str(seconds),
    }
    return Fault("status", path, times=times, status=429, headers=headers, body="Too Many Requests")


@dataclass
class LoggedRequest:
    """A request as it came, and its answer as far as it has gone.

    Attributes:
        origin: `hub`, or `cdn` for the second origin, which serves LFS files.
        headers: With lower-case names; of the token only that there was one.
        account: Whose token came; "?" for an unknown token, None without one.
        status: None until the answer begins.
        sent: Bytes of the body that were handed to the network.
        fault: The kind of the rule that spoilt it.
    """

    origin: str
    method: str
    path: str
    query: str
    headers: dict[str, str]
    account: str | None
    status: int | None = None
    sent: int = 0
    fault: Kind | None = None


Ends = tuple[tuple[str, int] | None, tuple[str, int | None] | None]
"""Both ends of a connection: the client's and the server's address and port."""


class Protocol(H11Protocol):
    """Remembers each connection, which ASGI hides, so that a fault can cut it."""

    open: dict[Ends, asyncio.Transport] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.ends: Ends = (self.client, self.server)
        self.open[self.ends] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.open.pop(self.ends, None)
        super().connection_lost(exc)


class _Cut(Exception):
    """The connection has gone; nothing more can be sent."""


class Line:
    """One answer's way to the client, spoilt by a fault."""

    def __init__(
        self, entry: LoggedRequest, send: Send, ends: Ends, stopping: Callable[[], bool]
    ) -> None:
        self.entry, self.ends, self.stopping = entry, ends, stopping
        self._send = send

    async def send(self, message: Message) -> None:
        """Sends and counts.

        Raises:
            _Cut: The client has gone, or the server stops.
        """
        transport = Protocol.open.get(self.ends)
        if transport is None or transport.is_closing() or self.stopping():
            raise _Cut
        if message["type"] == "http.response.start":
            self.entry.status = message["status"]
        elif self.entry.method != "HEAD":
            self.entry.sent += len(message.get("body", b""))
        await self._send(message)

    async def wait(self, seconds: float | None) -> None:
        """Waits, at most until the server stops or the client has gone."""
        clock = asyncio.get_running_loop().time
        end = None if seconds is None else clock() + seconds
        while not self.stopping() and self.ends in Protocol.open and (not end or clock() < end):
            await asyncio.sleep(0.01)

    async def cut(self, reset: bool = False) -> None:
        """Ends the connection, in order after what was sent, or by a reset.

        Raises:
            _Cut: Always.
        """
        if transport := Protocol.open.get(self.ends):
            if reset:
                await asyncio.sleep(0.05)  # so that what was sent is read before the reset
                _reset(transport)
            else:
                transport.close()
            while self.ends in Protocol.open and not self.stopping():
                await asyncio.sleep(0.005)
        raise _Cut

    def spoilt(self, fault: Fault) -> Send:
        """Returns a way to send whose body goes wrong."""
        passed, limit = 0, fault.after

        async def send(message: Message) -> None:
            nonlocal passed, limit
            if message["type"] == "http.response.start":
                length = int(Headers(raw=message["headers"]).get("content-length", 0))
                limit = length // 2 if limit is None else limit
                await self.send(message)
                return
            assert limit is not None
            body: bytes = message.get("body", b"")
            good, bad = body[: max(0, limit - passed)], body[max(0, limit - passed) :]
            passed += len(body)
            if fault.kind == "slow":
                await self._drip(message, fault.rate)
            elif fault.kind == "wrong_bytes":
                await self.send({**message, "body": good + bad.translate(_FLIPPED)})
            elif not bad:
                await self.send(message)
            else:
                await self.send({**message, "body": good, "more_body": True})
                if fault.kind == "hang":
                    await self.wait(fault.seconds)
                await self.cut(reset=fault.kind == "close_mid_body")

        return send

    async def _drip(self, message: Message, rate: int) -> None:
        """Sends a body in ten pieces a second."""
        body, step = message.get("body", b""), max(1, rate // 10)
        for start in range(0, len(body), step):
            piece = body[start : start + step]
            await self.send({**message, "body": piece, "more_body": True})
            await self.wait(len(piece) / rate)
        await self.send({**message, "body": b""})


def _reset(transport: asyncio.Transport) -> None:
    # With a linger of zero seconds the kernel sends RST where it would send FIN.
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


class Wire:
    """The outermost ASGI layer: logs each request and spoils those that a fault fits.

    Hands the path on as it was sent: routes must see `refs%2Fpr%2F1` as one part.
    """

    def __init__(
        self,
        app: ASGIApp,
        faults: Callable[[], list[Fault]],
        log: Callable[[Scope], LoggedRequest],
        stopping: Callable[[], bool],
    ) -> None:
        self.app, self.faults, self.log, self.stopping = app, faults, log, stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["path"] = scope["raw_path"].decode("ascii")
        entry = self.log(scope)
        line = Line(entry, send, (scope["client"], scope["server"]), self.stopping)
        fault = next((f for f in self.faults() if f.takes(entry.method, entry.path)), None)
        entry.fault = fault.kind if fault else None
        try:
            if fault:
                await self._spoil(fault, line, scope, receive)
            else:
                await self.app(scope, receive, line.send)
        except (_Cut, ClientDisconnect):
            pass

    async def _spoil(self, fault: Fault, line: Line, scope: Scope, receive: Receive) -> None:
        match fault.kind:
            case "status":
                answer = Response(fault.body, fault.status, fault.headers, "text/plain")
                await answer(scope, receive, line.send)
            case "html":
                await HTMLResponse(PROXY_PAGE)(scope, receive, line.send)
            case "delay":
                await line.wait(fault.seconds)
                await self.app(scope, receive, line.send)
            case "close":
                await line.cut()
            case "hang" if fault.after is None:
                await line.wait(fault.seconds)
                await line.cut()
            case _:
                await self.app(scope, receive, line.spoilt(fault))
