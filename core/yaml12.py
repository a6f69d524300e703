"""YAML as configurations use it: YAML 1.2's scalars, line numbers, no silent double keys.

Knows text and plain data, not what a configuration holds.
"""

import re
from typing import Any, cast

import yaml

from .config import ConfigError, Problem
from .errors import UsageError


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2's core schema (yaml.org/spec/1.2.2, 10.3)."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuses aliases: a few lines of them unfold into gigabytes, and no setting needs one."""
        if cast(Any, self).check_event(yaml.AliasEvent):
            event = cast(Any, self).peek_event()
            raise yaml.MarkedYAMLError(
                problem=f"the alias *{event.anchor} cannot be used; quote text that begins with *",
                problem_mark=event.start_mark,
            )
        return cast(Any, super()).compose_node(parent, index)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """Says in plain words, and where, that a value cannot be read as what it looks like."""
        try:
            return cast(Any, super()).construct_object(node, deep)
        except yaml.MarkedYAMLError:
            raise
        except (yaml.YAMLError, ValueError, AttributeError) as error:
            kind = str(node.tag).rpartition(":")[2]
            words = {"int": "whole number", "float": "number"}.get(kind, kind)
            raise yaml.MarkedYAMLError(
                problem=f"the value cannot be read as a {words}; quote it if it is text",
                problem_mark=node.start_mark,
            ) from error


def _add_core_scalars() -> None:
    core = (
        ("null", r"~|null|Null|NULL|", "~nN\0"),
        ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
        ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
        (
            "float",
            r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
            r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
            "-+.0123456789",
        ),
        ("merge", r"<<", "<"),
    )
    for name, pattern, first in core:
        starts = ["" if letter == "\0" else letter for letter in first]
        cast(Any, _Loader).add_implicit_resolver(
            f"tag:yaml.org,2002:{name}", re.compile(f"^(?:{pattern})$"), starts
        )

    def whole(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
        text = node.value
        base = {"0o": 8, "0x": 16}.get(text[:2])
        return int(text[2:], base) if base else int(text)

    _Loader.add_constructor("tag:yaml.org,2002:int", whole)


_add_core_scalars()


class _Dumper(yaml.SafeDumper):
    """Quotes text that the loader would read as a number, which SafeDumper alone does not."""

    yaml_implicit_resolvers = {
        first: [*yaml.SafeDumper.yaml_implicit_resolvers.get(first, []), *rules]
        for first, rules in _Loader.yaml_implicit_resolvers.items()
    }


def scalar_of(text: str) -> Any:
    """Returns the value that a piece of YAML stands for.

    Raises:
        ValueError: It is not valid YAML.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, AttributeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def dump_value(value: Any) -> str:
    """Returns one value as YAML on one line, which `read` gives back equal."""
    # U+0085 is a line break to YAML, which only the escaped form keeps.
    plain = "\\x85" not in repr(value)
    text = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, width=1_000_000, allow_unicode=plain
    )
    return text.removesuffix("\n").removesuffix("\n...")


def read(text: str, origin: str) -> tuple[dict[str, Any], dict[str, int]]:
    """Returns the document as plain data, and the line (from 1) of each dotted key."""
    lines: dict[str, int] = {}
    loader: Any = None
    try:
        loader = cast(Any, _Loader(text))
        node = loader.get_single_node()
        doubles = _index_lines(node, "", lines) if node is not None else []
        raw: Any = loader.construct_document(node) if node is not None else {}
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise UsageError(
            f"the configuration {origin} is not valid YAML",
            f"{where}{error.problem or error}",
            "mend that line; `sft-tui config` prints a valid file to start from",
        ) from error
    except RecursionError as error:
        raise UsageError(
            f"the configuration {origin} is not valid YAML",
            "it is nested too deeply",
            "start from what `sft-tui config` prints",
        ) from error
    except yaml.reader.ReaderError as error:
        raise UsageError(
            f"the configuration {origin} is not valid YAML",
            f"character {error.position + 1} cannot stand in YAML (U+{_code(error):04X})",
            "save the file as UTF-8 text; `sft-tui config` prints a valid one to start from",
        ) from error
    except (yaml.YAMLError, ValueError, AttributeError) as error:
        raise UsageError(
            f"the configuration {origin} is not valid YAML",
            " ".join(str(error).split()),
            "save the file as UTF-8 text; `sft-tui config` prints a valid one to start from",
        ) from error
    finally:
        if loader is not None:
            loader.dispose()
    if not isinstance(raw, dict):
        raise UsageError(
            f"the configuration {origin} is not a map of keys",
            f"it holds {type(raw).__name__} at its top",
            "start from what `sft-tui config` prints",
        )
    if doubles:
        raise ConfigError(doubles, origin)
    return cast(dict[str, Any], raw), lines


def _code(error: yaml.reader.ReaderError) -> int:
    """Returns the code of the character that cannot be read; the two readers differ in its type."""
    character: Any = error.character
    return character if isinstance(character, int) else ord(character)


def _index_lines(node: yaml.Node, prefix: str, lines: dict[str, int]) -> list[Problem]:
    """Fills `lines` and returns keys that stand twice, which YAML readers drop silently."""
    doubles: list[Problem] = []
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in cast(list[tuple[yaml.Node, yaml.Node]], node.value):
            path = f"{prefix}.{key_node.value}".lstrip(".")
            line = key_node.start_mark.line + 1
            if path in lines:
                message = f"{path} stands twice (first on line {lines[path]}): remove one"
                doubles.append(Problem(path, message, line))
            lines.setdefault(path, line)
            doubles.extend(_index_lines(value_node, path, lines))
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(cast(list[yaml.Node], node.value)):
            lines.setdefault(f"{prefix}.{index}", item.start_mark.line + 1)
            doubles.extend(_index_lines(item, f"{prefix}.{index}", lines))
    return doubles
