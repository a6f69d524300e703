"""What Monitor's charts draw and say: pure functions from the model to data and words."""

from dataclasses import dataclass

from ...core.history import History
from ...core.series import Series
from ...core.values import Values
from .. import clocks
from ..format import UNKNOWN, clock, number, rate
from ..services.curves import LOSS, Metric
from ..services.run_model import RunModel
from ..widgets.chart.axis import label
from ..widgets.chart.data import STEP, Axis, ChartData, Line
from . import monitor_lines


@dataclass(frozen=True)
class Look:
    """How charts are drawn: along which axis, with what average, and the row of the crosshair."""

    axis: Axis = STEP
    weight: float = 0.0
    cross: int | None = None


def chart_data(model: RunModel, metrics: list[Metric], look: Look) -> ChartData:
    """Returns what the large chart draws: one metric, or some that are counted in the same."""
    curves, metric = model.curves, metrics[0]
    data = ChartData(
        metric.title if len(metrics) == 1 else metric.unit,
        [_line(model, each, look) for each in metrics],
        superseded=curves.superseded(metric, look.axis),
        marks=[(curves.place(mark.step, look.axis), mark.letter) for mark in curves.marks],
        axis=look.axis,
        scale=metric.scale,
        weight=look.weight,
        empty=monitor_lines.no_point_yet(model),
        aside=_refining(model),
    )
    if metric is LOSS:
        data.evals = curves.evals(look.axis)
    return _placed(model, data, look)


def small_data(model: RunModel, metric: Metric, look: Look) -> ChartData:
    """Returns what a small chart draws: a metric, and its newest value or that of the crosshair."""
    line = _line(model, metric, look)
    value = line.raw.last() if look.cross is None else _at(line.raw, look.cross)
    shown = UNKNOWN if value is None else label(value / metric.scale)
    data = ChartData(
        f"{metric.short or metric.title}  {shown}", [line], axis=look.axis, scale=metric.scale,
        empty=UNKNOWN,
    )  # fmt: skip
    return _placed(model, data, look)


def _placed(model: RunModel, data: ChartData, look: Look) -> ChartData:
    """Returns a chart with what all charts share: whether points come, pauses, the crosshair."""
    data.grows = model.status.active or not model.complete
    data.breaks = model.curves.breaks(look.axis)
    if look.cross is not None:
        data.cross = model.curves.places(look.axis)[look.cross]
    return data


def _line(model: RunModel, metric: Metric, look: Look) -> Line:
    curves = model.curves
    return Line(
        curves.raw(metric, look.axis),
        curves.average(metric, look.weight, look.axis),
        _ahead(model, metric) if look.axis is STEP else None,
        metric.title,
    )


def _ahead(model: RunModel, metric: Metric) -> Series | None:
    """Returns what a sample tells of steps that were not read yet."""
    if model.ahead is None or metric.of != "step":
        return None
    known: History = model.ahead.history
    rest = known.steps.take(known.steps.after(model.history.step), len(known.steps))
    column = rest.columns[metric.name]
    return Series(rest.numbers, Values(column.values, column.bad))


def _refining(model: RunModel) -> str:
    if model.complete or model.reading is None:
        return ""
    done, size = model.reading
    return f"refining: {done / max(size, 1):.0%} read"


def rows_of_marks(model: RunModel) -> list[int]:
    """Returns the rows at which something is marked, in order, each once."""
    return sorted({_row(model, mark.step) for mark in model.curves.marks})


def _row(model: RunModel, step: int) -> int:
    return max(model.history.steps.after(step) - 1, 0)


def readout(model: RunModel, metric: Metric, look: Look) -> str:
    """Returns what is known of the step under the crosshair.

    The values come first: a border that has no room for all of it cuts the end.
    """
    row, curves, history = look.cross or 0, model.curves, model.history
    step = history.steps[row]
    value = _at(curves.raw(metric), row) if metric.of == "step" else None
    average = curves.average(metric, look.weight)
    smooth = None if average is None else _at(average, row)
    evaluated = next((e.loss for e in reversed(history.evals) if e.step == step.step), None)
    since = curves.places(look.axis)[row] if look.axis.name == "time" else step.elapsed_s
    parts = [
        f"step {step.step:,}",
        f"{metric.title} {_written(value, metric, getattr(step, metric.name, None))}",
        f"EMA {_written(smooth, metric)}",
        f"eval {number(evaluated)}",
        f"{label(history.steps.tokens_done[row])} tok",
        f"{clocks.at(step.t, '%H:%M:%S')} (+{clock(since)})",
    ]
    if metric.name != "learning_rate":
        parts.append(f"lr {rate(step.learning_rate)}")
    parts += [
        f"{mark.letter} {mark.text}" for mark in curves.marks if _row(model, mark.step) == row
    ]
    return " · ".join(parts)


def _written(value: float | None, metric: Metric, told: float | str | None = None) -> str:
    """Returns a value; one that is not finite as the event told it."""
    return number(value / metric.scale) if value is not None else number(told)


def _at(series: Series, row: int) -> float | None:
    value = series.values.ys[row] if row < len(series) else None
    return value if value is not None and value == value else None
