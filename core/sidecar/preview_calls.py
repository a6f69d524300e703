"""Rows as they will be trained."""

import msgspec

from ..config import RunConfig
from ..data.preview import PreviewedRow, preview_row
from ..prompt import tokenizer_cache
from .calls import Tell


class Row(msgspec.Struct, frozen=True):
    """Asks for a row of a source; None is the first of its slice."""

    config: RunConfig
    source: int = 0
    row: int | None = None


def row(asked: Row, tell: Tell) -> PreviewedRow:
    """Formats one row; tells when the tokenizer must be made first."""
    tokenizer, facts = tokenizer_cache.load(asked.config.model, tell)
    return preview_row(asked.source, asked.row, tokenizer, facts, asked.config.data)
