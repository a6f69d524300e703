"""The Dataset Viewer's routes, computed from the jsonl, json, csv and parquet files themselves."""

import csv
import fnmatch
import io
import json
import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from starlette.requests import Request
from starlette.responses import Response

from . import facts
from .access import HubError, hub_of, let_in, seen_repo
from .repos import HubFile, Repo, Tree

_MOST_ROWS = 100
_CUT_CELL = 100
"""Bytes that a cell keeps when a preview is too large."""

_ENDINGS = (".jsonl", ".json", ".csv", ".parquet")
_SPLIT_WORDS = {
    "train": "train|training",
    "validation": "validation|valid|dev|val",
    "test": "test|testing|eval|evaluation",
}

Row = dict[str, Any]
Configs = dict[str, dict[str, list[HubFile]]]
"""The files of each split of each config."""


def _viewed(request: Request) -> tuple[Repo, Tree]:
    """Returns the data set that a request asks about.

    Raises:
        HubError: There is none that the account may read; the codes are the viewer's own.
    """
    dataset = request.query_params.get("dataset")
    if not dataset:
        raise HubError(422, "MissingRequiredParameter", "Parameter 'dataset' is required")
    try:
        repo = let_in(request, seen_repo(request, "datasets", dataset))
    except HubError as error:
        kind = "Unauthenticated" if error.status == 401 else "Authenticated"
        status = 401 if error.status == 401 else 404
        message = "The dataset does not exist, or is not accessible with this authentication."
        raise HubError(status, f"External{kind}Error", message) from None
    tree = repo.tree()
    assert tree is not None
    return repo, tree


def _configs(tree: Tree) -> Configs:
    """Finds configs and splits as `datasets` would: declared ones, or by the names of files.

    Raises:
        HubError: A loading script, or no data at all.
    """
    files = {path: file for path, file in tree.files.items() if path.endswith(_ENDINGS)}
    if any(path.endswith(".py") and "/" not in path for path in tree.files):
        message = "The dataset viewer doesn't support datasets with a loading script."
        raise HubError(501, "DatasetWithScriptNotSupportedError", message)
    declared = {
        config.get("config_name", "default"): _declared(config["data_files"], files)
        for config in facts.card(tree).get("configs", [])
        if "data_files" in config
    }
    if found := declared or ({"default": _guessed(files)} if files else {}):
        return found
    raise HubError(500, "EmptyDatasetError", "The dataset is empty.")


def _declared(data_files: Any, files: dict[str, HubFile]) -> dict[str, list[HubFile]]:
    """Returns the splits of `data_files`: a pattern, several, or a list of split and path."""
    entries = data_files if isinstance(data_files, list) else [data_files]
    splits: dict[str, list[HubFile]] = {}
    for entry in entries:
        entry = entry if isinstance(entry, dict) else {"split": "train", "path": entry}
        patterns = entry["path"] if isinstance(entry["path"], list) else [entry["path"]]
        for path, file in files.items():
            if any(fnmatch.fnmatch(path, pattern) for pattern in patterns):
                splits.setdefault(entry["split"], []).append(file)
    return splits


def _guessed(files: dict[str, HubFile]) -> dict[str, list[HubFile]]:
    splits: dict[str, list[HubFile]] = {}
    for split, words in _SPLIT_WORDS.items():
        pattern = re.compile(rf"(^|[-._ 0-9/])({words})[-._ 0-9/]")
        if found := [file for path, file in files.items() if pattern.search(path)]:
            splits[split] = found
    return splits or {"train": list(files.values())}


def _read(file: HubFile) -> list[Row]:
    """Returns all rows of a file.

    Raises:
        ValueError: It is not what its ending says.
    """
    match PurePosixPath(file.path).suffix:
        case ".parquet":
            return pq.read_table(file.place).to_pylist()
        case ".csv":
            rows = csv.DictReader(io.StringIO(file.place.read_text("utf-8"), newline=""))
            return [{name: _cell(text) for name, text in row.items()} for row in rows]
        case ".json":
            found = json.loads(file.place.read_text("utf-8"))
            return found if isinstance(found, list) else [found]
        case _:
            # Not by splitlines(), for which U+2028 inside a string ends a line too.
            lines = file.place.read_text("utf-8").split("\n")
            return [json.loads(line) for line in lines if line.strip()]


def _cell(text: str) -> Any:
    """Returns a number of a csv file as one."""
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            pass
    return text or None


def _table(files: list[HubFile]) -> tuple[pa.Schema, list[Row]]:
    """Returns the rows of a split's files with one schema for all.

    Raises:
        HubError: The files or their types do not go together.
    """
    try:
        rows = [row for file in files for row in _read(file)]
        table = pa.Table.from_pylist(rows)
    except (ValueError, TypeError, pa.ArrowException) as error:
        message = f"Cannot extract the features (columns) of the split: {error}"
        raise HubError(500, "FeaturesError", message.replace("\n", " ")) from None
    return table.schema, table.to_pylist()


def _feature(kind: pa.DataType) -> Any:
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    names = {"double": "float64", "float": "float32", "large_string": "string"}
    return {"dtype": names.get(str(kind), str(kind)), "_type": "Value"}


