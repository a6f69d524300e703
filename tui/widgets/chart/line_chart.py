"""The widget that draws a chart: values, average, evaluations, gaps, marks, and a crosshair.

Redraws only when its data, its view or its size changed; a screen says when with `redraw`.
"""

from itertools import groupby, zip_longest
from typing import Any, cast

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from ....core.series import Range
from ...glyphs import average_in_ascii
from . import drawing
from .data import LETTERS, ChartData
from .drawing import Plot, Row, Scale
from .view import View

_PARTS = {
    drawing.AXIS: "line-chart--axis",
    drawing.CROSS: "line-chart--cross",
    drawing.SUPERSEDED: "line-chart--superseded",
    drawing.RAW: "line-chart--raw",
    drawing.AVERAGE: "line-chart--ema",
    drawing.EVAL: "line-chart--eval",
    drawing.BAD: "line-chart--bad",
} | {drawing.FIRST_LINE + at: f"line-chart--{letter.lower()}" for at, letter in enumerate(LETTERS)}


class LineChart(Widget, can_focus=True):
    """Draws a `ChartData` as a `View` shows it.

    Args:
        view: Shared by the charts of a screen.
        compact: Without axes, in little room; its log scale and clipping are off.
    """

    COMPONENT_CLASSES = set(_PARTS.values())

    def __init__(
        self,
        view: View | None = None,
        *,
        compact: bool = False,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.view = View() if view is None else view
        self.compact = compact
        self._data = ChartData("", [])
        self._rows: list[Row] | None = None
        self._strips: list[Strip] = []
        self._scale: Scale | None = None
        self._seen_as: object = None
        self._clipped = 0
        self._needs_positive = self._in_ascii = False

    @property
    def _ascii_only(self) -> bool:
        """Whether the terminal draws nothing but ASCII, in which dots of all lines look alike."""
        look = getattr(cast(Any, self).app, "look", None)
        return look is not None and look.ascii

    @property
    def data(self) -> ChartData:
        """What is drawn."""
        return self._data

    def show(self, data: ChartData) -> None:
        """Draws other data from now on."""
        self._data = data
        self.redraw()

    def redraw(self) -> None:
        """Says that the data changed; only cells that look different are painted again."""
        width, height = self.size
        if self._rows is None or not width:
            self._say()
            self.refresh()
            return
        before, self._rows = self._rows, self._draw(width, height)
        self._say()
        strips = self._strips
        self._strips = []
        changed: list[Region] = []
        for y, (old, new) in enumerate(zip_longest(before, self._rows)):
            if new is None:
                changed.append(Region(0, y, width, 1))
            elif old == new and y < len(strips):
                self._strips.append(strips[y])
            else:
                self._strips.append(self._strip(new, width))
                changed.append(_difference(old, new, y, width))
        if changed:
            self.refresh(*changed)

    def x_range(self) -> Range:
        """Returns the x at the left and right edge."""
        first, newest = self._data.x_range() or (0.0, 1.0)
        return self.view.shown(first, newest, self._data.grows)

    def legend(self) -> str:
        """Returns the title with a word and a glyph for everything that is drawn."""
        data = self._data
        if data.readout:
            return data.readout
        parts = [data.title]
        if self.compact:
            return data.title
        if len(data.lines) > 1:
            parts += [
                " ".join(filter(None, (LETTERS[at], line.name, line.stroke(at))))
                for at, line in enumerate(data.lines)
                if len(line.raw)
            ]
            if data.weight:
                parts.append(f"EMA {data.weight:g}")
        elif data.lines and len(data.lines[0].raw):
            parts.append("raw ─")
            if data.lines[0].average is not None:
                parts.append(f"EMA {data.weight:g} ━")
        if len(data.evals):
            parts.append("eval ◆")
        if data.superseded:
            parts.append("superseded ┄")
        if bad := sum(len(line.raw.values.bad) for line in data.lines):
            parts.append(f"{bad} NaN ×")
        return "  ".join([*parts, data.aside] if data.aside else parts)

    def badge(self) -> str:
        """Returns what the view does: scale, axis, what is clipped, and where new points go."""
        data, view = self._data, self.view
        parts: list[str] = []
        if view.log:
            parts.append("log scale needs positive values" if self._needs_positive else "log")
            x = self.x_range()
            if hidden := sum(line.drawn.logarithm().hidden(*x) for line in data.lines):
                parts.append(f"{hidden:,} point{'s' * (hidden != 1)} ≤ 0 hidden")
        parts.append(data.axis.name)
        if view.clip:
            parts.append(f"CLIP {self._clipped}")
        rows = max((len(line.raw) for line in data.lines), default=0)
        if data.grows or view.window is not None:
            parts.append(view.badge(rows))
        return " · ".join(parts)

    def _say(self) -> None:
        if (legend := self.legend()) != str(self.border_title or ""):
            self.border_title = Text(legend)
        badge = "" if self.compact else self.badge()
        if badge != str(self.border_subtitle or ""):
            self.border_subtitle = Text(badge)

    def on_resize(self, event: events.Resize) -> None:
        """Draws anew for the new size."""
        self._rows = self._scale = None
        self.refresh()  # what stands there was drawn for the old one

    def notify_style_update(self) -> None:
        """Draws anew in the colours of another theme."""
        super().notify_style_update()
        self._rows = None

    def render_line(self, y: int) -> Strip:
        """Returns one row of the drawing."""
        width, height = self.size
        if self._rows is None or self._in_ascii != self._ascii_only:
            self._in_ascii = self._ascii_only
            self._rows = self._draw(width, height)
            self._strips = [self._strip(row, width) for row in self._rows]
            self.call_after_refresh(self._say)
        return self._strips[y] if y < len(self._strips) else Strip.blank(width, self.rich_style)

    def _draw(self, width: int, height: int) -> list[Row]:
        x, data = self.x_range(), self._data
        log = self.view.log and not self.compact
        self._needs_positive = log and not drawing.is_positive(data, x)
        log = log and not self._needs_positive
        clip = self.view.clip and not self.compact
        bounds = drawing.y_bounds(data, x, log=log, clip=clip)
        if bounds is None and not any(line.raw.values.bad for line in data.lines):
            return self._message(width, height)
        seen_as = (data.title, data.axis.name, self.view.changes, log, clip)
        before = self._scale if seen_as == self._seen_as else None
        self._scale = drawing.settled(before, bounds or (0.0, 1.0), log=log)
        self._seen_as = seen_as
        plot = Plot(data, x, self._scale, (width, height), compact=self.compact)
        if not plot.fits:
            return []
        drawn = plot.draw()
        self._clipped = drawn.clipped
        return drawn.rows

    def _message(self, width: int, height: int) -> list[Row]:
        text = f" {self._data.empty}"[: max(width - 1, 0)].ljust(width)
        rows: list[Row] = [(" " * width, bytes(width))] * height
        if height:
            rows[height // 2] = (text, bytes([drawing.AXIS]) * width)
        return rows

    def _strip(self, row: Row, width: int) -> Strip:
        text, layers = row
        back = self.rich_style
        segments: list[Segment] = []
        at = 0
        for layer, group in groupby(layers):
            end = at + len(list(group))
            part = text[at:end]
            if self._in_ascii and layer == drawing.AVERAGE:
                part = average_in_ascii(part)
            segments.append(Segment(part, self._style(layer, back)))
            at = end
        return Strip(segments).adjust_cell_length(width, back)

    def _style(self, layer: int, back: Style) -> Style:
        name = _PARTS.get(layer)
        return back + self.get_component_rich_style(name, partial=True) if name else back


def _difference(old: Row | None, new: Row, y: int, width: int) -> Region:
    """Returns where a row looks different."""
    if old is None or len(old[0]) != len(new[0]):
        return Region(0, y, width, 1)
    cells = list(zip(*old, *new, strict=True))
    differ = [at for at, (was, its, now, layer) in enumerate(cells) if (was, its) != (now, layer)]
    return Region(differ[0], y, differ[-1] - differ[0] + 1, 1)
