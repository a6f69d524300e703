"""One run as it is compared, whoever trained it: its curves, configuration, data and answers.

What a run does not tell is None or absent, never zero. Knows nothing of where runs lie.
"""

import math
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from typing import Any

from . import config_file, events
from .changed import Change, changes
from .config import RunConfig
from .history import History
from .rundir import RunDir
from .status import Status

METRICS = {
    "eval_loss": "evaluation loss",
    "loss": "training loss",
    "learning_rate": "learning rate",
    "grad_norm": "gradient norm",
    "tokens_per_s": "tokens a second",
}
"""What runs are compared by, in the order that screens go through, with their titles."""
OWN = "sft-tui"
AXES = ("step", "tokens", "seconds")
EVALUATED = "evaluated rows"
TRAINED = "trained rows"
"""What differences call the rows themselves, of which only a hash is kept."""


def _numbers() -> "array[float]":
    return array("d")


def _rows() -> "array[int]":
    return array("q")


@dataclass
class Curve:
    """One metric, by rising step.

    `tokens` and `seconds` are what was trained until each point, seconds without pauses; None
    where the run does not tell. `value` is NaN where it is unknown and where it is not finite;
    the rows of the latter are in `bad`, in order.
    """

    step: "array[float]" = field(default_factory=_numbers)
    value: "array[float]" = field(default_factory=_numbers)
    tokens: "array[float] | None" = field(default_factory=_numbers)
    seconds: "array[float] | None" = field(default_factory=_numbers)
    bad: "array[int]" = field(default_factory=_rows)

    def __len__(self) -> int:
        return len(self.step)

    def add(
        self, step: float, value: float, tokens: float | None = None, seconds: float | None = None
    ) -> None:
        """Adds a point; those of later steps, which are done again, go."""
        self.cut_from(step)
        if not math.isfinite(value):
            self.bad.append(len(self.step))
            value = math.nan
        self.step.append(step)
        self.value.append(value)
        self.tokens = _longer(self.tokens, tokens)
        self.seconds = _longer(self.seconds, seconds)

    def cut_from(self, step: float) -> None:
        """Takes the points of that step and of later ones away."""
        first = bisect_left(self.step, step)
        for column in (self.step, self.value, self.tokens, self.seconds):
            if column is not None:
                del column[first:]
        del self.bad[bisect_left(self.bad, first) :]

    def copy(self) -> "Curve":
        """Returns a curve that stays as it is when this one grows."""
        tokens = None if self.tokens is None else self.tokens[:]
        seconds = None if self.seconds is None else self.seconds[:]
        return Curve(self.step[:], self.value[:], tokens, seconds, self.bad[:])

    def along(self, axis: str) -> "array[float] | None":
        """Returns where the points lie on one of `AXES`, or None where the run does not tell."""
        return {"step": self.step, "tokens": self.tokens, "seconds": self.seconds}[axis]

    def at(self, step: float) -> float | None:
        """Returns the value of exactly that step, where it is finite."""
        row = bisect_right(self.step, step) - 1
        if row < 0 or self.step[row] != step or self.value[row] != self.value[row]:
            return None
        return self.value[row]

    def best(self) -> tuple[float, int] | None:
        """Returns the lowest finite value and its first step, or None."""
        finite = [row for row, value in enumerate(self.value) if value == value]
        if not finite:
            return None
        row = min(finite, key=self.value.__getitem__)
        return self.value[row], int(self.step[row])


def _longer(column: "array[float] | None", value: float | None) -> "array[float] | None":
    """Returns a column with one more number, which never falls; None once one was not told."""
    if column is None or value is None:
        return None
    column.append(max(value, column[-1]) if column else value)
    return column


@dataclass
class Subject:
    """A run that is compared.

    `source` is who trained it: "sft-tui", or whose files tell of it. `config` is by dotted keys
    of this project where there is one of that meaning, else by the source's own.
    """

    name: str
    path: str
    source: str = OWN
    status: str | None = None
    curves: dict[str, Curve] = field(default_factory=dict[str, Curve])
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    eval_hash: str | None = None
    data_hash: str | None = None
    tokens_per_s: float | None = None
    samples: list[events.Sample] = field(default_factory=list[events.Sample])
    changed: list[Change] = field(default_factory=list[Change])
    """What `config` does not tell, as it was changed while the run trained."""
    damaged: int = 0
    """Lines or records that could not be read, and were left out."""
    may_grow: bool = False
    by_clock: bool = False
    """Whether its seconds are the clock's, so that only pauses between starts are left out."""

    def copy(self) -> "Subject":
        """Returns a run that stays as it is when the history of this one grows."""
        curves = {name: curve.copy() for name, curve in self.curves.items()}
        return replace(self, curves=curves, samples=list(self.samples))

    @property
    def best(self) -> tuple[float, int] | None:
        """The lowest evaluation loss and its step."""
        curve = self.curves.get("eval_loss")
        return None if curve is None else curve.best()

    @property
    def steps(self) -> int | None:
        """The last step that anything is told of."""
        lasts = [int(curve.step[-1]) for curve in self.curves.values() if len(curve)]
        return max(lasts, default=None)


def of_run(run: RunDir, history: History, status: Status, config: RunConfig | None) -> Subject:
    """Returns a run of this project; curves share the columns of its history.

    Steps and evaluations that a resume did again are no part of it.
    """
    started = history.started
    return Subject(
        name=run.id,
        path=str(run.path),
        status=status.word,
        curves=_curves(history),
        config={} if config is None else config_file.flat(config),
        eval_hash=started.eval_hash if started else None,
        data_hash=started.data_hash if started else None,
        tokens_per_s=history.mean_tokens_per_s(),
        samples=history.samples,
        changed=changes(history),
        damaged=history.unreadable,
        may_grow=status.may_speak,
    )


def _curves(history: History) -> dict[str, Curve]:
    steps = history.steps
    tokens, seconds = _tokens(history), _seconds(history)
    found = {"eval_loss": _evaluations(history)} if history.evals else {}
    for name in METRICS:
        column = steps.columns.get(name)
        if column is not None and len(steps):
            found[name] = Curve(steps.numbers, column.values, tokens, seconds, column.bad)
    return found


def _tokens(history: History) -> "array[float] | None":
    """Returns the tokens trained until each step, or None where one does not tell its own."""
    unknown = math.isnan(sum(history.steps.columns["tokens"].values))
    return None if unknown else history.steps.tokens_done


def _seconds(history: History) -> "array[float] | None":
    """Returns the seconds of training at each step, or None where one does not tell them."""
    seconds = history.steps.columns["elapsed_s"].values
    return None if math.isnan(sum(seconds)) else seconds


def _evaluations(history: History) -> Curve:
    """Returns the evaluations, each where the step before it ended."""
    steps = history.steps
    done, times = _tokens(history), _seconds(history)
    curve = Curve()
    for event in history.evals:
        row = bisect_right(steps.numbers, event.step) - 1
        tokens = None if done is None else done[row] if row >= 0 else 0.0
        seconds = None if times is None else times[row] if row >= 0 else 0.0
        if event.loss is not None:
            curve.add(event.step, float(event.loss), tokens, seconds)
    return curve
