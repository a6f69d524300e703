"""Training steps by columns, so that a run of a million steps fits into a hundred megabytes.

Reads like a list of `events.Step`; a chart reads the columns. Knows nothing of files.
"""

import math
import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import cast, overload

from msgspec.structs import astuple

from . import events

_NAN = math.nan
_EXACT = (
    "step", "t", "loss", "learning_rate", "grad_norm", "supervised_tokens", "tokens",
    "computed_tokens", "memory_bytes", "elapsed_s",
)  # fmt: skip
_SEVEN_DIGITS = (
    "epoch", "clipped", "tokens_per_s", "step_s", "data_wait_s", "padding_share", "shared_share",
    "mfu",
)  # fmt: skip
"""Of these seven digits are kept: half the memory."""
_WHOLE = ("step", "supervised_tokens", "tokens", "computed_tokens", "memory_bytes")
_KINDS: dict[str, type] = {**dict.fromkeys(_WHOLE, int), "clipped": bool}
"""What is held as a number with a fraction, and is none."""
FIELDS = (*_EXACT, *_SEVEN_DIGITS)
_TOLD = events.Step.__struct_fields__


class Column:
    """One field of all steps.

    `values` has NaN where a step does not tell the field and where it is not finite, or too large
    to calculate with; the rows of the latter are in `bad`, in order, with what they are in
    `bad_values`.
    """

    __slots__ = ("bad", "bad_values", "values")

    def __init__(self, code: str) -> None:
        self.values: array[float] = array(code)
        self.bad: array[int] = array("q")
        self.bad_values: array[float] = array("d")

    def extend(self, values: Sequence[float | str | None]) -> None:
        """Adds values at the end; a word is the number that is written so."""
        code = self.values.typecode
        try:  # `array` itself takes twice as long
            part = array(code, struct.pack(f"{len(values)}{code}", *values))
        except struct.error:  # some are unknown, or words
            part = array("d", [_NAN])
        if math.hypot(*part) <= events.LARGEST:  # then each of them is a number, and none too large
            self.values.extend(part)
        elif values.count(None) == len(values):
            self.values.extend([_NAN] * len(values))
        else:
            for value in values:
                self.values.append(self._held(value))

    def _held(self, value: float | str | None) -> float:
        """Returns how a value that comes next is held, and notes where it is not finite."""
        if value is None:
            return _NAN
        value = events.bounded(float(value))
        (held,) = array(self.values.typecode, (value,))
        if math.isfinite(held):
            return held
        self.bad.append(len(self.values))
        self.bad_values.append(value)
        return _NAN

    def join(self, other: "Column") -> None:
        """Adds another column at the end."""
        if other.bad:
            first = len(self.values)
            self.bad.extend(array("q", [row + first for row in other.bad]))
            self.bad_values.extend(other.bad_values)
        self.values.extend(other.values)

    def take(self, first: int, end: int) -> "Column":
        """Returns the rows from `first` to before `end` as a column of their own."""
        taken = Column(self.values.typecode)
        taken.values = self.values[first:end]
        low, high = bisect_left(self.bad, first), bisect_left(self.bad, end)
        taken.bad = array("q", (row - first for row in self.bad[low:high]))
        taken.bad_values = self.bad_values[low:high]
        return taken

    def told(self, first: int = 0) -> list[float]:
        """Returns the numbers from row `first` on, without those that are unknown."""
        return [value for value in self.values[first:] if value == value]

    def cut(self, first: int) -> None:
        """Forgets the rows from `first` on."""
        del self.values[first:]
        known = bisect_left(self.bad, first)
        del self.bad[known:], self.bad_values[known:]

    def __getitem__(self, row: int) -> float | None:
        value = self.values[row]
        if value == value:
            return value
        at = bisect_left(self.bad, row)
        return self.bad_values[at] if at < len(self.bad) and self.bad[at] == row else None


