"""Who may see and read what, and how the Hub says no. Knows requests, and nothing of contents."""

from typing import TYPE_CHECKING
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .repos import HubFile, Repo, Tree

if TYPE_CHECKING:
    from .server import LoopbackHub


class HubError(Exception):
    """An answer that clients turn into an exception by its `X-Error-Code`."""

    def __init__(self, status: int, code: str | None, message: str, commit: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.headers = {"X-Error-Message": message}
        if code:
            self.headers["X-Error-Code"] = code
        if commit:
            self.headers["X-Repo-Commit"] = commit


def answer_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HubError)
    return JSONResponse({"error": str(error)}, error.status, error.headers)


def hub_of(request: Request) -> "LoopbackHub":
    return request.app.state.hub


def part(request: Request, name: str) -> str:
    """Returns a part of the path, unquoted: paths come here as they were sent."""
    return unquote(request.path_params[name])


def account_of(request: Request) -> str | None:
    """Returns the name of the account whose token came; None if none came.

    Raises:
        HubError: 401, the token is of no account.
    """
    sent = request.headers.get("authorization")
    if sent is None:
        return None
    name = hub_of(request).accounts.get(sent.removeprefix("Bearer "))
    if name is None:
        raise HubError(401, None, "Invalid credentials in Authorization header")
    return name


def has_access(repo: Repo, account: str | None) -> bool:
    """Returns whether an account owns a repository or was let in."""
    return account is not None and account in (repo.org, *repo.facts()["accounts"])


def is_visible(repo: Repo, account: str | None) -> bool:
    return not repo.facts()["private"] or has_access(repo, account)


def seen_repo(request: Request, kind: str | None = None, repo_id: str | None = None) -> Repo:
    """Returns the repository that a request names, gated or not.

    Raises:
        HubError: RepoNotFound, as 404 or, as the Hub does without a token, as 401: there is none,
            or it is private and the account has no access.
    """
    kind = kind or str(request.path_params.get("kind", "models"))
    repo_id = repo_id or "/".join((part(request, "org"), part(request, "name")))
    account = account_of(request)
    repo = hub_of(request).store.find(kind, repo_id)
    if repo is None or not is_visible(repo, account):
        raise HubError(404 if account else 401, "RepoNotFound", "Repository not found")
    return repo


def let_in(request: Request, repo: Repo) -> Repo:
    """Returns a repository whose files the account may read.

    Raises:
        HubError: GatedRepo, 401 without a token and 403 with one of an account without access.
    """
    account = account_of(request)
    if not repo.facts()["gated"] or has_access(repo, account):
        return repo
    start = f"Access to {repo.kind[:-1]} {repo.id} is restricted"
    if account is None:
        message = f"{start}. You must have access to it and be authenticated to access it."
        raise HubError(401, "GatedRepo", f"{message} Please log in.")
    raise HubError(403, "GatedRepo", f"{start} and you are not in the authorized list.")


def writer_of(request: Request, org: str | None = None) -> str:
    """Returns the account that may write under an organization, by default under its own name.

    Raises:
        HubError: 401 without a token, 403 with one that may only read or is someone else's.
    """
    account = account_of(request)
    if account is None:
        raise HubError(401, None, "Invalid username or password.")
    token = request.headers["authorization"].removeprefix("Bearer ")
    if token in hub_of(request).read_only or org not in (None, account):
        raise HubError(403, None, f"You don't have the rights to write under {org or account}")
    return account


def tree_of(request: Request, repo: Repo) -> tuple[str, Tree]:
    """Returns the revision that a request asks for, by default `main`, and its tree.

    Raises:
        HubError: RevisionNotFound.
    """
    revision = unquote(request.path_params.get("revision", "main"))
    tree = repo.tree(revision)
    if tree is None:
        raise HubError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
    return revision, tree


def file_of(tree: Tree, path: str) -> HubFile:
    """Returns a file of a tree.

    Raises:
        HubError: EntryNotFound, with the commit, by which clients remember the absence.
    """
    if path not in tree.files:
        raise HubError(404, "EntryNotFound", "Entry not found", tree.commit)
    return tree.files[path]