def _features(schema: pa.Schema) -> list[Row]:
    return [
        {"feature_idx": number, "name": field.name, "type": _feature(field.type)}
        for number, field in enumerate(schema)
    ]


def _entries(rows: list[Row], start: int) -> list[Row]:
    return [
        {"row_idx": start + number, "row": row, "truncated_cells": []}
        for number, row in enumerate(rows)
    ]


def _size(value: Any) -> int:
    return len(json.dumps(value, default=str, ensure_ascii=False).encode())


def _cut(entries: list[Row], most: int) -> bool:
    """Cuts cells from the last row on until all fit; then leaves out rows, which it tells.

    A cut cell is a string, whatever it was: the beginning of the text, or of its JSON.
    """
    for entry in reversed(entries):
        if _size(entries) <= most:
            return False
        for name, value in entry["row"].items():
            if _size(value) > _CUT_CELL:
                text = value if isinstance(value, str) else json.dumps(value, default=str)
                entry["row"][name] = text.encode()[:_CUT_CELL].decode(errors="ignore")
                entry["truncated_cells"].append(name)
    whole = len(entries)
    while len(entries) > 1 and _size(entries) > most:
        entries.pop()
    return len(entries) < whole


def _split_of(request: Request, tree: Tree) -> tuple[str, str, list[HubFile]]:
    """Returns config, split and files that a request asks for.

    Raises:
        HubError: There is no such config or split.
    """
    config, split = (request.query_params.get(name, "") for name in ("config", "split"))
    found = _configs(tree)
    if config not in found:
        raise HubError(404, "ConfigNotFoundError", f"The config '{config}' does not exist.")
    if split not in found[config]:
        raise HubError(404, "SplitNotFoundError", f"The split '{split}' does not exist.")
    return config, split, found[config][split]


def _is_valid(request: Request) -> Row:
    _, tree = _viewed(request)
    try:
        _configs(tree)
    except HubError:
        return dict.fromkeys(("preview", "viewer", "search", "filter", "statistics"), False)
    return dict.fromkeys(("preview", "viewer", "search", "filter", "statistics"), True)


def _splits(request: Request) -> Row:
    repo, tree = _viewed(request)
    rows = [
        {"dataset": repo.id, "config": config, "split": split}
        for config, splits in _configs(tree).items()
        for split in splits
    ]
    return {"splits": rows, "pending": [], "failed": []}


def _first_rows(request: Request) -> Row:
    repo, tree = _viewed(request)
    config, split, files = _split_of(request, tree)
    schema, rows = _table(files)
    entries = _entries(rows[:_MOST_ROWS], 0)
    truncated = _cut(entries, hub_of(request).preview_bytes) or len(rows) > _MOST_ROWS
    where = {"dataset": repo.id, "config": config, "split": split}
    return {**where, "features": _features(schema), "rows": entries, "truncated": truncated}


def _rows(request: Request) -> Row:
    _, tree = _viewed(request)
    _, _, files = _split_of(request, tree)
    offset, length = (
        int(request.query_params.get(name, default))
        for name, default in (("offset", 0), ("length", _MOST_ROWS))
    )
    if not 0 <= length <= _MOST_ROWS or offset < 0:
        message = f"Parameter 'length' must not be greater than {_MOST_ROWS}"
        raise HubError(422, "InvalidParameter", message)
    schema, rows = _table(files)
    entries = _entries(rows[offset : offset + length], offset)
    _cut(entries, hub_of(request).preview_bytes)
    counts = {"num_rows_total": len(rows), "num_rows_per_page": _MOST_ROWS, "partial": False}
    return {"features": _features(schema), "rows": entries, **counts}


def _size_of(request: Request) -> Row:
    repo, tree = _viewed(request)
    splits: list[Row] = []
    for config, named in _configs(tree).items():
        for split, files in named.items():
            size, (schema, rows) = sum(file.size for file in files), _table(files)
            sizes = {"num_bytes_parquet_files": size, "num_bytes_memory": size}
            counts = {"num_rows": len(rows), "num_columns": len(schema)}
            splits.append({"dataset": repo.id, "config": config, "split": split} | sizes | counts)
    configs = [
        {
            "dataset": repo.id,
            "config": name,
            "num_rows": sum(row["num_rows"] for row in splits if row["config"] == name),
        }
        for name in _configs(tree)
    ]
    total = {
        "dataset": repo.id,
        "num_bytes_original_files": sum(file.size for file in tree.files.values()),
        "num_rows": sum(row["num_rows"] for row in splits),
    }
    size = {"dataset": total, "configs": configs, "splits": splits}
    return {"size": size, "pending": [], "failed": [], "partial": False}


def _route(compute: Callable[[Request], Row]) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        found = json.dumps(compute(request), default=str, ensure_ascii=False).encode()
        return Response(
            found, headers={"X-Revision": _viewed(request)[1].commit}, media_type="application/json"
        )

    return answer


ROUTES = {
    "is-valid": _route(_is_valid),
    "splits": _route(_splits),
    "first-rows": _route(_first_rows),
    "rows": _route(_rows),
    "size": _route(_size_of),
}
