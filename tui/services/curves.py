"""The curves of a run: every metric along every axis, averages, and marks under the axis.

Made of a history's columns, which they share; nothing is copied. Knows nothing of widgets.
"""

from array import array
from bisect import bisect_right
from dataclasses import dataclass

from ...core import events
from ...core.history import History
from ...core.series import Series
from ...core.steps import Steps
from ...core.values import Values
from ..widgets.chart.data import AXES, STEP, TIME, TOKENS, Axis

GIB = float(1 << 30)


@dataclass(frozen=True)
class Metric:
    """One thing that is measured: its field in an event, its words, and what it is counted in.

    `scale` is what a value is divided by where it is written. Those of `of` "eval" are fields of
    evaluations, the others of steps.
    """

    name: str
    title: str
    unit: str
    scale: float = 1.0
    short: str = ""
    of: str = "step"


METRICS = (
    Metric("loss", "loss", "nats"),
    Metric("learning_rate", "learning rate", "rate", short="lr"),
    Metric("grad_norm", "grad norm", "norm"),
    Metric("tokens_per_s", "tok/s", "tok/s"),
    Metric("step_s", "step seconds", "s", short="step s"),
    Metric("data_wait_s", "data wait seconds", "s", short="data wait s"),
    Metric("memory_bytes", "memory GiB", "GiB", GIB),
    Metric("padding_share", "padding %", "%", 0.01),
    Metric("shared_share", "shared beginnings %", "%", 0.01),
    Metric("mfu", "MFU %", "%", 0.01),
    Metric("tokens", "tokens a step", "tokens"),
    Metric("supervised_tokens", "trained tokens a step", "tokens"),
    Metric("computed_tokens", "computed tokens a step", "tokens"),
    Metric("perplexity", "perplexity of evaluations", "perplexity", of="eval"),
)
LOSS = METRICS[0]
BY_NAME = {metric.name: metric for metric in METRICS}
WEIGHTS = (0.9, 0.97, 0.0, 0.6)
"""Weights of the average, in the order that the key goes through; 0 is off."""


@dataclass(frozen=True)
class Mark:
    """Something that happened after a step: a letter, and what it was in words."""

    letter: str
    step: int
    t: float
    text: str


