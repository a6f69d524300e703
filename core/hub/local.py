"""Models on this machine: the Hub's cache, folders, adapters, GGUF files. Needs no connection.

The cache's layout is huggingface_hub's, https://huggingface.co/docs/huggingface_hub/guides/manage-cache.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from ..regular import may_read, read_small, rights
from ..safetensors_header import damage

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHARD = re.compile(r".+-(\d{5})-of-(\d{5})\.safetensors")

_VOCABULARIES = ("*.model", "vocab*", "*.tiktoken", "tekken.json")
_TOKENIZER_BYTES = 256 << 20


class LocalModel(msgspec.Struct, frozen=True):
    """Something on this machine that can be trained, or why not."""

    name: str
    """What `model.name` is set to: a Hub id, or a folder or file."""
    kind: Literal["cached", "folder", "adapter", "gguf"]
    folder: Path
    size_bytes: int
    not_trainable: str | None = None
    base: str | None = None
    """The base model of an adapter."""


def cache_folder() -> Path:
    """Returns the folder of the Hub's cache, by the rules and variables of huggingface_hub."""
    given = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if given:
        return Path(os.path.expanduser(os.path.expandvars(given)))
    home = os.environ.get("HF_HOME")
    if home:
        return Path(os.path.expanduser(os.path.expandvars(home)), "hub")
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(caches), "huggingface", "hub")


def repo_folder(id: str, kind: str = "model") -> Path:
    """Returns the folder of a repository in the cache, whether it is there or not."""
    return cache_folder() / f"{kind}s--{'--'.join(id.split('/'))}"


def snapshot(id: str, revision: str | None = None, kind: str = "model") -> Path | None:
    """Returns the folder of a cached revision, whole or not; None where there is none."""
    folder = repo_folder(id, kind)
    commit = revision or "main"
    if not _COMMIT.fullmatch(commit):
        try:
            commit = read_small(folder / "refs" / commit).decode("ascii", "replace").strip()
        except OSError:  # never downloaded
            return None
    found = folder / "snapshots" / commit
    return found if _COMMIT.fullmatch(commit) and found.is_dir() else None


def id_of(folder: Path) -> str | None:
    """Returns the Hub id of a snapshot's folder; None for any other folder."""
    place = folder.parent.parent
    if folder.parent.name != "snapshots" or place.parent != cache_folder():
        return None
    return "/".join(place.name.split("--")[1:])


def why_unusable(folder: Path) -> str | None:
    """Returns what a model's folder lacks to be trained, or None."""
    if not (folder / "config.json").is_file():
        return "no config.json"
    weights = sorted(path.name for path in folder.glob("*.safetensors") if path.exists())
    if not weights:
        others = sorted(p.name for e in ("*.bin", "*.gguf", "*.pth") for p in folder.glob(e))
        if not others and id_of(folder):  # such as a tokenizer, for a preview
            return "only some files are here"
        return "no safetensors" + (f", only {', '.join(others[:3])}" if others else "")
    shards = [found for name in weights if (found := _SHARD.fullmatch(name))]
    if shards and len(shards) == len(weights) < int(shards[0][2]):
        return f"{len(weights)} of {int(shards[0][2])} weight files"
    return damaged(folder)


def damaged(folder: Path) -> str | None:
    """Returns which weight file of a folder is cut off or broken, and how; None where none is.

    Costs the header of each file. One that may not be read is told as that.
    """
    if (path := forbidden(folder)) is not None:
        return f"{path.name} may not be read: {rights(path)}"
    for path in sorted(folder.glob("*.safetensors")):
        why = damage(path) if path.exists() else None
        if why is not None:
            return f"{path.name} is damaged: {why}"
    return None


def forbidden(folder: Path) -> Path | None:
    """Returns a weight file of a folder that this process has no right to read, if there is one."""
    paths = sorted(folder.glob("*.safetensors"))
    return next((path for path in paths if path.exists() and not may_read(path)), None)


