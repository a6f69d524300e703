"""Compare's chart and its keys: one metric of up to six runs, along steps, tokens or time."""

import math
from array import array
from bisect import bisect_right

from rich.cells import cell_len

from ...core.compare import LETTERS, Comparison
from ...core.series import Series
from ...core.subject import METRICS, Curve
from ...core.values import Values
from ..format import UNKNOWN, number
from ..services.curves import WEIGHTS, next_axis
from ..widgets.chart.data import ChartData, Line
from . import compare_lines as lines
from .zoom_keys import ZoomKeys

KEYS = frozenset(
    (
        "metric", "log", "smooth", "axis", "clip", "zoom_in", "zoom_out", "pan_left", "pan_right",
        "fit", "follow", "right", "left", "far_right", "far_left", "end_cross",
    )
)  # fmt: skip
"""The keys that act on the chart."""
_FAR = 10
_NOT_SMOOTHED = "eval_loss"


class CompareChart(ZoomKeys):
    """The chart of a screen that compares runs; the screen gives these and says `changed`."""

    comparison: Comparison | None
    hidden: set[int]

    def __init__(self) -> None:
        super().__init__()
        self._metric = next(iter(METRICS))
        self._weight = 0
        self._cross: int | None = None
        """The row of the crosshair, in the curve that it goes along."""
        self._values: dict[tuple[int, str], tuple[Curve, Values]] = {}

    @property
    def column(self) -> str:
        """Which column of a curve is the axis."""
        return lines.axis_of(self._axis.name)

    def curve(self, place: int, metric: str = "") -> Curve | None:
        """Returns a run's curve where it is drawn: it has the metric and the axis."""
        if self.comparison is None or place in self.hidden:
            return None
        curve = self.comparison.subjects[place].curves.get(metric or self._metric)
        return None if curve is None or curve.along(self.column) is None else curve

    def _places(self) -> list[int]:
        """Returns the runs, the baseline first: the crosshair goes along the first one drawn."""
        if self.comparison is None:
            return []
        base, count = self.comparison.baseline, len(self.comparison.subjects)
        return [base, *(place for place in range(count) if place != base)]

    def _along(self) -> Curve | None:
        curves = (self.curve(place) for place in self._places())
        return next((curve for curve in curves if curve is not None and len(curve)), None)

    def points(self) -> int:
        """Returns how many points the longest line has."""
        curves = (self.curve(place) for place in self._places())
        return max((len(curve) for curve in curves if curve is not None), default=0)

    def cross_x(self) -> float | None:
        """Returns the place of the crosshair, where there is one."""
        curve = self._along()
        if self._cross is None or curve is None:
            return None
        return _xs(curve, self.column)[min(self._cross, len(curve) - 1)]

    def forget_view(self) -> None:
        """Shows all of other runs."""
        self._view.fit()
        self._cross = None
        self._values.clear()

    @property
    def dotted(self) -> set[int]:
        """The runs whose evaluation is drawn and cannot be ranked."""
        if self.comparison is None or self._metric != _NOT_SMOOTHED:
            return set()
        return self.comparison.apart()

    def paint_chart(self, empty: str) -> None:
        """Draws what changed; `empty` is said where there is no point."""
        if self.comparison is None:
            return
        weight = 0.0 if self._metric == _NOT_SMOOTHED else WEIGHTS[self._weight]
        subjects = self.comparison.subjects
        out = self.dotted
        drawn: list[Line] = []
        for place in range(len(subjects)):
            raw = self._series(place)
            average = raw.average(weight) if weight and len(raw) else None
            name = "⚠ not ranked" if place in out else ""
            drawn.append(Line(raw, average, name=name, dotted=place in out))
        data = ChartData(
            METRICS[self._metric],
            drawn,
            axis=self._axis,
            weight=weight,
            grows=any(subject.may_grow for subject in subjects),
            cross=self.cross_x(),
            empty=empty,
        )
        if data.cross is not None:
            data.readout = self._readout(data.cross, short=True)
        self.chart.show(data)

    def _series(self, place: int) -> Series:
        curve = self.curve(place)
        if curve is None:
            return Series()
        known = self._values.get((place, self._metric))
        if known is None or known[0] is not curve:
            known = curve, Values(curve.value, curve.bad)
            self._values[place, self._metric] = known
        return Series(_xs(curve, self.column), known[1])

    def _readout(self, x: float, *, short: bool = False) -> str:
        """Returns what every run has at a place: the last value before it, while it trained.

        Where there is no room for all of it in the title, which is `short`, the values stay.
        """
        said: list[str] = []
        for place in range(len(self.comparison.subjects) if self.comparison else 0):
            curve = self.curve(place)
            if curve is not None:
                said.append(f"{LETTERS[place]} {_told_at(curve, self.column, x)}")
        axis, values = self._axis, "  ".join(said)
        whole = f"{axis.name} {axis.label(x)}   {METRICS[self._metric]}:  {values}"
        fits = not short or cell_len(whole) <= self.chart.size.width - 4
        return whole if fits else f"{axis.name} {axis.label(x)}  {values}"

    def has(self, metric: str) -> bool:
        """Returns whether any run that is shown has a metric."""
        return any(self.curve(place, metric) is not None for place in self._places())

    def may_in_chart(self, action: str) -> bool:
        """Returns whether a key of the chart does something now."""
        if self.comparison is None or not self.chart.region:
            return False
        match action:
            case "end_cross":
                return self._cross is not None
            case "smooth":
                return self._metric != _NOT_SMOOTHED
            case "left" | "right" | "far_left" | "far_right":
                return self._along() is not None
            case _:
                return True

    def action_metric(self) -> None:
        """Draws the next metric that a run has."""
        names = list(METRICS)
        at = names.index(self._metric)
        others = [names[(at + by) % len(names)] for by in range(1, len(names))]
        self._metric = next((name for name in others if self.has(name)), self._metric)
        self._cross = None
        self.changed(f"Chart: {METRICS[self._metric]}.")
        self.refresh_footer()

    def action_smooth(self) -> None:
        """Takes the next weight of the average."""
        self._weight = (self._weight + 1) % len(WEIGHTS)
        weight = WEIGHTS[self._weight]
        self.changed(f"Average: {weight:g}." if weight else "Average: off.")

    def action_axis(self) -> None:
        """Takes the next axis; what is seen of the first run stays."""
        curve, before = self._along(), self.column
        self._axis = next_axis(self._axis)
        after = None if curve is None else curve.along(self.column)
        if curve is not None and after is not None:
            self._view.along(_xs(curve, before), after)
        else:
            self._view.fit()
        self.changed(f"Axis: {self._axis.name}.")

    def action_right(self) -> None:
        """Moves the crosshair to a later point."""
        self._move(1)

    def action_left(self) -> None:
        """Moves the crosshair to an earlier point."""
        self._move(-1)

    def action_far_right(self) -> None:
        """Moves the crosshair by ten."""
        self._move(_FAR)

    def action_far_left(self) -> None:
        """Moves the crosshair by ten."""
        self._move(-_FAR)

    def _move(self, by: int) -> None:
        """Moves by points of the first run; where many share a column, by columns."""
        curve = self._along()
        if curve is None:
            return
        xs = _xs(curve, self.column)
        x0, x1 = self.chart.x_range()
        seen = bisect_right(xs, x1) - bisect_right(xs, x0)
        stride = max(round(seen / max(self.chart.size.width, 1)), 1)
        at = len(xs) - 1 if self._cross is None else self._cross + by * stride
        self._cross = min(max(at, 0), len(xs) - 1)
        self.bring_into_sight(xs[self._cross])
        self.changed(self._readout(xs[self._cross]))
        self.refresh_footer()

    def action_end_cross(self) -> None:
        """Takes the crosshair away."""
        self._cross = None
        self.changed()
        self.refresh_footer()


def _xs(curve: Curve, column: str) -> "array[float]":
    xs = curve.along(column)
    assert xs is not None  # what is not told is not drawn
    return xs


def _told_at(curve: Curve, column: str, x: float) -> str:
    """Returns the last number at or before a place, with its step where that is before it.

    It is unknown before the first point and after the last.
    """
    xs = _xs(curve, column)
    row = bisect_right(xs, x) - 1
    if row < 0 or x > xs[-1]:
        return UNKNOWN
    value = curve.value[row]
    told = number(None if math.isnan(value) and row not in curve.bad else value)
    return told if xs[row] == x else f"{told}@{curve.step[row]:.0f}"
