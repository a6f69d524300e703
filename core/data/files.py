"""Finds the files of a source: a file, a folder of files, a saved data set, or the demo."""

import json
import os
import re
from pathlib import Path

import msgspec

from .. import demo
from ..errors import DataError
from ..hub.datasets import HubDataset, Wanted, is_here, known, split_of
from . import split_slice
from .split_slice import Slice

KINDS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".arrow": "arrow",
}
_FORMATS = "json, jsonl, csv, parquet or arrow"
_GIVE = f"give a {_FORMATS} file, a folder of them, or `demo`"
_NOT_DATA = {
    "config.json",
    "dataset_info.json",
    "dataset_infos.json",
    "dataset_dict.json",
    "state.json",
}
_MOST_FILES = 20_000
"""Entries looked at in a folder; more is a home directory given by mistake."""

# The words and separators by which `datasets` tells the split of a file from its name.
_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_APART = r"[-._ 0-9]"
_SHARD = re.compile(r"data/([^/]+)-\d{5}-of-\d{5}[^/]*\.[^/]*")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[0-9a-f]{40})?")


class Files(msgspec.Struct, frozen=True):
    """The files of one split, in reading order, and which of their rows are wanted."""

    paths: tuple[Path, ...]
    split: str
    slice: Slice
    root: Path
    """The folder or file that was named."""


def kind_of(path: Path) -> tuple[str, bool]:
    """Returns the kind of a file by its ending ("" for an unknown one), and whether it is packed.

    Only text formats are packed: parquet and arrow compress by themselves.
    """
    endings = [ending.lower() for ending in path.suffixes]
    packed = bool(endings) and endings.pop() == ".gz"
    if not packed:
        endings = [path.suffix.lower()]
    kind = KINDS.get(endings[-1], "") if endings else ""
    return ("", True) if packed and kind in ("parquet", "arrow") else (kind, packed)


def is_hub_id(source: str) -> bool:
    """Says whether a source is `OWNER/NAME` or `OWNER/NAME@COMMIT` on the Hub, and no path."""
    path = Path(source)
    try:
        here = path.exists() or path.parent.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False
    return bool(_HUB_ID.fullmatch(source)) and not kind_of(path)[0] and not here


def check(source: str) -> None:
    """Looks whether a source is there, as far as names go; one of the Hub may come later.

    Raises:
        DataError: There is no such source, or a folder holds no data.
    """
    if is_hub_id(source):
        return
    path = _existing(source)
    if path.is_dir():
        _splits(path)


def locate(source: str, split: str = "train", config: str | None = None) -> Files:
    """Finds the files of a source's split.

    Args:
        source: A file, a folder, `demo` or `demo:heldout`, or a data set of the Hub that was
            brought to this machine.
        split: A split, or a part of one such as `train[:100]`. A single file is `train`.
        config: Of a data set of the Hub.

    Raises:
        DataError: There is no such source or split, or nothing in it can be read.
    """
    name, part = split_slice.parse(split)
    if is_hub_id(source):
        found = _of_hub(source, split_of(source, config, name))
        return Files(tuple(found.paths(name)), name, part, found.folder)
    path = _existing(source)
    splits = _splits_of(path)
    usual = next((split for split, words in _WORDS.items() if name in words), name)
    name = name if name in splits else usual
    if name not in splits:
        raise DataError(
            f"{source} has no split {name!r}",
            f"its splits are {', '.join(splits)}",
            "choose one of them",
        )
    return Files(tuple(splits[name]), name, part, path)


def splits_of(source: str, config: str | None = None) -> dict[str, list[Path]]:
    """Returns the files of each split of a source; of the Hub, as far as they are known here.

    Raises:
        DataError: There is no such source, or nothing in it can be read.
    """
    if is_hub_id(source):
        wanted = split_of(source, config, "train")
        found = known(wanted.id, wanted.config, wanted.commit)
        return {} if found is None else {split: found.paths(split) for split in found.splits}
    return _splits_of(_existing(source))


def is_data(path: Path) -> bool:
    """Says whether a file is one of data, by its name."""
    hidden = path.name.startswith(".") or path.name in _NOT_DATA
    return not hidden and bool(kind_of(path)[0])


def _splits_of(path: Path) -> dict[str, list[Path]]:
    if path.is_dir():
        return _splits(path)
    if kind_of(path)[0]:
        return {"train": [path]}
    ending = path.suffix or "(none)"
    raise DataError(
        f"{path} cannot be read",
        f"its ending {ending} is not {_FORMATS}",
        "convert it, or rename it if the ending is wrong",
    )


def _of_hub(source: str, wanted: Wanted) -> HubDataset:
    """Returns what was brought here of a data set of the Hub."""
    found = known(wanted.id, wanted.config, wanted.commit)
    if found is None or not is_here(wanted):
        raise DataError(
            f"the data {source!r} is not here",
            f"there is no such path, and its split {wanted.split} was not downloaded from the Hub",
            f"`sft-tui download --dataset {source}` brings it, or check the path",
        )
    return found


