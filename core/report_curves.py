"""The curves of a report: what a run's steps give for pictures, a few points for each pixel.

Of a long run each column of the picture holds the lowest and the highest value of its steps, so
that one spike among a million shows.
"""

from array import array

from .curve_svg import COLUMNS, EVAL, SMOOTH, TRAIN, Line, Point, chart_svg, runs_of
from .history import History
from .series import Series
from .steps import Steps
from .values import Values

_LEAST_STEPS = 10
"""Steps that the smoothed line forgets in, at least; of a long run a fiftieth of all."""


def pictures(history: History) -> list[str]:
    """Returns the SVG of the loss, the learning rate, the gradient norm and the speed."""
    steps = history.steps
    loss, span = _series(steps, "loss"), max(_LEAST_STEPS, len(steps) // 50)
    evaluated = [(float(e.step), float(e.loss)) for e in history.evals if e.loss is not None]
    lines = [
        Line("train", "training", _stretches(loss), TRAIN, width=1.0),
        Line("smooth", f"smoothed over ~{span:,} steps", _smooth(loss, span), SMOOTH, width=2.2),
        Line("evaluation", "evaluation", runs_of(evaluated), EVAL, dots=True),
    ]
    drawn = [chart_svg([line for line in lines if line.stretches], "Loss", "loss")]
    for field, title, quantity in (
        ("learning_rate", "Learning rate", "learning rate"),
        ("grad_norm", "Gradient norm", "gradient norm"),
        ("tokens_per_s", "Speed", "tokens/s"),
    ):
        found = _stretches(_series(steps, field))
        drawn.append(chart_svg([Line("train", "each step", found, TRAIN)], title, quantity))
    return drawn


def _series(steps: Steps, field: str) -> Series:
    column = steps.columns[field]
    return Series(steps.numbers, Values(column.values, column.bad))


def _smooth(series: Series, span: int) -> list[list[Point]]:
    return _stretches(series.average(1 - 1 / span))


def _stretches(series: Series) -> list[list[Point]]:
    """Returns the points of a curve: every step's, or the extremes of those in each column."""
    count = len(series)
    if count <= COLUMNS:
        broken = set(series.values.bad)
        ys: array[float] = series.values.ys
        # What is unknown leaves no gap, what is not finite does.
        rows = [row for row in range(count) if ys[row] == ys[row] or row in broken]
        return runs_of((series.xs[row], ys[row]) for row in rows)
    first, last = series.xs[0], series.xs[count - 1]
    width = (last - first) / COLUMNS
    found: list[list[Point]] = []
    for column, low, high, joined in series.columns(first, last, COLUMNS):
        x = first + (column + 0.5) * width
        both = [(x, low), (x, high)] if low < high else [(x, low)]
        if not joined:
            found.append([])
        elif found[-1][-1][1] > (low + high) / 2:  # from the nearer end, as the values went
            both.reverse()
        found[-1] += both
    return found
