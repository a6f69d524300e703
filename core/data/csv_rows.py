"""Rows of csv: cells under the column names of the first line, all of them text."""

import csv
import io
import re
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO

from .raw_rows import BadRow, RawRow, Unreadable
from .row_bytes import READ_ERRORS, why

_NOT_UTF8 = re.compile(r"[\udc80-\udcff]")
_SEPARATOR = re.compile(r"sep=([,;\t|])\r?\n?", re.IGNORECASE)
_LONGEST_CELL = 64 << 20
"""Characters; also how far a quote that is never closed is followed before it is given up."""


class _Lines:
    """The lines of a csv file, which remembers those of the row that is being read."""

    def __init__(self, stream: BinaryIO) -> None:
        # Bytes that are not UTF-8 come as surrogates, so that only their own row is lost.
        self._text = io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="")
        self._again: deque[str] = deque()
        self._row: list[str] = []
        self._line = 0
        self.ended = False
        self.wrong: str | None = None
        """Where the row being read is not UTF-8, and how."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._text.readline()
        if not line:
            self.ended = True
            raise StopIteration
        self._line += 1
        self._row.append(line)
        if not line.isascii() and self.wrong is None and (found := _NOT_UTF8.search(line)):
            column = len(line[: found.start()].encode()) + 1
            place = f"line {self._line}, column {column}"
            self.wrong = f"{place}: it is not UTF-8: byte 0x{ord(found[0]) - 0xDC00:02x}"
        return line

    def delimiter(self) -> str:
        """Returns what stands between column names: a comma, else a semicolon or a tab.

        Excel may say it in a line of its own, `sep=;`.
        """
        first = self._text.readline()
        if said := _SEPARATOR.fullmatch(first):
            self._line += 1
            return said[1]
        if first:
            self._again.append(first)
        return next((mark for mark in ",;\t" if mark in first), ",")

    def begin(self) -> None:
        """Notes that a row begins with the next line."""
        self._row.clear()
        self.wrong = None

    def place(self) -> str:
        """Returns the first line of the row; without a row, the next line."""
        return f"line {self._line - len(self._row) + 1}"

    def give_back(self) -> None:
        """Gives all lines of the row but its first to the next one."""
        self._line -= max(len(self._row) - 1, 0)
        self._again.extendleft(reversed(self._row[1:]))

    def detach(self) -> None:
        """Leaves the stream to whoever opened it."""
        self._text.detach()


def rows(stream: BinaryIO) -> Iterator[RawRow | BadRow]:
    """Yields the rows of a csv file, without numbers; empty lines are none.

    A quote that is never closed costs the row that it stands in, not those behind it.

    Raises:
        Unreadable: The column names cannot be read, or one stands twice.
    """
    # Its default of 128 KiB is less than a long context. The setting is the whole process's.
    csv.field_size_limit(_LONGEST_CELL)
    lines = _Lines(stream)
    try:
        reader = csv.reader(lines, strict=True, delimiter=lines.delimiter())
        names = _names(lines, reader)
        while names:
            lines.begin()
            try:
                cells = next(reader, None)
            except csv.Error as error:
                yield BadRow(0, lines.place(), f"{error}")
                lines.give_back()
                continue
            if cells is None:
                return
            if not cells:
                continue
            if lines.wrong:
                place, _, reason = lines.wrong.partition(": ")
                yield BadRow(0, place, reason)
            elif len(cells) != len(names):
                counts = f"{len(cells)} cells under {len(names)} column names"
                yield BadRow(0, lines.place(), counts)
            else:
                yield RawRow(0, lines.place(), dict(zip(names, cells, strict=True)))
    except READ_ERRORS as error:
        yield BadRow(0, lines.place(), why(error))
    finally:
        lines.detach()


def _names(lines: _Lines, reader: Iterator[list[str]]) -> list[str]:
    """Returns the column names; a nameless one is called as pandas calls it."""
    remedy = "the first line must hold the column names"
    names: list[str] = []
    try:
        while not names:
            names = next(reader, names)
            if not names and lines.ended:
                return names
    except csv.Error as error:
        raise Unreadable(f"its column names, {lines.place()}: {error}", remedy) from error
    except READ_ERRORS as error:
        raise Unreadable(why(error)) from error
    if lines.wrong:
        raise Unreadable(f"its column names, {lines.wrong}", remedy)
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise Unreadable(f"the column name {twice[0]!r} stands twice", "rename one of the columns")
    # pandas writes its index without a name, and reads it back under this one.
    return [name or f"Unnamed: {place}" for place, name in enumerate(names)]
