"""Columns of a raw row by path, such as `answers.text[0]`. Knows nested values, not shapes."""

import re
from typing import Any, cast

ROLES = (
    "prompt", "completion", "instruction", "input", "output", "context", "question", "answers",
    "messages", "conversations", "text", "system", "tools",
)  # fmt: skip
"""What a column can be mapped to."""
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(-?\d+)\]")


class Missing(LookupError):
    """A row has no such column; the message names the step of the path that failed."""


def parse(path: str) -> list[str | int]:
    """Returns the steps of a path: names and list indices.

    Example: "answers.text[0]" → ["answers", "text", 0].

    Raises:
        ValueError: It is not a path.
    """
    steps: list[str | int] = []
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None or (match[1] is not None and at > 0 and path[at] != "."):
            raise ValueError(f"{path!r} is not a path such as answers.text[0]")
        steps.append(match[1] if match[1] is not None else int(match[2]))
        at = match.end()
    if not steps or not isinstance(steps[0], str):
        raise ValueError(f"{path!r} is not a path such as answers.text[0]")
    return steps


def look_up(row: dict[str, Any], path: str) -> Any:
    """Returns the value at a path; None where a list has no such item or a value is null.

    A column whose own name is the path comes first, so names with dots need no escape.

    Raises:
        Missing: A name on the path does not exist in this row.
        ValueError: It is not a path.
    """
    if path in row:
        return row[path]
    value: Any = row
    for step in parse(path):
        if value is None:
            return None
        if isinstance(step, int):
            if not isinstance(value, list):
                raise Missing(f"{path}: what stands before [{step}] is not a list")
            items = cast(list[Any], value)
            value = items[step] if -len(items) <= step < len(items) else None
        else:
            fields = cast(dict[str, Any], value) if isinstance(value, dict) else {}
            if step not in fields:
                raise Missing(f"no column {step}" + (f" (of {path})" if step != path else ""))
            value = fields[step]
    return value
