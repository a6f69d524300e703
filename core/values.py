"""The values of one metric, and what is derived of them: averages, logarithms, extremes.

A row without a number holds NaN: it is never drawn as zero and never widens an axis. The rows in
`bad` were told and are not finite: there a line breaks. Knows numbers only, nothing of terminals.
"""

import math
from array import array
from bisect import bisect_left
from itertools import accumulate

_NAN, _INF = math.nan, math.inf
_BLOCK = 64
"""Rows whose lowest and highest value are kept, so that a drawing need not look at each."""
_NEGLIGIBLE = 1e-15


class Values:
    """One value per row; `ys` and `bad` may be arrays that grow elsewhere."""

    def __init__(self, ys: "array[float] | None" = None, bad: "array[int] | None" = None) -> None:
        self.ys: array[float] = array("d") if ys is None else ys
        self.bad: array[int] = array("q") if bad is None else bad
        self.hidden: array[int] = array("q")
        """Rows that have a number which cannot be shown: not positive, where a logarithm is."""
        self._lowest: array[float] = array("d")
        self._highest: array[float] = array("d")
        self._averages: dict[float, Average] = {}
        self._logarithm: Logarithm | None = None

    def __len__(self) -> int:
        return len(self.ys)

    def catch_up(self) -> None:
        """Takes in the rows that came since the last time; what is derived adds its own."""

    def average(self, weight: float) -> "Average":
        """Returns the moving average of that weight, with all rows so far."""
        if weight not in self._averages:
            self._averages[weight] = Average(self, weight)
        self._averages[weight].catch_up()
        return self._averages[weight]

    def logarithm(self) -> "Logarithm":
        """Returns the logarithms, with all rows so far."""
        if self._logarithm is None:
            self._logarithm = Logarithm(self)
        self._logarithm.catch_up()
        return self._logarithm

    def breaks(self, first: int, end: int) -> bool:
        """Returns whether a row from `first` to before `end` is not finite."""
        bad = self.bad
        if not bad or bad[-1] < first:
            return False
        return bad[bisect_left(bad, first)] < end

    def extremes(self, first: int, end: int) -> tuple[float, float] | None:
        """Returns the lowest and highest number of the rows from `first` to before `end`."""
        block, last = -(-first // _BLOCK), end // _BLOCK
        if last <= block:
            part = self.ys[first:end]
            return _extremes(part) if part else None
        self._keep_blocks(last)
        edges = self.ys[first : block * _BLOCK] + self.ys[last * _BLOCK : end]
        low, high = min(self._lowest[block:last]), max(self._highest[block:last])
        if edges and (found := _extremes(edges)) is not None:
            low, high = min(low, found[0]), max(high, found[1])
        return (low, high) if low <= high else None

    def _keep_blocks(self, count: int) -> None:
        ys = self.ys
        for block in range(len(self._lowest), count):
            low, high = _extremes(ys[block * _BLOCK : (block + 1) * _BLOCK]) or (_INF, -_INF)
            self._lowest.append(low)
            self._highest.append(high)


def _extremes(part: "array[float]") -> tuple[float, float] | None:
    """Returns the lowest and highest number among values of which some may be NaN."""
    low, high = min(part), max(part)
    if low != low:  # NaN is lower and higher than nothing: it stays only where it stands first
        numbers = [value for value in part if value == value]
        return (min(numbers), max(numbers)) if numbers else None
    return low, high


class Average(Values):
    """Exponential moving average, corrected for its start; rows without a number are skipped.

    With weight w, the average after n numbers is sum of w^(n-i) y_i over sum of w^(n-i), as Adam
    corrects its averages (Kingma & Ba 2015, section 3).
    """

    def __init__(self, source: Values, weight: float) -> None:
        super().__init__(bad=source.bad)
        self.weight = weight
        self._source = source
        self._sum = 0.0
        self._decay = 1.0
        """The weight to the power of the numbers so far."""

    def catch_up(self) -> None:
        """Adds the averages of rows that the source gained."""
        weight = self.weight
        new = self._source.ys[len(self.ys) :]
        at, finite = 0, math.isfinite(sum(new))
        while at < len(new) and (not finite or self._decay > _NEGLIGIBLE):
            value = new[at]
            at += 1
            if value != value:
                self.ys.append(_NAN)
                continue
            self._sum = weight * self._sum + (1 - weight) * value
            self._decay *= weight
            self.ys.append(self._sum / (1 - self._decay))
        if at < len(new):
            rest = accumulate(
                new[at:], lambda s, y: weight * s + (1 - weight) * y, initial=self._sum
            )
            next(rest)
            self.ys.extend(rest)
            self._sum = self.ys[-1]


class Logarithm(Values):
    """Logarithms to the base of 10. A number that is not positive has none, and is counted."""

    def __init__(self, source: Values) -> None:
        super().__init__(bad=source.bad)
        self._source = source

    def catch_up(self) -> None:
        """Adds the logarithms of rows that the source gained."""
        first = len(self.ys)
        new = self._source.ys[first:]
        try:
            self.ys.extend(array("d", map(math.log10, new)))
        except ValueError:  # some are not positive
            self.ys.extend(math.log10(y) if y > 0 else _NAN for y in new)
            self.hidden.extend(row for row, y in enumerate(new, first) if y <= 0)
