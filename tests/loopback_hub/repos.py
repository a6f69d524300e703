"""Repositories as folders: their files with true git and LFS oids, commits and stated facts.

Knows the disk, and nothing of HTTP or of who asks. Everything is read anew when it is asked for,
so a test may edit a folder while the server runs; only hashes are kept, by time and size of a file.
"""

import fnmatch
import hashlib
import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

FACTS = ".hub.json"
REVISIONS = ".revisions"
"""Holds further branches of a repository, each a folder named by its quoted revision."""

LFS_PATTERNS = ("*.safetensors", "*.gguf", "*.parquet", "*.bin")

_STATED = {
    "downloads": 0,
    "likes": 0,
    "trendingScore": 0,
    "gated": False,
    "private": False,
    "disabled": False,
    "pipeline_tag": None,
    "library_name": None,
    "tags": [],
    "lastModified": "2026-01-01T00:00:00.000Z",
    "accounts": [],
}


@dataclass(frozen=True)
class HubFile:
    """A file of a repository, as git would store it.

    Attributes:
        path: Its path in the repository, with `/`.
        place: Where its bytes lie on this disk.
        oid: The git-sha1 of the blob; of the pointer's text for an LFS file.
        sha256: Of the content of an LFS file; None for a file in git itself.
        pointer: Bytes of the pointer's text; 0 for a file in git itself.
    """

    path: str
    place: Path
    size: int
    oid: str
    sha256: str | None
    pointer: int

    @property
    def etag(self) -> str:
        return self.sha256 or self.oid


@dataclass(frozen=True)
class Tree:
    """What one revision of a repository holds, by path."""

    commit: str
    files: dict[str, HubFile]

    def folders(self) -> dict[str, str]:
        """Returns each folder's path with an oid that follows from the files inside."""
        inside: dict[str, list[str]] = {}
        for path, file in self.files.items():
            for parent in list(Path(path).parents)[:-1]:
                inside.setdefault(parent.as_posix(), []).append(f"{path} {file.oid}")
        return {path: sha1("\n".join(lines).encode()) for path, lines in inside.items()}


@dataclass(frozen=True)
class Repo:
    """A repository: `kind` is models or datasets, `id` is `org/name`."""

    kind: str
    id: str
    folder: Path
    store: "Store" = field(repr=False)

    @property
    def org(self) -> str:
        return self.id.split("/")[0]

    def facts(self) -> dict[str, Any]:
        """Returns what `.hub.json` states, with the Hub's defaults for what it does not."""
        place = self.folder / FACTS
        return {**_STATED, **(json.loads(place.read_text()) if place.is_file() else {})}

    def branches(self) -> dict[str, Path]:
        """Returns the folder of each branch by its name; `main` comes first."""
        others = sorted((self.folder / REVISIONS).glob("*/"))
        return {"main": self.folder, **{unquote(other.name): other for other in others}}

    def tree(self, revision: str = "main") -> Tree | None:
        """Returns the tree of a branch or of a branch's current commit; None without such one.

        Commits of the past are not kept: after a push their hashes are unknown.
        """
        branches = self.branches()
        if folder := branches.get(revision):
            return self.store.scan(folder)
        trees = (self.store.scan(folder) for folder in branches.values())
        return next((tree for tree in trees if tree.commit == revision), None)

    def touch(self) -> None:
        """States that the repository changed now, as a push does."""
        stated = {**self.facts(), "lastModified": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}.000Z"}
        (self.folder / FACTS).write_text(json.dumps(stated, indent=1))


class Store:
    """The repositories under a folder `root/{models,datasets}/{org}/{name}`.

    Args:
        root: The folder; it may be empty, and need not hold `models` or `datasets`.
        lfs_bytes: A file of at least this size is an LFS file, whatever its name.
    """

    def __init__(self, root: Path, lfs_bytes: int) -> None:
        self.root = root
        self.lfs_bytes = lfs_bytes
        self.writing = threading.Lock()
        self._hashes: dict[Path, tuple[tuple[int, int], tuple[str, str]]] = {}

    def repos(self, kind: str) -> list[Repo]:
        folders = sorted((self.root / kind).glob("*/*/"))
        return [Repo(kind, f"{place.parent.name}/{place.name}", place, self) for place in folders]

    def find(self, kind: str, repo_id: str) -> Repo | None:
        return next((repo for repo in self.repos(kind) if repo.id == repo_id), None)

    def create(self, kind: str, repo_id: str, private: bool) -> Repo:
        repo = Repo(kind, repo_id, self.root / kind / repo_id, self)
        repo.folder.mkdir(parents=True)
        (repo.folder / FACTS).write_text(json.dumps({"private": private}))
        repo.touch()
        return repo

    def is_lfs(self, path: str, size: int) -> bool:
        """Returns whether the Hub would keep a file outside of git; never an empty one."""
        by_name = any(fnmatch.fnmatch(path, pattern) for pattern in LFS_PATTERNS)
        return size > 0 and (by_name or size >= self.lfs_bytes)

    def scan(self, folder: Path) -> Tree:
        """Reads a folder as a tree; its commit follows from its content alone."""
        files: dict[str, HubFile] = {}
        for place in sorted(folder.rglob("*")):
            path = place.relative_to(folder)
            if path.parts[0] not in (FACTS, REVISIONS) and place.is_file():
                files[path.as_posix()] = self._file(path.as_posix(), place)
        lines = [f"{path} {file.oid}" for path, file in files.items()]
        return Tree(sha1("\n".join([folder.name, *lines]).encode()), files)

    def _file(self, path: str, place: Path) -> HubFile:
        size = place.stat().st_size
        git_oid, sha256 = self._hashed(place)
        if not self.is_lfs(path, size):
            return HubFile(path, place, size, git_oid, None, 0)
        # What git holds in place of an LFS file; its blob is what the tree names.
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
        oid = sha1(f"blob {len(pointer)}\0{pointer}".encode())
        return HubFile(path, place, size, oid, sha256, len(pointer))

    def _hashed(self, place: Path) -> tuple[str, str]:
        """Returns the git oid and the sha256 of a file's content."""
        status = place.stat()
        version = (status.st_mtime_ns, status.st_size)
        known = self._hashes.get(place)
        if known is None or known[0] != version:
            git = hashlib.sha1(b"blob %d\0" % status.st_size, usedforsecurity=False)
            sha256 = hashlib.sha256()
            with place.open("rb") as source:
                while chunk := source.read(1 << 20):
                    git.update(chunk)
                    sha256.update(chunk)
            known = version, (git.hexdigest(), sha256.hexdigest())
            self._hashes[place] = known
        return known[1]


def sha1(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()
