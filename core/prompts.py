"""Row to prompt: the only formatter. Preview and trainer both call `Formatter.render`.

A prompt is one text and the character spans that are answers. Which tokens are trained follows
from the spans in `tokens.py`; nothing here knows token ids.
"""

import datetime
import json
import secrets
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox
import msgspec

from .errors import DataError
from .rows import Message, Row

# The prompt of Stanford Alpaca (github.com/tatsu-lab/stanford_alpaca), which the NeMo AutoModel
# tutorial uses too; the second form is for rows without an input.
ALPACA = (
    "Below is an instruction that describes a task, paired with an input that provides further "
    "context. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"
)
ALPACA_NO_INPUT = (
    "Below is an instruction that describes a task. Write a response that appropriately "
    "completes the request.\n\n### Instruction:\n{instruction}\n\n### Response:\n"
)


_TEMPLATE_FAILURES = (
    jinja2.TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
)
"""What a template can raise on a row: its own refusal, or a fault in its expressions."""


class Prompt(msgspec.Struct, frozen=True):
    """One rendered row.

    `spans` are the answers as (start, end) in characters of `text`, in order and without
    overlap, end-of-turn markers included. `append_eos` asks for one end token after the text,
    for templates that have no end-of-turn marker of their own.
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    append_eos: bool


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

    Args:
        template: auto, chat or alpaca. auto is chat where the tokenizer has a chat template.
        facts: The tokenizer's.

    Raises:
        DataError: `chat` was asked for and the tokenizer has no chat template.
    """

    def __init__(self, template: str, facts: TokenizerFacts) -> None:
        if template == "auto":
            template = "chat" if facts.chat_template else "alpaca"
        self.template = template
        self._facts = facts
        self._chat = None
        if template == "chat":
            if not facts.chat_template:
                raise DataError(
                    "the template `chat` cannot be used",
                    "this model's tokenizer has no chat template",
                    "set data.sources.0.template to alpaca",
                )
            self._chat = ChatTemplate(facts.chat_template, facts.special_tokens)

    def render(self, row: Row) -> Prompt:
        """Returns the row as text with its answers marked.

        Raises:
            DataError: The template cannot hold this row; the message names it.
        """
        if self._chat is not None:
            return self._render_chat(self._chat, row)
        return self._render_alpaca(row)

    def _render_alpaca(self, row: Row) -> Prompt:
        if any(turn.role == "system" for turn in row.messages):
            raise _row_error(
                row,
                "the alpaca template has no place for its system message",
                "set data.sources.0.template to chat, or remove the system message",
            )
        turns = row.messages
        if [turn.role for turn in turns] != ["user", "assistant"]:
            raise _row_error(
                row,
                f"the alpaca template holds one question and one answer; it has {len(turns)} turns",
                "set data.sources.0.template to chat",
            )
        instruction = row.instruction if row.instruction is not None else turns[0].content
        form = ALPACA if row.input else ALPACA_NO_INPUT
        prompt = form.format(instruction=instruction, input=row.input)
        answer = turns[1].content
        eos = self._facts.eos_token
        ended = bool(eos) and answer.endswith(eos or "")
        return Prompt(prompt + answer, ((len(prompt), len(prompt) + len(answer)),), not ended)

    def _render_chat(self, chat: "ChatTemplate", row: Row) -> Prompt:
        try:
            text, marked = chat.render(row.messages)
            spans = marked or self._spans_by_prefix(chat, row, text)
        except _TEMPLATE_FAILURES as error:
            raise _row_error(
                row,
                f"the chat template refuses it: {error or type(error).__name__}",
                "mend or remove the row, or choose another template",
            ) from error
        trimmed = tuple(self._without_space_after_marker(text, span) for span in spans)
        ends_itself = any(text[:end].endswith(self._facts.markers) for _, end in trimmed[-1:])
        ends_with_answer = row.messages[-1].role == "assistant"
        return Prompt(text, trimmed, ends_with_answer and not ends_itself)

    def _spans_by_prefix(
        self, chat: "ChatTemplate", row: Row, text: str
    ) -> tuple[tuple[int, int], ...]:
        """Finds each answer as what a further turn adds to the text before it."""
        spans: list[tuple[int, int]] = []
        for index, turn in enumerate(row.messages):
            if turn.role != "assistant":
                continue
            before, _ = chat.render(row.messages[:index], add_generation_prompt=True)
            after, _ = chat.render(row.messages[: index + 1])
            if not (text.startswith(before) and text.startswith(after)):
                raise _row_error(
                    row,
                    "the chat template is not prefix-consistent: it changes earlier turns when "
                    f"turn {index + 1} is added, so the answers cannot be told apart",
                    "choose another template, or one with {% generation %} marks",
                )
            spans.append((len(before), len(after)))
        return tuple(spans)

    def _without_space_after_marker(self, text: str, span: tuple[int, int]) -> tuple[int, int]:
        """A turn ends with its end-of-turn marker: white space after it is not the model's."""
        start, end = span
        bare = text[start:end].rstrip()
        if self._facts.markers and bare.endswith(self._facts.markers):
            return start, start + len(bare)
        return span


