"""Monitor's charts and their keys: one large, four small, and one view that they all share."""

from collections.abc import Iterable
from dataclasses import replace

from textual.containers import Horizontal
from textual.widget import Widget

from ..keys import Key
from ..services.curves import BY_NAME, LOSS, METRICS, WEIGHTS, Metric, next_axis
from ..services.run_model import RunModel
from ..widgets.chart.line_chart import LineChart
from . import chart_words
from .zoom_keys import ZoomKeys

SMALL = ("learning_rate", "grad_norm", "tokens_per_s", "step_s")
"""What the small charts show, until one is swapped with the large one."""
MOST_LINES = 3
_FAR = 10
KEYS = frozenset(
    (
        "metric", "overlay", "log", "smooth", "axis", "clip", "zoom_in", "zoom_out", "pan_left",
        "pan_right", "fit", "follow", "right", "left", "far_right", "far_left", "next_mark",
        "previous_mark", "end_cross", "swap",
    )
)  # fmt: skip
"""The keys that act on the charts."""


class ChartKeys(ZoomKeys):
    """The charts of a screen that watches a run; the screen gives the model and says `changed`."""

    _model: RunModel

    def __init__(self) -> None:
        super().__init__()
        self._metric: Metric = LOSS
        self._small = [BY_NAME[name] for name in SMALL]
        self._overlays = False
        self._weight = 0
        self._told = ""
        """What the crosshair told last: the notice line keeps it up to date, whole."""

    def points(self) -> int:
        """Returns how many steps there are."""
        return len(self._model.history.steps)

    def cross_x(self) -> float | None:
        """Returns the place of the crosshair, where there is one."""
        cross = self._view.cross
        return None if cross is None else self._model.curves.places(self._axis)[cross]

    def chart_panels(self) -> tuple[Widget, Iterable[Widget]]:
        """Returns the large chart, and the row of the small ones."""
        small = (
            LineChart(self._view, compact=True, id=f"small-{at}", classes="panel small")
            for at in range(len(SMALL))
        )
        return LineChart(self._view, id="chart", classes="panel"), [Horizontal(*small, id="small")]

    def of_panel(self, key: Key) -> bool:
        """Returns whether a key acts on the focused panel: those of the chart on small ones too."""
        return super().of_panel(key) or (key.panel == "chart" and self.focused_metric() is not None)

    def focused_metric(self) -> Metric | None:
        """Returns the metric of the small chart that has the focus."""
        at = self._small_focused()
        return None if at is None else self._small[at]

    def forget_view(self) -> None:
        """Shows all of another run."""
        self._view.fit()
        self._view.cross = None

    def paint_charts(self) -> None:
        """Draws what changed."""
        model, view = self._model, self._view
        rows = len(model.history.steps)
        if view.cross is not None and view.cross >= rows:  # a resume took the row away
            view.cross = rows - 1 if rows else None
        metrics = model.curves.of_unit(self._metric) if self._overlays else [self._metric]
        look = chart_words.Look(self._axis, WEIGHTS[self._weight], view.cross)
        data = chart_words.chart_data(model, metrics[:MOST_LINES], look)
        if view.cross is not None:
            data.readout = self._readout()
            if self.notice in ("", self._told):
                self.did(data.readout)
            self._told = data.readout
        self.chart.show(data)
        if self.query_one("#small").display:
            look = replace(look, weight=0.0)
            for at, metric in enumerate(self._small):
                chart = self.query_one(f"#small-{at}", LineChart)
                chart.show(chart_words.small_data(model, metric, look))

    def may(self, action: str) -> bool:
        """Returns whether a key of the charts does something now."""
        if not self.chart.region and not self.chart.size:
            return False
        match action:
            case "end_cross":
                return self._view.cross is not None
            case "swap":
                return self._small_focused() is not None
            case "overlay":
                return len(self._model.curves.of_unit(self._metric)) > 1
            case "next_mark" | "previous_mark":
                return bool(self._model.curves.marks) and not self.in_tabs
            case "left" | "right" | "far_left" | "far_right":
                return bool(self._model.history.steps) and not self.in_tabs
            case _:
                return True

    @property
    def in_tabs(self) -> bool:
        """Whether arrows and marks belong to the tabs below."""
        return self.panel is not None and self.panel.id == "bottom"

    def _small_focused(self) -> int | None:
        name = str(self.focused.id or "") if self.focused is not None else ""
        return int(name.removeprefix("small-")) if name.startswith("small-") else None

    def _readout(self) -> str:
        look = chart_words.Look(self._axis, WEIGHTS[self._weight], self._view.cross)
        return chart_words.readout(self._model, self._metric, look)

    def action_metric(self) -> None:
        """Draws the next metric that has a value."""
        at = METRICS.index(self._metric)
        others = [METRICS[(at + by) % len(METRICS)] for by in range(1, len(METRICS) + 1)]
        known = [each for each in others if self._model.curves.has(each)]
        self._metric = (known or others)[0]
        self.changed(f"Chart: {self._metric.title}.")

    def action_overlay(self) -> None:
        """Draws the others that are counted in the same over the metric, or it alone again."""
        self._overlays = not self._overlays
        same = self._model.curves.of_unit(self._metric)[:MOST_LINES]
        names = ", ".join(metric.title for metric in same)
        self.changed(f"Overlay: {names}." if self._overlays else f"Chart: {self._metric.title}.")

    def action_swap(self) -> None:
        """Draws the metric of a small chart large, and the other way round."""
        at = self._small_focused()
        if at is not None:
            self._metric, self._small[at] = self._small[at], self._metric
            self.changed(f"Chart: {self._metric.title}.")

    def action_smooth(self) -> None:
        """Takes the next weight of the average."""
        self._weight = (self._weight + 1) % len(WEIGHTS)
        weight = WEIGHTS[self._weight]
        self.changed(f"Average: {weight:g}." if weight else "Average: off.")

    def action_axis(self) -> None:
        """Takes the next axis; what is seen of the data stays."""
        curves, before = self._model.curves, self._axis
        self._axis = next_axis(before)
        self._view.along(curves.places(before), curves.places(self._axis))
        self.changed(f"Axis: {self._axis.name}.")

    def action_right(self) -> None:
        """Moves the crosshair to a later step."""
        self._move_cross(1)

    def action_left(self) -> None:
        """Moves the crosshair to an earlier step."""
        self._move_cross(-1)

    def action_far_right(self) -> None:
        """Moves the crosshair by ten."""
        self._move_cross(_FAR)

    def action_far_left(self) -> None:
        """Moves the crosshair by ten."""
        self._move_cross(-_FAR)

    def _move_cross(self, by: int) -> None:
        """Moves the crosshair by samples; where many share a column, by columns."""
        places = self._model.curves.places(self._axis)
        first, end = self._rows_seen()
        if self._view.cross is None:
            self._cross_at(max(end - 1, 0))
            return
        stride = max(round((end - first) / max(self.chart.size.width, 1)), 1)
        self._cross_at(min(max(self._view.cross + by * stride, 0), len(places) - 1))

    def _rows_seen(self) -> tuple[int, int]:
        return self._model.curves.raw(LOSS, self._axis).window(*self.chart.x_range())

    def _cross_at(self, row: int) -> None:
        """Puts the crosshair on a step, and brings it into sight."""
        self._view.cross = row
        self.bring_into_sight(self._model.curves.places(self._axis)[row])
        self.changed(self._readout())
        self.refresh_footer()

    def action_next_mark(self) -> None:
        """Moves the crosshair to the next mark."""
        rows = chart_words.rows_of_marks(self._model)
        here = self._view.cross
        later = [row for row in rows if here is None or row > here]
        self._cross_at(later[0] if later else rows[-1])

    def action_previous_mark(self) -> None:
        """Moves the crosshair to the mark before."""
        rows = chart_words.rows_of_marks(self._model)
        here = self._view.cross
        earlier = [row for row in rows if here is None or row < here]
        self._cross_at(earlier[-1] if earlier else rows[0])

    def action_end_cross(self) -> None:
        """Takes the crosshair away."""
        self._view.cross = None
        self.changed()
        self.refresh_footer()
