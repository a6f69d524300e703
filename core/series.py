"""Values of a metric along an axis, and what of them falls into each column of a drawing."""

import math
from array import array
from bisect import bisect_left, bisect_right

from .values import Values

Range = tuple[float, float]


class Series:
    """Rows in order of x: `xs` says where each stands, `values` what it is."""

    def __init__(self, xs: "array[float] | None" = None, values: Values | None = None) -> None:
        self.xs: array[float] = array("d") if xs is None else xs
        self.values = Values() if values is None else values

    def __len__(self) -> int:
        """The rows, with those that hold no number."""
        return min(len(self.xs), len(self.values))

    @property
    def bad(self) -> "list[float]":
        """The x of every row that is not finite."""
        return [self.xs[row] for row in self.values.bad]

    def append(self, x: float, y: float | None) -> None:
        """Adds a row; None is unknown and leaves nothing, a value that is not finite a gap."""
        if y is not None and not math.isfinite(y):
            self.values.bad.append(len(self.xs))
        self.xs.append(x)
        self.values.ys.append(math.nan if y is None or not math.isfinite(y) else y)

    def average(self, weight: float) -> "Series":
        """Returns the moving average along the same axis."""
        return Series(self.xs, self.values.average(weight))

    def logarithm(self) -> "Series":
        """Returns the logarithms along the same axis."""
        return Series(self.xs, self.values.logarithm())

    def window(self, x0: float, x1: float) -> tuple[int, int]:
        """Returns the rows (first, end) with x0 ≤ x ≤ x1."""
        end = len(self)
        return bisect_left(self.xs, x0, 0, end), bisect_right(self.xs, x1, 0, end)

    def bounds(self, x0: float = -math.inf, x1: float = math.inf) -> Range | None:
        """Returns the lowest and highest number within the window, or None without one."""
        return self.values.extremes(*self.window(x0, x1))

    def hidden(self, x0: float, x1: float) -> int:
        """Returns how many rows of the window have a number that cannot be shown."""
        hidden = self.values.hidden
        first, end = self.window(x0, x1)
        return bisect_left(hidden, end) - bisect_left(hidden, first) if hidden else 0

    def numbers(self, first: int, end: int) -> list[tuple[int, float, float]]:
        """Returns (row, x, y) of the rows from `first` to before `end` that hold a number."""
        ys, xs = self.values.ys, self.xs
        return [(row, xs[row], ys[row]) for row in range(first, end) if ys[row] == ys[row]]

    def last(self) -> float | None:
        """Returns the newest number."""
        ys = self.values.ys
        return next((y for y in reversed(ys[: len(self)]) if y == y), None)

    def columns(self, x0: float, x1: float, width: int) -> list[tuple[int, float, float, bool]]:
        """Returns the range of y in each column that holds numbers.

        Args:
            x0: x of the left edge.
            x1: x of the right edge, greater than x0.
            width: Number of columns.

        Returns:
            (column, lowest y, highest y, joined) in order; `joined` says that the line goes on
            from the column before. Every number counts, so one spike among a million shows.
        """
        found: list[tuple[int, float, float, bool]] = []
        extremes, breaks = self.values.extremes, self.values.breaks
        at, end = self.window(x0, x1)
        scale = (x1 - x0) / width
        seen = at
        for column in range(width):
            if at == end:
                break
            last = column == width - 1
            upto = end if last else bisect_left(self.xs, x0 + (column + 1) * scale, at, end)
            if upto > at and (both := extremes(at, upto)) is not None:
                joined = bool(found) and not (breaks(seen, upto) and self._apart(seen, at, upto))
                found.append((column, *both, joined))
                seen = at
            at = upto
        return found

    def _apart(self, before: int, at: int, upto: int) -> bool:
        """Returns whether the line breaks between the last number before `at` and the next one."""
        ys = self.values.ys
        last = next((row for row in range(at - 1, before - 1, -1) if ys[row] == ys[row]), before)
        first = next((row for row in range(at, upto) if ys[row] == ys[row]), upto)
        return self.values.breaks(last, first)
