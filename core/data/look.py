"""Looks at the first rows of a source: what they are taken for, and how they come out.

Bounded in rows and in time, so that it can be asked at every step of a cursor.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import msgspec

from ..config import DataConfig, SourceConfig
from ..errors import DataError
from ..hub.datasets import Wanted, is_here, split_of
from ..text import one_line, printable
from . import split_slice
from .columns import Missing, look_up, parse
from .files import is_hub_id, locate, splits_of
from .looked import LINE, Column, Glanced, Looked, RowsChecked, ShownRow, Trouble, Turn
from .row_files import BadRow, RawRow, known_rows, read_rows, total_bytes
from .rows import Left, Row
from .shapes import READ_TOO, ROLES_OF, Shape, detect, turns_in
from .sources import Source
from .turns import known_roles

_ROWS = 100
_SECONDS = 1.0
"""After so long the rows so far are enough; there is always one."""
_TURNS = 12
_PATHS = 300
_DEEP = 6
_SAMPLE = 120
_BAD = 200
_TELL_EVERY_S = 0.25

Raw = list[RawRow | BadRow]


def look(
    source: SourceConfig, data: DataConfig, given: list[dict[str, Any]] | None = None
) -> Looked:
    """Looks at the first rows.

    Args:
        source: Where they are and what they are said to be.
        data: What happens to empty answers, and what is evaluated on.
        given: Rows that came another way, instead of the file's.
    """
    try:
        raw, whole = _given(given) if given is not None else _first(source)
        splits = {} if given is not None else _splits(source)
    except DataError as error:
        return Looked(trouble=_trouble(error, source.source))
    fields = [row.fields for row in raw if isinstance(row, RawRow)]
    paths = _paths(fields)
    evaluation, missing = (None, []) if given is not None else _evaluation(source, data)
    found = Looked(paths=paths, whole=whole, splits=splits, evaluation=evaluation, missing=missing)
    try:
        reader = Source(_spelled(source), data, raw=iter(raw))
    except DataError as error:
        shape = detect(fields, {}, source.shape) if fields else None
        bad = [_bad(row) for row in raw if isinstance(row, BadRow)]
        kind = "columns" if fields else "data"
        trouble = _trouble(error, source.source, kind)
        if shape is None:
            return msgspec.structs.replace(found, trouble=trouble, rows=bad)
        taken = msgspec.structs.replace(shape, columns={**shape.columns, **source.columns})
        return msgspec.structs.replace(found, trouble=trouble, rows=bad, **_of_shape(taken))
    return msgspec.structs.replace(
        found,
        **_of_shape(reader.shape),
        unused=reader.unused,
        turn_roles=_turn_roles(reader.shape, fields, source.roles),
        rows=[_shown(row) for row in reader],
    )


def _trouble(error: DataError, source: str, kind: str = "data") -> Trouble:
    """Returns an error with the name of a file in place of its whole path, which a screen shows."""
    name = Path(source).name or source
    return Trouble(error.what.replace(source, name), error.why, error.remedy, kind)


def _of_shape(shape: Shape) -> dict[str, Any]:
    return {
        "shape": shape.name,
        "certainty": shape.certainty,
        "reason": shape.reason,
        "columns": shape.columns,
        "needed": list(ROLES_OF[shape.name]),
        "optional": list(READ_TOO[shape.name]),
    }


def _spelled(source: SourceConfig) -> SourceConfig:
    """Returns a source whose paths are paths: a file of a configuration may say anything.

    Raises:
        DataError: One is none.
    """
    for role, path in source.columns.items():
        try:
            parse(path)
        except ValueError as error:
            what = f"the columns of {source.source} are not as configured"
            raise DataError(what, f"{role}: {error}", "mend data.sources.0.columns") from error
    return source


def _given(rows: list[dict[str, Any]]) -> tuple[Raw, bool]:
    return [RawRow(n, f"row {n}", fields) for n, fields in enumerate(rows, 1)], False


def _first(source: SourceConfig) -> tuple[Raw, bool]:
    """Returns the first rows of a split's slice, and whether there are no more.

    A slice that needs all rows counted begins with those of the whole split instead.
    """
    name, part = split_slice.parse(source.split)
    split = name if part.needs_total else source.split
    raw: Raw = []
    began = time.monotonic()
    with closing(read_rows(source.source, split, None, source.config)) as rows:
        for row in rows:
            raw.append(row)
            if len(raw) >= _ROWS or time.monotonic() - began > _SECONDS:
                return raw, False
    return raw, True


def _splits(source: SourceConfig) -> dict[str, int | None]:
    """Returns the splits of a source that are here, with their rows where metadata tell them."""
    found: dict[str, int | None] = {}
    for name, paths in splits_of(source.source, source.config).items():
        try:
            there = all(path.is_file() for path in paths)
            found[name] = known_rows(source.source, name, source.config) if there else None
        except DataError:  # damaged, which a look at that split will tell
            found[name] = None
    return found


def _evaluation(source: SourceConfig, data: DataConfig) -> tuple[Trouble | None, list[Wanted]]:
    """Returns what is wrong with the data for evaluation, and what of the Hub is not here yet."""
    if data.eval_source is None and data.eval_split is None:
        return None, []
    name = data.eval_source or source.source
    config = None if data.eval_source else source.config
    split = data.eval_split or "train"
    try:
        wanted = split_of(name, config, split_slice.parse(split)[0])
        if is_hub_id(name) and not is_here(wanted):
            return None, [wanted]
        locate(name, split, config)
    except DataError as error:
        return _trouble(error, name), []
    return None, []


def _paths(rows: list[dict[str, Any]]) -> list[Column]:
    """Returns every place in the rows that a path can name."""
    found: dict[str, None] = {}
    for row in rows:
        for name, value in row.items():
            _collect(found, name, value, 1)
    return [_column(path, rows) for path in found]


def _collect(found: dict[str, None], path: str, value: Any, depth: int) -> None:
    if len(found) >= _PATHS or depth > _DEEP:
        return
    try:
        parse(path)
    except ValueError:  # a name that no path can spell
        return
    found.setdefault(path)
    if isinstance(value, dict):
        for name, inner in cast(dict[str, Any], value).items():
            if not set(name) & set(".[]"):
                _collect(found, f"{path}.{name}", inner, depth + 1)
    elif isinstance(value, list) and value:
        _collect(found, f"{path}[0]", cast(list[Any], value)[0], depth + 1)


def _column(path: str, rows: list[dict[str, Any]]) -> Column:
    filled: list[Any] = []
    for row in rows:
        try:
            value = look_up(row, path)
        except Missing:
            continue
        if value not in (None, "", [], {}):
            filled.append(value)
    first = filled[0] if filled else None
    return Column(path, len(filled) / len(rows), _sample(first))


def _sample(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return one_line(value[: 4 * _SAMPLE], _SAMPLE)
    if isinstance(value, list):
        length = f"{len(cast(list[Any], value))}: "
    else:
        length = ""
    try:
        return length + one_line(json.dumps(value, ensure_ascii=False, default=str), _SAMPLE)
    except RecursionError:
        return f"{length}(nested deeply)"


def _turn_roles(shape: Shape, rows: list[dict[str, Any]], roles: dict[str, str]) -> dict[str, str]:
    """Returns the names that turns have in the rows and the role that each is taken for."""
    if shape.name not in ("messages", "sharegpt"):
        return {}
    sharegpt = shape.name == "sharegpt"
    key = "from" if sharegpt else "role"
    known = {**known_roles(sharegpt=sharegpt), **roles}
    path = shape.columns["conversations" if sharegpt else "messages"]
    found: dict[str, str] = {}
    for row in rows:
        try:
            turns = turns_in(look_up(row, path))
        except Missing:  # a stray row, which is shown as one
            continue
        for turn in turns:
            name = turn.get(key)
            if isinstance(name, str) and len(found) < 20:
                found.setdefault(name, known.get(name, ""))
    return found


def _bad(row: BadRow) -> ShownRow:
    return ShownRow(row.number - 1, row.place, [], "unreadable_row", row.reason)


def _shown(row: Row | Left) -> ShownRow:
    if isinstance(row, Left):
        return ShownRow(row.number, row.place, [], row.id, row.why)
    turns = [_turn(turn.role, turn.content, turn.extra) for turn in row.messages[:_TURNS]]
    if row.text:
        turns = [msgspec.structs.replace(turns[0], role="text")]
    if len(row.messages) > _TURNS:
        turns.append(Turn("…", f"{len(row.messages) - _TURNS} more turns"))
    return ShownRow(row.number, "", turns)


def _turn(role: str, content: str, extra: dict[str, Any]) -> Turn:
    text = printable(content[: 4 * LINE])[:LINE]
    calls = cast(list[dict[str, Any]], extra.get("tool_calls") or [])
    functions = [cast(dict[str, Any], call["function"]) for call in calls]
    called = [f"calls {each['name']} {_sample(each['arguments'])}" for each in functions]
    return Turn(role, "\n".join(filter(None, [text, *called])), max(len(content) - LINE, 0))


def glance(source: SourceConfig, seconds: float) -> Glanced:
    """Says what can be said of a source in a moment."""
    began = time.monotonic()
    try:
        total = known_rows(source.source, source.split, source.config)
        with closing(read_rows(source.source, source.split, None, source.config)) as rows:
            first = list(_some(rows, 20))
            fields = [row.fields for row in first if isinstance(row, RawRow)]
            shape = detect(fields, source.columns, source.shape) if fields else None
            name = shape.name if shape is not None else None
            if total is not None:
                return Glanced(total, name)
            count = len(first)
            for _ in rows:
                count += 1
                if time.monotonic() - began > seconds:
                    return Glanced(None, name)
            return Glanced(count, name)
    except DataError as error:
        return Glanced(problem=error.why)


def _some(rows: Iterator[RawRow | BadRow], count: int) -> Iterator[RawRow | BadRow]:
    for _, row in zip(range(count), rows, strict=False):
        yield row


def check_rows(
    source: SourceConfig, data: DataConfig, tell: Callable[[RowsChecked], None]
) -> RowsChecked:
    """Goes through all rows of a source and finds those that cannot be used.

    Raises:
        DataError: The source cannot be read.
    """
    total = max(total_bytes(source.source, source.split, source.config) or 0, 1)
    read = 0

    def count(size: int) -> None:
        nonlocal read
        read = size

    reader = Source(source, data, on_bytes=count)
    rows, problems, bad = 0, dict[str, int](), list[ShownRow]()
    told = time.monotonic()

    def so_far(*, complete: bool) -> RowsChecked:
        usable = rows - sum(problems.values())
        share = 1.0 if complete else min(read / total, 1.0)
        return RowsChecked(
            rows=rows,
            usable=usable,
            problems=dict(problems),
            bad=bad if complete else [],
            share=share,
            complete=complete,
        )

    for row in reader:
        rows += 1
        if isinstance(row, Left):
            problems[row.id] = problems.get(row.id, 0) + 1
            if len(bad) < _BAD:
                bad.append(_shown(row))
        if rows % 1000 == 0 and time.monotonic() - told > _TELL_EVERY_S:
            told = time.monotonic()
            tell(so_far(complete=False))
    return so_far(complete=True)
