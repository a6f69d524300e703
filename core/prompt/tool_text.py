"""Tools for templates that know nothing of them: written into the conversation as JSON.

The form of a call is that of the Hermes and Qwen models (github.com/NousResearch/
Hermes-Function-Calling): one JSON object between lines `<tool_call>` and `</tool_call>`.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, cast

from .chat_template import Turn

_SENTENCE = "You may call these functions, each given as one line of JSON:"


def calls_of(turn: Turn) -> Iterator[dict[str, Any]]:
    """Yields the functions that a turn calls, as name and arguments."""
    for call in turn.get("tool_calls") or ():
        yield cast(dict[str, Any], call.get("function", call))


def calls_as_text(turns: Sequence[Turn]) -> list[Turn]:
    """Returns the turns with their calls as part of what they say."""
    found: list[Turn] = []
    for turn in turns:
        calls = [
            f"<tool_call>\n{_line({'name': c.get('name'), 'arguments': c.get('arguments', {})})}"
            "\n</tool_call>"
            for c in calls_of(turn)
        ]
        if calls:
            said = [turn["content"]] if turn["content"] else []
            turn = {key: value for key, value in turn.items() if key != "tool_calls"}
            turn["content"] = "\n".join([*said, *calls])
        found.append(turn)
    return found


def definitions_as_text(turns: Sequence[Turn], tools: Sequence[dict[str, Any]]) -> list[Turn]:
    """Returns the turns with the definitions of the tools at the end of the system message."""
    if not tools:
        return list(turns)
    text = "\n".join([_SENTENCE, *map(_line, tools)])
    if turns and turns[0]["role"] == "system":
        said = turns[0]["content"]
        joined = f"{said}\n\n{text}" if said else text
        return [{**turns[0], "content": joined}, *turns[1:]]
    return [{"role": "system", "content": text}, *turns]


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
