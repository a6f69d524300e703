"""Rows as they will be trained, and what all of them amount to.

Light, for those who ask: what tokenises (0.2 s) is imported by those who answer.
"""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ..config import RunConfig
from ..data.results import (
    BatchRow,
    BatchRows,
    Beginning,
    Checked,
    Layout,
    Offer,
    PreviewedRow,
    Progress,
    RawView,
)
from ..errors import SftError, UsageError
from .calls import Tell

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..data.preview import RowPreview
    from ..data.row_access import RowAccess

_FIRST_SAMPLE = 200
_TELL_EVERY_S = 0.2
_KEPT = 8
_LONGEST_TEXT = 200_000
_TEXT = 400
"""Characters that are shown of a row in a micro-batch."""
_TRIED = 20
"""Rows that a template is tried with."""

_previews: "dict[tuple[object, ...], RowPreview]" = {}
_accesses: "dict[tuple[object, ...], RowAccess]" = {}


class Row(msgspec.Struct, frozen=True):
    """Asks for a row of a source; None is the first of its slice.

    The source behind the last one is that of the evaluation rows, where they have their own.
    """

    config: RunConfig
    source: int = 0
    row: int | None = None


def row(asked: Row, tell: Tell) -> PreviewedRow:
    """Formats one row; tells when the tokenizer must be made first."""
    return _preview(asked.config, asked.source, tell).row(asked.row)


def raw(asked: Row, tell: Tell) -> RawView:
    """Returns one row as it stands in its file; needs no tokenizer."""
    from ..data.preview import source_at
    from ..data.row_files import BadRow
    from ..data.sources import Source

    found = _access(asked.config, asked.source).row(asked.row)
    source, split = source_at(asked.config.data, asked.source)
    try:
        shape = Source(source, asked.config.data, split=split).shape
        columns, name = shape.columns, shape.name
    except SftError as error:  # the row can be looked at all the same
        columns, name = {}, f"not recognised: {error.why}"
    bad = isinstance(found, BadRow)
    return RawView(
        row=found.number - 1,
        source=source.source,
        place=found.place,
        text="" if bad else _pretty(found.fields),
        wrong=found.reason if bad else "",
        columns=columns,
        shape=name,
        can_format=_can_format(asked.config),
    )


def _pretty(fields: dict[str, Any]) -> str:
    text = json.dumps(fields, indent=2, ensure_ascii=False, default=_no_text)
    left = len(text) - _LONGEST_TEXT
    return text if left <= 0 else f"{text[:_LONGEST_TEXT]}\n… {left:,} more characters"


def _no_text(value: object) -> str:
    size = f"{len(value)} bytes of " if isinstance(value, bytes) else ""
    return f"<{size}{type(value).__name__}>"


def _can_format(config: RunConfig) -> bool:
    from ..prompt import tokenizer_cache

    try:
        return tokenizer_cache.is_made(config.model)
    except SftError:  # asking for the row tells what is wrong with the model
        return True


class Batch(msgspec.Struct, frozen=True):
    """Asks for the rows of a micro-batch, each as (source, row), in their order."""

    config: RunConfig
    members: list[tuple[int, int]]
    layout: Layout


def batch(asked: Batch, tell: Tell) -> BatchRows:
    """Returns how long each row is, where it is trained, and what goes through the model once."""
    from ..data import packing

    made = [_preview(asked.config, source, tell).row(number) for source, number in asked.members]
    rows = [row.input_ids for row in made]
    share = asked.layout == "shared"
    how = packing.Packing(asked.layout != "padded", share)
    found: list[BatchRow] = []
    beginnings: list[Beginning] = []
    for family in packing.families(rows, share=share):
        first, shared = family.first, family.shared
        beginnings.append(Beginning(first, family.rows, shared, _text(made[first], 0)))
        for place in range(first, first + family.rows):
            source, number = asked.members[place]
            row = made[place]
            taught, text = _trained(row), _text(row, shared)
            found.append(BatchRow(source, number, len(row.tokens), taught, text))
    return BatchRows(found, beginnings, how.computed(rows))


def _trained(row: PreviewedRow) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    for place, token in enumerate(row.tokens):
        if token.trained and ranges and ranges[-1][1] == place:
            ranges[-1] = ranges[-1][0], place + 1
        elif token.trained:
            ranges.append((place, place + 1))
    return ranges


def _text(row: PreviewedRow, begin: int) -> str:
    return "".join(token.text for token in row.tokens[begin : begin + _TEXT])[:_TEXT]


def templates(asked: Row, tell: Tell) -> list[Offer]:
    """Returns a row under each template, and how many of the first rows have a place in it."""
    own = asked.config.data.sources[asked.source].template_file
    names = ["chat", "alpaca", "chatml", "plain", *(["file"] if own else [])]
    return [_offer(asked, name, own if name == "file" else None, tell) for name in names]


def _offer(asked: Row, template: str, file: str | None, tell: Tell) -> Offer:
    sources = list(asked.config.data.sources)
    sources[asked.source] = msgspec.structs.replace(
        sources[asked.source], template=template, template_file=file
    )
    data = msgspec.structs.replace(asked.config.data, sources=sources)
    config = msgspec.structs.replace(asked.config, data=data)
    try:
        preview = _preview(config, asked.source, tell)
    except SftError as error:
        return Offer(template, None, error.why, error.remedy, 0, 0)
    fits = looked_at = 0
    first = preview.first
    try:
        for number in range(first, first + _TRIED):
            fits += not preview.why_left(number)
            looked_at += 1
    except UsageError:  # it has fewer rows
        pass
    try:
        return Offer(template, preview.row(asked.row), "", "", fits, looked_at)
    except SftError as error:
        return Offer(template, None, error.why, error.remedy, fits, looked_at)


def state_of(name: str | None) -> tuple[int, int] | None:
    """Returns what tells whether a file changed: size and time; None where it is no file."""
    try:
        facts = Path(name).stat() if name else None
    except (OSError, ValueError):  # of the Hub, or not there: reading it will tell
        return None
    return facts and (facts.st_size, facts.st_mtime_ns)


def _preview(config: RunConfig, index: int, tell: Tell) -> "RowPreview":
    """Returns what formats the rows of a source; the newest ones stay ready."""
    from ..data.preview import RowPreview, source_at
    from ..prompt import tokenizer_cache

    tokenizer, facts = tokenizer_cache.load(config.model, tell)
    source, _ = source_at(config.data, index)
    data = msgspec.json.encode([config.data, index])
    key = (id(tokenizer), data, state_of(source.source), state_of(source.template_file))
    if key not in _previews:
        access = _access(config, index)
        _put(_previews, key, RowPreview(index, tokenizer, facts, config.data, access))
    return _previews[key]


def _access(config: RunConfig, index: int) -> "RowAccess":
    from ..data.preview import access_to, source_at

    source, split = source_at(config.data, index)
    key = (source.source, split or source.split, source.config, state_of(source.source))
    if key not in _accesses:
        _put(_accesses, key, access_to(config.data, index))
    return _accesses[key]


def _put(kept: dict[tuple[object, ...], Any], key: tuple[object, ...], value: object) -> None:
    while len(kept) >= _KEPT:
        del kept[next(iter(kept))]
    kept[key] = value


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
    from ..data.part_cache import PartCache
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

    found = dataset.gather(
        asked.config,
        tokenizer,
        facts,
        progress,
        every=_FIRST_SAMPLE,
        cache=PartCache(tokenizer, facts),
    )
    return overview(found, complete=True)