class Steps(Sequence[events.Step]):
    """Steps in the order of their numbers.

    `columns` are the fields by name, and `tokens_done` is the sum of `tokens` up to each step, with
    those before the first that `keep_last` forgot, of which `forgotten` is the `work`. `cuts` goes
    up whenever rows were taken away, so that what was made of them is made anew.
    """

    def __init__(self, steps: Sequence[events.Step] = ()) -> None:
        self.columns = {name: Column("d") for name in _EXACT}
        self.columns |= {name: Column("f") for name in _SEVEN_DIGITS}
        self.tokens_done: array[float] = array("d")
        self.forgotten = (0.0, 0.0)
        self.cuts = 0
        self.extend(steps)

    @property
    def numbers(self) -> "array[float]":
        """The number of each step."""
        return self.columns["step"].values

    def __len__(self) -> int:
        return len(self.tokens_done)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)  # type: ignore[arg-type]

    __hash__ = None  # type: ignore[assignment] (it changes)

    def __iter__(self) -> Iterator[events.Step]:
        return (self._row(row) for row in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> events.Step: ...

    @overload
    def __getitem__(self, index: slice) -> list[events.Step]: ...

    def __getitem__(self, index: int | slice) -> events.Step | list[events.Step]:
        if isinstance(index, slice):
            return [self._row(row) for row in range(*index.indices(len(self)))]
        row = index + len(self) if index < 0 else index
        if not 0 <= row < len(self):
            raise IndexError(index)
        return self._row(row)

    def _row(self, row: int) -> events.Step:
        """Returns one step as its event was, but for the digits that are not kept."""
        found: dict[str, float | int | bool | None] = {
            name: column[row] for name, column in self.columns.items()
        }
        for name, kind in _KINDS.items():
            if (value := found[name]) is not None:
                found[name] = kind(value)
        return events.Step(**found)  # type: ignore[arg-type]

    def append(self, step: events.Step) -> None:
        """Adds a step."""
        self.extend([step])

    def extend(self, steps: "Sequence[events.Step] | Steps") -> None:
        """Adds steps at the end; `after` tells which of those here they do again."""
        if not steps:
            return
        done = self.tokens_done[-1] if self.tokens_done else 0.0
        if isinstance(steps, Steps):
            for name, column in self.columns.items():
                column.join(steps.columns[name])
            self.tokens_done.extend(array("d", [done + each for each in steps.tokens_done]))
            return
        fields = dict(zip(_TOLD, zip(*map(astuple, steps), strict=True), strict=True))
        for name, column in self.columns.items():
            column.extend(fields[name])
        counts = [count or 0 for count in cast(Sequence[int | None], fields["tokens"])]
        self.tokens_done.extend(array("d", list(accumulate(counts, initial=done))[1:]))

    def work(self, first: int = 0) -> tuple[float, float]:
        """Returns tokens and seconds of the steps from row `first` on that tell both."""
        tokens = self.columns["tokens"].values[first:]
        seconds = self.columns["step_s"].values[first:]
        both = sum(tokens), sum(seconds)
        if math.isnan(sum(both)):  # some do not tell them
            pairs = [(n, s) for n, s in zip(tokens, seconds, strict=True) if n == n and s == s]
            both = sum(n for n, _ in pairs), sum(s for _, s in pairs)
        return both

    def after(self, step: int) -> int:
        """Returns the row of the first step whose number is higher."""
        return bisect_right(self.numbers, step)

    def cut(self, first: int) -> "Steps":
        """Takes the rows from `first` on away, and returns them."""
        taken = self.take(first, len(self))
        if taken:
            for column in self.columns.values():
                column.cut(first)
            del self.tokens_done[first:]
            if not first:
                self.forgotten = (0.0, 0.0)
            self.cuts += 1
        return taken

    def keep_last(self, count: int) -> None:
        """Forgets all but the last rows."""
        if len(self) > count:
            kept = self.take(len(self) - count, len(self))
            forgotten = self.take(0, len(self) - count).work()
            self.forgotten = (self.forgotten[0] + forgotten[0], self.forgotten[1] + forgotten[1])
            self.columns, self.tokens_done = kept.columns, kept.tokens_done
            self.cuts += 1

    def take(self, first: int, end: int) -> "Steps":
        """Returns the rows from `first` to before `end` as steps of their own."""
        taken = Steps()
        taken.columns = {name: column.take(first, end) for name, column in self.columns.items()}
        taken.tokens_done = self.tokens_done[first:end]
        return taken
