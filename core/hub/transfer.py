"""One file from the Hub into its cache, in pieces that outlive the process.

huggingface_hub begins a killed download anew. Here the part that came stays under the name of its
content, and the next attempt asks for the rest by an HTTP Range.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path
from urllib.parse import quote

from .endpoint import host_of
from .facts import File, Repo, address, page
from .failures import HubError, garbled, refusal, silent, unreachable
from .progress import Meter

_TRIES = 5
_LONGEST_WAIT_S = 300
_CLOSED = "the connection was closed early"
SILENT_S = 10.0
"""Seconds without a connection, or without a byte, after which it is tried again."""


def fetch_blob(
    file: File, repo: Repo, blobs: Path, endpoint: str, headers: Mapping[str, str], meter: Meter
) -> None:
    """Downloads a file whose content has a name; goes on where an earlier attempt ended.

    Args:
        file: What is wanted.
        repo: Where it is.
        blobs: The folder it goes to, under the name of its content; the part lies beside it.
        endpoint: Of the Hub.
        headers: Of the requests: who asks.
        meter: Told how many bytes come, and of waits between attempts.

    Raises:
        HubError: It cannot be had after several attempts; what came stays.
        OSError: It cannot be written.
    """
    target = blobs / file.content
    part = target.with_name(f"{target.name}.part")
    with _only_one(part) as content:
        if is_whole(target, file):  # another process brought it meanwhile
            meter.resumed(file.size)
            part.unlink(missing_ok=True)
            return
        transfer = _Transfer(content, file, repo, endpoint, headers, meter)
        meter.resumed(transfer.have)
        for second_look in (False, True):
            _until_whole(transfer, meter)
            if _digest(content, file) == file.content:
                break
            transfer.begin_anew()
            if second_look:
                raise HubError(
                    "garbled",
                    f"{file.path} of {repo.id} arrives damaged",
                    f"its {'SHA-256' if file.sha256 else 'git id'} is not the one that the Hub "
                    "names, twice",
                    "check the proxy between, and the disk",
                )
        os.fsync(content.fileno())
        os.replace(part, target)


def is_whole(path: Path, file: File) -> bool:
    """Says whether a file of the cache is there in its full size."""
    try:
        return path.stat().st_size == file.size
    except FileNotFoundError:
        return False


class _Transfer:
    """What is had of one file, and how to get more of it."""

    def __init__(
        self,
        content: BufferedRandom,
        file: File,
        repo: Repo,
        endpoint: str,
        headers: Mapping[str, str],
        meter: Meter,
    ) -> None:
        self._content = content
        self._address = f"{endpoint}/{address(repo)}/{quote(file.path)}"
        self._page = page(repo.id, repo.kind)
        self._endpoint = endpoint
        self._headers = headers
        self._meter = meter
        self.host = host_of(endpoint)
        self.size = file.size
        self.have = min(os.fstat(content.fileno()).st_size, file.size)

    def begin_anew(self) -> None:
        """Throws away what came."""
        self._meter.resumed(-self.have)
        self._content.truncate(0)
        self.have = 0

    def go_on(self) -> None:
        """Asks for what is missing, once.

        Raises:
            HubError: The Hub refuses.
            httpx2.HTTPError: The connection broke.
        """
        import httpx2
        from huggingface_hub.utils import get_session

        asked = {**self._headers, "Range": f"bytes={self.have}-", "Accept-Encoding": "identity"}
        limits = httpx2.Timeout(SILENT_S)
        with get_session().stream("GET", self._address, headers=asked, timeout=limits) as answer:
            signed_in = "authorization" in self._headers
            failure = refusal(answer, self._page, self._endpoint, signed_in=signed_in)
            if failure is not None:
                raise failure
            if answer.headers.get("content-type", "").startswith("text/html"):
                raise garbled(answer.url.netloc.decode("ascii", "replace"), "a web page")
            if answer.status_code != 206 and self.have:  # it gives the whole file
                self.begin_anew()
            self._content.seek(self.have)
            for piece in answer.iter_bytes():
                taken = piece[: self.size - self.have]
                self._content.write(taken)
                self.have += len(taken)
                self._meter.add(len(taken))


def _until_whole(transfer: _Transfer, meter: Meter) -> None:
    """Tries again while the connection breaks; an attempt that brought something does not count."""
    import httpx2

    tries = 0
    while transfer.have < transfer.size:
        before, error, wait, reason = transfer.have, None, 0, ""
        try:
            transfer.go_on()
        except httpx2.TimeoutException:
            error = silent(transfer.host, SILENT_S)
            reason = error.why
        except httpx2.HTTPError as broken:
            error = unreachable(broken, transfer.host)
            reason = error.why
        except HubError as refused:
            if refused.kind not in ("limit", "server"):
                raise
            error, wait, reason = refused, refused.wait_s or 0, refused.what
        tries = 1 if transfer.have > before else tries + 1
        if transfer.have >= transfer.size:
            return
        if tries >= _TRIES or wait > _LONGEST_WAIT_S:
            raise error or unreachable(ConnectionError(_CLOSED), transfer.host)
        wait = wait or min(2 ** (tries - 1), 30)
        meter.waiting(wait, reason or _CLOSED)
        time.sleep(wait)


def _digest(content: BufferedRandom, file: File) -> str:
    """Returns the name of what came: its SHA-256, or git's id for a small file."""
    content.flush()
    content.seek(0)
    if file.sha256:
        return hashlib.file_digest(content, "sha256").hexdigest()
    git = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
    git.update(content.read())
    return git.hexdigest()


@contextmanager
def _only_one(part: Path) -> Iterator[BufferedRandom]:
    """Opens the part for this process alone; another one that downloads it is waited for."""
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    with os.fdopen(descriptor, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
