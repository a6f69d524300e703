"""Draws a chart as rows of characters, each with the layer that colours it."""

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from ....core.series import Range, Series
from .axis import LABEL_WIDTH, labels, log_ticks, padded, ticks
from .braille import Canvas
from .data import FREQUENT, LETTERS, ChartData, Line

AXIS, CROSS, SUPERSEDED, RAW, EVAL, AVERAGE, BAD = 1, 2, 3, 4, 5, 6, 7
FIRST_LINE = 8
"""The layer of the first of several lines; the others follow."""
GUTTER = LABEL_WIDTH + 2
PENS = ("1", "111100", "10", "11110100", "1111111100", "1000")
"""Strokes of several lines: solid, dashed, dotted, dash and dot, long dashes, sparse dots."""
_ROWS_FOR_MARKS = 12
_SAMPLED = 2000
Row = tuple[str, bytes]
"""The characters of a row, and the layer of each."""


@dataclass
class Scale:
    """The range of y. With `log` all its numbers are logarithms to the base of 10."""

    low: float
    high: float
    log: bool = False


@dataclass
class Drawn:
    """A chart as rows, and what was found while it was drawn."""

    rows: list[Row] = field(default_factory=list[Row])
    clipped: int = 0
    """Columns in which values lie beyond the range of y."""


