"""Data sets of the Hub on this machine: which files each split has, once they were brought here.

What was found out on the Hub is kept in a small file, so that reading rows needs no connection
and no library but our own readers. The files themselves lie in the Hub's cache.
"""

import hashlib
import re
from pathlib import Path

import msgspec

from ..regular import read_small
from ..rundir import home, write_own
from .local import repo_folder

_AT_COMMIT = re.compile(r"(.+)@([0-9a-f]{40})")


class Wanted(msgspec.Struct, frozen=True):
    """A split of a data set.

    `config` None is its default one; `commit` None is the one that is here, else the newest.
    """

    id: str
    config: str | None
    split: str
    commit: str | None = None


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


def split_of(source: str, config: str | None, split: str) -> Wanted:
    """Returns a split of `OWNER/NAME` or `OWNER/NAME@COMMIT`."""
    found = _AT_COMMIT.fullmatch(source)
    return Wanted(id_of(source), config, split, found[2] if found else None)


def id_of(source: str) -> str:
    """Returns `OWNER/NAME` of `OWNER/NAME@COMMIT`, and any other text as it is."""
    found = _AT_COMMIT.fullmatch(source)
    return found[1] if found else source


def known(id: str, config: str | None, commit: str | None = None) -> HubDataset | None:
    """Returns what is known of a data set, or None where it was never brought here.

    Args:
        id: The data set.
        config: One of its configs.
        commit: None is the one that is meant where none is named.
    """
    every = map(_read, (_file(id, config), _file(id, config, commit)))
    return next((found for found in every if found and commit in (None, found.commit)), None)


def here(id: str) -> list[HubDataset]:
    """Returns the configs of a data set of which splits are on this machine."""
    every = map(_read, sorted((home() / "datasets").glob("*.json")))
    return [found for found in every if found and found.id == id and found.here()]


def keep(found: HubDataset) -> None:
    """Writes down what is known of a data set at a commit.

    Raises:
        SftError: The folder cannot be written.
    """
    write_own(_file(found.id, found.config, found.commit), msgspec.json.encode(found))


def prefer(found: HubDataset) -> None:
    """Lets a commit of a data set be the one that is meant where none is named.

    Raises:
        SftError: The folder cannot be written.
    """
    write_own(_file(found.id, found.config), msgspec.json.encode(found))


def brought() -> list[HubDataset]:
    """Returns every data set of which splits are on this machine, sorted by id and config."""
    every = map(_read, sorted((home() / "datasets").glob("*.json")))
    found = [each for each in every if each and each.here()]
    return sorted(found, key=lambda each: (each.id, each.config or ""))


def is_here(wanted: Wanted) -> bool:
    """Says whether the files of a split are on this machine."""
    found = known(wanted.id, wanted.config, wanted.commit)
    return found is not None and wanted.split in found.here()


def _read(path: Path) -> HubDataset | None:
    try:
        return msgspec.json.decode(read_small(path), type=HubDataset)
    except (OSError, msgspec.DecodeError):  # never written, or by another version
        return None


def _file(id: str, config: str | None, commit: str | None = None) -> Path:
    digest = hashlib.sha256(f"{id}\0{config or ''}".encode()).hexdigest()[:24]
    return home() / "datasets" / (f"{digest}/{commit}.json" if commit else f"{digest}.json")
