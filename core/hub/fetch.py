"""Brings a repository's files into the Hub's cache. As a process of its own it tells in JSON.

Usage: python -P -m sft_tui.core.hub.fetch REQUEST, where REQUEST is the JSON of a `Request`. Prints
one `Event` per line and ends with 2 where it failed. It may be killed at any time and goes on from
there the next time; without a reader it ends by itself.
"""

import asyncio
import errno
import fnmatch
import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import msgspec

from ..errors import DiskFull, SftError
from . import facts, local, tokens
from .child import run
from .client import HubClient
from .failures import HubError
from .progress import Event, Meter, snapshot_done
from .transfer import fetch_blob, is_whole

MODEL_FILES = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model", "*.jinja")
"""What a model needs, at the top of its repository. Python files are never among them."""
TOKENIZER_FILES = ("*tokenizer*.json", "*.model", "vocab*", "merges*", "special_tokens*",
                   "added_tokens*", "chat_template*", "config.json")  # fmt: skip
"""What a tokenizer needs of it."""
_AT_ONCE = 4
_SPARE_BYTES = 64 << 20


class Request(msgspec.Struct, frozen=True):
    """What is to be had. `paths` are patterns; without them, what a model needs."""

    id: str
    kind: Literal["model", "dataset"] = "model"
    revision: str = "main"
    paths: tuple[str, ...] = ()