class Plot:
    """One drawing of a chart in a given size, for given ranges.

    Args:
        data: What is drawn.
        x: The edges of what is seen.
        scale: The range of y.
        size: Columns and rows.
        compact: Without axes.
    """

    def __init__(
        self, data: ChartData, x: Range, scale: Scale, size: tuple[int, int], *, compact: bool
    ) -> None:
        width, height = size
        self.data, self.scale, self.compact = data, scale, compact
        self.x0, self.x1 = x
        self.marks_apart = not compact and bool(data.marks) and height >= _ROWS_FOR_MARKS
        rows = height if compact else height - 2 - self.marks_apart
        columns = width if compact else width - GUTTER - 1
        self.width = width
        self.canvas = Canvas(max(columns, 0), max(rows, 0))

    @property
    def fits(self) -> bool:
        """Whether there is room to draw anything."""
        return self.canvas.rows >= 1 and self.canvas.columns >= 4

    def draw(self) -> Drawn:
        """Returns the rows of the chart."""
        clipped = self._draw_lines()
        self._draw_beside()
        canvas = self.canvas
        if self.compact:
            return Drawn([canvas.row(row) for row in range(canvas.rows)], clipped)
        return Drawn([*self._plot_rows(), *self._axis_rows()], clipped)

    def dot_x(self, x: float) -> int:
        """Returns the column of dots of a place; a damaged one may lie anywhere."""
        share = min(max((x - self.x0) / (self.x1 - self.x0), -1e6), 1e6)
        return round(share * (self.canvas.width - 1))

    def dot_y(self, y: float) -> int:
        """Returns the row of dots of a value as it is drawn."""
        return round((self.scale.high - y) / self._height * (self.canvas.height - 1))

    @property
    def _height(self) -> float:
        return self.scale.high - self.scale.low

    def scaled(self, series: Series) -> Series:
        """Returns what is drawn of a series: with a log scale its logarithms."""
        return series.logarithm() if self.scale.log else series

    def _draw_lines(self) -> int:
        for series in self.data.superseded:
            self._draw_dots(self.scaled(series), SUPERSEDED)
        if len(self.data.lines) > 1:
            for at, line in enumerate(self.data.lines):
                self.canvas.pen = PENS[-1 if line.dotted else at]
                self._draw_series(self.scaled(line.drawn), FIRST_LINE + at)
            self.canvas.pen = "1"
        else:
            for line in self.data.lines:
                self._draw_line(line)
        self._draw_series(self.scaled(self.data.evals), EVAL)
        return sum(self._mark_clipped(self.scaled(line.drawn)) for line in self.data.lines)

    def _draw_line(self, line: Line) -> None:
        self._draw_series(self.scaled(line.raw), RAW)
        if line.ahead is not None:
            self._draw_series(self.scaled(line.ahead), RAW)
        if line.average is not None:
            self._draw_series(self.scaled(line.average), AVERAGE)

    def _draw_beside(self) -> None:
        """Draws what is no line: evaluations, values that are not finite, breaks, crosshair."""
        canvas, data = self.canvas, self.data
        evals = self.scaled(data.evals)
        for _, x, y in evals.numbers(*evals.window(self.x0, self.x1)):
            canvas.mark(self.dot_x(x) // 2, self.dot_y(y) // 4, "◆", EVAL)
        for line in data.lines:
            for x in line.raw.bad:
                if self.x0 <= x <= self.x1:
                    canvas.mark(self.dot_x(x) // 2, canvas.rows - 1, "×", BAD)
        for x in data.breaks:
            canvas.behind(self.dot_x(x) // 2, "┊", AXIS)
        if data.cross is not None:
            canvas.behind(self.dot_x(data.cross) // 2, "│", CROSS)
        if len(data.lines) > 1:
            self._name_lines()

    def _name_lines(self) -> None:
        """Writes the letter of each line at its end, or as near as no other letter stands."""
        rows = range(self.canvas.rows)
        for at, line in enumerate(self.data.lines):
            series = self.scaled(line.drawn)
            first, end = series.window(self.x0, self.x1)
            ends = series.numbers(max(first, end - 64), end)
            if ends:
                _, x, y = ends[-1]
                column = min(self.dot_x(x) // 2 + 1, self.canvas.columns - 1)
                wanted = min(max(self.dot_y(y) // 4, 0), self.canvas.rows - 1)
                free = (row for row in rows if not self._is_letter(column, row))
                row = min(free, key=lambda row: abs(row - wanted), default=wanted)
                self.canvas.mark(column, row, LETTERS[at], FIRST_LINE + at)

    def _is_letter(self, column: int, row: int) -> bool:
        return self.canvas.marks.get(row * self.canvas.columns + column, " ") in LETTERS

    def _draw_series(self, series: Series, layer: int) -> None:
        first, end = series.window(self.x0, self.x1)
        if end - first > self.canvas.width:
            self._draw_columns(series.columns(self.x0, self.x1, self.canvas.width), layer)
        else:  # a line comes from the last point before the edge and goes to the next behind it
            self._draw_points(series, max(first - 1, 0), min(end + 1, len(series)), layer)

    def _draw_dots(self, series: Series, layer: int) -> None:
        """Draws single dots, which no line joins."""
        first, end = series.window(self.x0, self.x1)
        if end - first <= self.canvas.width:
            for _, x, y in series.numbers(first, end):
                self.canvas.dot(self.dot_x(x), self.dot_y(y), layer)
            return
        self.canvas.pen = "1000"
        for column, low, high, _ in series.columns(self.x0, self.x1, self.canvas.width):
            self.canvas.dot(column, self.dot_y(low), layer)
            self.canvas.dot(column, self.dot_y(high), layer)
        self.canvas.pen = "1"

    def _draw_columns(self, columns: list[tuple[int, float, float, bool]], layer: int) -> None:
        canvas, dot_y = self.canvas, self.dot_y
        before: tuple[int, int, int] | None = None
        for column, low, high, joined in columns:
            top, bottom = dot_y(high), dot_y(low)
            if joined and before is not None:
                x, last_top, last_bottom = before
                if column > x + 1:  # empty columns between two points: a straight line
                    canvas.segment(x, last_bottom, column, bottom, layer)
                elif top > last_bottom:
                    canvas.vertical(column, last_bottom, top, layer)
                elif bottom < last_top:
                    canvas.vertical(column, bottom, last_top, layer)
            canvas.vertical(column, top, bottom, layer)
            before = (column, top, bottom)

    def _draw_points(self, series: Series, first: int, end: int, layer: int) -> None:
        before: tuple[int, int, int] | None = None
        for row, value_x, value_y in series.numbers(first, end):
            x, y = self.dot_x(value_x), self.dot_y(value_y)
            if before is None or series.values.breaks(before[0], row):
                self.canvas.dot(x, y, layer)
            else:
                self.canvas.segment(before[1], before[2], x, y, layer)
            before = (row, x, y)

    def _mark_clipped(self, series: Series) -> int:
        """Marks columns whose values lie beyond the range of y; returns how many."""
        canvas, count = self.canvas, 0
        bounds = series.bounds(self.x0, self.x1)
        if bounds is None or (bounds[1] <= self.scale.high and bounds[0] >= self.scale.low):
            return 0
        for column, low, high, _ in series.columns(self.x0, self.x1, canvas.columns):
            above, below = high > self.scale.high, low < self.scale.low
            if above:
                canvas.mark(column, 0, "▲", BAD)
            if below:
                canvas.mark(column, canvas.rows - 1, "▼", BAD)
            count += above or below
        return count

    def _plot_rows(self) -> list[Row]:
        labels = self._row_labels()
        rows: list[Row] = []
        for row in range(self.canvas.rows):
            text, layers = self.canvas.row(row)
            gutter = f"{labels.get(row, ''):>{LABEL_WIDTH}} {'┤' if row in labels else '│'}"
            rows.append((f"{gutter}{text} ", bytes([AXIS]) * GUTTER + layers + b"\0"))
        return rows

    def _axis_rows(self) -> list[Row]:
        columns = self.canvas.columns
        rule = ["─"] * columns
        if self.data.cross is not None and 0 <= (at := self.dot_x(self.data.cross) // 2) < columns:
            rule[at] = "┴"
        marks = self._marks()
        if not self.marks_apart:
            for at, letter in marks.items():
                rule[at] = letter
        lines = [f"{' ' * (LABEL_WIDTH + 1)}└{''.join(rule)}", " " * GUTTER + self._column_labels()]
        if self.marks_apart:
            row = "".join(marks.get(at, " ") for at in range(columns))
            lines.append(f"{'marks':>{LABEL_WIDTH}}  {row}")
        return [(f"{line} "[: self.width], bytes([AXIS]) * self.width) for line in lines]

    def _marks(self) -> dict[int, str]:
        """Returns the letters under the axis by column.

        A rare one hides the frequent ones of its place; else different ones in one place are a +.
        """
        found: dict[int, set[str]] = {}
        for x, letter in self.data.marks:
            if self.x0 <= x <= self.x1:
                found.setdefault(self.dot_x(x) // 2, set()).add(letter)
        shown = {column: letters - FREQUENT or letters for column, letters in found.items()}
        return {at: letters.pop() if len(letters) == 1 else "+" for at, letters in shown.items()}

    def _row_labels(self) -> dict[int, str]:
        """Returns the y labels by row; rows too close to another label stay empty."""
        low, high, scale = self.scale.low, self.scale.high, self.data.scale
        count = max(self.canvas.rows * 2 // 5, 1)
        if self.scale.log:
            known = [(tick, 10**tick / scale) for tick in log_ticks(low, high, count)]
        else:
            known = [(tick * scale, tick) for tick in ticks(low / scale, high / scale, count)]
        found: dict[int, float] = {}
        for y, value in known:
            row = self.dot_y(y) // 4
            if row not in found and row - 1 not in found and row + 1 not in found:
                found[row] = value
        return dict(zip(found, labels(list(found.values())), strict=True))

    def _column_labels(self) -> str:
        """Returns the x labels, each under its place, without touching each other."""
        columns, axis = self.canvas.columns, self.data.axis
        cells = [" "] * columns
        free_from = 0
        room = columns - len(axis.name) - 1
        for value in axis.ticks(self.x0, self.x1, max(columns // 12, 1)):
            text = axis.label(value)
            at = self.dot_x(value) // 2 - len(text) // 2
            at = max(at, 0)
            if at >= free_from and at + len(text) <= room:
                cells[at : at + len(text)] = text
                free_from = at + len(text) + 1
        if room > 0:
            cells[columns - len(axis.name) :] = axis.name
        return "".join(cells)


def y_bounds(data: ChartData, x: Range, *, log: bool, clip: bool) -> Range | None:
    """Returns the lowest and highest value that is seen, as it is drawn; None without one.

    With `clip` the lines count from their 1st to their 99th percentile.
    """
    several = len(data.lines) > 1
    lines = [line.drawn if several else line.raw for line in data.lines]
    others = [line.ahead for line in data.lines if line.ahead is not None]
    scaled: Callable[[Series], Series] = Series.logarithm if log else lambda series: series
    find = _percentiles if clip else Series.bounds
    found = [find(scaled(series), *x) for series in lines]
    found += [scaled(series).bounds(*x) for series in (*others, data.evals, *data.superseded)]
    known = [bounds for bounds in found if bounds is not None]
    if not known:  # between two points: the line that joins them is seen
        near = [(series, series.window(*x)) for series in map(scaled, lines)]
        around = [s.values.extremes(max(at - 1, 0), min(end + 1, len(s))) for s, (at, end) in near]
        known = [bounds for bounds in around if bounds is not None]
    return (min(low for low, _ in known), max(high for _, high in known)) if known else None


def _percentiles(series: Series, x0: float, x1: float) -> Range | None:
    """Returns the 1st and 99th percentile of what is seen; of very many values, of a sample."""
    first, end = series.window(x0, x1)
    every = max((end - first) // _SAMPLED, 1)
    values = [y for y in series.values.ys[first:end:every] if y == y]
    if len(values) < 2:
        return (values[0], values[0]) if values else None
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[0], cuts[-1]


def settled(before: Scale | None, wanted: Range, *, log: bool) -> Scale:
    """Returns the range of y: it grows at once, and shrinks when a third of it is not used."""
    low, high = wanted
    if before is not None and before.log == log and before.low <= low and high <= before.high:
        used = high - low
        if used > 0 and used >= (before.high - before.low) * 2 / 3:
            return before
    return Scale(*padded(low, high), log)


def is_positive(data: ChartData, x: Range) -> bool:
    """Returns whether there is anything to draw on a logarithmic scale."""
    bounds = y_bounds(data, x, log=False, clip=False)
    return bounds is not None and bounds[1] > 0 and math.isfinite(math.log10(bounds[1]))
