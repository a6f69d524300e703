"""What looking at data gives: a row as it is trained, and what all rows together amount to.

Plain records, so that a screen can read them without what made them: no tokenizer, no template.
"""

import math
from array import array
from bisect import bisect_right
from typing import Literal

import msgspec

from ..config import RunConfig
from .lints import Problem, RowProblem


class Token(msgspec.Struct, frozen=True):
    """One token: its text is the part of the rendered row that it stands for.

    The bytes of one character may be spread over several tokens: the first has its text.
    """

    id: int
    text: str
    trained: bool
    special: bool


class Said(msgspec.Struct, frozen=True):
    """Where a turn's own words stand: the tokens from `begin` to `end` (exclusive).

    Tokens are counted before anything was cut; `turn` counts from 1 among those of its role.
    """

    role: str
    turn: int
    begin: int
    end: int


class PreviewedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row as it is trained. `cut` are the first tokens that `max_length` takes away.

    They stood before the token of index `cut_at`.
    """

    row: int
    source: str
    shape: str
    shape_reason: str
    certainty: str
    template: str
    unused_columns: list[str]
    mask_from: str
    text: str
    tokens: list[Token]
    input_ids: list[int]
    labels: list[int]
    cut_tokens: int
    cut_trained: int
    cut: list[Token]
    problems: list[RowProblem]
    cut_at: int = 0
    turns: list[Said] = []


class RawView(msgspec.Struct, frozen=True, kw_only=True):
    """A row as it stands in its file: JSON text, or `wrong`, why it cannot be read.

    `columns` maps each role of the recognised shape to the path that it is read from.
    `can_format` says whether the tokenizer is there, so that asking for the row is quick.
    """

    row: int
    source: str
    place: str
    text: str
    wrong: str
    columns: dict[str, str]
    shape: str
    can_format: bool


class BatchRow(msgspec.Struct, frozen=True):
    """A row of a micro-batch: its tokens, the ranges of them that are trained, its first text.

    Where it shares a beginning, `text` is what comes behind that.
    """

    source: int
    row: int
    tokens: int
    trained: list[tuple[int, int]]
    text: str


class Beginning(msgspec.Struct, frozen=True):
    """Neighbours of a micro-batch that go through the model from one beginning on, or one row.

    `first` counts from 0 among the rows of the micro-batch, `shared` tokens are computed once for
    all `rows`, and `text` is their first text. A single row shares nothing.
    """

    first: int
    rows: int
    shared: int
    text: str


class BatchRows(msgspec.Struct, frozen=True):
    """The rows of a micro-batch, and how many positions go through the model for them."""

    rows: list[BatchRow]
    beginnings: list[Beginning]
    computed: int

    @property
    def tokens(self) -> int:
        """Of all rows, without padding."""
        return sum(row.tokens for row in self.rows)

    @property
    def padding_share(self) -> float:
        """The share of padding among the positions, as the events of a run count it."""
        return max(1 - self.tokens / self.computed, 0.0)

    @property
    def shared_share(self) -> float:
        """The share of the tokens that is not computed again, as the events of a run count it."""
        return max(1 - self.computed / self.tokens, 0.0)


class Offer(msgspec.Struct, frozen=True):
    """A row under a template, or why it has no place there; and how many other rows fit."""

    template: str
    row: PreviewedRow | None
    why: str
    remedy: str
    fits: int
    looked_at: int


class Histogram(msgspec.Struct, frozen=True):
    """How many rows are how long: `counts[i]` rows have edges[i] ≤ tokens < edges[i + 1]."""

    edges: list[int]
    counts: list[int]


class Lengths(msgspec.Struct, frozen=True):
    """Tokens per row, before anything is cut."""

    p50: int
    p95: int
    max: int
    histogram: Histogram


Layout = Literal["padded", "packed", "shared"]
"""How rows go through the model: below one another with padding, in one sequence behind one
another, or in one sequence with common beginnings once."""


class Packing(msgspec.Struct, frozen=True):
    """The micro-batches of the first epoch. Shares are from 0 to 1.

    `padding_share` and `shared_share` are those of the events of a run, over the whole epoch. Where
    `on_trial`, the trainer does so only if a trial of the model allows it. `fill` is how full
    sequences of `max_length` would be if rows were packed into them, `padding_share_without` the
    padding if rows were not packed. `other_order_share` is the shared share if prompts began with
    what they end with; it is known where that would be much more. `grouped_share` is the shared
    share if rows of one text were trained together; it is known where `auto` does not, as a step
    would hold too few texts.
    """

    layout: Layout = "padded"
    on_trial: bool = False
    padding_share: float | None = None
    shared_share: float | None = None
    fill: float | None = None
    padding_share_without: float | None = None
    other_order_share: float | None = None
    grouped_share: float | None = None


class SourceStatistics(msgspec.Struct, frozen=True):
    """What one source gives."""

    source: str
    shape: str
    reason: str
    certainty: str
    template: str
    weight: float
    rows: int
    kept: int
    tokens: int
    trained_share: float | None
    unused_columns: list[str]


class Statistics(msgspec.Struct, frozen=True):
    """Statistics over the rows that were seen; `complete` says whether these were all."""

    complete: bool
    rows: int
    train_rows: int
    eval_rows: int
    lengths: Lengths | None
    tokens: int
    trained_share: float | None
    cut_rows: int
    dropped_rows: int
    duplicates: int
    packing: Packing
    steps: int | None
    suggested_max_length: int | None
    sources: list[SourceStatistics]
    problems: list[Problem]


LEFT_OUT, TRAINED, HELD_OUT = range(3)
"""The side of a row."""


class SourceRows(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one source that were seen, from the row `first` on.

    `sides` has a byte for each: `LEFT_OUT`, `TRAINED` or `HELD_OUT`. The other lists are rows in
    an order worth looking at, the first thousands.
    """

    source: str
    first: int
    sides: bytes
    longest: list[int]
    least_trained: list[int]
    held_out: list[int]

    def side(self, row: int) -> int | None:
        """Returns the side of a row, None where it was not seen."""
        place = row - self.first
        return self.sides[place] if 0 <= place < len(self.sides) else None


