"""Turns of a conversation, as OpenAI's chat format and as ShareGPT's, brought into one form."""

import json
from typing import Any, cast

from .rows import ROLES, Message

_SHAREGPT = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "system": "system",
    "function_call": "function_call",
    "observation": "tool",
    "tool": "tool",
    "function_response": "tool",
}
_OPENAI = {**{role: role for role in ROLES}, "developer": "system", "function": "tool"}
_KEPT = ("tool_calls", "name", "tool_call_id", "reasoning_content")
_OTHER_NAMES = {"function_call": "tool_calls", "reasoning": "reasoning_content",
                "thinking": "reasoning_content"}  # fmt: skip
"""Keys of turns under older or other names."""
READ = {"role", "content", "from", "value", "weight", *_KEPT, *_OTHER_NAMES}
"""The keys of a turn that are read."""


class Unusable(ValueError):
    """A row cannot be used; `id` is the problem's."""

    def __init__(self, id: str, why: str) -> None:
        self.id = id
        super().__init__(why)


def known_roles(*, sharegpt: bool) -> dict[str, str]:
    """Returns the role of each name of a role that needs no explanation."""
    return dict(_SHAREGPT if sharegpt else _OPENAI)


def messages_of(raw: Any, roles: dict[str, str], *, sharegpt: bool) -> list[Message]:
    """Returns the turns of one conversation.

    Args:
        raw: The list as it stands in the data, or its JSON text.
        roles: Names of roles by the names that the data uses, before the usual ones.
        sharegpt: Whether turns have `from` and `value` instead of `role` and `content`.

    Raises:
        Unusable: It is no conversation, a role is not known, or no turn is the assistant's.
    """
    raw = from_json(raw)
    if not isinstance(raw, list) or not raw:
        what = "is empty" if raw == [] else "is not a list of turns"
        raise Unusable("wrong_row", f"its conversation {what}")
    raw = _with_roles(cast(list[Any], raw))
    known = {**known_roles(sharegpt=sharegpt), **roles}
    turns: list[Message] = []
    for index, entry in enumerate(raw, 1):
        if not isinstance(entry, dict):
            kind = type(cast(object, entry)).__name__
            raise Unusable("wrong_row", f"turn {index} is {kind}, not a turn")
        turn = cast(dict[str, Any], entry)
        name = turn.get("from" if sharegpt else "role")
        role = known.get(name) if isinstance(name, str) else None
        if role not in (*ROLES, "function_call"):
            raise Unusable("unknown_role", _unknown(index, name, roles))
        turns.append(_message(index, turn, str(role), sharegpt))
    if all(turn.role != "assistant" for turn in turns):
        raise Unusable("wrong_row", "no turn of it is the assistant's")
    return turns


def _with_roles(raw: list[Any]) -> list[Any]:
    """Gives roles to turns without: texts in turn (LIMA), pairs of input and output (Capybara)."""
    if len(raw) > 1 and all(isinstance(entry, str) for entry in raw):
        roles = ("user", "assistant")
        return [{"role": roles[at % 2], "content": text} for at, text in enumerate(raw)]
    pairs = [cast(dict[str, Any], entry) for entry in raw if isinstance(entry, dict)]
    if len(pairs) < len(raw) or any(not {"input", "output"} <= set(pair) for pair in pairs):
        return raw
    return [
        {"role": role, "content": pair[key]}
        for pair in pairs
        for role, key in (("user", "input"), ("assistant", "output"))
    ]


def _unknown(index: int, name: Any, roles: dict[str, str]) -> str:
    if isinstance(name, str) and name in roles:
        return f"turn {index}: roles maps {name!r} to {roles[name]!r}, not {', '.join(ROLES)}"
    if not isinstance(name, str):
        return f"turn {index} has the role {name!r}"
    return (
        f"turn {index} has the role {name!r}; say what it is with "
        f"data.sources.0.roles={{{json.dumps(name)}: user}} (or {', '.join(ROLES[2:])}, system)"
    )


