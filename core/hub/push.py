"""Puts a folder on the Hub: looked at first, then pushed as one commit by a child process.

Usage: python -P -m sft_tui.core.hub.push REQUEST, where REQUEST is the JSON of a `Request`. Until
the commit, which is the last request, nothing of an upload can be seen on the Hub.
"""

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from ..errors import SftError, UsageError
from ..rundir import explain_os_error
from ..text import one_line
from . import facts, tokens
from .child import Events, Tell, events, run
from .client import HubClient
from .endpoint import host_of
from .failures import HubError, garbled, refusal, unreachable
from .progress import Event, Meter

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

UNCHANGED = "nothing changed; nothing was pushed"
"""The reason of a `done` of a push whose files are all on the Hub already."""
_SIGN_IN = "sign in with `hf auth login`, or set HF_TOKEN to a token that may write"


class Request(msgspec.Struct, frozen=True):
    """What is pushed where. `public` counts only where the repository is made by this."""

    id: str
    folder: str
    public: bool = False
    message: str = "Upload with sft-tui"


class Destination(msgspec.Struct, frozen=True):
    """A repository as it is before a push."""

    id: str
    url: str
    account: str
    exists: bool
    private: bool
    """Who will see what is pushed: of an existing repository, as it is now."""
    files: dict[str, int]
    """What is there already, with its bytes."""


class Plan(msgspec.Struct, frozen=True):
    """What a push would do."""

    to: Destination
    files: dict[str, int]

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(self.files.values())

    @property
    def overwritten(self) -> list[str]:
        """Files of the repository that are replaced."""
        return sorted(self.files.keys() & self.to.files.keys())

    @property
    def kept(self) -> list[str]:
        """Other files of the repository, which stay as they are."""
        own = {".gitattributes"}
        return sorted(self.to.files.keys() - self.files.keys() - own)


def checked_target(id: str) -> str:
    """Returns the name of a repository that can be pushed to.

    Raises:
        UsageError: It is none.
    """
    owner, slash, name = facts.checked_id(id).partition("/")
    if not slash or name.endswith((".git", "-", ".")) or owner.endswith(("-", ".")):
        raise UsageError(
            f"{id!r} is no name for a repository",
            "it must be owner/name, without .git, - or . at the end",
            "such as alice/my-adapter",
        )
    return id


async def look(
    id: str, *, public: bool = False, tell: Callable[[str], None] | None = None
) -> Destination:
    """Returns what a push to a repository would meet; changes nothing.

    Args:
        id: The repository.
        public: Who shall see it, where it is made.
        tell: Told where the Hub takes long to answer.

    Raises:
        UsageError: The name cannot be used.
        HubError: Nobody is signed in, the account may not write there, or the Hub cannot be asked.
    """
    checked_target(id)
    if tokens.read() is None:
        raise HubError("token", "nobody is signed in to the Hub", "no token was found", _SIGN_IN)
    async with HubClient(tell) as client:
        said = cast(dict[str, Any], (await client.json("/api/whoami-v2")).value)
        account = _writer(said, id)
        try:
            found, row = await facts.repo(client, id)
        except HubError as error:
            if error.kind != "missing":
                raise
            return Destination(id, f"{client.endpoint}/{id}", account, False, not public, {})
        files = {file.path: file.size for file in found.files}
        private = bool(row.get("private"))
        return Destination(id, f"{client.endpoint}/{id}", account, True, private, files)


def _writer(said: dict[str, Any], id: str) -> str:
    """Returns the account's name.

    Raises:
        HubError: Its token may only read, or the owner is neither it nor an organisation of it.
    """
    account, owner = one_line(str(said.get("name"))), id.partition("/")[0]
    auth = cast(dict[str, Any], said.get("auth") or {})
    role = cast(dict[str, Any], auth.get("accessToken") or {}).get("role")
    if role == "read":
        raise _read_only()
    groups = cast(list[dict[str, Any]], said.get("orgs") or [])
    owners = [account, *(str(group.get("name")) for group in groups)]
    # A fine-grained token need not see the organisations that it may write to.
    if role != "fineGrained" and owner not in owners:
        raise HubError(
            "forbidden",
            f"{account} may not push under {owner}",
            f"{owner} is neither this account nor an organisation of it",
            f"choose a name under {' or '.join(map(one_line, owners[:4]))}",
        )
    return account


def _read_only() -> HubError:
    return HubError(
        "forbidden",
        "the token may only read",
        "a push needs one that may write",
        "make a token with the role write, and sign in with `hf auth login`",
    )


def plan(folder: Path, to: Destination) -> Plan:
    """Returns what a push of a folder would do."""
    return Plan(to, {name: path.stat().st_size for name, path in _files(folder).items()})


