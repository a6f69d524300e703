"""Reads the declarations of `config.py`: for checks, help lines, forms and documents.

Nothing here names a hyperparameter: what is declared there is all there is.
"""

import difflib
import functools
import math
import typing
from collections.abc import Iterator
from typing import Any, cast

import msgspec
from msgspec import inspect

from .about import Group
from .config import Problem, RunConfig


class Field(msgspec.Struct, frozen=True):
    """One declared key.

    `path` is dotted; `kind` is one of int, float, bool, str, choice, list, map. `advanced`,
    `adjust` and `follows` are described at `about.about`.
    """

    path: str
    help: str
    kind: str
    default: Any
    unit: str | None
    nullable: bool
    choices: tuple[str, ...]
    bounds: str
    """The bounds in words, such as "> 0 and ≤ 1"; empty where there are none."""
    advanced: bool = False
    adjust: str = ""
    follows: tuple[str, float] | None = None
    named: str | None = None
    """The label that its declaration gives."""

    @property
    def group(self) -> str:
        """The path of its group, such as `method`, or `data.sources.0` for keys of a source."""
        return self.path.rpartition(".")[0]

    @property
    def label(self) -> str:
        """Its name in lists: as declared, or the last part of the path, such as "Learning rate"."""
        if self.named:
            return self.named
        words = self.path.rpartition(".")[2].replace("_", " ")
        return words[:1].upper() + words[1:]

    def expected(self) -> str:
        """Returns what a value must be, as the end of a sentence."""
        noun = {
            "int": "a whole number",
            "float": "a number",
            "bool": "true or false",
            "str": "text",
            "list": "a list",
            "map": "a map of names",
        }.get(self.kind, "one of " + ", ".join(self.choices))
        gap = "" if self.bounds.startswith(",") else " "
        words = f"{noun}{gap}{self.bounds}".rstrip()
        return f"{words} (or null)" if self.nullable else words


def as_map(value: Any) -> dict[str, Any]:
    """Returns `value` where it is a map, an empty one where not."""
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """Returns `value` where it is a list, an empty one where not."""
    return cast(list[Any], value) if isinstance(value, list) else []


def groups() -> Iterator[tuple[str, type[Group]]]:
    """Yields the configuration's groups in order, as (key, declaration)."""
    for info in msgspec.structs.fields(RunConfig):
        yield info.encode_name, cast(type[Group], info.type)


# Declarations never change, and reading them took most of the time that a configuration takes.
@functools.lru_cache(maxsize=256)
def fields_of(group: type[Group], prefix: str) -> tuple[Field, ...]:
    """Returns the declared keys of `group`, with `prefix` put before each path."""
    described = cast(inspect.StructType, inspect.type_info(group))
    hints = {info.encode_name: info.type for info in msgspec.structs.fields(group)}
    return tuple(
        _read(f"{prefix}.{entry.encode_name}", entry, hints[entry.encode_name])
        for entry in described.fields
    )


def declared() -> list[Field]:
    """Returns every key of the configuration; keys of a source stand under `data.sources.0`."""
    found: list[Field] = []
    for key, group in groups():
        for field in fields_of(group, key):
            found.append(field)
            item = item_group(group, field.path.rpartition(".")[2])
            if item is not None:
                found.extend(fields_of(item, f"{field.path}.0"))
    return found


@functools.cache
def item_group(group: type[Group], key: str) -> type[Group] | None:
    """Returns the declaration of the items of a list of groups, or None for any other key."""
    described = cast(inspect.StructType, inspect.type_info(group))
    for entry in described.fields:
        kind, _, _ = _unwrap(entry.type)
        if entry.encode_name == key and isinstance(kind, inspect.ListType):
            item = kind.item_type
            if isinstance(item, inspect.StructType):
                return cast(type[Group], item.cls)
    return None


def field_at(path: str) -> Field:
    """Returns the declaration of a key; keys of any source are those of the first.

    Raises:
        KeyError: There is no such key.
    """
    generic = ".".join("0" if part.isdigit() else part for part in path.split("."))
    return _by_path()[generic]


@functools.cache
def _by_path() -> dict[str, Field]:
    return {field.path: field for field in declared()}


def about_group(path: str) -> str:
    """Returns what the declaration says of a group, such as `method` or `data.sources.0`."""
    for key, group in groups():
        for name, kind in ((key, group), *_items(key, group)):
            if name == path:
                return (kind.__doc__ or "").strip().rstrip(".")
    raise KeyError(path)


def _items(key: str, group: type[Group]) -> Iterator[tuple[str, type[Group]]]:
    for field in fields_of(group, key):
        item = item_group(group, field.path.rpartition(".")[2])
        if item is not None:
            yield f"{field.path}.0", item


def accepts(field: Field, value: Any) -> bool:
    """Returns whether a value is valid for a field by itself."""
    raw: Any = value
    for part in reversed(field.path.split(".")):
        raw = [raw] if part.isdigit() else {part: raw}
    return not check_raw(raw)


def nearest(name: str, known: list[str]) -> str | None:
    """Returns the known name most like `name`, compared by its last part first."""
    last = name.rpartition(".")[2]
    by_last = {path.rpartition(".")[2]: path for path in reversed(known)}
    for key, path in by_last.items():
        if last == "".join(word[:1] for word in key.split("_")):  # lr for learning_rate
            return path
    close = difflib.get_close_matches(last, list(by_last), n=1, cutoff=0.6)
    if close:
        return by_last[close[0]]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return close[0] if close else None


