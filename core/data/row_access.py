"""Any row of a source by its number, soon: without reading the rows before it again and again."""

import pickle
from array import array
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

from ..errors import UsageError
from .files import Files, kind_of, locate
from .json_rows import begins_lines, line_row
from .row_bytes import LONGEST
from .row_files import BadRow, RawRow, known_total, numbered

_HEAD = 1 << 20
_KEPT_BYTES = 128 << 20
_WALKED = 2000
"""Rows ahead that are read on to, where others could be left out without reading them."""


class RowAccess:
    """The rows of a split by number, counted from 0.

    Of JSON lines it keeps where each begins; a parquet or arrow file leaves out rows by itself;
    of others, which can only be read from their start, it keeps the rows that it has read.

    Args:
        source, split, config: As `read_rows`.

    Raises:
        DataError: There is no such source or split.
    """

    def __init__(self, source: str, split: str = "train", config: str | None = None) -> None:
        self._source = source
        self._files = locate(source, split, config)
        self._lines = _lines_of(self._files)
        self._walk = _Walk(self._files)
        self._range: tuple[int, int | None] | None = None

    def row(self, number: int | None) -> RawRow | BadRow:
        """Returns a row; None is the first of the slice.

        Raises:
            UsageError: There is no such row.
            DataError: The only file cannot be read as what its ending says.
        """
        first, end = self._bounds()
        wanted = first if number is None else number
        found = self._found(wanted) if wanted >= first and (end is None or wanted < end) else None
        if found is not None:
            return found
        last = self._last(first, end)
        raise UsageError(
            f"there is no row {wanted} in {self._source}",
            f"it holds the rows {first} to {last}, counted from 0",
            "choose one of them",
        )

    def _found(self, number: int) -> RawRow | BadRow | None:
        try:
            return self._walk.row(number) if self._lines is None else self._lines.row(number)
        except OSError:  # reading it in the usual way says what is wrong
            self._lines = None
            return self._walk.row(number)

    def _bounds(self) -> tuple[int, int | None]:
        if self._range is None:
            part = self._files.slice
            self._range = part.bounds(self._total() if part.needs_total else None)
        return self._range

    def _total(self) -> int:
        return self._lines.total() if self._lines is not None else self._walk.count()

    def _last(self, first: int, end: int | None) -> int:
        total = self._total()
        return max((total if end is None else min(end, total)) - 1, first)


def _lines_of(files: Files) -> "_Lines | None":
    """Returns the lines of a file that surely holds one row per line, else None."""
    if len(files.paths) != 1:
        return None
    path = files.paths[0]
    kind, packed = kind_of(path)
    if packed or kind not in ("json", "jsonl"):
        return None
    try:
        with path.open("rb") as file:
            return _Lines(path) if begins_lines(file.read(_HEAD)) else None
    except OSError:  # reading it in the usual way says what is wrong
        return None


class _Lines:
    """A file of JSON lines, of which it is known where each row begins as far as was looked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._starts = array("Q")
        self._numbers = array("Q")
        """The line of each row."""
        self._at = 0
        self._line = 0
        self._ended = False

    def row(self, number: int) -> RawRow | BadRow | None:
        """Returns a row, None behind the last."""
        with self._path.open("rb", buffering=1 << 16) as file:
            self._look(file, number)
            if number >= len(self._starts):
                return None
            file.seek(self._starts[number])
            content = file.readline()
        line = self._numbers[number]
        if len(content) > LONGEST:
            return BadRow(number + 1, f"line {line}", f"it is longer than {LONGEST >> 20} MiB")
        row = line_row(content.removeprefix(b"\xef\xbb\xbf") if line == 1 else content, line)
        row.number = number + 1
        return row

    def total(self) -> int:
        """Returns how many rows there are."""
        with self._path.open("rb", buffering=1 << 20) as file:
            self._look(file, None)
        return len(self._starts)

    def _look(self, file: BinaryIO, wanted: int | None) -> None:
        """Looks on until a row's beginning is known, or all of them."""
        if self._ended or (wanted is not None and wanted < len(self._starts)):
            return
        file.seek(self._at)
        while wanted is None or len(self._starts) <= wanted:
            content = file.readline()
            if not content:
                self._ended = True
                return
            self._line += 1
            if not content.isspace():
                self._starts.append(self._at)
                self._numbers.append(self._line)
            self._at += len(content)


class _Walk:
    """Rows that are read in order and kept, packed; where it can it leaves out those before."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._rows: Generator[RawRow | BadRow, None, None] | None = None
        self._next = 0
        self._kept: dict[int, bytes] = {}
        self._size = 0
        self._total = known_total(files)
        self._skips = self._total is not None

    def row(self, number: int) -> RawRow | BadRow | None:
        """Returns a row, None behind the last."""
        if number in self._kept:
            return pickle.loads(self._kept[number])
        if self._total is not None and number >= self._total:
            return None
        far = self._skips and number - self._next > _WALKED
        if self._rows is None or number < self._next or far:
            self._next = number if self._skips else 0
            self._rows = numbered(self._files, lambda _: None, self._next)
        for row in self._rows:
            self._next = row.number
            self._keep(row)
            if row.number > number:
                return row
        self._rows, self._total = None, self._next
        return None

    def count(self) -> int:
        """Returns how many rows there are."""
        if self._total is None:
            self.row(1 << 62)
        return self._total or 0

    def _keep(self, row: RawRow | BadRow) -> None:
        if row.number - 1 in self._kept:
            return
        packed = pickle.dumps(row)
        if self._size + len(packed) > _KEPT_BYTES:
            self._kept.clear()
            self._size = 0
        self._kept[row.number - 1] = packed
        self._size += len(packed)
