"""Row to prompt: the only formatter. Preview and trainer both call `Formatter.render`.

A prompt is one text and the character spans that are answers. Which tokens are trained follows
from the spans in `tokens.py`; nothing here knows token ids.
"""

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from ..data.rows import Row
from ..errors import DataError, RowRefused
from .anchors import Unclear
from .answer_spans import AnswerFinder
from .chat_template import ChatTemplate, Refused, Span, Turn, as_turns
from .tool_text import calls_as_text, calls_of, definitions_as_text

# The prompt of Stanford Alpaca (github.com/tatsu-lab/stanford_alpaca) with a line feed behind
# "Response:", as in the NeMo AutoModel tutorial; the second form is for rows without an input.
ALPACA = (
    "Below is an instruction that describes a task, paired with an input that provides further "
    "context. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"
)
ALPACA_NO_INPUT = (
    "Below is an instruction that describes a task. Write a response that appropriately "
    "completes the request.\n\n### Instruction:\n{instruction}\n\n### Response:\n"
)

_IM_END = "<|im_end|>"
_OWN = ("alpaca", "chatml", "plain")
_CHOOSE_CHAT = "set data.sources.0.template to chat or chatml"


class Prompt(msgspec.Struct, frozen=True):
    """One rendered row.

    `spans` are the answers as (start, end) in characters of `text`, in order and without
    overlap, end-of-turn markers included. `append_eos` asks for one end token after the text,
    for templates that have no end-of-turn marker of their own.

    `marked` tells how the answers were found: `generation` by the marks of the chat template,
    `prefix` by comparing what it renders, `template` by a format of our own, `whole` where the
    whole text is the answer.
    """

    text: str
    spans: tuple[Span, ...]
    append_eos: bool
    marked: str = "template"


class TokenizerFacts(msgspec.Struct, frozen=True):
    """What formatting needs to know of a tokenizer; gathered once, free of torch.

    `adds_bos` says whether the tokenizer itself puts one BOS before a text; `markers` are the
    texts of its special tokens.
    """

    bos_token: str | None
    bos_id: int | None
    eos_token: str | None
    eos_id: int
    pad_id: int
    adds_bos: bool
    chat_template: str | None
    markers: tuple[str, ...]
    special_tokens: dict[str, str]


