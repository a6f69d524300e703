"""The rows of Configure, made of the declaration of every field: none is named here."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from .....core.config import Problem
from .....core.draft import NEEDED, Draft
from .....core.fields import Field, about_group, as_list, as_map, declared, field_at
from .....core.raw_values import value_at
from .....core.text import one_line
from .....core.typed import shown

UNCHOSEN = "–"


@dataclass(frozen=True)
class Row:
    """One line of the list. `path` is the field's, or the group's where it is a heading.

    A line of kind `problem` stands below its field, and `leads_to` the other field of a conflict.
    """

    kind: Literal["heading", "field", "problem", "hidden"]
    path: str
    text: str
    """The label, or the sentence of a line that is no field."""
    value: str = ""
    default: str = ""
    """In parentheses where the value is another."""
    leads_to: str = ""

    @property
    def changed(self) -> bool:
        """Whether the value is not the default."""
        return bool(self.default)


def plain_default(field: Field) -> Any:
    """Returns the default as plain maps, lists and scalars."""
    return _listed(msgspec.to_builtins(field.default))


def _listed(value: Any) -> Any:
    return [*value] if isinstance(value, tuple) else value


def is_changed(field: Field, value: Any) -> bool:
    """Returns whether a value is not the default; of a list of groups, whether it has more.

    The items of the first group are fields of their own.
    """
    default = plain_default(field)
    if field.path in NEEDED.values():
        return False  # it has no default that would do
    if _is_of_groups(field):
        return len(as_list(value)) != len(default)
    return _listed(value) != default


def _is_of_groups(field: Field) -> bool:
    return any(isinstance(item, dict) for item in as_list(plain_default(field)))


def changed_fields(raw: dict[str, Any]) -> list[Field]:
    """Returns the fields that are not as their defaults."""
    return [field for field in declared() if is_changed(field, value_at(raw, field.path))]


def rows(draft: Draft, *, advanced: bool, also: Iterable[str] = ()) -> list[Row]:
    """Returns the lines of the list: each group's heading, its fields, most used first.

    Args:
        draft: Whose values are shown.
        advanced: Whether to show the fields that are seldom changed, and were not.
        also: Paths that are shown in any case.
    """
    raw = draft.raw()
    kept = {*also, *(field.path for field in changed_fields(raw))}
    problems = draft.problems()
    told = {path for problem in problems for path in (problem.path, *problem.others)}
    groups: dict[str, list[Field]] = {}
    for field in declared():
        groups.setdefault(field.group, []).append(field)
    found: list[Row] = []
    hidden = 0
    for group, fields in groups.items():
        seen = [f for f in fields if advanced or not f.advanced or f.path in told | kept]
        hidden += len(fields) - len(seen)
        if seen:
            found.append(Row("heading", group, heading(group)))
        for field in sorted(seen, key=lambda field: field.advanced):
            found.append(_row(field, draft, raw))
            found += _problem_rows(field, problems)
    if hidden:
        found.append(Row("hidden", "", f"… {hidden} advanced hidden (A)"))
    return found


def heading(group: str) -> str:
    """Returns the name of a group in words and what it is about."""
    parts = group.split(".")
    name = parts[-2].rstrip("s") if parts[-1].isdigit() else parts[-1]
    return f"{name.capitalize()} · {about_group(group)}"


def _row(field: Field, draft: Draft, raw: dict[str, Any]) -> Row:
    value = value_at(raw, field.path)
    default = ""
    if is_changed(field, value):
        default = f"({one_line(shown(field, plain_default(field), unit=False), 24) or 'empty'})"
    text = one_line(shown(field, value), 200)
    if field.path in NEEDED.values() and not draft.chosen(field.path):
        text = UNCHOSEN
    elif _is_of_groups(field):
        count = len(as_list(value))
        text = f"{count} {field.label.lower()}" if count != 1 else f"1 {field.label.lower()[:-1]}"
        names = [str(next(iter(as_map(item).values()))) for item in as_list(value)]
        text = one_line(f"{text}: {', '.join(name.rpartition('/')[2] for name in names)}", 200)
    return Row("field", field.path, field.label, text, default)


def _problem_rows(field: Field, problems: list[Problem]) -> list[Row]:
    found: list[Row] = []
    for problem in problems:
        ring = (problem.path, *problem.others)
        if field.path not in ring:
            continue
        other = ring[(ring.index(field.path) + 1) % len(ring)]
        text = one_line(f"✗ {problem.message}")
        if other != field.path:
            text = f"✗ Enter goes to {label_of(other)}: {one_line(problem.message)}"
        found.append(Row("problem", field.path, text, leads_to=other))
    return found


def label_of(path: str) -> str:
    """Returns a field's label, with its group where another field has the same."""
    field = field_at(path)
    same = [each for each in declared() if each.label == field.label]
    if len(same) == 1:
        return field.label
    return f"{field.label} ({heading(field.group).partition(' ·')[0]})"


def search(words: str) -> list[str]:
    """Returns the paths of the fields with words in label, path or help, the best first."""
    words = words.strip().lower()
    if not words:
        return []

    def rank(field: Field) -> int | None:
        label, path = field.label.lower(), field.path.lower()
        tests = (
            words in (path, label),
            label.startswith(words),
            path.rpartition(".")[2].startswith(words),
            words in label,
            words in path,
            words in field.help.lower(),
        )
        return tests.index(True) if True in tests else None

    found = [(place, field.path) for field in declared() if (place := rank(field)) is not None]
    return [path for _, path in sorted(found, key=lambda pair: pair[0])]
