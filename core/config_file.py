"""Configurations as YAML text: read with line numbers, written with comments, hashed.

Relative paths in a file are relative to that file.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, cast

import msgspec

from . import presets, yaml12
from .about import Group
from .config import ConfigError, Problem, RunConfig
from .config_check import cross_check
from .errors import UsageError
from .fields import (
    as_list,
    as_map,
    check_raw,
    declared,
    fields_of,
    groups,
    item_group,
    spell_switches,
    unknown,
)
from .regular import read_small

_LIMIT_BYTES = 1 << 17
"""No configuration is as large, and a screen that reads one stands still no longer than 2 s."""
_PATHS = ("name", "source", "eval_source", "template_file")
_DATA_SUFFIXES = (".json", ".jsonl", ".csv", ".gz", ".parquet", ".txt")


def load(path: Path, sets: list[str] | None = None, preset: str | None = None) -> RunConfig:
    """Reads a configuration file.

    Args:
        path: The YAML file. What it leaves out takes the preset's value.
        sets: `key=value` texts that override the file.
        preset: Name of the starting point; null takes the recommended one.

    Raises:
        UsageError: The file cannot be read.
        ConfigError: The file or an override has problems; all are listed, with lines.
    """
    try:
        text = read_small(path, _LIMIT_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the configuration {path} cannot be read",
            f"it is not UTF-8 text (byte {error.start + 1})",
            "save it as UTF-8 text",
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"the configuration {path} cannot be read", reason, "check the path and its rights"
        ) from error
    return parse(text, origin=str(path), folder=path.parent, sets=sets, preset=preset)


def parse(
    text: str,
    *,
    origin: str = "text",
    folder: Path | None = None,
    sets: list[str] | None = None,
    preset: str | None = None,
) -> RunConfig:
    """Turns YAML text into a checked configuration; `load` describes the arguments."""
    raw, lines = yaml12.read(text, origin)
    given = {entry.partition("=")[0].strip() for entry in sets or []}
    problems: list[Problem] = []
    if folder is not None:
        _resolve_paths(raw, folder)
    merged = presets.overrides(preset)
    merge(merged, raw)
    for entry in sets or []:
        problems.extend(_apply_set(merged, entry))
    problems.extend(_expand_source(merged))
    spell_switches(merged)
    config, wrong = check(merged)
    problems.extend(wrong)
    if config is not None and not problems:
        return config
    placed = [
        # A key that --set gave is not to be looked for in the file.
        msgspec.structs.replace(p, line=None if p.path in given else _line_of(p.path, lines))
        for p in problems
    ]
    raise ConfigError(placed, origin)


def check(raw: dict[str, Any]) -> tuple[RunConfig | None, list[Problem]]:
    """Turns plain maps, lists and scalars into a configuration, or returns what is wrong.

    A configuration whose fields are each valid, but not together, comes with its problems.
    """
    problems = check_raw(raw)
    if problems:
        return None, problems
    config = msgspec.convert(raw, RunConfig)
    return config, cross_check(config)


def build(sets: list[str] | None = None, preset: str | None = None) -> RunConfig:
    """Returns a configuration made of a preset and overrides alone."""
    return parse("{}", origin="given", sets=sets, preset=preset)


def to_raw(config: Group) -> dict[str, Any]:
    """Returns the configuration as plain dicts, lists and scalars, every key present."""
    return msgspec.to_builtins(config)


def differences(old: RunConfig, new: RunConfig) -> list[tuple[str, Any, Any]]:
    """Returns (key, old value, new value) of every key in which two configurations differ."""
    before, after = flat(old), flat(new)
    keys = [*before, *(key for key in after if key not in before)]
    pairs = [(key, before.get(key), after.get(key)) for key in keys]
    return [pair for pair in pairs if pair[1] != pair[2]]


def flat(config: Group) -> dict[str, Any]:
    """Returns every value of a configuration by its dotted key."""
    return _flat(to_raw(config))


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        parts = [_flat(v, f"{path}.{k}") for k, v in cast(dict[str, Any], value).items()]
    elif path == ".data.sources":
        parts = [_flat(v, f"{path}.{n}") for n, v in enumerate(cast(list[Any], value))]
    else:
        return {path[1:]: value}
    return {key: inner for part in parts for key, inner in part.items()}


def config_hash(config: RunConfig) -> str:
    """Returns a short hash that two configurations share only when every value is equal."""
    text = json.dumps(to_raw(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def to_yaml(config: RunConfig, *, comments: bool = False) -> str:
    """Returns the configuration as YAML that `parse` reads back to an equal one.

    Args:
        config: What to write; every key is written.
        comments: Put each key's help sentence, bounds and unit above it.
    """
    raw = to_raw(config)
    out: list[str] = []
    for key, group in groups():
        if comments:
            out.append(f"# {(group.__doc__ or '').strip()}")
        out.append(f"{key}:")
        out.extend(_dump_group(group, raw[key], key, "  ", comments))
        if comments:
            out.append("")
    return "\n".join(out).rstrip() + "\n"


def _dump_group(
    group: type[Group], values: dict[str, Any], prefix: str, indent: str, comments: bool
) -> list[str]:
    out: list[str] = []
    for field in fields_of(group, prefix):
        key = field.path.rpartition(".")[2]
        if comments:
            detail = ", ".join(
                part for part in (field.unit, " | ".join(field.choices), field.bounds) if part
            )
            out.append(f"{indent}# {field.help}" + (f" [{detail}]" if detail else ""))
        item = item_group(group, key)
        if item is None:
            out.append(f"{indent}{key}: {yaml12.dump_value(values[key])}")
            continue
        out.append(f"{indent}{key}:")
        for entry in values[key]:
            inner = _dump_group(item, entry, field.path, indent + "    ", comments)
            first = inner[0][len(indent) + 4 :]
            out.extend([f"{indent}  - {first}", *inner[1:]])
    return out


def _line_of(path: str, lines: dict[str, int]) -> int | None:
    """Returns the line of `path`, or of the nearest group above it that the file holds."""
    while path:
        if path in lines:
            return lines[path]
        if path.startswith("data.sources.0.") and "data.source" in lines:
            return lines["data.source"]
        path = path.rpartition(".")[0]
    return None


def merge(base: dict[str, Any], over: dict[str, Any]) -> None:
    """Puts the values of one map of maps over those of another, in place."""
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merge(base[key], cast(dict[str, Any], value))
        else:
            base[key] = value
    # The short and the long form of the sources replace each other.
    if "source" in over:
        base.pop("sources", None) if "sources" not in over else None
    elif "sources" in over:
        base.pop("source", None)


def _apply_set(raw: dict[str, Any], entry: str) -> list[Problem]:
    path, equals, text = entry.partition("=")
    path = path.strip()
    if not equals or not path:
        return [Problem(path, f"--set takes key=value; got {entry!r}")]
    try:
        value = yaml12.scalar_of(text)
    except ValueError:
        hint = """; quote names that begin with *, as in '["*_proj"]'""" if "*" in text else ""
        return [Problem(path, f"the value of --set {path} is not valid YAML: {text!r}{hint}")]
    value = absolute(path, value)
    if path == "data.source":
        data = as_map(raw.setdefault("data", {}))
        if len(as_list(data.get("sources"))) == 1:
            path = "data.sources.0.source"
        else:
            data.pop("sources", None)
    return put(raw, path, value)


def absolute(path: str, value: Any) -> Any:
    """Returns a value that was typed for a key: a file's path from here, any other unchanged."""
    named = path.rpartition(".")[2] in _PATHS
    return _resolved(value, Path.cwd()) if named and isinstance(value, str) else value


