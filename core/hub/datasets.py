"""Data sets of the Hub on this machine: which files each split has, once they were brought here.

What was found out on the Hub is kept in a small file, so that reading rows needs no connection
and no library but our own readers. The files themselves lie in the Hub's cache.
"""

import hashlib
from pathlib import Path

import msgspec

from ..regular import read_small
from ..rundir import home, make_folder, write_atomic
from .local import repo_folder


class Wanted(msgspec.Struct, frozen=True):
    """A split of a data set; `config` None is its default one."""

    id: str
    config: str | None
    split: str


class HubDataset(msgspec.Struct, frozen=True):
    """A data set at one commit, and the files of each split. Some splits may not be here."""

    id: str
    config: str | None
    commit: str
    splits: dict[str, list[str]]

    @property
    def folder(self) -> Path:
        """The folder of the snapshot, in the cache that is in use now."""
        return repo_folder(self.id, "dataset") / "snapshots" / self.commit

    def paths(self, split: str) -> list[Path]:
        """Returns the files of a split."""
        return [self.folder / name for name in self.splits[split]]

    def here(self) -> list[str]:
        """Returns the splits whose files are all on this machine."""
        return [name for name in self.splits if all(path.is_file() for path in self.paths(name))]


def known(id: str, config: str | None) -> HubDataset | None:
    """Returns what is known of a data set, or None where it was never brought here."""
    try:
        return msgspec.json.decode(read_small(_file(id, config)), type=HubDataset)
    except (OSError, msgspec.DecodeError):  # never written, or by another version
        return None


def keep(found: HubDataset) -> None:
    """Writes down what is known of a data set.

    Raises:
        SftError: The folder cannot be written.
    """
    path = _file(found.id, found.config)
    make_folder(path.parent)
    write_atomic(path, msgspec.json.encode(found))


def is_here(wanted: Wanted) -> bool:
    """Says whether the files of a split are on this machine."""
    found = known(wanted.id, wanted.config)
    return found is not None and wanted.split in found.here()


def _file(id: str, config: str | None) -> Path:
    name = f"{id}\0{config or ''}"
    return home() / "datasets" / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.json"
