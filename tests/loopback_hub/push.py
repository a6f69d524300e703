"""Routes by which clients write: create, preupload, LFS objects, commit.

LFS objects wait in `root/.lfs` until a commit names them. A commit is checked as a whole before
anything of it is written.
"""

import base64
import hashlib
import json
import math
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .access import HubError, hub_of, part, seen_repo, tree_of, writer_of
from .repos import Repo


async def create_repo(request: Request) -> Response:
    wanted = await request.json()
    account = writer_of(request)
    org = writer_of(request, wanted.get("organization") or account)
    kind, repo_id = f"{wanted.get('type') or 'model'}s", f"{org}/{wanted['name']}"
    store = hub_of(request).store
    answer = {"url": f"{hub_of(request).url}/{_prefix(kind)}{repo_id}", "name": repo_id}
    if store.find(kind, repo_id):
        error = f"You already created this {kind[:-1]} repo: {repo_id}"
        return JSONResponse(answer | {"error": error}, 409)
    store.create(kind, repo_id, wanted.get("visibility") == "private")
    return JSONResponse(answer)


def _prefix(kind: str) -> str:
    return "" if kind == "models" else f"{kind}/"


async def validate_yaml(request: Request) -> Response:
    """Answers `/api/validate-yaml`, which clients ask before they commit a README."""
    parts = (await request.json())["content"].split("---\n", 2)
    try:
        yaml.safe_load(parts[1] if len(parts) == 3 else "")
    except yaml.YAMLError as error:
        return JSONResponse({"errors": [{"message": str(error)}], "warnings": []}, 400)
    return JSONResponse({"errors": [], "warnings": []})


async def preupload(request: Request) -> Response:
    """Tells for each file whether it goes into the commit itself or to the LFS store."""
    repo = seen_repo(request)
    writer_of(request, repo.org)
    _, tree = tree_of(request, repo)
    rows: list[dict[str, Any]] = []
    for file in (await request.json())["files"]:
        mode = "lfs" if repo.store.is_lfs(file["path"], file["size"]) else "regular"
        row = {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}
        known = tree.files.get(file["path"])
        rows.append(row | ({"oid": known.etag} if known else {}))
    return JSONResponse({"files": rows, "commitOid": tree.commit})


async def lfs_batch(request: Request) -> Response:
    """Tells where each LFS object goes: by one PUT, or in parts from `part_bytes` on."""
    name = part(request, "name").removesuffix(".git")
    repo = seen_repo(request, repo_id=f"{part(request, 'org')}/{name}")
    writer_of(request, repo.org)
    hub = hub_of(request)
    objects: list[dict[str, Any]] = []
    for wanted in (await request.json())["objects"]:
        oid, size = wanted["oid"], wanted["size"]
        answer: dict[str, Any] = {"oid": oid, "size": size, "authenticated": True}
        if not (hub.root / ".lfs" / oid).is_file():
            upload: dict[str, Any] = {"href": f"{hub.cdn_url}/lfs/{oid}", "header": {}}
            if size > hub.part_bytes:
                numbers = range(1, math.ceil(size / hub.part_bytes) + 1)
                urls = {str(number): f"{hub.cdn_url}/lfs/{oid}/{number}" for number in numbers}
                upload["header"] = {"chunk_size": str(hub.part_bytes), **urls}
            verify = {"href": f"{hub.url}/api/lfs-verify", "header": {}}
            answer["actions"] = {"upload": upload, "verify": verify}
        objects.append(answer)
    return JSONResponse({"transfer": "basic", "objects": objects})


def _object_place(request: Request) -> Path:
    folder = hub_of(request).root / ".lfs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / request.path_params["oid"]


def _keep(request: Request, staged: Path) -> None:
    """Takes an object into the store.

    Raises:
        HubError: 400, it is not the content that its oid names.
    """
    oid = request.path_params["oid"]
    if hashlib.sha256(staged.read_bytes()).hexdigest() != oid:
        staged.unlink()
        raise HubError(400, None, f"The content is not that of {oid}")
    staged.rename(_object_place(request))


