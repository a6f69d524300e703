"""Many encoded rows in a few arrays: a row takes its tokens and some dozens of bytes.

As objects, the rows of a large data set would take several times the memory of their tokens.
"""

from array import array
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import overload

from ..prompt.tokens import Encoded


class EncodedRows(Sequence[Encoded]):
    """Rows that are added one after another; each is made anew when it is asked for."""

    def __init__(self) -> None:
        self.ids = array("i")
        """The tokens of all rows."""
        self.ends = array("q", [0])
        """Where each row's tokens end, behind the beginning of the first."""
        self.spans = array("i")
        """Beginning and end of all trained ranges."""
        self.span_ends = array("q", [0])
        """Where each row's ranges end in `spans`."""
        self.places = array("i")
        """Per row its `answer_start`, `cut_tokens`, `cut_at`, `cut_trained` and `straddling`."""

    def append(self, row: Encoded) -> None:
        """Adds a row."""
        self.ids.extend(array("i", row.input_ids))  # a list itself would go in one by one
        self.ends.append(len(self.ids))
        self.spans.extend(chain.from_iterable(row.spans))
        self.span_ends.append(len(self.spans))
        self.places.extend(
            (row.answer_start, row.cut_tokens, row.cut_at, row.cut_trained, row.straddling)
        )

    def __len__(self) -> int:
        return len(self.ends) - 1

    @overload
    def __getitem__(self, index: int) -> Encoded: ...
    @overload
    def __getitem__(self, index: slice) -> list[Encoded]: ...
    def __getitem__(self, index: int | slice) -> Encoded | list[Encoded]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        return Encoded(
            self.ids[self.ends[index] : self.ends[index + 1]],
            self._spans(index),
            *self.places[5 * index : 5 * index + 5],
        )

    def tokens(self, index: int) -> int:
        """Returns how many tokens a row has."""
        return self.ends[index + 1] - self.ends[index]

    def trained(self, index: int) -> int:
        """Returns how many tokens of a row are trained, as `Encoded.trained`."""
        return Encoded([], self._spans(index), 0).trained

    def is_cut(self, index: int) -> bool:
        """Returns whether something was cut off a row."""
        return self.places[5 * index + 1] > 0

    def _spans(self, index: int) -> tuple[tuple[int, int], ...]:
        edges = self.spans[self.span_ends[index] : self.span_ends[index + 1]]
        return tuple(zip(edges[::2], edges[1::2], strict=True))


class Picked(Sequence[Encoded]):
    """Rows out of several sources, in an order of their own."""

    def __init__(self, sources: Sequence[EncodedRows], rows: Sequence[tuple[int, int]]) -> None:
        self._sources = sources
        self._from = array("i", [source for source, _ in rows])
        self._rows = array("q", [row for _, row in rows])

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Encoded: ...
    @overload
    def __getitem__(self, index: slice) -> list[Encoded]: ...
    def __getitem__(self, index: int | slice) -> Encoded | list[Encoded]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        return self._sources[self._from[index]][self._rows[index]]

    def __iter__(self) -> Iterator[Encoded]:
        return (self[index] for index in range(len(self)))