class Epoch(msgspec.Struct, frozen=True):
    """The trained rows in the order of the first epoch, as bytes of 32-bit numbers.

    `ends` has for each micro-batch how many rows are trained until its end.
    """

    sources: bytes
    rows: bytes
    ends: bytes
    rows_per_step: int

    def batch_of(self, source: int, row: int) -> "MicroBatch | None":
        """Returns the first micro-batch that holds a row; None where it is not trained."""
        sources, rows = _numbers(self.sources), _numbers(self.rows)
        at = -1
        while True:
            try:
                at = rows.index(row, at + 1)
            except ValueError:
                return None
            if sources[at] == source:
                break
        ends = _numbers(self.ends)
        step = at // self.rows_per_step
        place = bisect_right(ends, at)
        begin, end = ends[place - 1] if place else 0, ends[place]
        members = list(zip(sources[begin:end], rows[begin:end], strict=True))
        earlier = bisect_right(ends, step * self.rows_per_step)
        return MicroBatch(step + 1, place - earlier + 1, members)


class MicroBatch(msgspec.Struct, frozen=True):
    """Rows that go through the model at once: step and place within it, both from 1."""

    step: int
    place: int
    members: list[tuple[int, int]]
    """The source and the row of each."""


def _numbers(data: bytes) -> "array[int]":
    numbers = array("i")
    numbers.frombytes(data)
    return numbers


class Checked(msgspec.Struct, frozen=True):
    """What a pass over the rows found; the sources are in the order of the configuration.

    Where the evaluation has a source of its own it is the last one.
    """

    statistics: Statistics
    sources: list[SourceRows]
    epoch: Epoch | None = None
    """Known once all rows were seen."""

    @property
    def complete(self) -> bool:
        """Whether all rows were seen."""
        return self.statistics.complete

    @property
    def problems(self) -> list[Problem]:
        """What is wrong, errors first."""
        return self.statistics.problems

    def source_of(self, problem: Problem) -> int:
        """Returns the index of the source that has a problem."""
        names = [source.source for source in self.sources]
        return names.index(problem.source) if problem.source in names else 0

    def with_steps_of(self, config: RunConfig) -> "Checked":
        """Returns the same with the steps of another length of the run."""
        statistics, train = self.statistics, config.train
        if not statistics.train_rows:
            return self
        per_epoch = math.ceil(statistics.train_rows / config.rows_per_step)
        steps = train.max_steps or train.epochs * per_epoch
        return msgspec.structs.replace(
            self, statistics=msgspec.structs.replace(statistics, steps=steps)
        )


class Progress(msgspec.Struct, frozen=True):
    """How far a pass is: `share` of the files, 0 to 1; `words` say what takes long before it."""

    rows: int = 0
    share: float = 0.0
    words: str = ""
    sample: Checked | None = None