class _Places:
    """Where the rows of some steps lie on each axis."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._times: array[float] = array("d")

    def along(self, axis: Axis) -> "array[float]":
        """Returns the x of every row."""
        if axis is TOKENS:
            return self._steps.tokens_done
        if axis is TIME:
            self._catch_up()
            return self._times
        return self._steps.numbers

    def _catch_up(self) -> None:
        """Adds the seconds of training at each row: pauses are not among them.

        They never fall, whatever a clock did; a step that does not tell them adds its own time.
        """
        told, took = (self._steps.columns[name].values for name in ("elapsed_s", "step_s"))
        last = self._times[-1] if self._times else 0.0
        for row in range(len(self._times), len(told)):
            now = told[row] if told[row] > 0 else last + (took[row] if took[row] > 0 else 0.0)
            last = max(last, now)
            self._times.append(last)


class Curves:
    """The curves of one history."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.marks: list[Mark] = []
        self._forget()

    def _forget(self) -> None:
        self._state = self._state_now()
        self._places = _Places(self.history.steps)
        self._values: dict[str, Values] = {}
        self._redone: dict[int, tuple[_Places, dict[str, Values]]] = {}
        self._evals: dict[tuple[str, str], Series] = {}

    def _state_now(self) -> tuple[int, int]:
        return self.history.steps.cuts, len(self.history.superseded_evals)

    def _current(self) -> None:
        """Makes everything anew once a resume took rows away."""
        if self._state_now() != self._state:
            self._forget()

    def places(self, axis: Axis) -> "array[float]":
        """Returns the x of every step."""
        self._current()
        return self._places.along(axis)

    def place(self, step: float, axis: Axis) -> float:
        """Returns the x of a step, which may be one that was not told: the last before it."""
        if axis is STEP:
            return step
        row = bisect_right(self.history.steps.numbers, step) - 1
        return self.places(axis)[row] if row >= 0 else 0.0

    def raw(self, metric: Metric, axis: Axis = STEP) -> Series:
        """Returns every value of a metric."""
        self._current()
        if metric.of == "eval":
            return self.evals(axis, metric.name)
        return Series(self._places.along(axis), _values(self._values, metric, self.history.steps))

    def average(self, metric: Metric, weight: float, axis: Axis = STEP) -> Series | None:
        """Returns the average of a metric up to its newest value, or None when it is off."""
        if weight == 0 or metric.of == "eval":
            return None
        return self.raw(metric, axis).average(weight)

    def evals(self, axis: Axis = STEP, name: str = "loss") -> Series:
        """Returns a field of the evaluations that count."""
        self._current()
        found = self._evals.setdefault((axis.name, name), Series())
        for event in self.history.evals[len(found) :]:
            value = getattr(event, name)
            found.append(self.place(event.step, axis), None if value is None else float(value))
        return found

    def superseded(self, metric: Metric, axis: Axis = STEP) -> list[Series]:
        """Returns what was done again, the part of each resume by itself."""
        if metric.of == "eval":
            return []
        found: list[Series] = []
        for at, part in enumerate(self.history.superseded):
            places, values = self._redone.setdefault(at, (_Places(part), {}))
            found.append(Series(places.along(axis), _values(values, metric, part)))
        return found

    def breaks(self, axis: Axis) -> list[float]:
        """Returns where time that no trainer worked was left out."""
        if axis is not TIME:
            return []
        return [self.place(mark.step, axis) for mark in self.marks if mark.letter == "R"]

    def of_unit(self, metric: Metric) -> list[Metric]:
        """Returns a metric and the others that are counted in the same."""
        same = [each for each in METRICS if each.unit == metric.unit and each.of == metric.of]
        return [metric, *(each for each in same if each is not metric and self.has(each))]

    def has(self, metric: Metric) -> bool:
        """Returns whether any value of a metric is known."""
        raw = self.raw(metric)
        return raw.bounds() is not None or bool(raw.values.bad)

    def note(self, event: events.Event) -> None:
        """Takes down what gets a letter under the axis."""
        if isinstance(event, events.RunStarted) and self.history.starts > 1:
            step = event.resumed_from_step or 0
            kept = "PRS!"  # what was not done again happened all the same
            self.marks = [m for m in self.marks if m.step <= step or m.letter in kept]
        found = _mark(event, self.history.step)
        if found is None or (found.letter == "R" and self.history.starts < 2):
            return
        self.marks.append(found)


def _values(known: dict[str, Values], metric: Metric, steps: Steps) -> Values:
    if metric.name not in known:
        column = steps.columns[metric.name]
        known[metric.name] = Values(column.values, column.bad)
    return known[metric.name]


def _mark(event: events.Event, step: int) -> Mark | None:
    """Returns the mark of an event, or None for one that gets none."""
    match event:
        case events.Checkpoint():
            size = f"{event.bytes / 2**20:.1f} MiB"
            return Mark("C", event.step, event.t, f"checkpoint {event.step} ({size})")
        case events.Eval():
            loss = "–" if event.loss is None else f"{float(event.loss):.4g}"
            return Mark("E", event.step, event.t, f"evaluation {loss}")
        case events.Control() if event.outcome == "done" and event.key == "learning_rate":
            change = f"lr {float(event.old or 0):.6g} → {float(event.new or 0):.6g}"
            at = step if event.step is None else event.step
            return Mark("L", at, event.t, f"{change} by {event.by}, step {at}")
        case events.RunStarted():
            at = event.resumed_from_step or 0
            return Mark("R", at, event.t, f"resumed from step {at}")
        case events.RunFinished() if event.status in ("paused", "stopped", "failed"):
            at = step if event.step is None else event.step
            failed = event.status == "failed"
            told = f"failed: {event.reason or ''}" if failed else event.status
            return Mark("!" if failed else event.status[0].upper(), at, event.t, told)
        case events.Warning_():
            at = step if event.step is None else event.step
            return Mark("!", at, event.t, f"warning: {event.message}")
        case _:
            return None


def next_axis(axis: Axis) -> Axis:
    """Returns the axis that the key goes to."""
    return AXES[(AXES.index(axis) + 1) % len(AXES)]
