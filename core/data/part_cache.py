"""Prepared sources on the disk: what was read, formatted, tokenised and checked is not once more.

An entry is a safetensors file below `$SFT_TUI_HOME/prepared`. Its name is the digest of all that
it was made of: the content of the data files, the settings that touch rows, the tokenizer, the
template, and our own code. The data are read for that, at a hundredth of the cost of preparing
them; sizes and times alone would miss a file that was changed and set back.
"""

import contextlib
import hashlib
import importlib.metadata
import os
import shutil
import sys
import time
from array import array
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
from tokenizers import Tokenizer

from ..config import DataConfig, SourceConfig
from ..errors import SftError
from ..fields import as_list, as_map
from ..prompt.prompts import TokenizerFacts
from ..prompt.sandbox import strftime_now
from ..regular import open_regular, read_small
from ..rundir import home, make_folder, write_atomic
from ..safetensors_header import header_length, parse_header
from .files import Files, locate
from .lints import Findings, Found
from .part import Part

MOST_BYTES = 4 << 30
"""All entries together; those that were not used for the longest time go first."""
_LEFTOVER_S = 3600
"""Age of a file that was never finished."""
_KINDS = {"B": "U8", "i": "I32", "q": "I64", "Q": "U64"}
"""Types of safetensors by those of arrays."""
_OF_OTHERS = {"sources", "eval_source", "eval_split", "eval_fraction", "shuffle", "pack",
              "share_prefixes", "ignore_problems"}  # fmt: skip
"""Settings of the data that change nothing about the rows of one source."""
_LIBRARIES = ("tokenizers", "jinja2", "msgspec", "pyarrow")


class _Said(msgspec.Struct):
    """What an entry holds beside its arrays."""

    first: int
    rows: int
    found: dict[str, Found]
    times: dict[str, str]


class PartCache:
    """The prepared sources of one tokenizer.

    Args:
        tokenizer: The model's, without padding and truncation.
        facts: What is special about it.
        say: Told in a sentence of an entry that is damaged, or cannot be written.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        facts: TokenizerFacts,
        say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
    ) -> None:
        self._tokenizer = tokenizer
        self._facts = facts
        self.say = say
        self.folder = home() / "prepared"

    def entry(self, source: SourceConfig, split: str | None, data: DataConfig) -> "Entry | None":
        """Returns the place of a source's rows; None where a file of it cannot be read.

        Raises:
            DataError: There is no such source or split.
        """
        files = locate(source.source, split or source.split, source.config)
        own = msgspec.structs.replace(source, source="", split=split or source.split, weight=1.0)
        settings = msgspec.to_builtins(data)
        try:
            state = _state(files)
            marks = [
                self._made_by,
                msgspec.to_builtins(own),
                {key: value for key, value in settings.items() if key not in _OF_OTHERS},
                [[str(path.relative_to(files.root)), path.name] for path in files.paths],
                list(map(_digest, files.paths)),
                read_small(Path(source.template_file)).hex() if source.template_file else "",
            ]
        except (OSError, ValueError):  # reading it in the usual way says what is wrong
            return None
        name = hashlib.sha256(msgspec.json.encode(marks)).hexdigest()[:32]
        return Entry(self, self.folder / f"{name}.safetensors", files, state)

    @cached_property
    def _made_by(self) -> list[Any]:
        """Everything but the source that an entry depends on."""
        code = hashlib.sha256()
        for folder in ("data", "prompt"):
            for path in sorted((Path(__file__).parents[1] / folder).glob("*.py")):
                code.update(path.read_bytes())
        return [
            code.hexdigest(),
            sys.version,
            sys.byteorder,
            list(map(importlib.metadata.version, _LIBRARIES)),
            hashlib.sha256(self._tokenizer.to_str().encode()).hexdigest(),
            msgspec.to_builtins(self._facts),
        ]

    def make_room(self) -> None:
        """Removes what was not used for the longest time, and what was never finished.

        Raises:
            OSError: The folder cannot be read or changed.
        """
        entries: list[tuple[float, int, Path]] = []
        for path in self.folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process makes room as well
                facts = path.stat()
                if path.suffix == ".safetensors":
                    entries.append((facts.st_mtime, facts.st_size, path))
                elif time.time() - facts.st_mtime > _LEFTOVER_S:
                    path.unlink()
        total = 0
        for _, size, path in sorted(entries, reverse=True):
            total += size
            if total > MOST_BYTES:
                path.unlink(missing_ok=True)


class Entry:
    """The place of one source's prepared rows, there or not."""

    def __init__(
        self, cache: PartCache, path: Path, files: Files, state: list[tuple[int, ...]]
    ) -> None:
        self._cache, self.path, self._files, self._state = cache, path, files, state

    def fill(self, part: Part) -> bool:
        """Gives an empty part its rows; returns False where they must be prepared."""
        try:
            said, columns = _read(self.path, part)
        except FileNotFoundError:
            return False
        except (OSError, SftError, ValueError) as error:
            why = error.why if isinstance(error, SftError) else str(error)
            self._cache.say(f"{self.path} is damaged ({why}): its rows are prepared again.")
            return False
        if any(strftime_now(form) != then for form, then in said.times.items()):
            return False  # a template that says the time says another one now
        part.first, part.rows, part.found = said.first, said.rows, Findings(said.found)
        part.take(columns)
        with contextlib.suppress(OSError):  # only decides which entry is removed first
            self.path.touch()
        return True

    def keep(self, part: Part, times: dict[str, str]) -> None:
        """Writes the rows of a part, unless its files changed while they were read.

        Args:
            part: All rows of the source.
            times: What templates were told of the time.
        """
        data = _written(part, _Said(part.first, part.rows, part.found.found, times))
        size = sum(len(piece) for piece in data)
        try:
            if "" in times.values() or _state(self._files) != self._state or size > MOST_BYTES:
                return
            make_folder(self.path.parent)
            free = shutil.disk_usage(self.path.parent).free
            if free < 4 * size:  # runs need it more
                self._cache.say(f"Prepared rows are not kept: only {free >> 20} MiB are free.")
                return
            write_atomic(self.path, data)
            self._cache.make_room()
        except OSError as error:
            self._cache.say(f"Prepared rows cannot be kept: {error.strerror}: {self.path.parent}")


