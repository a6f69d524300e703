"""What a chart draws: lines with what belongs to them, along an axis, with marks under it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ....core.series import Range, Series
from .axis import clock_label, clock_ticks, label, ticks

LETTERS = "ABCDEF"
STROKES = ("━", "╍", "┄", "┅", "╌", "┈")
"""How the strokes of several lines look in words about them."""


def _whole_ticks(low: float, high: float, count: int) -> list[float]:
    return ticks(low, high, count, whole=True)


@dataclass(frozen=True)
class Axis:
    """What x is: its name, the ticks of a range, and how one is written."""

    name: str
    ticks: Callable[[float, float, int], list[float]] = _whole_ticks
    label: Callable[[float], str] = label


STEP = Axis("step")
TOKENS = Axis("tokens")
TIME = Axis("time", clock_ticks, clock_label)
AXES = (STEP, TOKENS, TIME)
"""In the order that the key goes through."""


@dataclass
class Line:
    """One metric: every value, its average where there is one, and what is known ahead of it.

    `ahead` is a sample of rows that were not read yet.
    """

    raw: Series
    average: Series | None = None
    ahead: Series | None = None
    name: str = ""
    dotted: bool = False
    """Whether it is drawn in dots whatever its place is: it does not count as the others do."""

    def stroke(self, place: int) -> str:
        """Returns how its stroke looks in words about it."""
        return STROKES[-1 if self.dotted else place]

    @property
    def drawn(self) -> Series:
        """What is drawn where lines lie over each other: the average, or else the values."""
        return self.raw if self.average is None else self.average


FREQUENT = frozenset("CE")
"""Letters of marks that a run has many of: checkpoints and evaluations."""


@dataclass
class ChartData:
    """What is drawn. One line is drawn with all its values, several by one stroke each.

    `scale` is what a value is divided by where it is written. `weight` is that of the averages.
    `grows` says that points are to come, `aside` what else belongs into the legend, and `readout`
    what stands in its place.
    """

    title: str
    lines: Sequence[Line]
    evals: Series = field(default_factory=Series)
    superseded: Sequence[Series] = ()
    marks: Sequence[tuple[float, str]] = ()
    breaks: Sequence[float] = ()
    axis: Axis = STEP
    scale: float = 1.0
    weight: float = 0.0
    grows: bool = False
    aside: str = ""
    readout: str = ""
    cross: float | None = None
    empty: str = "No point yet."

    @property
    def every(self) -> list[Series]:
        """All series that have a place on the axis."""
        lines = [series for line in self.lines for series in (line.raw, line.ahead) if series]
        return [series for series in (*lines, self.evals, *self.superseded) if len(series)]

    def x_range(self) -> Range | None:
        """Returns the x of the first and of the newest point, or None without one."""
        every = self.every
        if not every:
            return None
        return min(series.xs[0] for series in every), max(
            series.xs[len(series) - 1] for series in every
        )
