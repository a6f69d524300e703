"""Rows of training data out of files, one after another, with little of a file in memory.

A row that cannot be read is never skipped in silence, and never ends the reading: it comes as
`BadRow` with its place. Knows files, not what rows mean.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path

from ..errors import DataError
from . import arrow_rows, csv_rows, json_rows
from .files import Files, kind_of, locate
from .raw_rows import BadRow, RawRow, Unreadable
from .row_bytes import open_bytes

__all__ = [
    "BadRow",
    "Files",
    "RawRow",
    "known_total",
    "locate",
    "numbered",
    "read_rows",
    "total_bytes",
]

_MOST_BAD = 100
"""Unreadable rows at the start of a file after which the file is not what its ending says."""


def read_rows(
    source: str,
    split: str = "train",
    on_bytes: Callable[[int], None] | None = None,
    config: str | None = None,
) -> Generator[RawRow | BadRow, None, None]:
    """Reads the rows of a source's split, lazily.

    Rows of a slice keep the numbers that they have in the whole split. A slice that counts from
    the end or in percent reads json and csv files twice.

    Args:
        source: A file, a folder, or `demo` or `demo:heldout`; see `locate`.
        split: A split, or a part of one such as `train[:100]`.
        on_bytes: Told now and then how many bytes were read so far, of `total_bytes`.
        config: Of a data set of the Hub.

    Returns:
        The rows in file order; files of a folder follow each other sorted by name. Closing it
        closes the file that is being read.

    Raises:
        DataError: There is no such source or split; or, with the first row that is asked for,
            its only file cannot be read as what its ending says.
    """
    files = locate(source, split, config)
    return _sliced(files, on_bytes)


def total_bytes(source: str, split: str = "train", config: str | None = None) -> int | None:
    """Returns the bytes of all files of a split, packed as they are; None if one has gone.

    Raises:
        DataError: There is no such source or split.
    """
    try:
        return sum(path.stat().st_size for path in locate(source, split, config).paths)
    except OSError:
        return None


def known_total(files: Files) -> int | None:
    """Returns the rows of a split without its slice, as far as metadata tell."""
    kinds = [kind_of(path)[0] for path in files.paths]
    if any(kind not in ("parquet", "arrow") for kind in kinds):
        return None
    total = 0
    for path, kind in zip(files.paths, kinds, strict=True):
        try:
            total += arrow_rows.count(path, kind)
        except Unreadable as error:
            if len(files.paths) == 1:
                raise _data_error(path, error) from error
            total += 1  # comes as one unreadable row
    return total


def _sliced(
    files: Files, on_bytes: Callable[[int], None] | None
) -> Generator[RawRow | BadRow, None, None]:
    """Yields the rows of a split that its slice wants, and reads no further than they go."""
    total = None
    if files.slice.needs_total:
        total = known_total(files)
        if total is None:
            total = sum(1 for _ in numbered(files, lambda _: None, 0))
    begin, end = files.slice.bounds(total)
    if end is not None and begin >= end:
        return
    seen = 0

    def tell(more: int) -> None:
        nonlocal seen
        seen += more
        if on_bytes is not None:
            on_bytes(seen)

    with closing(numbered(files, tell, begin)) as rows:
        for row in rows:
            if row.number > begin:
                yield row
            if row.number == end:
                return


def numbered(
    files: Files, tell: Callable[[int], None], begin: int
) -> Generator[RawRow | BadRow, None, None]:
    """Yields the rows of all files with their numbers; may leave out some before `begin`."""
    number = 0
    for path in files.paths:
        several = len(files.paths) > 1
        name = f"{path.relative_to(files.root)}" if several else ""
        before = number
        try:
            skip = _skippable(path, begin - number)
            number += skip
            for row in _checked(_file_rows(path, tell, skip)):
                number += 1
                row.number = number
                if several:
                    row.place = f"{name}, {row.place}" if row.place else name
                yield row
        except Unreadable as error:
            if not several and number == before:
                raise _data_error(path, error) from error
            number += 1
            yield BadRow(number, name or f"row {number}", error.reason)


def _skippable(path: Path, wanted: int) -> int:
    """Returns how many rows at the start of a file can be left out without being read."""
    kind = kind_of(path)[0]
    if wanted <= 0 or kind not in ("parquet", "arrow"):
        return 0
    return min(wanted, arrow_rows.count(path, kind))


def _file_rows(path: Path, tell: Callable[[int], None], skip: int) -> Iterator[RawRow | BadRow]:
    """Yields the rows of one file, without numbers."""
    kind, packed = kind_of(path)
    if kind in ("parquet", "arrow"):
        yield from arrow_rows.rows(path, kind, tell, skip)
        return
    read = {"jsonl": json_rows.line_rows, "json": json_rows.list_rows, "csv": csv_rows.rows}[kind]
    try:
        with open_bytes(path, packed, tell) as stream:
            yield from read(stream)
    # Both are said before the first row, so that nothing comes twice.
    except json_rows.LinesInstead:
        with open_bytes(path, packed, tell) as stream:
            yield from json_rows.line_rows(stream)
    except json_rows.ListInstead:
        with open_bytes(path, packed, tell) as stream:
            yield from json_rows.list_rows(stream)


def _checked(rows: Iterator[RawRow | BadRow]) -> Iterator[RawRow | BadRow]:
    """Yields rows, but refuses a file that begins with nothing but unreadable ones.

    Raises:
        Unreadable: So many that the file must be something else than its ending says.
    """
    bad: list[BadRow] = []
    for row in rows:
        if isinstance(row, BadRow):
            bad.append(row)
            if len(bad) >= _MOST_BAD:
                first = f"{bad[0].place}: {bad[0].reason}"
                raise Unreadable(
                    f"none of its first {_MOST_BAD} rows is one; {first}",
                    "check that the file is what its ending says",
                )
            continue
        yield from bad
        yield row
        yield from rows
        return
    yield from bad


def _data_error(path: Path, error: Unreadable) -> DataError:
    return DataError(f"{path} cannot be read", error.reason, error.remedy)
