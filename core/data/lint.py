"""The checks of single rows: what is wrong with an example before it is trained on."""

import re
from collections.abc import Iterator

from ..config import DataConfig
from ..prompt.prompts import Formatter, Prompt, TokenizerFacts
from ..prompt.tokens import Encoded
from .rows import Message, Row

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069]")
_DAMAGED = re.compile("\ufffd|\u00c3[\u0080-\u00bf]|\u00e2\u20ac[\u2122\u0153\u009d\u201c\u201d]")
_EMPTY_THINK = re.compile(r"<think>\s*</think>")
_AFTER = {
    "": ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "tool": ("tool", "assistant"),
}
"""The roles that may follow one."""


class Checker:
    """The checks of single rows under one template."""

    def __init__(self, facts: TokenizerFacts, data: DataConfig, formatter: Formatter) -> None:
        self._facts = facts
        self._data = data
        self._differs = bool(facts.chat_template) and formatter.template != "chat"
        self._tools_as_text = formatter.tools_as_text
        self._begins_otherwise = formatter.begins_otherwise
        self._template = formatter.template
        longest_first = sorted(facts.markers, key=len, reverse=True)
        self._marker = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def check(self, row: Row, prompt: Prompt, encoded: Encoded) -> Iterator[str]:
        """Yields the ids of a row's problems."""
        yield from self._length(encoded)
        if not encoded.cut_tokens:
            yield from self._end(prompt)
        yield from self._begin(encoded)
        if encoded.straddling:
            yield "straddling_token"
        if prompt.marked == "search":
            yield "mask_by_search"
        if prompt.lost:
            yield "text_lost"
        if self._begins_otherwise:
            yield "begins_otherwise"
        if row.text:
            yield from self._content(row.messages)
            return
        if self._differs:
            yield "template_differs"
        if self._tools_as_text and (
            row.tools or any("tool_calls" in t.extra for t in row.messages)
        ):
            yield "tools_as_text"
        if not _in_order([turn.role for turn in row.messages]):
            yield "role_order"
        yield from self._content(row.messages)
        if any(self._marker.search(turn.content) for turn in row.messages):
            yield "special_tokens"
        if any(_EMPTY_THINK.search(prompt.text, *span) for span in prompt.spans):
            yield "empty_think"

    def _length(self, encoded: Encoded) -> Iterator[str]:
        if encoded.cut_tokens and self._data.truncate == "drop":
            yield "row_dropped"
        elif encoded.cut_tokens:
            lost = not encoded.trained
            yield "prompt_too_long" if lost else "answer_cut" if encoded.cut_trained else "row_cut"
        elif not encoded.trained:
            yield "nothing_trained"
        elif encoded.trained <= 2:  # the end token is one of them
            yield "short_answers"

    def _end(self, prompt: Prompt) -> Iterator[str]:
        """Every answer must end with a marker that is trained, or with the appended end token."""
        for place, (_, end) in enumerate(prompt.spans, 1):
            last = place == len(prompt.spans)
            if last and (prompt.append_eos or self._data.loss_on == "full"):
                continue
            if not prompt.text.endswith(self._facts.markers or ("\0",), 0, end):
                same = self._facts.pad_id == self._facts.eos_id
                yield "pad_end_masked" if last and same else "end_not_trained"
                return
            eos = self._facts.eos_token
            if last and self._template != "chat" and eos and not prompt.text.endswith(eos, 0, end):
                yield "other_end"

    def _begin(self, encoded: Encoded) -> Iterator[str]:
        bos, ids = self._facts.bos_id, encoded.input_ids
        if bos is None:
            return
        if ids[:2] == [bos, bos]:
            yield "double_bos"
        elif self._facts.adds_bos and ids[:1] != [bos]:
            yield "no_bos"

    def _content(self, turns: tuple[Message, ...]) -> Iterator[str]:
        text = "\n".join(turn.content for turn in turns)
        if _CONTROL.search(text):
            yield "control_characters"
        if not text.isascii() and _DAMAGED.search(text):
            yield "damaged_encoding"
        answers = [turn.content for turn in turns if turn.role == "assistant" and turn.content]
        if any(answer[0].isspace() or answer[-1].isspace() for answer in answers):
            yield "edge_space"


def _in_order(roles: list[str]) -> bool:
    """Whether turns alternate: an optional system, then user, assistant, tool in a usual order."""
    return roles[-1] == "assistant" and all(
        role in _AFTER[before] for before, role in zip(["", *roles], roles, strict=False)
    )
