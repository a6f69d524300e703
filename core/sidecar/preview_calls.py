"""Rows as they will be trained, and what all of them amount to.

Light, for those who ask: what tokenises (0.2 s) is imported by those who answer.
"""

import time
from typing import TYPE_CHECKING

import msgspec

from ..config import RunConfig
from ..data.results import Checked, PreviewedRow, Progress
from .calls import Tell

if TYPE_CHECKING:
    from ..data.dataset import Dataset

_FIRST_SAMPLE = 200
_TELL_EVERY_S = 0.2


class Row(msgspec.Struct, frozen=True):
    """Asks for a row of a source; None is the first of its slice."""

    config: RunConfig
    source: int = 0
    row: int | None = None


def row(asked: Row, tell: Tell) -> PreviewedRow:
    """Formats one row; tells when the tokenizer must be made first."""
    from ..data.preview import preview_row
    from ..prompt import tokenizer_cache

    tokenizer, facts = tokenizer_cache.load(asked.config.model, tell)
    return preview_row(asked.source, asked.row, tokenizer, facts, asked.config.data)


class Gather(msgspec.Struct, frozen=True):
    """Asks for a pass over all rows of a configuration."""

    config: RunConfig


def gather(asked: Gather, tell: Tell) -> Checked:
    """Looks at all rows; tells how far it is, and samples of what it found.

    The first sample comes after a few hundred rows, the next after ten times as many and so on:
    what they cost stays a small part of the whole.
    """
    from ..data import dataset
    from ..data.overview import overview
    from ..prompt import tokenizer_cache

    tokenizer, facts = tokenizer_cache.load(
        asked.config.model, lambda words: tell(Progress(words=words))
    )
    tell(Progress())
    sample_at, told_at = _FIRST_SAMPLE, time.monotonic()

    def progress(found: "Dataset", share: float) -> None:
        nonlocal sample_at, told_at
        rows = sum(part.rows for part in found.parts)
        sample = None
        if rows >= sample_at:
            sample, sample_at = overview(found, complete=False), rows * 10
        if sample is not None or time.monotonic() - told_at > _TELL_EVERY_S:
            tell(Progress(rows, share, sample=sample))
            told_at = time.monotonic()

    found = dataset.gather(asked.config, tokenizer, facts, progress, every=_FIRST_SAMPLE)
    return overview(found, complete=True)
