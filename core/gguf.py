"""GGUF files as base models: trained after their weights were turned into safetensors, once.

The format is described in ggml's docs/gguf.md: a header of metadata, a table of tensors, data.
"""

import hashlib
import mmap
import os
import struct
from pathlib import Path
from typing import Any

from .errors import SftError
from .regular import open_regular
from .rundir import home
from .text import one_line

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_HEADER_LIMIT_BYTES = 256 << 20
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
            12: "d"}  # fmt: skip
"""Forms of metadata values by their type, as `struct` writes them."""
_STRING, _ARRAY = 8, 9


def is_gguf(name: str) -> bool:
    """Says whether a model's name is that of a GGUF file."""
    return name.lower().endswith(".gguf")


def checked(name: str) -> Path:
    """Returns the path of a GGUF file.

    Raises:
        SftError: There is none, or it is something else.
    """
    path = Path(name)
    try:
        with open_regular(path) as file:
            magic = file.read(4)
    except OSError as error:
        raise SftError(
            f"the model {path} cannot be read", error.strerror or str(error), "check the path"
        ) from error
    if magic != _MAGIC:
        raise SftError(
            f"{path} is no GGUF file", f"it begins with {magic!r}", "give a file of a model"
        )
    return path


def converted_folder(path: Path) -> Path:
    """Returns the folder of its safetensors, there or not; another one when the file changes."""
    facts = path.stat()
    mark = f"{path.absolute()}\0{facts.st_size}\0{facts.st_mtime_ns}"
    digest = hashlib.sha256(mark.encode()).hexdigest()[:12]
    return home() / "models" / f"{path.stem.lower()}-{digest}"


def refuse_unusable(path: Path) -> None:
    """Refuses a GGUF file that no model can be made of, by its header alone.

    Whether transformers knows its architecture is found out by the process that converts it.

    Raises:
        SftError: What it lacks.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            shown = min(size, _HEADER_LIMIT_BYTES)
            with mmap.mmap(file.fileno(), shown, access=mmap.ACCESS_READ) as data:
                why = _lack(_Header(data), size)
    except OSError as error:
        raise SftError(
            f"the model {path} cannot be read", error.strerror or str(error), "check the path"
        ) from error
    except (struct.error, RecursionError):  # an offset behind the end, lists without an end
        why = "it ends within its header: the copy is not whole"
    if why:
        raise SftError(
            f"the model {path} cannot be converted",
            one_line(why, 300),
            "copy it again, or give another file of the model or a folder with its safetensors",
        )


def _lack(header: "_Header", size: int) -> str:
    """Returns what a file of that size lacks, or ""."""
    if header.version not in _VERSIONS:
        return f"it is GGUF of version {header.version}; versions 2 and 3 can be read"
    header.read()
    facts, architecture = header.facts, header.facts.get("general.architecture")
    if not isinstance(architecture, str):
        return "its header names no architecture"
    if facts.get("split.count", 1) not in (0, 1):
        return (
            f"it is one of {facts['split.count']} parts: join them with `llama-gguf-split --merge`"
        )
    needed = [f"{architecture}.{name}" for name in ("block_count", "embedding_length")]
    lacking = [name for name in (*needed, "tokenizer.ggml.tokens") if name not in facts]
    if lacking:
        return f"its header has no {' and no '.join(lacking)}: it holds no whole language model"
    if not header.tensors:
        return "it holds no weights"
    if header.last_tensor >= size:
        return "it ends before its last tensor: the copy is not whole"
    return ""


class _Header:
    """The header of a GGUF file; of arrays only that they are there.

    Raises `struct.error` where the file ends within it.
    """

    def __init__(self, data: mmap.mmap) -> None:
        self._data, self._at = data, len(_MAGIC)
        self.facts: dict[str, Any] = {}
        self.tensors, self.last_tensor = 0, 0
        self.version = self._next("I")

    def read(self) -> None:
        """Reads the metadata, and where the last tensor begins."""
        self.tensors, count = self._next("Q"), self._next("Q")
        for _ in range(count):
            name = self._text()
            self.facts[name] = self._value(self._next("I"))
        last = 0
        for _ in range(self.tensors):
            self._text()
            self._skip(8 * self._next("I") + 4)  # its shape and type
            last = max(last, self._next("Q"))
        alignment = self.facts.get("general.alignment", 32) or 32
        self.last_tensor = -(-self._at // alignment) * alignment + last

    def _next(self, form: str) -> Any:
        (value,) = struct.unpack_from(f"<{form}", self._data, self._at)
        self._at += struct.calcsize(form)
        return value

    def _skip(self, count: int) -> None:
        self._at += count
        if self._at > len(self._data):
            raise struct.error

    def _text(self) -> str:
        size, begin = self._next("Q"), self._at
        self._skip(size)
        return self._data[begin : self._at].decode("utf-8", "replace")

    def _value(self, kind: int) -> Any:
        if kind in _SCALARS:
            return self._next(_SCALARS[kind])
        if kind == _STRING:
            return self._text()
        if kind != _ARRAY:
            raise struct.error
        inner, count = self._next("I"), self._next("Q")
        if inner in _SCALARS:
            self._skip(count * struct.calcsize(_SCALARS[inner]))
            return None
        for _ in range(count):
            if inner == _STRING:
                self._skip(self._next("Q"))
            else:
                self._value(inner)
        return None
