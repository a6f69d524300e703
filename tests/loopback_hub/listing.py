"""Routes that tell what there is: lists, repositories, trees, branches, accounts."""

import base64
import re
from collections.abc import Sequence
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from . import facts
from .access import (
    HubError,
    account_of,
    hub_of,
    is_visible,
    let_in,
    part,
    seen_repo,
    tree_of,
    writer_of,
)
from .repos import HubFile, Repo, Tree

_SORTS = ("trendingScore", "downloads", "likes", "lastModified", "createdAt")
_IN_LISTS = {
    "models": "createdAt downloads library_name likes pipeline_tag private tags trendingScore",
    "datasets": "author createdAt description disabled downloads gated lastModified likes private "
    "sha tags trendingScore",
}
_IN_INFO = {
    kind: [
        name
        for name in properties
        if name not in ("downloadsAllTime", "resourceGroup", "trendingScore")
    ]
    for kind, properties in facts.PROPERTIES.items()
}
_POWERS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


def _is_true(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() in ("true", "1")


def _paged(
    request: Request, rows: Sequence[Any], most: int
) -> tuple[Sequence[Any], dict[str, str]]:
    """Cuts one page out of rows, with the `Link` header that leads to the next one."""
    cursor = request.query_params.get("cursor", "")
    start = int(base64.urlsafe_b64decode(cursor)) if cursor else 0
    end = start + min(int(request.query_params.get("limit") or most), most)
    if end >= len(rows):
        return rows[start:], {}
    url = request.url.include_query_params(cursor=base64.urlsafe_b64encode(b"%d" % end).decode())
    return rows[start:end], {"Link": f'<{url}>; rel="next"'}


def _expanded(request: Request, kind: str) -> list[str]:
    """Returns the properties that a request wants by name.

    Raises:
        HubError: 400, one is unknown.
    """
    names = request.query_params.getlist("expand")
    if unknown := {*names} - {*facts.PROPERTIES[kind]}:
        raise HubError(400, None, f"Invalid expand: {', '.join(sorted(unknown))}")
    return names


def _in_bounds(bounds: str, total: int | None) -> bool:
    """Returns whether a count is in bounds such as `min:600M,max:4B`."""
    if total is None:
        return False
    for side, number, power in re.findall(r"(min|max):([\d.]+)([KMBT]?)", bounds):
        bound = float(number) * _POWERS[power]
        if total < bound if side == "min" else total > bound:
            return False
    return True


def _matches(request: Request, repo: Repo, tree: Tree) -> bool:
    """Returns whether a repository fits all filters of a list request."""
    query = request.query_params
    words = " ".join(query.getlist("search")).lower().split()
    tests = [word in repo.id.lower() for word in words]
    tests += [repo.org == author for author in query.getlist("author")]
    if "gated" in query:
        tests.append(bool(repo.facts()["gated"]) is _is_true(request, "gated"))
    if not all(tests):
        return False  # what follows reads files
    if wanted := [*query.getlist("filter"), *query.getlist("pipeline_tag")]:
        tests.append({*wanted} <= {*facts.tags(repo, tree)})
    if bounds := query.get("num_parameters"):
        found = facts.safetensors(tree) or facts.gguf(tree)
        tests.append(_in_bounds(bounds, found["total"] if found else None))
    return all(tests)


def list_repos(request: Request) -> Response:
    """Answers `/api/models` and `/api/datasets`."""
    kind = request.path_params["kind"]
    sort = request.query_params.get("sort", "trendingScore")
    if sort not in _SORTS:
        raise HubError(400, None, f"Invalid sort: {sort}")
    names = _expanded(request, kind) or _IN_LISTS[kind].split()
    if _is_true(request, "full"):
        names += ["author", "gated", "lastModified", "sha", "siblings"]
    names += [name for name in ("cardData", "config") if _is_true(request, name)]
    hub, account = hub_of(request), account_of(request)
    seen = [repo for repo in hub.store.repos(kind) if is_visible(repo, account)]
    forest = [(repo, tree) for repo in seen if (tree := repo.tree())]
    found = [(repo, tree) for repo, tree in forest if _matches(request, repo, tree)]
    found.sort(key=lambda each: facts.PROPERTIES[kind][sort](*each), reverse=True)
    page, headers = _paged(request, found, hub.page_rows)
    rows = [facts.describe(repo, tree, names) for repo, tree in page]
    return JSONResponse(rows, headers=headers)


def repo_info(request: Request) -> Response:
    """Answers `/api/{kind}/{repo}`, also at a revision; gated repositories are described too."""
    repo = seen_repo(request)
    _, tree = tree_of(request, repo)
    if names := _expanded(request, repo.kind):
        return JSONResponse(facts.describe(repo, tree, names))
    row = facts.describe(repo, tree, _IN_INFO[repo.kind])
    return JSONResponse(row | {"siblings": facts.siblings(tree, _is_true(request, "blobs"))})


def _row(path: str, entry: HubFile | str, repo: Repo, tree: Tree, expand: bool) -> dict[str, Any]:
    """Returns the row of a file, or of a folder of which only the oid is given."""
    if isinstance(entry, str):
        row: dict[str, Any] = {"type": "directory", "oid": entry, "size": 0, "path": path}
    else:
        row = {"type": "file", "oid": entry.oid, "size": entry.size, "path": path}
        row |= facts.lfs(entry, "oid")
    if expand:
        commit = {"id": tree.commit, "title": "Upload", "date": repo.facts()["lastModified"]}
        row["lastCommit"] = commit
    return row


def list_tree(request: Request) -> Response:
    """Answers `/tree/{revision}/{path}`: a folder, with all below it if it is asked for so."""
    repo = seen_repo(request)
    _, tree = tree_of(request, repo)
    path = part(request, "path").strip("/") if "path" in request.path_params else ""
    entries = {**tree.folders(), **tree.files}
    if path and not isinstance(entries.get(path), str):
        raise HubError(404, "EntryNotFound", f"{path} does not exist on this revision", tree.commit)
    inside = sorted(name for name in entries if name.startswith(f"{path}/" if path else ""))
    if not _is_true(request, "recursive"):
        inside = [
            name for name in inside if name.count("/") == (path.count("/") + 1 if path else 0)
        ]
    expand = _is_true(request, "expand")
    most = min(50, hub_of(request).page_rows) if expand else hub_of(request).page_rows
    page, headers = _paged(request, inside, most)
    rows = [_row(name, entries[name], repo, tree, expand) for name in page]
    return JSONResponse(rows, headers=headers)


async def paths_info(request: Request) -> Response:
    """Answers the form `/paths-info/{revision}`; paths that do not exist are left out."""
    repo = seen_repo(request)
    _, tree = tree_of(request, repo)
    form: FormData = await request.form()
    entries = {**tree.folders(), **tree.files}
    paths = [str(path).strip("/") for path in form.getlist("paths")]
    expand = str(form.get("expand", "")).lower() == "true"
    rows = [_row(path, entries[path], repo, tree, expand) for path in paths if path in entries]
    return JSONResponse(rows)


def refs(request: Request) -> Response:
    repo = seen_repo(request)
    known: dict[str, list[dict[str, str]]] = {
        name: [] for name in ("branches", "converts", "tags", "pullRequests")
    }
    for name in repo.branches():
        group = "pullRequests" if name.startswith("refs/pr/") else "branches"
        tree = repo.tree(name)
        assert tree is not None
        ref = name if name.startswith("refs/") else f"refs/heads/{name}"
        known[group].append({"name": name, "ref": ref, "targetCommit": tree.commit})
    return JSONResponse(known)


def commits(request: Request) -> Response:
    """Answers `/commits/{revision}` with the one commit there is."""
    repo = seen_repo(request)
    _, tree = tree_of(request, repo)
    when = repo.facts()["lastModified"]
    authors = [{"user": repo.org}]
    row = {"id": tree.commit, "title": "Upload", "message": "", "date": when, "authors": authors}
    return JSONResponse([row])


def safetensors_metadata(request: Request) -> Response:
    """Answers `/safetensors-metadata/{index}` with the headers of all shards."""
    repo = let_in(request, seen_repo(request))
    _, tree = tree_of(request, repo)
    index = facts.read_json(tree, part(request, "path"))
    shards = sorted({*index.get("weight_map", {}).values()})
    if not shards:
        raise HubError(404, "EntryNotFound", "Entry not found", tree.commit)
    try:
        headers = {path: facts.safetensors_header(tree.files[path]) for path in shards}
    except (KeyError, ValueError) as error:
        raise HubError(400, None, f"A shard cannot be read: {error}") from None
    return JSONResponse({"index": {"metadata": index.get("metadata", {})}, "headers": headers})


def whoami(request: Request) -> Response:
    name = account_of(request)
    if name is None:
        raise HubError(401, None, "Invalid username or password.")
    token = request.headers["authorization"].removeprefix("Bearer ")
    role = "read" if token in hub_of(request).read_only else "write"
    auth = {"type": "access_token", "accessToken": {"displayName": "loopback", "role": role}}
    return JSONResponse(
        {"type": "user", "id": name, "name": name, "fullname": name, "orgs": [], "auth": auth}
    )


def auth_check(request: Request) -> Response:
    repo = let_in(request, seen_repo(request))
    if request.url.path.endswith("/write"):
        writer_of(request, repo.org)
    return JSONResponse({"ok": True})
