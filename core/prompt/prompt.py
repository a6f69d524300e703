"""What formatting gives and what it must know: a rendered row, and facts of a tokenizer."""

from collections.abc import Sequence

import msgspec

from ..data.rows import Row
from ..errors import RowRefused
from .chat_template import Span


class Prompt(msgspec.Struct, frozen=True):
    """One rendered row.

    `spans` are the answers as (start, end) in characters of `text`, in order and without
    overlap, end-of-turn markers included. `append_eos` asks for one end token after the text,
    for templates that have no end-of-turn marker of their own.

    `lost` says that a part of what the row says does not stand in `text`.

    `marked` tells how the answers were found: `generation` by the marks of the chat template,
    `prefix` by comparing what it renders, `template` by a format of our own, `whole` where the
    whole text is the answer.
    """

    text: str
    spans: tuple[Span, ...]
    append_eos: bool
    marked: str = "template"
    lost: bool = False


class TokenizerFacts(msgspec.Struct, frozen=True):
    """What formatting needs to know of a tokenizer; gathered once, free of torch.

    `adds_bos` says whether the tokenizer itself puts one BOS before a text; `markers` are the
    texts of its special tokens; `tool_template` is the chat template for rows with tools, where
    the tokenizer has one of its own for them.
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
    tool_template: str | None = None

    def ends_with_marker(self, text: str, spans: Sequence[Span]) -> bool:
        """Returns whether the last answer ends with a special token that stands in the text."""
        return any(text[:end].endswith(self.markers) for _, end in spans[-1:])


def row_error(row: Row, why: str, remedy: str, id: str = "template_fails") -> RowRefused:
    """Returns the message for a row that a template cannot hold."""
    return RowRefused(f"row {row.number} of {row.source} cannot be formatted", why, remedy, id)
