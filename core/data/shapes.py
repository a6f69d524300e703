"""Shapes of training data: recognised by their columns, and brought into the form of `Row`.

Knows what columns mean; nothing of files, tokenizers or templates.
"""

from typing import Any, cast

import msgspec

from .columns import Missing, look_up, parse
from .rows import Message, Row, group_of
from .turns import Unusable, messages_of, tools_of

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
    names = list(dict.fromkeys(name for row in rows for name in row))
    every = {name: [row[name] for row in rows if row.get(name) is not None] for name in names}
    found = (
        _by_roles(columns, wanted)
        or _by_conversation(every)
        or _by_names(every)
        or _in_capitals(every)
    )
    if wanted != "auto":
        same = found.columns if found is not None and found.name == wanted else {}
        return Shape(
            wanted, {**_usual(wanted, every), **same, **columns}, "chosen", "as configured"
        )
    if found is None:
        return None
    return msgspec.structs.replace(found, columns={**found.columns, **columns})


def _by_roles(columns: dict[str, str], wanted: str) -> Shape | None:
    """The user named the columns by role: the roles tell the shape."""
    if wanted != "auto" or not columns:
        return None
    for name, roles in _ROLES_OF.items():
        if set(roles) <= set(columns):
            return Shape(name, columns, "chosen", "the columns are named by role")
    return None


_ROLES_OF = {
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


_READ_TOO = {
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
        turns = [turn for value in every[name] for turn in _turns(value)]
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


def _turns(value: Any) -> list[dict[str, Any]]:
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
    reads = (*_ROLES_OF[shape.name], *_READ_TOO[shape.name])
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
    reads = {*_ROLES_OF[shape.name], *_READ_TOO[shape.name]}
    used = {path for role, path in shape.columns.items() if role in reads}
    used |= {str(parse(path)[0]) for path in used}
    return [name for name in dict.fromkeys(n for row in rows for n in row) if name not in used]


class Reader:
    """Brings raw rows of one shape into the form of `Row`.

    Args:
        shape: Which columns are what.
        source: The name of the source, for the rows.
        system: System message for rows that have none.
        roles: Names of roles by the names that the data uses.
    """

    def __init__(
        self, shape: Shape, source: str, system: str | None, roles: dict[str, str]
    ) -> None:
        self.shape = shape
        self._source = source
        self._system = system
        self._roles = roles
        self._read = {
            "alpaca": self._alpaca,
            "squad": self._squad,
            "prompt_completion": self._prompt_completion,
            "messages": self._messages,
            "sharegpt": self._messages,
            "text": self._text,
        }[shape.name]

    def row(self, number: int, fields: dict[str, Any]) -> Row:
        """Returns one row.

        Raises:
            Unusable: It lacks what its shape needs; `id` says which problem it is.
        """
        row = self._read(number, fields)
        try:
            "".join(turn.content for turn in row.messages).encode()
        except UnicodeEncodeError as error:
            raise Unusable("unreadable_row", "it holds half of a surrogate pair") from error
        return row

    def _value(self, fields: dict[str, Any], role: str, *, required: bool = True) -> Any:
        path = self.shape.columns.get(role)
        if path is None:
            if required:
                raise Unusable("wrong_row", f"the shape {self.shape.name} needs a column {role}")
            return None
        try:
            return look_up(fields, path)
        except Missing as error:
            if not required:
                return None
            columns = ", ".join(fields) or "(none)"
            raise Unusable("wrong_row", f"it has {error}; its columns are {columns}") from error

    def _str(self, fields: dict[str, Any], role: str, *, required: bool = True) -> str:
        value = self._value(fields, role, required=required)
        if value is None:
            # An index that a list has not is an empty value; a column that is null is none.
            if required and fields.get(self.shape.columns[role], "") is None:
                columns = ", ".join(fields)
                raise Unusable(
                    "wrong_row",
                    f"it has no value in {self.shape.columns[role]}; its columns are {columns}",
                )
            return ""
        if isinstance(value, (dict, list)):
            raise Unusable(
                "wrong_row",
                f"its column {self.shape.columns[role]} is not text; "
                f"its columns are {', '.join(fields)}",
            )
        return str(value)

    def _single(
        self, number: int, fields: dict[str, Any], parts: tuple[str, str, str], group: str = ""
    ) -> Row:
        """A question of instruction and input, and its answer."""
        user = "\n\n".join(part for part in parts[:2] if part)
        system = self._str(fields, "system", required=False) or self._system
        head = (Message("system", system),) if system else ()
        turns = (*head, Message("user", user), Message("assistant", parts[2]))
        return Row(number, self._source, turns, parts[0], parts[1], group_of(group or user))

    def _alpaca(self, number: int, fields: dict[str, Any]) -> Row:
        parts = (
            self._str(fields, "instruction"),
            self._str(fields, "input", required=False),
            self._str(fields, "output"),
        )
        return self._single(number, fields, parts)

    def _squad(self, number: int, fields: dict[str, Any]) -> Row:
        """SQuAD as in the tutorial: the context is the instruction, the question the input."""
        context = self._str(fields, "context")
        parts = (context, self._str(fields, "question"), self._first_answer(fields))
        return self._single(number, fields, parts, group=context)

    def _first_answer(self, fields: dict[str, Any]) -> str:
        answers = self._value(fields, "answers")
        if isinstance(answers, dict):
            answers = cast(dict[str, Any], answers).get("text")
        if isinstance(answers, list):
            items = cast(list[Any], answers)
            answers = items[0] if items else ""
        if answers is None or isinstance(answers, (dict, list)):
            raise Unusable(
                "wrong_row",
                f"its column {self.shape.columns['answers']} has no list `text`; "
                f"its columns are {', '.join(fields)}",
            )
        return str(cast(Any, answers))

    def _prompt_completion(self, number: int, fields: dict[str, Any]) -> Row:
        parts = (self._str(fields, "prompt"), "", self._str(fields, "completion"))
        return self._single(number, fields, parts)

    def _text(self, number: int, fields: dict[str, Any]) -> Row:
        text = self._str(fields, "text")
        turns = (Message("assistant", text),)
        return Row(number, self._source, turns, None, "", group_of(text), text=True)

    def _messages(self, number: int, fields: dict[str, Any]) -> Row:
        sharegpt = self.shape.name == "sharegpt"
        raw = self._value(fields, "conversations" if sharegpt else "messages")
        if "completion" in self.shape.columns:
            raw = [*_turns(raw), *_turns(self._value(fields, "completion"))]
        turns = messages_of(raw, self._roles, sharegpt=sharegpt)
        system = self._str(fields, "system", required=False) or self._system
        if system and turns[0].role != "system":
            turns.insert(0, Message("system", system))
        prompt = next((turn for turn in turns if turn.role == "user"), turns[0])
        tools = tools_of(self._value(fields, "tools", required=False))
        return Row(
            number, self._source, tuple(turns), None, "", group_of(prompt.content), tuple(tools)
        )