async def put_object(request: Request) -> Response:
    """Takes an LFS object, or one part of it."""
    number = request.path_params.get("number")
    staged = _object_place(request).with_suffix(f".{number or 'whole'}")
    digest = hashlib.md5(usedforsecurity=False)
    with staged.open("wb") as target:
        async for chunk in request.stream():
            digest.update(chunk)
            target.write(chunk)
    if number is None:
        _keep(request, staged)
    return Response(headers={"ETag": f'"{digest.hexdigest()}"'})


async def complete_object(request: Request) -> Response:
    """Joins the parts of an LFS object."""
    place = _object_place(request)
    staged = place.with_suffix(".whole")
    numbers = sorted(row["partNumber"] for row in (await request.json())["parts"])
    with staged.open("wb") as target:
        for number in numbers:
            piece = place.with_suffix(f".{number}")
            target.write(piece.read_bytes())
            piece.unlink()
    _keep(request, staged)
    return Response()


async def verify_object(request: Request) -> Response:
    wanted = await request.json()
    place = hub_of(request).root / ".lfs" / PurePosixPath(wanted["oid"]).name
    if not place.is_file() or place.stat().st_size != wanted["size"]:
        raise HubError(404, None, f"No object {wanted['oid']} of {wanted['size']} bytes")
    return JSONResponse({})


async def commit(request: Request) -> Response:
    """Applies the lines of a commit to a branch of the tree on the disk."""
    lines = [json.loads(line) for line in (await request.body()).splitlines() if line.strip()]
    repo = seen_repo(request)
    writer_of(request, repo.org)
    if request.query_params.get("create_pr"):
        raise HubError(400, None, "Pull requests are not served here")
    with repo.store.writing:
        revision, tree = tree_of(request, repo)
        parent = lines[0]["value"].get("parentCommit", tree.commit)
        if revision not in repo.branches() or parent != tree.commit:
            raise HubError(412, None, f"{parent} is not the last commit of a branch {revision}")
        changes = {}
        for line in lines[1:]:
            changes |= _planned(request, repo, [*tree.files], line["key"], line["value"])
        _apply(repo.branches()[revision], changes)
        repo.touch()
        _, tree = tree_of(request, repo)
    url = f"{hub_of(request).url}/{_prefix(repo.kind)}{repo.id}/commit/{tree.commit}"
    return JSONResponse({"success": True, "commitOid": tree.commit, "commitUrl": url})


def _planned(
    request: Request, repo: Repo, known: list[str], key: str, value: dict[str, Any]
) -> dict[str, bytes | Path | None]:
    """Returns by path what one line of a commit writes: bytes, a file's copy, or None, nothing.

    Raises:
        HubError: It leads out of the repository, or names an object that was never uploaded.
    """
    path = PurePosixPath(value["path"])
    if path.is_absolute() or ".." in path.parts or path.parts[0].startswith((".hub", ".revisions")):
        raise HubError(400, None, f"{path} is no path of a repository")
    if key == "file":
        return {str(path): base64.b64decode(value["content"])}
    if key == "lfsFile":
        place = hub_of(request).root / ".lfs" / PurePosixPath(value["oid"]).name
        if not place.is_file():
            raise HubError(400, None, f"No LFS object {value['oid']} was uploaded for {path}")
        return {str(path): place}
    gone = [name for name in known if name == str(path) or name.startswith(f"{path}/")]
    if not gone:
        raise HubError(404, "EntryNotFound", "A file with this name doesn't exist")
    return dict.fromkeys(gone)


def _apply(folder: Path, changes: dict[str, bytes | Path | None]) -> None:
    for path, content in changes.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            place.unlink()
        elif isinstance(content, Path):
            shutil.copyfile(content, place)
        else:
            place.write_bytes(content)
