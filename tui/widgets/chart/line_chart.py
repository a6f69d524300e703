"""The widget that draws one metric: raw range, average, evaluations, gaps, and what was redone.

Redraws only when its data or its size changed; a screen says when with `redraw`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import zip_longest

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from .axis import LABEL_WIDTH, label, padded, ticks
from .braille import Canvas
from .series import Series, Smoothed

_SUPERSEDED, _RAW, _EMA, _EVAL, _BAD = 1, 2, 3, 4, 5
_PARTS = {
    _SUPERSEDED: "line-chart--superseded",
    _RAW: "line-chart--raw",
    _EMA: "line-chart--ema",
    _EVAL: "line-chart--eval",
    _BAD: "line-chart--bad",
}
_GUTTER = LABEL_WIDTH + 2


@dataclass
class ChartData:
    """What is drawn: `raw` and what belongs to it. `ema` and `evals` may be left out."""

    title: str
    raw: Series
    ema: Smoothed | None = None
    evals: Series = field(default_factory=Series)
    superseded: Series = field(default_factory=Series)
    empty: str = "No point yet."


class LineChart(Widget, can_focus=True):
    """Draws a `ChartData` over its whole range."""

    COMPONENT_CLASSES = {"line-chart--axis", *_PARTS.values()}

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._data = ChartData("", Series())
        self._strips: list[Strip] | None = None

    def show(self, data: ChartData) -> None:
        """Draws other data from now on."""
        self._data = data
        self.redraw()

    def redraw(self) -> None:
        """Says that the data changed; only rows that look different are painted again."""
        if (legend := self.legend()) != self.border_title:
            self.border_title = legend
        width, height = self.size
        if self._strips is None or not width:
            self.refresh()
            return
        before, self._strips = self._strips, self._draw(width, height)
        rows = zip_longest(before, self._strips)
        changed = [Region(0, y, width, 1) for y, (old, new) in enumerate(rows) if old != new]
        if changed:
            self.refresh(*changed)

    def legend(self) -> str:
        """Returns the title with a word and a glyph for everything that is drawn."""
        data = self._data
        parts = [data.title]
        if len(data.raw):
            parts.append("raw ─")
        if data.ema is not None and len(data.ema):
            parts.append(f"EMA {data.ema.weight:g} ━")
        if len(data.evals):
            parts.append("eval ◆")
        if len(data.superseded):
            parts.append("superseded ┄")
        if data.raw.bad:
            parts.append(f"{len(data.raw.bad)} NaN ×")
        return "  ".join(parts)

    def on_resize(self, event: events.Resize) -> None:
        """Draws anew for the new size."""
        self._strips = None

    def notify_style_update(self) -> None:
        """Draws anew in the colours of another theme."""
        super().notify_style_update()
        self._strips = None

    def render_line(self, y: int) -> Strip:
        """Returns one row of the drawing."""
        if self._strips is None:
            self._strips = self._draw(self.size.width, self.size.height)
        if y < len(self._strips):
            return self._strips[y]
        return Strip.blank(self.size.width, self.rich_style)

    def x_range(self) -> tuple[float, float]:
        """Returns the steps at the left and right edge: all that is known."""
        known = (self._data.raw, self._data.evals, self._data.superseded)
        edges = [series.xs[i] for series in known if len(series) for i in (0, -1)]
        edges += list(self._data.raw.bad)
        low, high = (min(edges), max(edges)) if edges else (0.0, 1.0)
        return (low, high) if high > low else (low, low + 1.0)

    def _draw(self, width: int, height: int) -> list[Strip]:
        plot_rows, plot_columns = height - 2, width - _GUTTER - 1
        if plot_rows < 1 or plot_columns < 4:
            return []
        x0, x1 = self.x_range()
        bounds = self._bounds(x0, x1)
        if bounds is None and not self._data.raw.bad:
            return self._message(width, height)
        low, high = padded(*(bounds or (0.0, 1.0)))
        canvas = Canvas(plot_columns, plot_rows)
        self._draw_series(canvas, x0, x1, low, high)
        return self._assemble(canvas, x0, x1, low, high, width)

    def _bounds(self, x0: float, x1: float) -> tuple[float, float] | None:
        known = (self._data.raw, self._data.evals, self._data.superseded)
        found = [b for series in known if (b := series.bounds(x0, x1)) is not None]
        if not found:
            return None
        return min(b[0] for b in found), max(b[1] for b in found)

    def _draw_series(self, canvas: Canvas, x0: float, x1: float, low: float, high: float) -> None:
        data = self._data

        def dot_y(value: float) -> int:
            return round((high - value) / (high - low) * (canvas.height - 1))

        def dot_x(value: float) -> int:
            value = min(max(value, x0), x1)  # a damaged step may lie anywhere
            return round((value - x0) / (x1 - x0) * (canvas.width - 1))

        for index in range(len(data.superseded)):
            x = dot_x(data.superseded.xs[index])
            canvas.dot(x, dot_y(data.superseded.ys[index]), _SUPERSEDED)
        lines = [(data.raw, _RAW), (data.evals, _EVAL)]
        if data.ema is not None:
            lines.insert(1, (data.ema, _EMA))
        for series, layer in lines:
            if len(series) > canvas.width:
                _draw_columns(canvas, series.columns(x0, x1, canvas.width), dot_y, layer)
            else:
                _draw_points(canvas, series, dot_x, dot_y, layer)
        for index in range(len(data.evals)):
            column, row = dot_x(data.evals.xs[index]) // 2, dot_y(data.evals.ys[index]) // 4
            canvas.mark(column, row, "◆", _EVAL)
        for x in data.raw.bad:
            canvas.mark(dot_x(x) // 2, canvas.rows - 1, "×", _BAD)

    def _assemble(
        self, canvas: Canvas, x0: float, x1: float, low: float, high: float, width: int
    ) -> list[Strip]:
        back = self.rich_style
        axis = back + self.get_component_rich_style("line-chart--axis", partial=True)
        styles = {0: back} | {
            layer: back + self.get_component_rich_style(name, partial=True)
            for layer, name in _PARTS.items()
        }
        labels = _row_labels(low, high, canvas.rows)
        strips: list[Strip] = []
        for row in range(canvas.rows):
            text = labels.get(row, "").rjust(LABEL_WIDTH)
            segments = [Segment(f"{text} {'┤' if row in labels else '│'}", axis)]
            segments += [Segment(run, styles[layer]) for run, layer in canvas.row(row)]
            strips.append(Strip(segments).adjust_cell_length(width, back))
        rule = " " * (LABEL_WIDTH + 1) + "└" + "─" * canvas.columns
        strips.append(Strip([Segment(rule, axis)]).adjust_cell_length(width, back))
        numbers = " " * _GUTTER + _column_labels(x0, x1, canvas.columns, "step")
        strips.append(Strip([Segment(numbers, axis)]).adjust_cell_length(width, back))
        return strips

    def _message(self, width: int, height: int) -> list[Strip]:
        text = self._data.empty[: max(width - 2, 0)]
        style = self.rich_style + Style(dim=True)
        blank = Strip.blank(width, self.rich_style)
        rows = [blank] * height
        rows[height // 2] = Strip([Segment(f" {text}", style)]).adjust_cell_length(width, style)
        return rows


def _draw_columns(
    canvas: Canvas,
    columns: list[tuple[int, float, float, bool]],
    dot_y: Callable[[float], int],
    layer: int,
) -> None:
    before: tuple[int, int, int] | None = None
    for column, low, high, joined in columns:
        top, bottom = dot_y(high), dot_y(low)
        if joined and before is not None:
            x, last_top, last_bottom = before
            if column > x + 1:  # empty columns between two points: a straight line
                canvas.line(x, last_bottom, column, bottom, layer)
            elif top > last_bottom:
                canvas.vertical(column, last_bottom, top, layer)
            elif bottom < last_top:
                canvas.vertical(column, bottom, last_top, layer)
        canvas.vertical(column, top, bottom, layer)
        before = (column, top, bottom)


def _draw_points(
    canvas: Canvas,
    series: Series,
    dot_x: Callable[[float], int],
    dot_y: Callable[[float], int],
    layer: int,
) -> None:
    last: tuple[int, int] | None = None
    for index in range(len(series)):
        x, y = dot_x(series.xs[index]), dot_y(series.ys[index])
        if last is None or index in series.starts:
            canvas.dot(x, y, layer)
        else:
            canvas.line(*last, x, y, layer)
        last = (x, y)


def _row_labels(low: float, high: float, rows: int) -> dict[int, str]:
    """Returns the y labels by row; rows too close to another label stay empty."""
    found: dict[int, str] = {}
    for value in ticks(low, high, max(rows // 3, 1)):
        row = round((high - value) / (high - low) * (rows * 4 - 1)) // 4
        if row not in found and row - 1 not in found and row + 1 not in found:
            found[row] = label(value)
    return found


def _column_labels(x0: float, x1: float, columns: int, unit: str) -> str:
    """Returns the x labels, each under its place, without touching each other."""
    cells = [" "] * columns
    free_from = 0
    room = columns - len(unit) - 1
    for value in ticks(x0, x1, max(columns // 12, 1), whole=True):
        text = label(value)
        at = round((value - x0) / (x1 - x0) * (columns - 1)) - len(text) // 2
        at = max(at, 0)
        if at >= free_from and at + len(text) <= room:
            cells[at : at + len(text)] = text
            free_from = at + len(text) + 1
    cells[columns - len(unit) :] = unit
    return "".join(cells)