def _message(index: int, turn: dict[str, Any], role: str, sharegpt: bool) -> Message:
    content = turn.get("value" if sharegpt else "content")
    trained = _is_trained(index, turn.get("weight"))
    if role == "function_call":
        return Message("assistant", "", {"tool_calls": _calls_in(index, content)}, trained)
    extra = {
        _OTHER_NAMES.get(key, key): turn[key]
        for key in (*_OTHER_NAMES, *_KEPT)
        if turn.get(key) not in (None, "", [])
    }
    if "tool_calls" in extra:
        extra["tool_calls"] = _calls_in(index, extra["tool_calls"])
    return Message(role, _text(index, content, has_calls="tool_calls" in extra), extra, trained)


def _is_trained(index: int, weight: Any) -> bool:
    """Reads the `weight` of a turn as OpenAI's fine-tuning format has it: 0 is not trained."""
    if weight not in (None, 0, 1):
        raise Unusable("wrong_row", f"turn {index} has the weight {weight!r}; 0 and 1 are known")
    return weight != 0


def _text(index: int, content: Any, *, has_calls: bool) -> str:
    """Returns a turn's content: text, or the texts of its parts."""
    if isinstance(content, str):
        return content
    if content is None and has_calls:
        return ""
    if isinstance(content, list):
        parts = cast(list[Any], content)
        texts = [_part(index, part) for part in parts]
        return "".join(texts)
    raise Unusable("wrong_row", f"turn {index} has no text as content")


def _part(index: int, part: Any) -> str:
    if isinstance(part, str):
        return part
    fields = cast(dict[str, Any], part) if isinstance(part, dict) else {}
    if isinstance(fields.get("text"), str) and fields.get("type", "text") == "text":
        return fields["text"]
    kind = fields.get("type", type(cast(object, part)).__name__)
    raise Unusable(
        "wrong_row", f"turn {index} has a part of the type {kind!r}; only text is trained"
    )


def _calls_in(index: int, text: Any) -> list[dict[str, Any]]:
    """Reads the calls of a turn: one call or a list of them, as data or as JSON text."""
    value = from_json(text)
    if value is None:
        raise Unusable("wrong_row", f"turn {index} has a function call that is not JSON")
    calls = cast(list[Any], value) if isinstance(value, list) else [value]
    if not calls:
        raise Unusable("wrong_row", f"turn {index} is a function call without a call")
    return [_call(index, call) for call in calls]


def _call(index: int, raw: Any) -> dict[str, Any]:
    """Returns a call in the form of transformers' chat templates, its arguments a map."""
    call = cast(dict[str, Any], raw) if isinstance(raw, dict) else {}
    function = cast(dict[str, Any], call.get("function", call))
    name = function.get("name") if isinstance(function, dict) else None  # pyright: ignore[reportUnnecessaryIsInstance]
    if not isinstance(name, str) or not name:
        raise Unusable("wrong_row", f"turn {index} has a function call without a name")
    strange = set(function) - {"name", "arguments", "parameters", "id", "type"}
    if strange:
        raise Unusable(
            "wrong_row", f"turn {index} has a function call with {', '.join(sorted(strange))}"
        )
    # Llama 3 writes `parameters` where OpenAI writes `arguments`.
    arguments: Any = function.get("arguments", function.get("parameters"))
    if isinstance(arguments, str):
        parsed = from_json(arguments)
        arguments = cast(Any, parsed) if isinstance(parsed, dict) else arguments
    made: dict[str, Any] = {
        "type": "function",
        "function": {"name": name, "arguments": {} if arguments is None else arguments},
    }
    return {"id": call["id"], **made} if isinstance(call.get("id"), str) else made


def tools_of(raw: Any) -> list[dict[str, Any]]:
    """Returns definitions of tools, given as a list, one map, or the JSON text of either.

    Raises:
        Unusable: They are neither.
    """
    if raw is None or raw == "":
        return []
    value = from_json(raw) if isinstance(raw, str) else raw
    items = cast(list[Any], value) if isinstance(value, list) else [value]
    if any(not isinstance(item, dict) for item in items):
        raise Unusable("wrong_row", "its tools are not a list of definitions")
    return [_definition(cast(dict[str, Any], item)) for item in items]


def _definition(tool: dict[str, Any]) -> dict[str, Any]:
    """OpenAI wraps a definition as {"type": "function", "function": …}; templates expect that."""
    return tool if "function" in tool else {"type": "function", "function": tool}


def from_json(text: Any) -> Any:
    """Returns what a JSON text holds, None where it is none; anything but text as it is."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