def fetch(request: Request, tell: Callable[[Event], None]) -> Path:
    """Downloads what is missing of a repository.

    With the Hub switched off by HF_HUB_OFFLINE, a model that is whole in the cache is as good.

    Returns:
        The folder of the snapshot, in the cache of huggingface_hub.

    Raises:
        HubError: The Hub does not give it.
        SftError: It cannot be written.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE and (whole := _whole_model(request)) is not None:
        return whole
    headers = tokens.headers()
    try:
        found = asyncio.run(_look(request))
        wanted = chosen(found.files, request)
        folder = Path(constants.HF_HUB_CACHE) / f"{request.kind}s--{'--'.join(found.id.split('/'))}"
        blobs = folder / "blobs"
        blobs.mkdir(parents=True, exist_ok=True)
        missing = _missing(wanted, folder / "snapshots" / found.commit)
        absent = [file for file in missing if not is_whole(blobs / file.content, file)]
        _check_space(blobs, [file for file in absent if file.sha256])
        with Meter(tell, sum(f.size for f in missing), len(missing)) as meter:
            _bring(absent, found, blobs, headers, meter)
            snapshot = _link(missing, folder, found.commit, request.revision)
            meter.finish()
        return snapshot
    except OSError as error:
        raise unwritable(error, request.id) from error


def unwritable(error: OSError, id: str) -> SftError:
    """Returns the message for a cache of the Hub that cannot be written."""
    from huggingface_hub import constants

    why = f"{error.strerror or error}: {error.filename or constants.HF_HUB_CACHE}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(
            f"the disk is full while downloading {id}",
            why,
            "free space, or set HF_HOME to a larger disk; the next try goes on from here",
        )
    return SftError(
        f"{id} cannot be downloaded",
        why,
        "check that the folder is mounted writable and belongs to you, or set HF_HOME to another",
    )


def _whole_model(request: Request) -> Path | None:
    if request.kind != "model" or request.paths:
        return None
    cached = local.snapshot(request.id, request.revision)
    return cached if cached is not None and local.why_unusable(cached) is None else None


async def _look(request: Request) -> facts.Repo:
    try:
        async with HubClient() as client:
            found, _ = await facts.repo(
                client, request.id, kind=request.kind, revision=request.revision
            )
            return found
    except HubError as error:
        if error.kind != "offline" or request.revision == "main":
            raise
        what = f"{request.id} at the revision {request.revision} is not on this machine"
        raise HubError(error.kind, what, error.why, error.remedy) from error


def chosen(every: list[facts.File], request: Request) -> list[facts.File]:
    """Returns the files that are needed.

    Raises:
        HubError: There are none.
    """
    if request.paths:
        found = [f for f in every if any(fnmatch.fnmatchcase(f.path, p) for p in request.paths)]
    else:
        top = [file for file in every if "/" not in file.path]
        found = [f for f in top if any(fnmatch.fnmatchcase(f.path, p) for p in MODEL_FILES)]
    weights = [file.path for file in found if file.path.endswith(".safetensors")]
    if not request.paths and len(weights) > 1:
        # Mistral's repositories hold the weights a second time, in its own library's form.
        found = [file for file in found if not file.path.startswith("consolidated")]
    if not found or (not request.paths and not weights):
        others = sorted({Path(f.path).suffix for f in every} & {".bin", ".gguf", ".pt", ".pth"})
        raise HubError(
            "missing",
            f"{request.id} has nothing that can be used",
            f"no file matches {', '.join(request.paths)}"
            if request.paths
            else "it has no safetensors" + (f", only {', '.join(others)}" if others else ""),
            "choose another repository or revision",
        )
    if not all(file.content for file in found):
        raise HubError(
            "garbled",
            f"{request.id} cannot be downloaded",
            "the Hub does not name the content of every file",
            "check HF_ENDPOINT, and try again",
        )
    return found


def _missing(wanted: list[facts.File], snapshot: Path) -> list[facts.File]:
    """Returns the files that are not there whole; what is there of them leaves the cache."""
    missing = [file for file in wanted if not is_whole(snapshot / file.path, file)]
    for file in missing:
        path = snapshot / file.path
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    return missing


def _check_space(folder: Path, files: list[facts.File]) -> None:
    needed = sum(f.size - _part_bytes(folder, f) for f in files)
    free = shutil.disk_usage(folder).free
    if files and needed + _SPARE_BYTES > free:
        raise SftError(
            "the download does not fit on the disk",
            f"it needs {_amount(needed)} and {_amount(_SPARE_BYTES)} in reserve, and "
            f"{_amount(free)} are free in {folder}",
            "free space, or set HF_HOME to a larger disk",
        )


def _amount(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 1 << 30 else f"{count / 2**20:.1f} MiB"


def _part_bytes(folder: Path, file: facts.File) -> int:
    part = folder / f"{file.sha256}.part"
    return part.stat().st_size if part.exists() else 0


def _bring(
    files: list[facts.File], repo: facts.Repo, blobs: Path, headers: dict[str, str], meter: Meter
) -> None:
    """Downloads files side by side; the first failure ends all."""
    from huggingface_hub import constants

    endpoint = constants.ENDPOINT.rstrip("/")

    def one(file: facts.File) -> None:
        fetch_blob(file, repo, blobs, endpoint, headers, meter)
        meter.file_done()

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        tasks = [pool.submit(one, file) for file in files]
        try:
            for task in tasks:
                task.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _link(files: list[facts.File], folder: Path, commit: str, revision: str) -> Path:
    """Makes the snapshot of what came, as huggingface_hub does: links to contents, and a branch.

    Returns:
        The folder of the snapshot.
    """
    snapshot, copied = folder / "snapshots" / commit, set[Path]()
    snapshot.mkdir(parents=True, exist_ok=True)
    for file in files:
        path, blob = snapshot / file.path, folder / "blobs" / file.content
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            new.symlink_to(os.path.relpath(blob, path.parent))
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
                raise
            shutil.copyfile(blob, new)  # a file system without links
            copied.add(blob)
        os.replace(new, path)
    for blob in copied:
        blob.unlink()
    branch = folder / "refs" / revision
    if revision != commit and branch.resolve().is_relative_to((folder / "refs").resolve()):
        branch.parent.mkdir(parents=True, exist_ok=True)
        new = branch.with_name(f".{branch.name}.{os.getpid()}")
        new.write_text(commit)
        os.replace(new, branch)
    return snapshot


def literal(path: str) -> str:
    """Returns a pattern that matches this path alone."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)


def main(arguments: list[str]) -> int:
    """Downloads what is asked for and tells how it goes."""
    request = msgspec.json.decode(arguments[0], type=Request)
    return run(lambda tell: snapshot_done(fetch(request, tell)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
