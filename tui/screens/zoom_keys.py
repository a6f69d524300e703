"""The keys that choose what part of a chart is seen, and how, for every screen with a chart."""

from ...core.series import Range
from ..widgets.chart.data import STEP, Axis
from ..widgets.chart.line_chart import LineChart
from ..widgets.chart.view import View
from ..widgets.frame import FrameScreen


class ZoomKeys(FrameScreen):
    """Scale, clipping, zoom, pan and follow of the chart `#chart`; a screen says what it holds."""

    def __init__(self) -> None:
        super().__init__()
        self._view = View()
        self._axis: Axis = STEP

    def points(self) -> int:
        """Returns how many points the chart's longest line has."""
        raise NotImplementedError

    def cross_x(self) -> float | None:
        """Returns the place of the crosshair, where there is one."""
        return None

    @property
    def chart(self) -> LineChart:
        """The large chart."""
        return self.query_one("#chart", LineChart)

    def action_log(self) -> None:
        """Draws y to a logarithmic scale, or a linear one again."""
        self._view.log = not self._view.log
        self.changed("Scale: logarithmic." if self._view.log else "Scale: linear.")

    def action_clip(self) -> None:
        """Leaves what lies beyond the 1st and 99th percentile out of the range of y."""
        self._view.clip = not self._view.clip
        self.changed(
            "Clipped to the 1st to 99th percentile." if self._view.clip else "Not clipped."
        )

    def action_zoom_in(self) -> None:
        """Shows half as much, about the crosshair or the right edge."""
        self._zoom(True)

    def action_zoom_out(self) -> None:
        """Shows twice as much."""
        self._zoom(False)

    def _zoom(self, closer: bool) -> None:
        first, newest = self.extent()
        least = (newest - first) / max(self.points(), 1) * 4 or 1.0
        self._view.zoom(closer, self.chart.x_range(), self.cross_x(), least)
        self._moved()

    def action_pan_left(self) -> None:
        """Moves a quarter to earlier points."""
        self._view.pan(-1, self.chart.x_range())
        self._moved()

    def action_pan_right(self) -> None:
        """Moves a quarter to later points."""
        self._view.pan(1, self.chart.x_range())
        self._moved()

    def extent(self) -> Range:
        """Returns the x of the first and of the newest point."""
        return self.chart.data.x_range() or (0.0, 1.0)

    def _moved(self) -> None:
        self._view.keep_within(*self.extent(), self.points())
        x0, x1 = self._view.window or self.extent()
        label = self._axis.label
        whole = " (all)" if self._view.window is None else ""
        self.changed(f"{self._axis.name.capitalize()} {label(x0)} to {label(x1)}{whole}.")

    def action_fit(self) -> None:
        """Shows everything."""
        self._view.fit()
        self._moved()

    def action_follow(self) -> None:
        """Goes to the newest point and stays with it."""
        self._view.follow(self.extent()[1])
        self.changed("Following the newest point.")

    def bring_into_sight(self, x: float) -> None:
        """Moves the window to a place that lies beyond it."""
        x0, x1 = self.chart.x_range()
        if not x0 <= x <= x1:
            self._view.window = x - (x1 - x0) / 2, x + (x1 - x0) / 2
            self._view.keep_within(*self.extent(), self.points())
            self._view.changes += 1
