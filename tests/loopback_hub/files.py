"""Bytes of files: small ones from the Hub itself, LFS files by 302 from another origin."""

import hashlib
import re
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .access import HubError, file_of, hub_of, let_in, part, seen_repo, tree_of
from .repos import HubFile

_CHUNK = 64 << 10
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class FileResponse(Response):
    """A file or the one range of it that was asked for, with its exact length and never packed."""

    def __init__(self, request: Request, file: HubFile, headers: dict[str, str]) -> None:
        self.file = file
        self.bounds = _range_of(request, file)
        start, end = self.bounds or (0, file.size)
        headers |= {"ETag": f'"{file.etag}"', "Accept-Ranges": "bytes"}
        if self.bounds:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
        super().__init__(None, 206 if self.bounds else 200, headers)
        # The base class wrote the length of its own empty body.
        self.headers["Content-Length"] = str(end - start)
        self.headers["Content-Type"] = "application/octet-stream"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start, end = self.bounds or (0, self.file.size)
        head = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **head})
        with self.file.place.open("rb") as source:
            source.seek(start)
            left = 0 if scope["method"] == "HEAD" else end - start
            while left > 0 and (chunk := source.read(min(left, _CHUNK))):
                left -= len(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _range_of(request: Request, file: HubFile) -> tuple[int, int] | None:
    """Returns the start and the end (one past the last byte) of a range; None for the whole file.

    Raises:
        HubError: 416, the range begins behind the end of the file.
    """
    match = _RANGE.fullmatch(request.headers.get("range", "").strip().lower())
    if not match or not any(match.groups()):
        return None
    if request.headers.get("if-range", f'"{file.etag}"') != f'"{file.etag}"':
        return None
    first, last = match.groups()
    start = int(first) if first else max(0, file.size - int(last))
    end = min(file.size, int(last) + 1) if first and last else file.size
    if start >= file.size or end <= start:
        error = HubError(416, None, "Range not satisfiable")
        error.headers["Content-Range"] = f"bytes */{file.size}"
        raise error
    return start, end


def resolve(request: Request) -> Response:
    """Answers `/{repo}/resolve/{revision}/{path}`."""
    repo = let_in(request, seen_repo(request))
    _, tree = tree_of(request, repo)
    file = file_of(tree, part(request, "path"))
    headers = {"X-Repo-Commit": tree.commit}
    if file.sha256 is None:
        return FileResponse(request, file, headers)
    headers |= {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(file.size)}
    headers["Location"] = (
        f"{hub_of(request).cdn_url}/cdn/{repo.kind}/{repo.id}/{file.sha256}"
        f"?filename={quote(file.path.split('/')[-1])}&Signature={_signature(request, file.sha256)}"
    )
    return Response(None, 302, headers)


def cdn(request: Request) -> Response:
    """Answers the signed addresses of LFS files, which know no accounts.

    A token that comes along is refused, as by an object store: it has leaked to another host.
    """
    sha256 = request.path_params["sha256"]
    if "authorization" in request.headers:
        raise HubError(400, None, "Only one auth mechanism allowed")
    if request.query_params.get("Signature") != _signature(request, sha256):
        raise HubError(403, None, "Access denied")
    repo_id = "/".join((part(request, "org"), part(request, "name")))
    repo = hub_of(request).store.find(request.path_params["kind"], repo_id)
    trees = [repo.tree(branch) for branch in repo.branches()] if repo else []
    for file in (file for tree in trees if tree for file in tree.files.values()):
        if file.sha256 == sha256:
            name = file.path.split("/")[-1]
            return FileResponse(
                request, file, {"Content-Disposition": f'inline; filename="{name}";'}
            )
    raise HubError(404, None, "No such object")


def _signature(request: Request, sha256: str) -> str:
    return hashlib.sha256(f"{hub_of(request).secret}{sha256}".encode()).hexdigest()[:16]
