"""Data sets of the Hub on this machine: which files each split has, once they were brought here.

What was found out on the Hub is kept in a small file, so that reading rows needs no connection
and no library but our own readers.
"""

import hashlib
from pathlib import Path

import msgspec

from ..regular import read_small
from ..rundir import home, make_folder, write_atomic


class Wanted(msgspec.Struct, frozen=True):
    """A split of a data set; `config` None is its default one."""

    id: str
    config: str | None
    split: str


class HubDataset(msgspec.Struct, frozen=True):
    """A data set at one commit: the files of each split below the folder of its snapshot."""

    id: str
    config: str | None
    commit: str
    folder: str
    splits: dict[str, list[str]]

    def paths(self, split: str) -> list[Path]:
        """Returns the files of a split."""
        return [Path(self.folder, name) for name in self.splits[split]]


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


def brought() -> list[HubDataset]:
    """Returns what is known of every data set that was brought here, sorted by id and config."""
    found: list[HubDataset] = []
    for path in sorted((home() / "datasets").glob("*.json")):
        try:
            found.append(msgspec.json.decode(read_small(path), type=HubDataset))
        except (OSError, msgspec.DecodeError):  # just removed, or by another version
            continue
    return sorted(found, key=lambda each: (each.id, each.config or ""))


def is_here(wanted: Wanted) -> bool:
    """Says whether the files of a split are on this machine."""
    found = known(wanted.id, wanted.config)
    if found is None or wanted.split not in found.splits:
        return False
    return all(path.is_file() for path in found.paths(wanted.split))


def _file(id: str, config: str | None) -> Path:
    name = f"{id}\0{config or ''}"
    return home() / "datasets" / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.json"