def _files(folder: Path) -> dict[str, Path]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in found}


def push(request: Request) -> Events:
    """Pushes in a child process and yields how it goes; the last event, `done`, has the commit.

    Leaving the iteration, or cancelling it, ends the process at once.

    Raises:
        HubError: It failed.
    """
    again = "push again: what was uploaded already is not sent twice"
    return events("sft_tui.core.hub.push", request, f"the push to {request.id}", again)


def upload(request: Request, tell: Tell) -> Event:
    """Makes the repository where it is missing, and uploads the folder as one commit.

    Raises:
        HubError: The Hub refuses or cannot be reached.
        SftError: The folder cannot be read.
    """
    import httpx2
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    token = tokens.read()
    if token is None:
        raise HubError("token", "nobody is signed in to the Hub", "no token was found", _SIGN_IN)
    api = HfApi(token=token)
    host = host_of(constants.ENDPOINT)
    try:
        files = _files(Path(request.folder))
        meter = Meter(tell, sum(path.stat().st_size for path in files.values()), len(files))
        api.create_repo(request.id, private=not request.public, exist_ok=True)
        before = api.repo_info(request.id).sha
        operations = [_counted(name, path, meter) for name, path in files.items()]
        done = api.create_commit(request.id, operations, commit_message=request.message)
        meter.finish()
        return Event(
            "done",
            folder=f"{constants.ENDPOINT}/{request.id}",
            commit=done.oid,
            reason=UNCHANGED if done.oid == before else "",
        )
    except Exception as error:
        cause = error
        while type(cause) is RuntimeError and isinstance(cause.__cause__, Exception):
            cause = cause.__cause__  # what huggingface_hub makes of a failed file
        if isinstance(cause, HfHubHTTPError):
            raise _refused(cause, request.id, constants.ENDPOINT) from error
        if isinstance(cause, httpx2.HTTPError):
            failed = unreachable(cause, host)
            raise HubError(failed.kind, failed.what, failed.why, _again(request.id)) from error
        if isinstance(cause, OSError):
            raise explain_os_error(cause, f"pushing to {request.id}") from error
        if isinstance(cause, json.JSONDecodeError | KeyError):
            raise garbled(host, "something else") from error
        if isinstance(cause, ValueError):  # a model card that the Hub does not take
            why = one_line(str(cause), 300)
            raise SftError(f"{request.id} was not pushed", why, "mend README.md") from error
        raise


def _again(id: str) -> str:
    return f"push again when the Hub answers: in {id} an upload is seen whole or not at all"


def _refused(error: Any, id: str, endpoint: str) -> HubError:
    """Returns the message for an answer that is none, to somebody who wants to write."""
    status = error.response.status_code
    if status == 403:
        said = one_line(str(error.server_message or error.response.reason_phrase), 200)
        return HubError(
            "forbidden",
            f"the token may not write to {id}",
            said,
            "sign in as an account that may, or choose a name of your own",
        )
    known = refusal(error.response, id, endpoint, signed_in=True)
    if known is None:  # an answer that says yes and is none
        return garbled(host_of(endpoint), "something else")
    remedy = _again(id) if known.kind in ("server", "limit") else known.remedy
    return HubError(known.kind, known.what, known.why, remedy, known.wait_s)


def _counted(name: str, path: Path, meter: Meter) -> "CommitOperationAdd":
    """Returns a file of the commit that tells the meter what is sent of it."""
    from huggingface_hub import CommitOperationAdd

    class Counted(CommitOperationAdd):
        @contextmanager
        def as_file(self, with_tqdm: bool = False) -> Iterator[Any]:
            # `with_tqdm` is set where the file is sent, and not where it is hashed.
            with super().as_file() as file:
                yield _Counting(cast(io.BufferedReader, file), meter) if with_tqdm else file
            if with_tqdm:
                meter.file_done()

    return Counted(path_in_repo=name, path_or_fileobj=path)


class _Counting(io.BufferedIOBase):
    """A file that tells the meter how far it was read; reading again takes back."""

    def __init__(self, file: io.BufferedReader, meter: Meter) -> None:
        self._file, self._meter, self._told = file, meter, 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = self._file.read(size)
        self._tell_position()
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def _tell_position(self) -> None:
        position = self._file.tell()
        self._meter.add(position - self._told)
        self._told = position


def main(arguments: list[str]) -> int:
    """Pushes what is asked for and tells how it goes."""
    os.environ["HF_HUB_DISABLE_XET"] = "1"  # before huggingface_hub is imported
    request = msgspec.json.decode(arguments[0], type=Request)
    return run(lambda tell: upload(request, tell))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