class Formatter:
    """Renders rows with one template.

    `template` is the one in use, `auto` resolved: `chat`, or `alpaca` for a tokenizer without a
    chat template, whose conversations take `chatml`. `tools_as_text` says whether calls or
    definitions of tools are written as JSON text, because the template knows nothing of them.

    Args:
        template: auto, chat, alpaca, chatml, plain or file.
        facts: The tokenizer's.
        template_text: The Jinja text of `file`.

    Raises:
        DataError: `chat` was asked for and the tokenizer has no chat template, or the template
            is not Jinja.
    """

    def __init__(
        self, template: str, facts: TokenizerFacts, *, template_text: str | None = None
    ) -> None:
        self._chooses = template == "auto" and not facts.chat_template
        if template == "auto":
            template = "chat" if facts.chat_template else "alpaca"
        self.template = template
        self._facts = facts
        self._chat = None if template in _OWN else self._compiled(template_text)
        self.tools_as_text = self._chat is None or not (
            self._chat.knows_calls and self._chat.knows_tools
        )
        self._finder = AnswerFinder(self._chat, facts.markers) if self._chat else None

    def _compiled(self, text: str | None) -> ChatTemplate:
        special = self._facts.special_tokens
        if self.template == "file":
            return ChatTemplate(
                text or "",
                special,
                what="the template file",
                remedy="mend the template file",
                strict=True,
            )
        if not self._facts.chat_template:
            raise DataError(
                "the template `chat` cannot be used",
                "this model's tokenizer has no chat template",
                "set data.sources.0.template to alpaca or chatml",
            )
        return ChatTemplate(self._facts.chat_template, special)

    def render(self, row: Row) -> Prompt:
        """Returns the row as text with its answers marked.

        Raises:
            DataError: The template cannot hold this row; the message names it.
        """
        prompt = self._render(row)
        answers = [turn for turn in row.messages if turn.role == "assistant"]
        if all(turn.trained for turn in answers):
            return prompt
        if len(prompt.spans) != len(answers):
            raise _row_error(
                row,
                "some of its answers have weight 0, and the template runs answers together",
                "choose another template, or remove the weights",
            )
        spans = [span for span, turn in zip(prompt.spans, answers, strict=True) if turn.trained]
        return Prompt(
            prompt.text,
            tuple(spans),
            prompt.append_eos and answers[-1].trained,
            prompt.marked,
        )

    def _render(self, row: Row) -> Prompt:
        if row.text:
            text = row.messages[0].content
            return self._prompt(text, ((0, len(text)),), "whole")
        if self._chat is not None and self._finder is not None:
            return self._render_chat(self._chat, self._finder, row)
        template = self.template
        if self._chooses and not _is_one_question(row):
            template = "chatml"
        turns = calls_as_text(definitions_as_text(_turns(row), row.tools))
        if template == "chatml":
            return self._render_chatml(turns)
        return self._render_plain(turns) if template == "plain" else self._render_alpaca(row, turns)

    def _render_alpaca(self, row: Row, turns: Sequence[Turn]) -> Prompt:
        if any(turn["role"] == "system" for turn in turns):
            what = "its tools" if row.messages[0].role != "system" else "its system message"
            raise _row_error(
                row,
                f"the alpaca template has no place for {what}",
                f"{_CHOOSE_CHAT}, or remove {what} from the row",
            )
        if [turn["role"] for turn in turns] != ["user", "assistant"]:
            raise _row_error(
                row,
                f"the alpaca template holds one question and one answer; it has {len(turns)} turns",
                _CHOOSE_CHAT,
            )
        instruction = row.instruction if row.instruction is not None else turns[0]["content"]
        form = ALPACA if row.input else ALPACA_NO_INPUT
        prompt = form.format(instruction=instruction, input=row.input)
        text = prompt + turns[1]["content"]
        return self._prompt(text, ((len(prompt), len(text)),), "template")

    def _render_chatml(self, turns: Sequence[Turn]) -> Prompt:
        """ChatML as OpenAI published it (openai-python, chatml.md, v0.27), one line per part."""
        text, spans = "", list[Span]()
        for turn in turns:
            start = len(text) + len(f"<|im_start|>{turn['role']}\n")
            text += f"<|im_start|>{turn['role']}\n{turn['content']}{_IM_END}\n"
            if turn["role"] == "assistant":
                spans.append((start, len(text) - 1))
        return self._ended(text, spans, "template")

    def _render_plain(self, turns: Sequence[Turn]) -> Prompt:
        """Texts only; an end token follows each answer, the last one's as a token, not as text."""
        text, spans = "", list[Span]()
        for index, turn in enumerate(turns):
            start = len(text)
            text += turn["content"]
            if turn["role"] == "assistant":
                if index + 1 < len(turns):
                    text += self._facts.eos_token or ""
                spans.append((start, len(text)))
        if turns[-1]["role"] != "assistant":
            return Prompt(text, tuple(spans), False)
        return self._prompt(text, tuple(spans), "template")

    def _render_chat(self, chat: ChatTemplate, finder: AnswerFinder, row: Row) -> Prompt:
        turns = as_turns(_turns(row))
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
            raise _row_error(
                row,
                f"the chat template is not prefix-consistent: {error}, so the answers cannot be "
                "told apart",
                "choose another template, or one with {% generation %} marks",
                "prefix_inconsistent",
            ) from error
        except Refused as error:
            raise _row_error(
                row,
                f"the chat template refuses it: {error}",
                "mend or remove the row, or choose another template",
            ) from error
        self._check_calls(row, turns, said)
        trimmed = [finder.without_space_after_marker(text, span) for span in spans]
        return self._ended(text, trimmed, marked, row.messages[-1].role == "assistant")

    def _check_calls(self, row: Row, turns: Sequence[Turn], said: dict[int, str]) -> None:
        for index, turn in enumerate(turns):
            for call in calls_of(turn):
                name = str(call.get("name"))
                text = said.get(index, said.get(-1, ""))
                if name not in text and json.dumps(name)[1:-1] not in text:
                    raise _row_error(
                        row,
                        f"the template drops the tool call {name!r} of turn {index + 1}",
                        "choose another template, or remove the call",
                    )

    def _ended(
        self, text: str, spans: Sequence[Span], marked: str, with_answer: bool | None = None
    ) -> Prompt:
        """Returns the prompt of a format whose turns may end by themselves."""
        if with_answer is None:
            with_answer = bool(spans) and not text[spans[-1][1] :].strip()
        ends_itself = any(text[:end].endswith(self._facts.markers) for _, end in spans[-1:])
        return Prompt(text, tuple(spans), with_answer and not ends_itself, marked)

    def _prompt(self, text: str, spans: tuple[Span, ...], marked: str) -> Prompt:
        """Returns the prompt of a format without an end marker."""
        eos = self._facts.eos_token
        return Prompt(text, spans, not (eos and text.endswith(eos)), marked)


def _turns(row: Row) -> list[dict[str, Any]]:
    return [turn.as_dict() for turn in row.messages]


def _is_one_question(row: Row) -> bool:
    return not row.tools and [turn.role for turn in row.messages] == ["user", "assistant"]


def _check_said(row: Row, turns: Sequence[Turn], said: str) -> None:
    """A template with marks may still leave out an answer, such as one made for images."""
    for index, turn in enumerate(turns):
        if turn["role"] == "assistant":
            answer = turn["content"].rpartition("</think>")[2].strip()
            if answer not in said and json.dumps(answer, ensure_ascii=False)[1:-1] not in said:
                raise _row_error(
                    row,
                    "the {% generation %} marks of the chat template leave out what turn "
                    f"{index + 1} says",
                    "choose another template",
                )


def _row_error(row: Row, why: str, remedy: str, id: str = "template_fails") -> RowRefused:
    return RowRefused(f"row {row.number} of {row.source} cannot be formatted", why, remedy, id)