def _state(files: Files) -> list[tuple[int, ...]]:
    """Returns what changes whenever a file is written or replaced.

    Raises:
        OSError: One has gone.
    """
    states = [path.stat() for path in files.paths]
    return [(s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in states]


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _in_order(part: Part) -> list[tuple[str, "array[int]"]]:
    """Returns the arrays as a file holds them: those of large numbers first, so none is odd."""
    return sorted(part.columns.items(), key=lambda item: (-item[1].itemsize, item[0]))


def _written(part: Part, said: _Said) -> list[bytes | memoryview]:
    """Returns the pieces of a safetensors file."""
    columns = _in_order(part)
    pieces = [memoryview(column).cast("B") for _, column in columns]
    header: dict[str, Any] = {}
    begin = 0
    for (name, column), piece in zip(columns, pieces, strict=True):
        offsets = [begin, begin + len(piece)]
        header[name] = {
            "dtype": _KINDS[column.typecode], "shape": [len(column)], "data_offsets": offsets
        }  # fmt: skip
        begin += len(piece)
    text = msgspec.json.encode(said).decode()
    header["__metadata__"] = {"said": text, "digest": _digest_of(text, pieces)}
    packed = msgspec.json.encode(header)
    packed += b" " * (-len(packed) % 8)
    return [len(packed).to_bytes(8, "little"), packed, *pieces]


def _read(path: Path, part: Part) -> tuple[_Said, dict[str, "array[int]"]]:
    """Returns what an entry holds.

    Raises:
        OSError: It is not there, or cannot be read.
        SftError, ValueError: It is not as it was written.
    """
    with open_regular(path) as file:
        length = header_length(file.read(8), str(path))
        header = parse_header(file.read(length), length, str(path))
        left = os.fstat(file.fileno()).st_size - 8 - length
        columns: dict[str, array[int]] = {}
        for name, column in _in_order(part):
            shape = as_list(as_map(header.get(name)).get("shape"))
            count = shape[0] if shape and type(shape[0]) is int else -1
            left -= count * column.itemsize
            if count < 0 or left < 0:
                raise ValueError("it is not whole")
            columns[name] = array(column.typecode)
            columns[name].fromfile(file, count)
    metadata = as_map(header.get("__metadata__"))
    text = str(metadata.get("said"))
    pieces = [memoryview(column).cast("B") for column in columns.values()]
    if metadata.get("digest") != _digest_of(text, pieces):
        raise ValueError("its content is not what was written")
    return msgspec.json.decode(text, type=_Said), columns


def _digest_of(text: str, pieces: list[memoryview]) -> str:
    digest = hashlib.sha256(text.encode())
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
