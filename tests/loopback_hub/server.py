"""The server: two origins on the loopback interface, one application behind both."""

import asyncio
import re
import secrets
import socket
import threading
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from . import files, listing, push, viewer
from .access import HubError, account_of, answer_error
from .faults import Fault, LoggedRequest, Protocol, Wire
from .repos import Store

_BARE_NAME = re.compile(
    r"/api/(models|datasets)/[^/]+(/(revision|tree|refs|auth-check)\b.*)?"
    r"|/(datasets/)?[^/]+/resolve/.*"
)


def _nothing_here(request: Request) -> Response:
    """Answers what no route takes; a name without an owner, such as `gpt2`, is of no repository."""
    if _BARE_NAME.fullmatch(request.url.path):
        raise HubError(404 if account_of(request) else 401, "RepoNotFound", "Repository not found")
    raise HubError(404, None, f"Nothing is served at {request.url.path}")


class _Kind(Convertor[str]):
    """Matches the kinds that are served; a request about any other finds nothing."""

    regex = "models|datasets"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("kind", _Kind())

_API = "/api/{kind:kind}/{org}/{name}"
_ROUTES = [
    Route("/api/whoami-v2", listing.whoami),
    Route("/api/validate-yaml", push.validate_yaml, methods=["POST"]),
    Route("/api/repos/create", push.create_repo, methods=["POST"]),
    Route("/api/lfs-verify", push.verify_object, methods=["POST"]),
    Route("/api/{kind:kind}", listing.list_repos),
    Route(_API, listing.repo_info),
    Route(f"{_API}/revision/{{revision}}", listing.repo_info),
    Route(f"{_API}/tree/{{revision}}", listing.list_tree),
    Route(f"{_API}/tree/{{revision}}/{{path:path}}", listing.list_tree),
    Route(f"{_API}/paths-info/{{revision}}", listing.paths_info, methods=["POST"]),
    Route(f"{_API}/refs", listing.refs),
    Route(f"{_API}/commits/{{revision}}", listing.commits),
    Route(f"{_API}/safetensors-metadata/{{path:path}}", listing.safetensors_metadata),
    Route(f"{_API}/auth-check", listing.auth_check),
    Route(f"{_API}/auth-check/write", listing.auth_check),
    Route(f"{_API}/preupload/{{revision}}", push.preupload, methods=["POST"]),
    Route(f"{_API}/commit/{{revision}}", push.commit, methods=["POST"]),
    Route("/cdn/{kind:kind}/{org}/{name}/{sha256}", files.cdn),
    Route("/lfs/{oid}", push.put_object, methods=["PUT"]),
    Route("/lfs/{oid}", push.complete_object, methods=["POST"]),
    Route("/lfs/{oid}/{number}", push.put_object, methods=["PUT"]),
    *(Route(f"/{name}", answer) for name, answer in viewer.ROUTES.items()),
    Route("/{kind:kind}/{org}/{name}/info/lfs/objects/batch", push.lfs_batch, methods=["POST"]),
    Route("/{org}/{name}/info/lfs/objects/batch", push.lfs_batch, methods=["POST"]),
    Route("/{kind:kind}/{org}/{name}/resolve/{revision}/{path:path}", files.resolve),
    Route("/{org}/{name}/resolve/{revision}/{path:path}", files.resolve),
    Route("/{path:path}", _nothing_here),
]


class _Server(uvicorn.Server):
    """Ends within a moment where the original looks ten times a second whether it should."""

    async def main_loop(self) -> None:
        await self.on_tick(0)  # the date of each answer: that of the start
        while not self.should_exit:
            await asyncio.sleep(0.01)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        end = time.monotonic() + 2
        while self.server_state.connections or self.server_state.tasks:
            if time.monotonic() > end:
                for task in self.server_state.tasks:
                    task.cancel()
                break
            await asyncio.sleep(0.005)


class LoopbackHub:
    """A Hub on 127.0.0.1 for genuine clients whose `HF_ENDPOINT` is its `url`.

    Args:
        root: Holds the repositories, `{models,datasets}/{org}/{name}`, and what is pushed.
        accounts: The name of the account of each token. An account owns what is under its name.
        read_only: Tokens that may not push.
        port: Of the first origin; 0 takes a free one. It stays the same over a restart.
        lfs_bytes: Files of at least this size are LFS files, whatever their names.
        part_bytes: Larger LFS objects are uploaded in parts of this size.
        page_rows: The most rows of a page of a list or a tree.
        preview_bytes: The most bytes of rows that a preview of a data set holds uncut.

    Attributes:
        requests: Every request since the start, in the order they came.
        faults: Rules, of which the first that fits a request spoils it; change it at any time.
    """

    def __init__(
        self,
        root: Path | str,
        accounts: Mapping[str, str] | None = None,
        *,
        read_only: Collection[str] = (),
        port: int = 0,
        lfs_bytes: int = 10 << 20,
        part_bytes: int = 1 << 30,
        page_rows: int = 1000,
        preview_bytes: int = 1_000_000,
    ) -> None:
        self.root = Path(root)
        self.accounts = dict(accounts or {})
        self.read_only = read_only
        self.part_bytes, self.page_rows, self.preview_bytes = part_bytes, page_rows, preview_bytes
        self.store = Store(self.root, lfs_bytes)
        self.secret = secrets.token_hex(8)
        self.requests: list[LoggedRequest] = []
        self.faults: list[Fault] = []
        self._ports = [port, 0]
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._ports[0]}"

    @property
    def cdn_url(self) -> str:
        """The second origin: clients must not send it a token."""
        return f"http://127.0.0.1:{self._ports[1]}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when connections are taken.

        Raises:
            OSError: The port is taken.
        """
        sockets = [_listen(port) for port in self._ports]
        self._ports = [each.getsockname()[1] for each in sockets]
        self._stopping.clear()
        app = Starlette(routes=_ROUTES, exception_handlers={HubError: answer_error})
        app.state.hub = self
        wire = Wire(app, lambda: self.faults, self._log, self._stopping.is_set)
        self._server = _Server(
            uvicorn.Config(
                wire,
                http=Protocol,
                ws="none",
                lifespan="off",
                log_level="error",
                server_header=False,
                timeout_keep_alive=60,
            )
        )
        self._thread = threading.Thread(
            target=asyncio.run, args=(self._serve(sockets),), daemon=True
        )
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.002)

    def stop(self) -> None:
        """Cuts what is under way and refuses connections from then on; `start` serves again."""
        if self._thread is None:
            return
        self._stopping.set()
        self._server.should_exit = True
        self._thread.join()
        self._thread = None

    async def _serve(self, sockets: list[socket.socket]) -> None:
        serving = asyncio.create_task(self._server.serve(sockets))
        while not self._stopping.is_set() and not serving.done():
            await asyncio.sleep(0.02)
        for (_, server), transport in list(Protocol.open.items()):
            if server and server[1] in self._ports:
                transport.abort()
        await serving

    def _log(self, scope: Scope) -> LoggedRequest:
        headers = dict(Headers(scope=scope))
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if token:
            headers["authorization"] = "Bearer …"
        entry = LoggedRequest(
            origin="hub" if scope["server"][1] == self._ports[0] else "cdn",
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode(),
            headers=headers,
            account=self.accounts.get(token, "?") if token else None,
        )
        self.requests.append(entry)
        return entry


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    # A restart takes the same port while old connections still linger.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.close()
        raise
    return listener