def needs_code(folder: Path) -> bool:
    """Says whether the configuration of a model's folder names classes of the model's own."""
    try:
        found = msgspec.json.decode(read_small(folder / "config.json"), type=dict[str, Any])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):  # whoever loads it says why
        return False
    return isinstance(found.get("auto_map"), dict)


class _TokenizerFile(msgspec.Struct):
    """Of a tokenizer.json only that it is whole and has a model."""

    model: msgspec.Raw


def tokenizer_lack(folder: Path) -> str | None:
    """Returns what a folder lacks to have a tokenizer, as far as its files tell; None for nothing.

    Costs the reading of its tokenizer.json.
    """
    path = folder / "tokenizer.json"
    if not path.exists():
        others = any(next(folder.glob(pattern), None) for pattern in _VOCABULARIES)
        return None if others else "it has no tokenizer.json and no vocabulary"
    try:
        msgspec.json.decode(read_small(path, _TOKENIZER_BYTES), type=_TokenizerFile)
    except OSError as error:
        return f"tokenizer.json cannot be read: {error.strerror or error}"
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "tokenizer.json is damaged: it is not the JSON of a tokenizer"
    return None


def cached() -> list[LocalModel]:
    """Returns the models of the Hub's cache, newest first."""
    found: list[tuple[float, LocalModel]] = []
    try:
        folders = sorted(cache_folder().glob("models--*"))
    except OSError:
        return []
    for folder in folders:
        name = "/".join(folder.name.removeprefix("models--").split("--"))
        place = snapshot(name) or _newest(folder)
        if place is None:
            continue
        size = sum(_size(path) for path in place.rglob("*"))
        if (place / "adapter_config.json").is_file():
            model = LocalModel(name, "adapter", place, size, None, base_of(place))
        else:
            model = LocalModel(name, "cached", place, size, _lost(name) or why_unusable(place))
        found.append((place.stat().st_mtime, model))
    return [model for _, model in sorted(found, key=lambda pair: -pair[0])]


def in_folder(folder: Path) -> Iterator[LocalModel]:
    """Yields models of a folder and of the folders in it."""
    try:
        places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
        for gguf in sorted(folder.glob("*.gguf")):
            yield LocalModel(str(gguf), "gguf", folder, _size(gguf))
    except OSError:  # not ours to read
        return
    for place in places:
        if (place / "adapter_config.json").is_file():
            size = sum(_size(path) for path in place.glob("*.safetensors"))
            yield LocalModel(str(place), "adapter", place, size, None, base_of(place))
        elif (place / "config.json").is_file():
            size = sum(_size(path) for path in place.glob("*.safetensors"))
            yield LocalModel(str(place), "folder", place, size, why_unusable(place))


def base_of(folder: Path) -> str | None:
    """Returns the base model that an adapter's folder names."""
    try:
        config = msgspec.json.decode(
            read_small(folder / "adapter_config.json"), type=dict[str, Any]
        )
    except (OSError, msgspec.DecodeError):  # damaged: it has no base to offer
        return None
    name = config.get("base_model_name_or_path")
    return name if isinstance(name, str) else None


def incomplete() -> list[tuple[Path, int]]:
    """Returns the parts of downloads that did not end, with their bytes."""
    parts = [*cache_folder().glob("*/blobs/*.part"), *cache_folder().glob("*/blobs/*.incomplete")]
    return [(path, _size(path)) for path in sorted(parts)]


def _newest(folder: Path) -> Path | None:
    places = [path for path in (folder / "snapshots").glob("*") if path.is_dir()]
    return max(places, key=lambda path: path.stat().st_mtime, default=None)


def _lost(id: str) -> str | None:
    """Returns why a model of the cache is not found by its name, or None."""
    if snapshot(id) is not None or not (repo_folder(id) / "refs" / "main").exists():
        return None  # of another revision, it is found by that
    return f"its refs/main is damaged: `sft-tui download {id}` mends it"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:  # a link whose blob is gone
        return 0
