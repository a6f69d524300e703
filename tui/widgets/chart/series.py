"""Points of one metric over steps, and what of them falls into each column of a drawing.

A value that is not finite is a gap: it is never joined over, never drawn as zero, and never
widens the axis. Knows numbers only, nothing of terminals.
"""

import math
from array import array
from bisect import bisect_left, bisect_right

_BLOCK = 64
"""Points whose lowest and highest y are kept, so that a drawing need not look at each."""


class Series:
    """Points in order of x.

    `xs` and `ys` hold the finite points, `bad` the x of every point that is not finite, and
    `starts` the indices of points that begin a new stretch of line.
    """

    def __init__(self) -> None:
        self.xs = array("d")
        self.ys = array("d")
        self.bad = array("d")
        self.starts: set[int] = set()
        self._gap = True
        self._lowest = array("d")
        self._highest = array("d")

    def __len__(self) -> int:
        return len(self.xs)

    def append(self, x: float, y: float | None) -> None:
        """Adds a point; None is unknown and leaves nothing, a value that is not finite a gap."""
        if y is None:
            return
        if not math.isfinite(y):
            self.bad.append(x)
            self._gap = True
            return
        if self._gap:
            self.starts.add(len(self.xs))
            self._gap = False
        if len(self.xs) % _BLOCK == 0:
            self._lowest.append(y)
            self._highest.append(y)
        else:
            self._lowest[-1] = min(self._lowest[-1], y)
            self._highest[-1] = max(self._highest[-1], y)
        self.xs.append(x)
        self.ys.append(y)

    def break_line(self) -> None:
        """The next point is not joined to the last one."""
        self._gap = True

    def window(self, x0: float, x1: float) -> tuple[int, int]:
        """Returns the indices (first, end) of the points with x0 ≤ x ≤ x1."""
        return bisect_left(self.xs, x0), bisect_right(self.xs, x1)

    def bounds(self, x0: float, x1: float) -> tuple[float, float] | None:
        """Returns the lowest and highest y within the window, or None where it holds no point."""
        first, end = self.window(x0, x1)
        return None if first == end else self._extremes(first, end)

    def _extremes(self, first: int, end: int) -> tuple[float, float]:
        """Returns the lowest and highest y of the points from first to before end, at least one."""
        block, last = -(-first // _BLOCK), end // _BLOCK
        if last <= block:
            part = self.ys[first:end]
            return min(part), max(part)
        edges = self.ys[first : block * _BLOCK] + self.ys[last * _BLOCK : end]
        return (
            min(edges + self._lowest[block:last]),
            max(edges + self._highest[block:last]),
        )

    def columns(self, x0: float, x1: float, width: int) -> list[tuple[int, float, float, bool]]:
        """Returns the range of y in each column that holds points.

        Args:
            x0: x of the left edge.
            x1: x of the right edge, greater than x0.
            width: Number of columns.

        Returns:
            (column, lowest y, highest y, joined) in order; `joined` says that the line goes on
            from the column before. Every point counts, so one spike among a million shows.
        """
        found: list[tuple[int, float, float, bool]] = []
        first, end = self.window(x0, x1)
        scale = (x1 - x0) / width
        breaks = sorted(index for index in self.starts if first < index < end)
        next_break = 0
        at = first
        for column in range(width):
            if at == end:
                break
            last = column == width - 1
            upto = end if last else bisect_left(self.xs, x0 + (column + 1) * scale, at, end)
            if upto == at:
                continue
            while next_break < len(breaks) and breaks[next_break] < at:
                next_break += 1
            begins = next_break < len(breaks) and breaks[next_break] == at
            low, high = self._extremes(at, upto)
            found.append((column, low, high, bool(found) and not begins))
            at = upto
        return found


class Smoothed(Series):
    """Exponential moving average of another series, corrected for its start; gaps are skipped.

    With weight w, the average after n points is sum of w^(n-i) y_i over sum of w^(n-i), as Adam
    corrects its averages (Kingma & Ba 2015, section 3).
    """

    def __init__(self, source: Series, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self._source = source
        self._sum = 0.0
        self._norm = 0.0

    def catch_up(self) -> None:
        """Adds the averages of points that the source gained."""
        for index in range(len(self.xs), len(self._source)):
            self._sum = self.weight * self._sum + (1 - self.weight) * self._source.ys[index]
            self._norm = self.weight * self._norm + (1 - self.weight)
            if index in self._source.starts:
                self.break_line()
            self.append(self._source.xs[index], self._sum / self._norm)
