"""Chat templates: Jinja text that turns a conversation into a prompt, rendered in a sandbox.

The text equals that of transformers' `apply_chat_template(tokenize=False)`; the variables follow
its `utils/chat_template_utils.py`.
"""

import re
import secrets
from collections.abc import Sequence
from typing import Any

import jinja2

from ..errors import DataError
from .sandbox import FAILURES, GenerationTag, Sandbox

Turn = dict[str, Any]
"""One message as a template takes it."""
Span = tuple[int, int]

_REASONING = ("reasoning_content", "thinking", "reasoning")


class Refused(Exception):
    """A template does not render a conversation; the message says why, with its line."""


class ChatTemplate:
    """One template, compiled.

    Args:
        source: The Jinja text.
        special_tokens: Texts by name, such as bos_token; variables of the template.
        what: How messages call the template.
        remedy: What to do where it is no Jinja.
        strict: Refuses unknown filters in branches too, which may never be reached.

    Raises:
        DataError: `source` is not a Jinja template; the message names the line.
    """

    def __init__(
        self,
        source: str,
        special_tokens: dict[str, str],
        *,
        what: str = "the tokenizer's chat template",
        remedy: str = "set data.sources.0.template to alpaca, or mend the template",
        strict: bool = False,
    ) -> None:
        self.knows_calls = "tool_calls" in source
        self.knows_tools = re.search(r"\btools\b", source) is not None
        self._marks = (f"a{secrets.token_hex(8)}", f"b{secrets.token_hex(8)}")
        self._special_tokens = special_tokens
        self._environment = Sandbox()
        self._environment.globals[GenerationTag.marker] = self._mark
        try:
            self._template = self._environment.compiled(source, strict=strict)
        except jinja2.TemplateSyntaxError as error:
            message = str(error.message) + self._environment.near(str(error.message))
            raise DataError(
                f"{what} cannot be used", f"line {error.lineno}: {message}", remedy
            ) from error

    @property
    def times(self) -> dict[str, str]:
        """What the template was told of the time, by format; "" where it changed meanwhile."""
        return self._environment.times

    def render(
        self,
        turns: Sequence[Turn],
        tools: Sequence[dict[str, Any]] = (),
        *,
        add_generation_prompt: bool = False,
    ) -> tuple[str, tuple[Span, ...]]:
        """Returns the text and the spans of its `{% generation %}` blocks, if it has any.

        Raises:
            Refused: The template refuses these messages, or has a fault in an expression.
        """
        variables = {
            **self._special_tokens,
            "messages": turns,
            "tools": list(tools) or None,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
        }
        try:
            marked = self._environment.run(self._template, variables)
        except FAILURES as error:
            raise Refused(_explain(error)) from error
        opening, closing = self._marks
        pieces = marked.split(opening)
        if len(pieces) == 1:
            return marked, ()
        text = pieces[0]
        spans: list[Span] = []
        for piece in pieces[1:]:
            inside, _, outside = piece.partition(closing)
            spans.append((len(text), len(text) + len(inside)))
            text += inside + outside
        return text, tuple(spans)

    def _mark(self, body: str) -> str:
        if self._marks[0] in body:
            raise ValueError("its {% generation %} blocks stand inside each other")
        return f"{self._marks[0]}{body}{self._marks[1]}"


def as_turns(turns: Sequence[Turn]) -> list[Turn]:
    """Returns the messages with their reasoning under each name that templates read.

    As transformers does: `reasoning_content` is the usual name, gpt-oss reads `thinking`.
    """
    found: list[Turn] = []
    for turn in turns:
        reasoning = None
        if len(turn) > 2:
            given = (turn[name] for name in _REASONING if turn.get(name) is not None)
            reasoning = next(given, None)
        if reasoning is not None:
            turn = {"thinking": reasoning, **turn, "reasoning_content": reasoning}
        found.append(turn)
    return found


def _explain(error: BaseException) -> str:
    """Returns what a template raised, with the line of the template where that is known."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    message = str(error) or type(error).__name__
    return f"line {line}: {message}" if line else message