def _existing(source: str) -> Path:
    """Returns the path of a source that is there."""
    if source in demo.SPLITS:
        return demo.data_file(source)
    path = Path(source)
    try:
        if path.is_file() or path.is_dir():
            return path
        there = path.exists()
    except (OSError, ValueError) as error:  # a name that no file can have
        raise DataError(
            "the data cannot be found", str(error), "give the path of a data file"
        ) from error
    raise DataError(
        f"the data {source!r} cannot be found",
        "it is not a file or folder" if there else "there is no such file",
        _GIVE,
    )


def _splits(folder: Path) -> dict[str, list[Path]]:
    """Returns the files of each split of a folder."""
    try:
        if (folder / "dataset_dict.json").is_file():
            return _saved_splits(folder)
        if (folder / "state.json").is_file():
            return _saved(folder)
        files = _data_files(folder)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read", error.strerror or str(error), "check the folder"
        ) from error
    if not files:
        raise DataError(f"{folder} holds no data", f"no file in it is {_FORMATS}", _GIVE)
    return _by_name({str(path.relative_to(folder).as_posix()): path for path in files})


def _saved_splits(folder: Path) -> dict[str, list[Path]]:
    """Returns the files of each split that `DatasetDict.save_to_disk` wrote."""
    splits: dict[str, list[Path]] = {}
    for name in _described(folder / "dataset_dict.json", "splits", str):
        splits[name] = next(iter(_saved(folder / name).values()))
    return splits


def _saved(folder: Path) -> dict[str, list[Path]]:
    """Returns the files that `Dataset.save_to_disk` wrote, as `train` and under its own name."""
    state = folder / "state.json"
    content = _read_object(state)
    if content.get("_indices_files") or content.get("_indices_data_files"):
        raise DataError(
            f"{folder} cannot be read",
            "an old version of datasets saved it with the order of its rows in a file apart",
            "load it with datasets.load_from_disk and save it again",
        )
    files = [folder / file for file in _described(state, "_data_files", dict)]
    for file in files:
        if not file.is_file():
            raise DataError(f"{folder} cannot be read", f"{file.name} is missing", "copy it again")
    own = content.get("_split")
    return {"train": files} | ({own: files} if isinstance(own, str) else {})


def _described(path: Path, key: str, of: type) -> list[str]:
    """Returns the names that a list in a description of a saved data set holds."""
    entries = _read_object(path).get(key)
    names: list[str] = []
    if isinstance(entries, list):
        for entry in msgspec.convert(entries, list[object]):
            if of is dict and isinstance(entry, dict):
                entry = msgspec.convert(entry, dict[str, object]).get("filename")
            # Only names: a description must not lead out of its folder.
            if isinstance(entry, str) and Path(entry).name == entry:
                names.append(entry)
    if not names and not (of is dict and entries == []):
        raise DataError(f"{path} is damaged", f"it names no {key.strip('_')}", "copy it again")
    return names


def _read_object(path: Path) -> dict[str, object]:
    try:
        return msgspec.convert(json.loads(path.read_bytes()), dict[str, object])
    except (OSError, ValueError, RecursionError, msgspec.ValidationError) as error:
        raise DataError(f"{path} cannot be read", str(error), "copy it again") from error


def _data_files(folder: Path) -> list[Path]:
    """Returns all data files below a folder, sorted by path; hidden ones are none."""
    found: list[Path] = []
    seen = 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        seen += len(folders) + len(names)
        if seen > _MOST_FILES:
            raise DataError(
                f"{folder} cannot be searched",
                f"it holds more than {_MOST_FILES} files",
                "give the folder that holds only the data",
            )
        for name in names:
            path = Path(place, name)
            if is_data(path) and path.is_file():
                found.append(path)
    return sorted(found)


def _by_name(files: dict[str, Path]) -> dict[str, list[Path]]:
    """Returns the files of each split by the rules of `datasets`, the first that finds any.

    Args:
        files: Files by their path below the folder, with slashes.
    """
    shards: dict[str, list[Path]] = {}
    for name, path in files.items():
        if shard := _SHARD.fullmatch(name):
            shards.setdefault(shard[1], []).append(path)
    if shards:
        return {name: shards[name] for name in (*_WORDS, *sorted(shards)) if name in shards}
    in_folder = r"(?:.*/)?(?:[^/]*{apart})?{word}(?:{apart}[^/]*)?/.*"
    in_name = r"(?:.*/)?(?:[^/]*{apart})?{word}{apart}[^/]*"
    for rule in (in_folder, in_name):
        splits: dict[str, list[Path]] = {}
        for split, words in _WORDS.items():
            known = re.compile(rule.format(apart=_APART, word=f"(?:{'|'.join(words)})"))
            splits[split] = [path for name, path in files.items() if known.fullmatch(name)]
        if any(splits.values()):
            return {split: paths for split, paths in splits.items() if paths}
    return {"train": list(files.values())}
