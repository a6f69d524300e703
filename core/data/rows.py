"""Rows of training data in the one form that every template takes, and their split.

Knows nothing of files, tokenizers or templates.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

ROLES = ("system", "user", "assistant", "tool")


class Message(msgspec.Struct, frozen=True):
    """One turn: `role` is system, user, assistant or tool.

    `extra` holds what a chat template may use besides: `tool_calls`, `name`, `tool_call_id`,
    `reasoning_content`, in the form of transformers' `apply_chat_template`. An answer that is not
    `trained` is context only.
    """

    role: str
    content: str
    extra: dict[str, Any] = {}
    trained: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Returns the turn as chat templates take it."""
        return {"role": self.role, "content": self.content, **self.extra}


class Row(msgspec.Struct, frozen=True):
    """One row in the form that every template takes.

    `number` counts from 0 in its source. `instruction` and `input` are set for single-turn
    rows; `group` is equal for rows that share a context, which must not straddle the split
    into training and evaluation. `tools` are the definitions of functions that the assistant
    may call, as JSON Schemas. A row of plain `text` is one assistant turn that no template wraps.
    """

    number: int
    source: str
    messages: tuple[Message, ...]
    instruction: str | None
    input: str
    group: str
    tools: tuple[dict[str, Any], ...] = ()
    text: bool = False


class Left(msgspec.Struct, frozen=True):
    """A row that cannot be used: where it stands, the id of the problem, and why."""

    number: int
    place: str
    id: str
    why: str


def group_of(text: str) -> str:
    """Returns the group of rows that share a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def held_out(groups: Iterable[str], fraction: float, seed: int) -> set[str]:
    """Returns the groups that are kept for evaluation, given the group of every row.

    Groups are taken by a hash of seed and group, so the choice does not depend on row order. A
    positive fraction gives at least one group where there are two groups or more.
    """
    sizes: dict[str, int] = {}
    for group in groups:
        sizes[group] = sizes.get(group, 0) + 1
    if fraction <= 0 or len(sizes) < 2:
        return set()
    ranked = sorted(sizes, key=lambda g: hashlib.sha256(f"{seed}/{g}".encode()).digest())
    wanted = max(1, round(sum(sizes.values()) * fraction))
    smallest = min(sizes.values())
    chosen: set[str] = set()
    taken = 0
    for group in ranked:
        if taken >= wanted or len(chosen) == len(sizes) - 1:
            break
        if sizes[group] > max(wanted - taken, smallest):
            continue
        chosen.add(group)
        taken += sizes[group]
    return chosen


def split(rows: list[Row], fraction: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Splits rows into training and evaluation rows; rows of one group stay together.

    Returns:
        (training rows, evaluation rows), each in file order.
    """
    chosen = held_out((row.group for row in rows), fraction, seed)
    if not chosen:
        return rows, []
    return [r for r in rows if r.group not in chosen], [r for r in rows if r.group in chosen]
