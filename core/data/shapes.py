"""Shapes of training data, recognised by the columns of the first rows.

Knows what columns mean; nothing of files, tokenizers or templates.
"""

from typing import Any, cast

import msgspec

from .columns import Missing, look_up, parse
from .turns import READ, from_json

PROMPTS = ("prompt", "question", "query", "instruction", "input", "problem")
COMPLETIONS = ("completion", "response", "answer", "output", "target", "solution", "chosen")
_CONVERSATIONS = ("messages", "conversations", "conversation", "chat", "dialog", "dialogue")
_SYSTEMS = ("system", "system_prompt")
_TOOLS = ("tools", "functions")


class Shape(msgspec.Struct, frozen=True):
    """What the rows of a source are: `certainty` is sure, likely or chosen (by the user).

    `columns` maps each role to the path it is read from.
    """

    name: str
    columns: dict[str, str]
    certainty: str
    reason: str


def detect(rows: list[dict[str, Any]], columns: dict[str, str], wanted: str) -> Shape | None:
    """Recognises the shape of a source.

    Args:
        rows: Its first rows.
        columns: Paths by role that the user gave.
        wanted: The shape that the user gave, or `auto`.

    Returns:
        None where no shape fits.
    """
    found = _by_roles(columns, wanted) or _of_most(rows)
    if wanted != "auto":
        same = found.columns if found is not None and found.name == wanted else {}
        return Shape(
            wanted, {**_usual(wanted, _values(rows)), **same, **columns}, "chosen", "as configured"
        )
    if found is None:
        return None
    return msgspec.structs.replace(found, columns={**found.columns, **columns})


def _of_most(rows: list[dict[str, Any]]) -> Shape | None:
    """Recognises the shape that most rows have: a stray one must not decide for all."""
    votes: dict[object, list[dict[str, Any]]] = {}
    for row in rows:
        alone = _recognised([row])
        if alone is not None:
            required = [alone.columns.get(role) for role in ROLES_OF[alone.name]]
            votes.setdefault((alone.name, *required), []).append(row)
    most = max(votes.values(), key=len, default=rows)
    found = _recognised(most)
    if found is None or not votes or len(most) == sum(map(len, votes.values())):
        return found
    reason = f"{found.reason}, as {len(most)} of the first {len(rows)} rows"
    return msgspec.structs.replace(found, certainty="likely", reason=reason)


def _recognised(rows: list[dict[str, Any]]) -> Shape | None:
    every = _values(rows)
    return _by_conversation(every) or _by_names(every) or _in_capitals(every)