def json_schema() -> dict[str, Any]:
    """Returns the JSON Schema of the configuration, for editors and other tools."""
    return msgspec.json.schema(RunConfig)


def check_raw(raw: dict[str, Any]) -> list[Problem]:
    """Checks plain data against the declarations and returns every problem, not only the first.

    Args:
        raw: The configuration as nested dicts and lists, as YAML gives it.
    """
    problems: list[Problem] = []
    known_groups = dict(groups())
    for key, value in raw.items():
        key = str(key)  # YAML keys may be numbers
        group = known_groups.get(key)
        if group is None:
            problems.append(unknown(key))
        elif not isinstance(value, dict):
            problems.append(Problem(key, f"{key} must be a group of keys; got {_shown(value)}"))
        else:
            problems.extend(_check_group(group, key, as_map(value)))
    return problems


def _check_group(group: type[Group], prefix: str, raw: dict[str, Any]) -> list[Problem]:
    problems: list[Problem] = []
    types = _types(group)
    fields = {field.path: field for field in fields_of(group, prefix)}
    for key, value in raw.items():
        path = f"{prefix}.{key}"
        if key not in types:
            problems.append(unknown(path))
            continue
        item = item_group(group, key)
        if item is not None and as_list(value):
            for index, entry in enumerate(as_list(value)):
                place = f"{path}.{index}"
                if isinstance(entry, dict):
                    problems.extend(_check_group(item, place, as_map(entry)))
                else:
                    problems.append(
                        Problem(place, f"{place} must be a group of keys; got {_shown(entry)}")
                    )
            continue
        try:
            msgspec.convert(value, types[key])
            if isinstance(value, float) and not math.isfinite(value):
                raise msgspec.ValidationError  # no hyperparameter may be infinite
        except msgspec.ValidationError:
            wanted = "not be empty" if value == "" else f"be {fields[path].expected()}"
            problems.append(Problem(path, f"{path} must {wanted}; got {_shown(value)}"))
    return problems


SWITCH = ("auto", "always", "never")


def spell_switches(raw: dict[str, Any]) -> None:
    """Turns true and false of a switch into always and never, in place."""
    for field in declared():
        group, _, key = field.path.partition(".")
        place = as_map(raw.get(group))
        if field.choices == SWITCH and isinstance(place.get(key), bool):
            place[key] = "always" if place[key] else "never"


@functools.cache
def _types(group: type[Group]) -> dict[str, Any]:
    return {info.encode_name: info.type for info in msgspec.structs.fields(group)}


def unknown(path: str) -> Problem:
    """Returns what is wrong with a path that is no key: the nearest one, or one that it holds."""
    keys = [field.path for field in declared()] + ["data.source"]
    if within := [key for key in keys if key.startswith(f"{path}.")]:
        return Problem(path, f"{path} is not a key but holds some: {within[0]} is the first")
    guess = nearest(path, keys + [key for key, _ in groups()])
    return Problem(path, f"{path} is not a key" + (f"; the nearest is {guess}" if guess else ""))


def _shown(value: Any) -> str:
    return repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "…"


def _read(path: str, entry: inspect.Field, hint: Any) -> Field:
    kind, about, nullable = _unwrap(entry.type)
    default = entry.default
    if entry.default_factory is not msgspec.NODEFAULT:
        default = entry.default_factory()
    names: dict[type, str] = {
        inspect.IntType: "int",
        inspect.FloatType: "float",
        inspect.BoolType: "bool",
        inspect.StrType: "str",
        inspect.LiteralType: "choice",
        inspect.DictType: "map",
    }
    # msgspec sorts the values of a Literal; the declaration's own order is the one to show.
    bare = typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint
    choices = typing.get_args(bare) if isinstance(kind, inspect.LiteralType) else ()
    return Field(
        path=path,
        help=str(about.get("description", "")),
        kind=names.get(type(kind), "list"),
        default=default,
        unit=about.get("unit"),
        nullable=nullable,
        choices=choices,
        bounds=_bounds(kind),
        advanced=bool(about.get("advanced")),
        adjust=about.get("adjust")
        or ("double" if isinstance(kind, inspect.IntType) else "decimal"),
        follows=about.get("follows"),
        named=about.get("label"),
    )


def _unwrap(kind: inspect.Type) -> tuple[inspect.Type, dict[str, Any], bool]:
    """Returns the bare type, its description and unit, and whether null is allowed."""
    about: dict[str, Any] = {}
    if isinstance(kind, inspect.Metadata):
        about = {**as_map(cast(Any, kind).extra_json_schema), **as_map(cast(Any, kind).extra)}
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        members = [member for member in kind.types if not isinstance(member, inspect.NoneType)]
        return members[0], about, True
    return kind, about, False


def _bounds(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.TupleType):
        return f"of {len(kind.item_types)}"
    if isinstance(kind, inspect.ListType):
        least = f"of {kind.min_length} or more" if kind.min_length else ""
        item, _, _ = _unwrap(kind.item_type)
        if isinstance(item, inspect.IntType):
            return f"{least}, each a whole number {_bounds(item)}"
        empty = "" if not getattr(item, "min_length", None) else ", none empty"
        return f"{least}, each text{empty}" if isinstance(item, inspect.StrType) else least
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    parts = [
        f"{sign} {value:g}" if isinstance(value, float) else f"{sign} {value}"
        for name, sign in signs.items()
        if (value := getattr(kind, name, None)) is not None
    ]
    return " and ".join(parts)
