"""What one repository is: its files, and what a model's configuration says, before any weight.

The headers of safetensors files are read by ranges.
"""

import asyncio
import re
from typing import Any, cast
from urllib.parse import quote

import msgspec

from ..errors import UsageError
from ..safetensors_header import header_length, parse_header
from . import search
from .client import HubClient
from .failures import HubError

_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")
_COMMIT, _SHA256 = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")
_FIRST_BYTES = 100_000
_SMALL = 4 << 20
_AT_ONCE = 4


class File(msgspec.Struct, frozen=True):
    """A file of a repository; `sha256` where it lies in large-file storage, else git's `blob`."""

    path: str
    size: int
    sha256: str | None
    blob: str | None = None

    @property
    def content(self) -> str:
        """The name of its content, and of the file that holds it in the Hub's cache."""
        return self.sha256 or self.blob or ""


class Repo(msgspec.Struct, frozen=True):
    """A model or data set at one commit."""

    id: str
    kind: str
    """`model` or `dataset`."""
    commit: str
    gated: bool
    files: list[File]
    card: dict[str, Any]
    """The front matter of its README."""

    def file(self, path: str) -> File | None:
        """Returns the file of that path."""
        return next((file for file in self.files if file.path == path), None)


class Model(msgspec.Struct, frozen=True):
    """A model: what its list row says, and its configuration."""

    row: search.ModelRow
    repo: Repo
    config: dict[str, Any]
    chat_template: bool
    remote_code: list[str]
    """Python files that it brings. They are never run: transformers' own class is used, or none."""
    base_model: str | None
    adapter: bool = False
    """Whether it holds an adapter and no model."""


def checked_id(id: str) -> str:
    """Returns an id as the Hub writes it, `owner/name`.

    Raises:
        UsageError: It is none.
    """
    if not _ID.fullmatch(id) or ".." in id or "--" in id:
        raise UsageError(
            f"{id!r} is no name on the Hub", "it must be owner/name", "such as Qwen/Qwen3-0.6B"
        )
    return id


async def repo(
    client: HubClient, id: str, *, kind: str = "model", revision: str = "main"
) -> tuple[Repo, dict[str, Any]]:
    """Returns a repository and what the Hub says of it, with one request.

    Raises:
        HubError: It is not there, hidden, or the Hub does not answer.
        UsageError: The id is none.
    """
    path = f"/api/{kind}s/{checked_id(id)}/revision/{quote(revision, safe='')}"
    answer = await client.json(path, {"blobs": "true"}, repo=page(id, kind))
    said = cast(dict[str, Any], answer.value) if isinstance(answer.value, dict) else {}
    commit = said.get("sha")
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise HubError("garbled", f"{id} cannot be read", "the Hub names no commit", "try again")
    card = said.get("cardData")
    return (
        Repo(
            id=id,
            kind=kind,
            commit=commit,
            gated=bool(said.get("gated")),
            files=_files(said.get("siblings")),
            card=cast(dict[str, Any], card) if isinstance(card, dict) else {},
        ),
        said,
    )


async def model(client: HubClient, id: str, *, revision: str = "main") -> Model:
    """Returns the facts of a model: two small requests, three for an adapter.

    Raises:
        HubError: It is not there, gated, or the Hub does not answer.
    """
    found, said = await repo(client, id, revision=revision)
    config = await _config(client, found, "config.json")
    adapter = {} if config else await _config(client, found, "adapter_config.json")
    named = adapter.get("base_model_name_or_path")
    return Model(
        row=search.model_row({**said, "id": id}),
        repo=found,
        config=config,
        chat_template=_has_template(found, said),
        remote_code=_remote_code(found, config),
        base_model=named if isinstance(named, str) and named else _base_model(found.card),
        adapter=bool(adapter),
    )


async def _config(client: HubClient, found: Repo, path: str) -> dict[str, Any]:
    """Returns a JSON object of a repository, {} where it has none of that name."""
    file = found.file(path)
    if file is None or file.size > _SMALL:
        return {}
    return _json(await client.part(address(found), path, 0, file.size), found.id, path)


async def headers(client: HubClient, found: Repo) -> dict[str, dict[str, Any]]:
    """Returns the header of every safetensors file at the top of a repository, by its path.

    Raises:
        HubError: One cannot be had, or is none.
    """
    limit = asyncio.Semaphore(_AT_ONCE)

    async def one(file: File) -> dict[str, Any]:
        async with limit:
            return await _header(client, found, file)

    files = [f for f in found.files if f.path.endswith(".safetensors") and "/" not in f.path]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {file.path: group.create_task(one(file)) for file in files}
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return {path: task.result() for path, task in tasks.items()}


async def _header(client: HubClient, found: Repo, file: File) -> dict[str, Any]:
    origin, end = f"{found.id}/{file.path}", min(_FIRST_BYTES, file.size)
    head = await client.part(address(found), file.path, 0, end) if file.size else b""
    length = header_length(head, origin)
    if len(head) < length + 8 <= file.size:
        head += await client.part(address(found), file.path, len(head), length + 8)
    return parse_header(head[8:], length, origin)


def page(id: str, kind: str) -> str:
    """Returns the page of a repository, behind the Hub's endpoint."""
    return id if kind == "model" else f"{kind}s/{id}"


def address(found: Repo) -> str:
    """Returns where the files of a repository lie, behind the Hub's endpoint."""
    return f"{page(found.id, found.kind)}/resolve/{found.commit}"


def _json(content: bytes, id: str, path: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HubError(
            "garbled", f"{id} cannot be read", f"{path} is not JSON", "choose another model"
        ) from error


def _files(siblings: Any) -> list[File]:
    files: list[File] = []
    for entry in cast(list[Any], siblings) if isinstance(siblings, list) else []:
        if not isinstance(entry, dict):
            continue
        fields = cast(dict[str, Any], entry)
        path, size, lfs = fields.get("rfilename"), fields.get("size"), fields.get("lfs")
        if isinstance(path, str) and not path.startswith("/") and ".." not in path.split("/"):
            sha = cast(dict[str, Any], lfs).get("sha256") if isinstance(lfs, dict) else None
            blob = fields.get("blobId")
            own = blob if isinstance(blob, str) and _COMMIT.fullmatch(blob) and not sha else None
            sha = sha if isinstance(sha, str) and _SHA256.fullmatch(sha) else None
            files.append(File(path, size if isinstance(size, int) else 0, sha, own))
    return files


def _has_template(found: Repo, said: dict[str, Any]) -> bool:
    if any(file.path.startswith("chat_template.") for file in found.files):
        return True
    config = said.get("config")
    facts = cast(dict[str, Any], config).get("tokenizer_config") if isinstance(config, dict) else 0
    return isinstance(facts, dict) and bool(cast(dict[str, Any], facts).get("chat_template"))


def _remote_code(found: Repo, config: dict[str, Any]) -> list[str]:
    if not isinstance(config.get("auto_map"), dict):
        return []
    return [file.path for file in found.files if file.path.endswith(".py")]


def _base_model(card: dict[str, Any]) -> str | None:
    named = card.get("base_model")
    first = cast(list[Any], named)[0] if isinstance(named, list) and named else named
    return first if isinstance(first, str) else None