def _row_error(row: Row, why: str, remedy: str) -> DataError:
    return DataError(f"row {row.number} of {row.source} cannot be formatted", why, remedy)


class ChatTemplate:
    """A tokenizer's chat template, rendered as transformers does, in an immutable sandbox.

    Same text as `apply_chat_template(tokenize=False)` of transformers; the environment follows
    its `chat_template_utils`. Text inside `{% generation %}` blocks comes back as spans.
    """

    def __init__(self, source: str, special_tokens: dict[str, str]) -> None:
        self._marks = (f"\ue000{secrets.token_hex(8)}[", f"]{secrets.token_hex(8)}\ue001")
        environment: Any = jinja2.sandbox.ImmutableSandboxedEnvironment(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[jinja2.ext.loopcontrols, _GenerationTag],
        )
        environment.filters["tojson"] = _tojson
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = _strftime_now
        environment.globals[_GenerationTag.marker] = self._mark
        self._special_tokens = special_tokens
        try:
            self._template = environment.from_string(source)
        except jinja2.TemplateSyntaxError as error:
            raise DataError(
                "the tokenizer's chat template cannot be used",
                f"line {error.lineno}: {error.message}",
                "set data.sources.0.template to alpaca, or mend the template",
            ) from error

    def render(
        self, messages: tuple[Message, ...], *, add_generation_prompt: bool = False
    ) -> tuple[str, tuple[tuple[int, int], ...]]:
        """Returns the text and the spans of its `{% generation %}` blocks, if it has any.

        Raises:
            jinja2.TemplateError: The template refuses these messages.
        """
        marked = self._template.render(
            **self._special_tokens,
            messages=[{"role": turn.role, "content": turn.content} for turn in messages],
            tools=None,
            documents=None,
            add_generation_prompt=add_generation_prompt,
        )
        opening, closing = self._marks
        pieces = marked.split(opening)
        text = pieces[0]
        spans: list[tuple[int, int]] = []
        for piece in pieces[1:]:
            inside, _, outside = piece.partition(closing)
            spans.append((len(text), len(text) + len(inside)))
            text += inside + outside
        return text, tuple(spans)

    def _mark(self, body: str) -> str:
        return f"{self._marks[0]}{body}{self._marks[1]}"


class _GenerationTag(jinja2.ext.Extension):
    """The block tag `generation`, which wraps what the assistant says."""

    tags = {"generation"}
    marker = "sft_tui_mark_generation"

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        """Turns the block into a call of the marking function with the rendered body."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        call = self.call_method("_wrap", [jinja2.nodes.Name(self.marker, "load")])
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _wrap(self, mark: Any, caller: Any) -> str:
        return mark(caller())


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # jinja2's own filter escapes HTML characters, which would change the prompt.
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _strftime_now(format: str) -> str:
    return datetime.datetime.now().strftime(format)