def put(raw: dict[str, Any], path: str, value: Any) -> list[Problem]:
    """Sets the value of a key in plain maps; returns why it cannot be, or nothing."""
    *parents, last = path.split(".")
    known = [field.path for field in declared()] + ["data.source"]
    generic = ".".join("0" if part.isdigit() else part for part in path.split("."))
    if generic not in known:
        return [unknown(path)]
    place: Any = raw
    for part in parents:
        if part == "sources" and not as_list(as_map(place).get(part)):
            short = as_map(place)
            place[part] = [{"source": short.pop("source")}] if "source" in short else [{}]
        if isinstance(place, list):
            items = as_list(cast(Any, place))
            if int(part) >= len(items):
                return [Problem(path, f"{path}: there are {len(items)} sources, counted from 0")]
            place = items[int(part)]
        else:
            place = place.setdefault(part, {})
        if not isinstance(place, (dict, list)):
            return [Problem(path, f"{path}: {part} is not a group")]
        place = cast(Any, place)
    place[last] = value
    return []


def _expand_source(raw: dict[str, Any]) -> list[Problem]:
    """Turns the short form `data.source: X` into `data.sources`."""
    data = as_map(raw.get("data"))
    if "source" not in data:
        return []
    value = data.pop("source")
    if "sources" in data:
        return [Problem("data.source", "give data.source or data.sources, not both")]
    data["sources"] = [{"source": value}]
    return []


def _resolve_paths(raw: dict[str, Any], folder: Path) -> None:
    """Makes relative paths absolute: relative to the file that names them."""
    data = as_map(raw.get("data"))
    named = [
        (as_map(raw.get("model")), "name"),
        (data, "source"),
        (data, "eval_source"),
        *(
            (as_map(entry), key)
            for entry in as_list(data.get("sources"))
            for key in ("source", "template_file")
        ),
    ]
    for group, key in named:
        if isinstance(group.get(key), str):
            group[key] = _resolved(group[key], folder)


def _resolved(name: str, folder: Path) -> str:
    """Returns an absolute path for a name that is a path, and any other name unchanged."""
    if not name:  # would be the folder itself
        return name
    try:
        path = Path(name).expanduser()
        exists = (folder / path).exists()
    except (
        OSError,
        RuntimeError,
        ValueError,
    ):  # too long, with a NUL, or ~ of a user that does not exist: no path
        return name
    looks = name.startswith(("~", "./", "../", "/")) or name.lower().endswith(_DATA_SUFFIXES)
    if name == "demo" or name.startswith("demo:"):
        return name
    if looks or exists:
        # Links stay as they are: in the Hub's cache they point at names without an ending.
        return os.path.abspath(folder / path)
    return name
