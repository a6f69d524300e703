"""Rows of parquet and arrow files, a few at a time; what JSON does not know becomes text."""

import importlib
import math
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec

from .raw_rows import BadRow, RawRow, Unreadable
from .row_bytes import refuse_strangers

_ROWS = 128
"""Rows that are taken out of the file at a time: few, as a cell may hold megabytes."""
_BUFFER = 1 << 20


def _pyarrow(part: str = "") -> Any:
    # Takes 0.2 s the first time, and brings numpy along: only for files that need it.
    return importlib.import_module(f"pyarrow{part}")


def count(path: Path, kind: str) -> int:
    """Returns the number of rows, from the file's metadata.

    Raises:
        Unreadable: It is not such a file, or damaged.
    """
    with _opened(path, kind) as file:
        return sum(rows for rows, _, _ in _parts(file, kind))


def rows(
    path: Path, kind: str, tell: Callable[[int], None], skip: int = 0
) -> Iterator[RawRow | BadRow]:
    """Yields the rows of a parquet or arrow file, without numbers.

    Args:
        path: The file.
        kind: "parquet" or "arrow", which may be a stream, as `save_to_disk` writes, or a file.
        tell: Told how many bytes the rows of each part take of the file, once they are read.
        skip: Rows at the start to leave out, which then are not read.

    Raises:
        Unreadable: It is not such a file, or damaged.
    """
    number = 0
    with _opened(path, kind) as file:
        for length, size, batches in _parts(file, kind):
            if number + length <= skip:
                number += length
            else:
                try:
                    for batch in batches():
                        yield from _batch_rows(batch, number, max(skip - number, 0))
                        number += batch.num_rows
                except _errors() as error:
                    yield BadRow(0, f"row {number + 1}", f"damaged from here on: {_first(error)}")
                    return
            tell(size)


def _errors() -> tuple[type[Exception], ...]:
    return _pyarrow().ArrowException, OSError, ValueError


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


class _File(msgspec.Struct):
    """An open file: what reads it, and the bytes it reads from."""

    reader: Any
    source: Any
    size: int


@contextmanager
def _opened(path: Path, kind: str) -> Generator[_File, None, None]:
    """Opens a file, mapped into memory, so that only what is looked at is read."""
    arrow = _pyarrow()
    try:
        source = arrow.memory_map(str(path))
    except _errors() as error:
        raise Unreadable(_first(error)) from error
    with source:
        try:
            if kind == "parquet":
                reader = _pyarrow(".parquet").ParquetFile(source, buffer_size=_BUFFER)
            else:
                named = source.read(6) == b"ARROW1"
                source.seek(0)
                reader = arrow.ipc.open_file(source) if named else arrow.ipc.open_stream(source)
        except _errors() as error:
            _refuse_others(path, kind)
            raise Unreadable(f"it is not a sound {kind} file: {_first(error)}") from error
        yield _File(reader, source, source.size())


def _refuse_others(path: Path, kind: str) -> None:
    """Raises Unreadable where the file is known to be something else."""
    with suppress(OSError), path.open("rb") as file:
        refuse_strangers(file.read(4096), b"PAR1" if kind == "parquet" else b"ARROW1")


def _parts(file: _File, kind: str) -> Iterator[tuple[int, int, Callable[[], Iterator[Any]]]]:
    """Yields the parts that can be read apart: rows and bytes of each, and what gives its batches.

    Raises:
        Unreadable: The file is damaged; parts before that were sound.
    """
    reader = file.reader
    if kind == "parquet":
        total = reader.metadata.num_rows or 1
        for group in range(reader.num_row_groups):
            rows = reader.metadata.row_group(group).num_rows
            read = partial(reader.iter_batches, batch_size=_ROWS, row_groups=[group])
            yield rows, file.size * rows // total, read
        return
    # A batch of a mapped file is a view: taking one reads no more than its header.
    try:
        if hasattr(reader, "num_record_batches"):
            size = file.size // (reader.num_record_batches or 1)
            for place in range(reader.num_record_batches):
                batch = reader.get_batch(place)
                yield batch.num_rows, size, partial(iter, [batch])
            return
        seen = 0
        for batch in reader:
            size = file.source.tell() - seen
            seen += size
            yield batch.num_rows, size, partial(iter, [batch])
    except _errors() as error:
        raise Unreadable(f"it is damaged or cut off: {_first(error)}") from error


def _batch_rows(batch: Any, number: int, skip: int) -> Iterator[RawRow | BadRow]:
    """Yields the rows of a batch, behind `number` others, without the first few."""
    for start in range(skip, batch.num_rows, _ROWS):
        yield from _few_rows(batch.slice(start, _ROWS), number + start)


def _few_rows(batch: Any, number: int) -> Iterator[RawRow | BadRow]:
    """Yields rows that all are turned into Python values at once, behind `number` others."""
    odd = [place for place, field in enumerate(batch.schema) if _needs_change(field.type)]
    names = batch.schema.names
    try:
        found = batch.to_pylist(maps_as_pydicts="lossy")
    except (ValueError, OverflowError, ImportError):
        # A text that is not UTF-8, or a date beyond Python's: each row by itself.
        found = [None] * batch.num_rows
    for place, whole in enumerate(found):
        where = f"row {number + place + 1}"
        column = ""
        try:
            fields: dict[str, Any] = whole or {}
            if whole is None:
                for column in names:
                    one = batch.column(column).slice(place, 1)
                    fields[column] = one.to_pylist(maps_as_pydicts="lossy")[0]
            for column in (names[index] for index in odd):
                fields[column] = _plain(fields[column])
        except (ValueError, OverflowError, ImportError) as error:
            yield BadRow(0, where, f"column {column}: {_cause(error)}")
        else:
            yield RawRow(0, where, fields)


def _cause(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8: byte 0x{error.object[error.start]:02x} at {error.start + 1}"
    return _first(error)


def _needs_change(kind: Any) -> bool:
    """Returns whether values of an arrow type may be something that JSON does not know."""
    types = _pyarrow().types
    if types.is_struct(kind) or types.is_map(kind):
        children = [kind.field(place).type for place in range(kind.num_fields)]
        return types.is_map(kind) or any(_needs_change(child) for child in children)
    if hasattr(kind, "value_type"):  # lists of all kinds, and dictionaries
        return _needs_change(kind.value_type)
    return not (
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_integer(kind)
        or types.is_boolean(kind)
        or types.is_null(kind)
    )


def _plain(value: Any) -> Any:
    """Returns a value in the types of JSON: dates, times and decimals as text, NaN as null.

    Bytes that are no text, such as images, stay: they matter only where a column is read.
    """
    if value is None or isinstance(value, str | int):
        return cast(object, value)
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    if isinstance(value, dict):
        pairs = cast(dict[Any, Any], value).items()
        return {str(_plain(name)): _plain(entry) for name, entry in pairs}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in cast(list[Any], value)]
    return str(value)
