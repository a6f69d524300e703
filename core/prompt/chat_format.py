"""Rows through a chat template: the text as the template makes it, and where its answers stand."""

import json
from collections.abc import Sequence

from ..data.rows import Row
from .anchors import Unclear
from .answer_spans import AnswerFinder
from .chat_template import ChatTemplate, Refused, Turn, as_turns
from .prompt import Prompt, TokenizerFacts, row_error
from .tool_text import calls_as_text, calls_of, definitions_as_text


class ChatFormat:
    """One chat template, ready for rows.

    `tools_as_text` says whether calls or definitions of tools are written as JSON text, because
    the template knows nothing of them. `begins_otherwise` says that its generation prompt is not
    the beginning of what it makes of an answered question, as where it adds `<think>`. `times` is
    that of the template.
    """

    def __init__(self, chat: ChatTemplate, facts: TokenizerFacts) -> None:
        self._chat = chat
        self._facts = facts
        self._finder = AnswerFinder(chat, facts.markers)
        self.tools_as_text = not (chat.knows_calls and chat.knows_tools)
        self.begins_otherwise = _begins_otherwise(chat)
        self.times = chat.times

    def render(self, row: Row) -> Prompt:
        """Returns the row as text with its answers marked.

        Raises:
            RowRefused: The template cannot hold this row.
        """
        chat, finder = self._chat, self._finder
        turns = as_turns([turn.as_dict() for turn in row.messages])
        turns = turns if chat.knows_calls else calls_as_text(turns)
        turns = turns if chat.knows_tools else definitions_as_text(turns, row.tools)
        tools = row.tools if chat.knows_tools else ()
        try:
            text, inside = chat.render(turns, tools)
            if inside:
                marked, spans = "generation", finder.widened(turns, tools, text, list(inside))
                said = {-1: "".join(text[start:end] for start, end in spans)}
                _check_said(row, turns, said[-1])
            else:
                marked, found = "prefix", finder.find(turns, tools, text)
                spans = [span for _, span in found]
                said = {index: text[start:end] for index, (start, end) in found}
        except Unclear as error:
            raise row_error(
                row,
                f"the chat template is not prefix-consistent: {error}, so the answers cannot be "
                "told apart",
                "choose another template, or one with {% generation %} marks",
                "prefix_inconsistent",
            ) from error
        except Refused as error:
            raise row_error(
                row,
                f"the chat template refuses it: {error}",
                "mend or remove the row, or choose another template",
            ) from error
        self._check_calls(row, turns, said)
        trimmed = tuple(finder.without_space_after_marker(text, span) for span in spans)
        asks = row.messages[-1].role == "assistant"
        asks = asks and not self._facts.ends_with_marker(text, trimmed)
        return Prompt(text, trimmed, asks, marked, any(not _stands(turn, text) for turn in turns))

    def _check_calls(self, row: Row, turns: Sequence[Turn], said: dict[int, str]) -> None:
        for index, turn in enumerate(turns):
            for call in calls_of(turn):
                name = str(call.get("name"))
                text = said.get(index, said.get(-1, ""))
                if name not in text and json.dumps(name)[1:-1] not in text:
                    raise row_error(
                        row,
                        f"the template drops the tool call {name!r} of turn {index + 1}",
                        "choose another template, or remove the call",
                    )


def _begins_otherwise(chat: ChatTemplate) -> bool:
    asked, said = {"role": "user", "content": "word"}, {"role": "assistant", "content": "word"}
    try:
        prompt, _ = chat.render([asked], add_generation_prompt=True)
        return not chat.render([asked, said])[0].startswith(prompt)
    except Refused:  # of conversations such as this one; rows will tell
        return False


def _stands(turn: Turn, text: str) -> bool:
    """Returns whether all that a turn says stands in the text, white space and escapes aside."""
    for said in (turn["content"], turn.get("reasoning_content")):
        if not isinstance(said, str) or said.strip() in text:
            continue
        bare = "".join(text.split())
        for form in (said, json.dumps(said, ensure_ascii=False)[1:-1], json.dumps(said)[1:-1]):
            if "".join(form.split()) in bare:
                break
        else:
            return False
    return True


def _check_said(row: Row, turns: Sequence[Turn], said: str) -> None:
    """A template with marks may still leave out an answer, such as one made for images."""
    for index, turn in enumerate(turns):
        if turn["role"] == "assistant":
            answer = turn["content"].rpartition("</think>")[2].strip()
            if answer not in said and json.dumps(answer, ensure_ascii=False)[1:-1] not in said:
                raise row_error(
                    row,
                    "the {% generation %} marks of the chat template leave out what turn "
                    f"{index + 1} says",
                    "choose another template",
                )
