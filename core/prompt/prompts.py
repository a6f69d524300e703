"""Row to prompt: the only formatter. Preview and trainer both call `Formatter.render`.

A prompt is one text and the character spans that are answers. Which tokens are trained follows
from the spans in `tokens.py`; nothing here knows token ids.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from ..data.rows import Row
from ..errors import DataError
from .chat_format import ChatFormat
from .chat_template import ChatTemplate, Span, Turn
from .prompt import Prompt, TokenizerFacts, row_error
from .tool_text import calls_as_text, definitions_as_text

__all__ = ["Formatter", "Prompt", "TokenizerFacts"]

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


class Formatter:
    """Renders rows with one template.

    `template` is the one in use, `auto` resolved: `chat` where the tokenizer has a chat template,
    else `chatml` for conversations and `alpaca` for questions. Rows with tools take the
    tokenizer's template for them, where it has one.

    Args:
        template: auto, chat, alpaca, chatml, plain or file.
        facts: The tokenizer's.
        template_text: The Jinja text of `file`.
        conversations: Whether rows may have more than one question and its answer.

    Raises:
        DataError: `chat` was asked for and the tokenizer has no chat template, or the template
            is not Jinja.
    """

    def __init__(
        self,
        template: str,
        facts: TokenizerFacts,
        *,
        template_text: str | None = None,
        conversations: bool = False,
    ) -> None:
        if template == "auto":
            own = "chatml" if conversations else "alpaca"
            template = "chat" if facts.chat_template else own
        self.template = template
        self._facts = facts
        self._chat = None if template in _OWN else self._compiled(template_text)
        self._tool_chat = self._chat
        if template == "chat" and facts.tool_template:
            chat = ChatTemplate(facts.tool_template, facts.special_tokens)
            self._tool_chat = ChatFormat(chat, facts)

    @property
    def begins_otherwise(self) -> bool:
        """Whether generation begins an answer otherwise than the rows do."""
        return self._chat is not None and self._chat.begins_otherwise

    @property
    def tools_as_text(self) -> bool:
        """Whether the template knows nothing of tools, so that they are written as JSON text."""
        return self._tool_chat is None or self._tool_chat.tools_as_text

    @property
    def times(self) -> dict[str, str]:
        """What the templates were told of the time, by format; "" where it changed meanwhile."""
        used = (self._chat, self._tool_chat)
        return {form: said for chat in used if chat for form, said in chat.times.items()}

    def _compiled(self, text: str | None) -> ChatFormat:
        special = self._facts.special_tokens
        if self.template == "file":
            chat = ChatTemplate(
                text or "",
                special,
                what="the template file",
                remedy="mend the template file",
                strict=True,
            )
        elif self._facts.chat_template:
            chat = ChatTemplate(self._facts.chat_template, special)
        else:
            raise DataError(
                "the template `chat` cannot be used",
                "this model's tokenizer has no chat template",
                "set data.sources.0.template to alpaca or chatml",
            )
        return ChatFormat(chat, self._facts)

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
            raise row_error(
                row,
                "some of its answers have weight 0, and the template runs answers together",
                "choose another template, or remove the weights",
            )
        spans = [span for span, turn in zip(prompt.spans, answers, strict=True) if turn.trained]
        end = prompt.append_eos and answers[-1].trained
        return msgspec.structs.replace(prompt, spans=tuple(spans), append_eos=end)

    def _render(self, row: Row) -> Prompt:
        if row.text:
            text = row.messages[0].content
            return self._prompt(text, ((0, len(text)),), "whole")
        if self._chat is not None and self._tool_chat is not None:
            return (self._tool_chat if row.tools else self._chat).render(row)
        turns = calls_as_text(definitions_as_text(_turns(row), row.tools))
        if self.template == "chatml":
            prompt = self._render_chatml(turns)
        elif self.template == "plain":
            prompt = self._render_plain(turns)
        else:
            prompt = self._render_alpaca(row, turns)
        lost = any("reasoning_content" in turn for turn in turns)
        return msgspec.structs.replace(prompt, lost=True) if lost else prompt

    def _render_alpaca(self, row: Row, turns: Sequence[Turn]) -> Prompt:
        if any(turn["role"] == "system" for turn in turns):
            what = "its tools" if row.messages[0].role != "system" else "its system message"
            raise row_error(
                row,
                f"the alpaca template has no place for {what}",
                f"{_CHOOSE_CHAT}, or remove {what} from the row",
            )
        if [turn["role"] for turn in turns] != ["user", "assistant"]:
            raise row_error(
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
        return self._ended(text, spans)

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

    def _ended(self, text: str, spans: Sequence[Span]) -> Prompt:
        """Returns the prompt of a format whose turns may end by themselves."""
        with_answer = bool(spans) and not text[spans[-1][1] :].strip()
        ends_itself = self._facts.ends_with_marker(text, spans)
        return Prompt(text, tuple(spans), with_answer and not ends_itself)

    def _prompt(self, text: str, spans: tuple[Span, ...], marked: str) -> Prompt:
        """Returns the prompt of a format without an end marker."""
        eos = self._facts.eos_token
        return Prompt(text, spans, not (eos and text.endswith(eos)), marked)


def _turns(row: Row) -> list[dict[str, Any]]:
    return [turn.as_dict() for turn in row.messages]
