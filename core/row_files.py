"""Rows out of files: json, jsonl and csv, also gzipped. Knows files, not what rows mean.

A damaged file is an error that names line and column; nothing is skipped in silence.
"""

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from . import demo
from .errors import DataError


def data_path(source: str) -> Path:
    """Returns the file of a source.

    Raises:
        DataError: There is no such file.
    """
    if source in demo.SPLITS:
        return demo.data_file(source)
    path = Path(source)
    try:
        found = path.is_file()
    except (OSError, ValueError) as error:  # a name that no file can have
        raise DataError(
            "the data cannot be found", str(error), "give the path of a data file"
        ) from error
    if found:
        return path
    raise DataError(
        f"the data {source!r} cannot be found",
        "there is no such file" if not path.exists() else "it is not a file",
        "give the path of a json, jsonl or csv file, or `demo`",
    )


def read_file(path: Path) -> list[dict[str, Any]]:
    """Reads all rows of a json, jsonl or csv file, also gzipped.

    Raises:
        DataError: The file is damaged; the message names line and column.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    try:
        content = path.read_bytes()
        if suffixes and suffixes[-1] == ".gz":
            content = gzip.decompress(content)
            suffixes.pop()
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"{path} cannot be read", reason, "check the file; text must be UTF-8"
        ) from error
    kind = suffixes[-1] if suffixes else ""
    if kind in (".jsonl", ".ndjson"):
        return list(_json_lines(text, path))
    if kind == ".json":
        return _json_rows(text, path)
    if kind == ".csv":
        return list(_csv_rows(text, path))
    raise DataError(
        f"{path} cannot be read",
        f"its ending {kind or '(none)'} is not json, jsonl or csv",
        "convert it, or rename it if the ending is wrong",
    )


def _csv_rows(text: str, path: Path) -> Iterator[dict[str, Any]]:
    """Yields the rows of a csv file; one with too few or too many cells is an error."""
    csv.field_size_limit(sys.maxsize)  # its default of 128 KiB is less than a long context
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    names: list[str] = []
    try:
        names = next(reader, names)
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(names):
                raise csv.Error(f"{len(cells)} cells under {len(names)} column names")
            yield dict(zip(names, cells, strict=True))
    except csv.Error as error:
        raise DataError(
            f"{path} is damaged",
            f"near line {reader.line_num}: {error}",
            "put cells that hold commas, quotes or line breaks into double quotes",
        ) from error


def _json_lines(text: str, path: Path) -> Iterator[dict[str, Any]]:
    # Only line feeds end a row: str.splitlines would also cut at U+2028 inside a string.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{path} is damaged",
                f"line {number}, column {error.colno}: {error.msg}",
                "mend or remove that line",
            ) from error
        except (RecursionError, ValueError) as error:
            raise DataError(
                f"{path} is damaged", f"line {number}: {error}", "mend or remove that line"
            ) from error
        yield _object(row, f"line {number}", path)


def _json_rows(text: str, path: Path) -> list[dict[str, Any]]:
    if not text.strip():
        return []
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        lines = error.msg == "Extra data"
        raise DataError(
            f"{path} is damaged",
            f"line {error.lineno}, column {error.colno}: {error.msg}",
            "rename it to .jsonl if each line is one row" if lines else "mend the file there",
        ) from error
    except (RecursionError, ValueError) as error:
        raise DataError(f"{path} is damaged", str(error), "mend the file") from error
    if isinstance(raw, dict):
        values = list(cast(dict[str, Any], raw).values())
        lists = [cast(list[Any], value) for value in values if isinstance(value, list)]
        raw = lists[0] if len(lists) == 1 else cast(Any, raw)
    if not isinstance(raw, list):
        raise DataError(
            f"{path} is not a list of rows",
            f"it holds {type(raw).__name__} at its top",
            "give a list of objects, or one object per line as .jsonl",
        )
    rows = cast(list[Any], raw)
    return [_object(row, f"row {number}", path) for number, row in enumerate(rows, 1)]


def _object(row: Any, where: str, path: Path) -> dict[str, Any]:
    if isinstance(row, dict):
        return cast(dict[str, Any], row)
    raise DataError(
        f"{path} has a row that is not an object",
        f"{where} is {type(row).__name__}",
        "every row must be an object of named columns",
    )
