"""What data there is to choose from: of a folder, used lately, brought from the Hub, bundled.

Knows names and sizes; nothing is opened but small descriptions.
"""

import os
from pathlib import Path
from typing import Literal

import msgspec

from .. import demo
from ..hub.datasets import brought
from ..regular import read_small
from ..rundir import home, write_own
from .files import is_data

_MOST = 200
"""Entries that are listed of a folder: for more, a path is typed sooner than found."""
_LOOKED_AT = 300
"""Entries that are looked at within a folder, to say whether it holds data."""
_RECENT = 12
_SAVED = ("dataset_dict.json", "state.json")
_BUILT = {"node_modules", "build", "dist", "site-packages"}
"""Folders whose json files are no data."""


class Found(msgspec.Struct, frozen=True):
    """A source that can be chosen: `source` is what the configuration will say.

    `problem` says why it cannot be.
    """

    source: str
    name: str
    kind: Literal["file", "folder", "recent", "hub", "demo"]
    size: int | None = None
    config: str | None = None
    split: str = "train"
    problem: str = ""


class Choice(msgspec.Struct, frozen=True):
    """All that was found; `left_off` counts what a folder holds beyond the list."""

    found: list[Found]
    left_off: int = 0
    problem: str = ""


def choice(folder: Path) -> Choice:
    """Returns what there is: data of the folder first, then what was used lately, then the rest."""
    try:
        here, left_off, problem = *_here(folder), ""
    except OSError as error:
        here, left_off = [], 0
        problem = f"{folder} cannot be read ({error.strerror or error})"
    known = {found.source for found in here}
    late = [each for each in recent() if each.source not in known]
    hub = [
        Found(each.id, each.id, "hub", _size_of(each.paths(split)), each.config, split)
        for each in brought()
        for split in sorted(each.here(), key="train".__ne__)[:1]
    ]
    bundled = Found("demo", "demo", "demo", _size_of([demo.data_file("demo")]))
    return Choice([*here, *late, *hub, bundled], left_off, problem)


def _here(folder: Path) -> tuple[list[Found], int]:
    files: list[Found] = []
    folders: list[Found] = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = Path(entry.path)
            if is_data(path) and entry.is_file():
                files.append(_named(path, "file", _size_of([path])))
            elif not entry.name.startswith((".", "__")) and entry.is_dir():
                size = None if entry.name in _BUILT else _data_in(path)
                folders += [] if size is None else [_named(path, "folder", size)]
    every = [*files, *folders]
    return every[:_MOST], max(len(every) - _MOST, 0)


def _named(path: Path, kind: Literal["file", "folder"], size: int | None) -> Found:
    try:
        path.name.encode()
    except UnicodeEncodeError:  # no configuration can hold it
        name = os.fsencode(path.name).decode("utf-8", "replace")
        return Found(name, name, kind, size, problem="its name is not UTF-8: rename it")
    return Found(str(path.absolute()), path.name, kind, size)


def _data_in(folder: Path) -> int | None:
    """Returns the bytes of the data files of a folder and those in it; None where none is seen."""
    try:
        if any((folder / name).is_file() for name in _SAVED):
            return _size_of([path for path in folder.rglob("*.arrow")])
        seen, sizes = 0, list[int]()
        for place, folders, names in os.walk(folder):
            folders[:] = [each for each in sorted(folders) if not each.startswith((".", "__"))]
            if Path(place) != folder:
                folders.clear()
            seen += len(names)
            files = [Path(place, name) for name in names if is_data(Path(place, name))]
            sizes += [_size_of([path]) or 0 for path in files]
            if seen > _LOOKED_AT:
                break
    except OSError:  # not ours to read: it is not offered
        return None
    return sum(sizes) if sizes else None


def _size_of(paths: list[Path]) -> int | None:
    try:
        return sum(path.stat().st_size for path in paths)
    except OSError:  # it has just gone
        return None


def _recent_file() -> Path:
    return home() / "recent_data.json"


def recent() -> list[Found]:
    """Returns files and folders that were used lately and are still there, the newest first."""
    try:
        sources = msgspec.json.decode(read_small(_recent_file()), type=list[str])
    except (OSError, msgspec.DecodeError):  # nothing was used yet, or by another version
        return []
    found: list[Found] = []
    for source in sources:
        path = Path(source)
        if path.is_file():
            found.append(Found(source, path.name, "recent", _size_of([path])))
        elif path.is_dir():
            found.append(Found(source, path.name, "recent", _data_in(path)))
    return found


def remember(source: str) -> None:
    """Puts a path in front of those that were used lately.

    Raises:
        SftError: The folder cannot be written.
    """
    sources = [source, *(each.source for each in recent() if each.source != source)]
    write_own(_recent_file(), msgspec.json.encode(sources[:_RECENT]))