def _values(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Returns what stands in each column, without nulls."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row[name] for row in rows if row.get(name) is not None] for name in names}


def _by_roles(columns: dict[str, str], wanted: str) -> Shape | None:
    """The user named the columns by role: the roles tell the shape."""
    if wanted != "auto" or not columns:
        return None
    for name, roles in ROLES_OF.items():
        if set(roles) <= set(columns):
            return Shape(name, columns, "chosen", "the columns are named by role")
    return None


ROLES_OF = {
    "messages": ("messages",),
    "sharegpt": ("conversations",),
    "squad": ("context", "question", "answers"),
    "alpaca": ("instruction", "output"),
    "prompt_completion": ("prompt", "completion"),
    "text": ("text",),
}
"""The roles without which a shape cannot be read."""


def _usual(name: str, every: dict[str, list[Any]]) -> dict[str, str]:
    """Returns the usual columns of a shape's roles, the first that the rows have."""
    usual = {
        "messages": {"messages": _CONVERSATIONS},
        "sharegpt": {"conversations": ("conversations", *_CONVERSATIONS)},
        "squad": {"context": ("context",), "question": ("question",), "answers": ("answers",)},
        "alpaca": {"instruction": ("instruction",), "output": ("output", "response")},
        "prompt_completion": {"prompt": PROMPTS, "completion": COMPLETIONS},
        "text": {"text": ("text", "content")},
    }[name]
    # Dolly and its like call the alpaca's input `context`.
    extra = {"input": ("input", "context")} if name == "alpaca" else {}
    return _first_of({**usual, **extra, **_COMMON}, every)


READ_TOO = {
    "messages": ("completion", "system", "tools"),
    "sharegpt": ("system", "tools"),
    "squad": ("system",),
    "alpaca": ("input", "system"),
    "prompt_completion": ("system",),
    "text": (),
}
"""The roles that a shape reads where there are columns for them."""

_COMMON: dict[str, tuple[str, ...]] = {"system": _SYSTEMS, "tools": _TOOLS}


def _first_of(wanted: dict[str, tuple[str, ...]], every: dict[str, list[Any]]) -> dict[str, str]:
    optional = ("input", "system", "tools")
    found: dict[str, str] = {}
    for role, names in wanted.items():
        known = [name for name in names if name in every]
        if known or role not in optional:
            found[role] = (known or list(names))[0]
    return found


def _by_conversation(every: dict[str, list[Any]]) -> Shape | None:
    """A column that holds turns is a conversation, under whatever name."""
    ranked = sorted(every, key=lambda name: name not in _CONVERSATIONS)
    for name in ranked:
        if name in _CONVERSATIONS and (how := _loose_turns(every[name])):
            columns = {"messages": name, **_first_of(_COMMON, every)}
            return Shape("messages", columns, "likely", f"{name} holds {how}")
        turns = [turn for value in every[name] for turn in turns_in(value)]
        if not turns:
            continue
        keys = set(turns[0])
        sure = "sure" if name in _CONVERSATIONS else "likely"
        if {"from", "value"} <= keys:
            columns = {"conversations": name, **_first_of(_COMMON, every)}
            return Shape("sharegpt", columns, sure, f"{name} holds turns of from and value")
        if "role" in keys and keys & {"content", "tool_calls"}:
            columns = {"messages": name, **_first_of(_COMMON, every)}
            both = _pair(every)
            if both is not None and name in both:  # a conversation cut in two columns
                columns |= {"messages": both[0], "completion": both[1]}
            return Shape("messages", columns, sure, f"{name} holds turns of role and content")
    return None


def _loose_turns(values: list[Any]) -> str:
    """Returns how conversations without roles are written, or ""."""
    items = [item for value in values if isinstance(value, list) for item in cast(list[Any], value)]
    if items and all(isinstance(item, str) for item in items):
        return "texts, taken as user and assistant in turn"
    if items and all(isinstance(item, dict) and {"input", "output"} <= set(item) for item in items):  # pyright: ignore[reportUnknownArgumentType]
        return "pairs of input and output"
    return ""


def turns_in(value: Any) -> list[dict[str, Any]]:
    """Returns the turns of a conversation that stands as a list, or as its JSON text."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = from_json(value)
    items = cast(list[Any], value) if isinstance(value, list) else []
    return [cast(dict[str, Any], item) for item in items if isinstance(item, dict)]


def _pair(every: dict[str, list[Any]]) -> tuple[str, str] | None:
    prompt = next((name for name in PROMPTS if name in every), None)
    completion = next((name for name in COMPLETIONS if name in every), None)
    return (prompt, completion) if prompt and completion else None


def _by_names(every: dict[str, list[Any]]) -> Shape | None:
    names = set(every)
    if {"context", "question"} <= names and (answer := names & {"answers", "answer"}):
        columns = {"context": "context", "question": "question", "answers": max(answer)}
        return Shape("squad", columns, "sure", f"it has context, question and {max(answer)}")
    if "instruction" in names and (answer := names & {"output", "response"}):
        columns = _usual("alpaca", every)
        certainty = "sure" if len(answer) == 1 else "likely"
        return Shape("alpaca", columns, certainty, f"it has instruction and {columns['output']}")
    if (both := _pair(every)) is not None:
        columns = {"prompt": both[0], "completion": both[1], **_first_of(_COMMON, every)}
        rivals = [n for n in (*PROMPTS, *COMPLETIONS) if n in names and n not in both]
        certainty = "likely" if rivals or both[1] == "chosen" else "sure"
        reason = f"it has {both[0]} and {both[1]}" + (
            f", beside {', '.join(rivals)}" if rivals else ""
        )
        return Shape("prompt_completion", columns, certainty, reason)
    if "role" in names or "from" in names:  # a turn by itself, not a text
        return None
    for name in ("text", "content"):
        if name in names and all(isinstance(value, str) for value in every[name]):
            sure = "sure" if name == "text" and len(names) == 1 else "likely"
            return Shape("text", {"text": name}, sure, f"it has {name} and no question or answer")
    return None


def _in_capitals(every: dict[str, list[Any]]) -> Shape | None:
    """Spreadsheets write `Question` and `ANSWER`: case does not matter where one name fits."""
    written = {name.lower(): name for name in every}
    if len(written) < len(every):
        return None
    small = {name.lower(): values for name, values in every.items()}
    found = _by_conversation(small) or _by_names(small)
    if found is None:
        return None
    columns = {role: written.get(name, name) for role, name in found.columns.items()}
    reason = f"{found.reason}, apart from capitals"
    return Shape(found.name, columns, "likely", reason)


def misnamed(shape: Shape, rows: list[dict[str, Any]], columns: dict[str, str]) -> str:
    """Returns what is wrong with the columns that the user named, or ""."""
    reads = (*ROLES_OF[shape.name], *READ_TOO[shape.name])
    for role, path in columns.items():
        if role not in reads:
            return f"the shape {shape.name} reads no {role}, but {', '.join(reads)}"
        if not any(_has(row, path) for row in rows):
            return f"none of its first rows has {path!r}, which {role} is mapped to"
    return ""


def _has(row: dict[str, Any], path: str) -> bool:
    try:
        look_up(row, path)
    except Missing:
        return False
    return True


def unused(shape: Shape, rows: list[dict[str, Any]]) -> list[str]:
    """Returns the columns of some rows that no role is read from."""
    reads = {*ROLES_OF[shape.name], *READ_TOO[shape.name]}
    used = {path for role, path in shape.columns.items() if role in reads}
    used |= {str(parse(path)[0]) for path in used}
    columns = [n for n in dict.fromkeys(name for row in rows for name in row) if n not in used]
    talks = [shape.columns.get(role) for role in ("messages", "conversations", "completion")]
    keys = {
        f"{path}[].{key}": None
        for path in talks
        if path is not None and shape.name in ("messages", "sharegpt")
        for row in rows
        if _has(row, path)
        for turn in turns_in(look_up(row, path))
        for key in turn
        if key not in READ
    }
    return [*columns, *keys]
