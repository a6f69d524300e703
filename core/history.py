"""What a run's events add up to: the curve, the answers, the estimate of the time left.

Fed event by event, by a listing as by a live screen. Events of steps that a resume did again
are superseded: they are kept and marked, and left out of every statistic.
"""

import math
import operator
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import cast

from . import events
from .config import RunConfig
from .health.vitals import Vitals
from .steps import Steps
from .tail import Tail

STEPS_FIRST = 10
"""Steps after a start before the time left is told."""
VARYING = 1.5
"""The upper quartile of the step times over the lower one, from which on they vary."""
_KEYS = ("max_steps", "eval_every_steps", "save_every_steps")
Told = events.Event | Steps
"""An event, or many steps in a row."""


def decode(block: bytes) -> tuple[list[Told], int]:
    """Returns what lines tell, and how many of them could not be decoded.

    Signs of life and of the hardware say nothing of steps, and come behind those that they were
    told among: a few long parts are taken in much faster than many short ones. Of signs of life
    that follow each other so, the last tells all.
    """
    found, unreadable = events.decode_all(block)
    told: list[Told] = []
    steps: list[events.Step] = []
    hardware: list[Told] = []
    life: list[Told] = []
    for kind, group in groupby(found, type):
        if kind is events.Step:
            steps.extend(cast(Iterable[events.Step], group))
        elif kind is events.Heartbeat:
            life[:] = list(group)[-1:]
        elif kind is events.System:
            hardware.extend(group)
        else:
            told += [*_parts(steps), *hardware, *life, *group]
            steps, hardware, life = [], [], []
    return [*told, *_parts(steps), *hardware, *life], unreadable


def _parts(steps: list[events.Step]) -> Iterable[Steps]:
    return map(Steps, _rising(steps)) if steps else ()


def _rising(steps: list[events.Step]) -> list[list[events.Step]]:
    """Returns stretches of steps whose numbers rise: after a lost line they may begin again."""
    numbers = [event.step for event in steps]
    if all(map(operator.lt, numbers, numbers[1:])):
        return [steps]
    firsts = [0, *(at for at in range(1, len(steps)) if numbers[at] <= numbers[at - 1])]
    return [steps[first:end] for first, end in zip(firsts, [*firsts[1:], None], strict=True)]


@dataclass
class History:
    """The events of a run, sorted by kind."""

    started: events.RunStarted | None = None
    phase: events.Phase | None = None
    steps: Steps = field(default_factory=Steps)
    evals: list[events.Eval] = field(default_factory=list[events.Eval])
    samples: list[events.Sample] = field(default_factory=list[events.Sample])
    superseded: list[Steps] = field(default_factory=list[Steps])
    """The steps that were done again, those of each resume by themselves."""
    superseded_evals: list[events.Eval] = field(default_factory=list[events.Eval])
    checkpoints: list[events.Checkpoint] = field(default_factory=list[events.Checkpoint])
    warnings: list[events.Warning_] = field(default_factory=list[events.Warning_])
    controls: list[events.Control] = field(default_factory=list[events.Control])
    system: events.System | None = None
    finished: events.RunFinished | None = None
    starts: int = 0
    first_t: float | None = None
    last_t: float | None = None
    steps_since_start: int = 0
    starting: bool = False
    """Whether a start has begun that has told nothing of its steps: all figures are older."""
    changed: dict[str, int] = field(default_factory=dict[str, int])
    """The end and the intervals of the run, by their keys, as clients changed them."""
    vitals: Vitals = field(default_factory=Vitals, compare=False)
    """What rules of health remember."""
    unreadable: int = 0
    """Lines in the middle of the file that could not be decoded."""
    _mean: tuple[tuple[int, int], float | None] = field(
        default=((0, -1), None), compare=False, repr=False
    )
    """After how many starts and steps the mean speed was taken, and that."""

    def add_lines(self, block: bytes) -> list[Told]:
        """Decodes lines and adds them; returns what they tell."""
        found, unreadable = decode(block)
        self.unreadable += unreadable
        for told in found:
            self.add(told)
        return found

    def add(self, told: Told) -> None:
        """Adds one event, or steps in a row, whose numbers rise."""
        if isinstance(told, Steps):
            self._add_steps(told)
        elif isinstance(told, events.Step):
            self._add_steps(Steps([told]))
        else:
            self._add_event(told)

    def _add_steps(self, steps: Steps) -> None:
        if not steps:
            return
        times = steps.columns["t"].values
        self.first_t = times[0] if self.first_t is None else self.first_t
        self.last_t = times[-1]
        if self.steps and steps.numbers[0] <= self.steps.numbers[-1]:
            # They begin again: the line that told of the resume was lost.
            self._supersede(int(steps.numbers[0]) - 1)
        self.starting = False
        self.steps.extend(steps)
        self.vitals.add_steps(steps)
        self.steps_since_start += len(steps)

    def _add_event(self, event: events.Event) -> None:
        self.first_t = event.t if self.first_t is None else self.first_t
        self.last_t = event.t
        match event:
            case events.Phase():
                if self.finished is not None:  # a later start always writes a phase first
                    self.finished = None
                    self.steps_since_start = 0
                if event.name == "loading_model":
                    self.starting = True
                if event.name == "compiling":  # steps take another time from here on
                    self.steps_since_start = 0
                self.phase = event
                if event.name != "training":
                    self.vitals.devices.rest()
            case events.RunStarted():
                self.started = event
                self.starting = False
                self.starts += 1
                self.steps_since_start = 0
                self.changed.pop("max_steps", None)  # a start tells its end itself
                self._supersede(event.resumed_from_step or 0)
            case events.Eval():
                self.evals.append(event)
            case events.Sample():
                self.samples.append(event)
            case events.Checkpoint():
                self.checkpoints.append(event)
            case events.Warning_():
                self.warnings.append(event)
                self.vitals.warned[event.code] = event
            case events.Control():
                self.controls.append(event)
                if event.outcome == "done" and event.key in _KEYS and event.new is not None:
                    self.changed[event.key] = int(float(event.new))
            case events.System():
                self.system = event
                if self.phase is not None and self.phase.name == "training":
                    self.vitals.devices.add(event, self.started)
            case events.RunFinished():
                self.finished = event
            case _:
                pass

    def _supersede(self, step: int) -> None:
        """A start goes on after `step`: what came later will be done again."""
        self.vitals.cut(step)
        if redone := self.steps.cut(self.steps.after(step)):
            self.superseded.append(redone)
        # A start from step 0 takes its evaluation and samples of step 0 again.
        first = 1 if step else 0
        self.superseded_evals.extend(e for e in self.evals if e.step >= step + first)
        self.evals = [event for event in self.evals if event.step < step + first]
        self.samples = [event for event in self.samples if event.step < step + first]

    @property
    def step(self) -> int:
        """The last step done."""
        if self.steps:
            return int(self.steps.numbers[-1])
        return (self.started.resumed_from_step or 0) if self.started else 0

    @property
    def total_steps(self) -> int | None:
        """Steps of the whole run, when known."""
        known = self.started.total_steps if self.started else None
        return self.changed.get("max_steps", known)

    def steps_of(self, config: RunConfig) -> int | None:
        """Returns how many steps a configuration gives this run, by the rows that it has."""
        if config.train.max_steps is not None:
            return config.train.max_steps
        rows = self.started.train_rows if self.started else None
        return config.train.epochs * math.ceil(rows / config.rows_per_step) if rows else None

    @property
    def best_eval(self) -> events.Eval | None:
        """The evaluation with the lowest finite loss."""
        return best_of(self.evals)

    def tokens_per_s(self, window: int = 20) -> float | None:
        """Returns useful tokens per second of training time over the last `window` steps."""
        first = max(len(self.steps) - min(window, max(self.steps_since_start, 1)), 0)
        return _speed(*self.steps.work(first))

    def mean_tokens_per_s(self) -> float | None:
        """Returns useful tokens per second of training time over all steps that count."""
        upto = self.starts, len(self.steps)
        if self._mean[0] != upto:
            (tokens, seconds), forgotten = self.steps.work(), self.steps.forgotten
            self._mean = (upto, _speed(tokens + forgotten[0], seconds + forgotten[1]))
        return self._mean[1]

    def eta_s(self, eval_every: int | None = None, save_every: int | None = None) -> float | None:
        """Returns the seconds of `time_left`."""
        left = self.time_left(eval_every, save_every)
        return None if left is None else left.seconds

    def time_left(
        self, eval_every: int | None = None, save_every: int | None = None
    ) -> "TimeLeft | None":
        """Returns the work left, or None until 10 steps after the last start or compilation.

        Remaining steps at the median step time of the last 50 since then, plus the evaluations
        and checkpoints still to come at their median times.

        Args:
            eval_every: Steps between evaluations; None when there are none.
            save_every: Steps between checkpoints; None when there are none.
        """
        if self.total_steps is None or self.steps_since_start < STEPS_FIRST:
            return None
        recent = self.steps.columns["step_s"].told(-min(50, self.steps_since_start))
        if len(recent) < 2:
            return None
        left = max(self.total_steps - self.step, 0)
        beside = 0.0
        evaluations = [event.elapsed_s for event in self.evals if event.elapsed_s is not None]
        for key, every, times in (
            ("eval_every_steps", eval_every, evaluations),
            ("save_every_steps", save_every, [event.elapsed_s for event in self.checkpoints]),
        ):
            every = self.changed.get(key, every)
            if every and times:
                planned = -(-self.total_steps // every) - self.step // every if left else 0
                beside += planned * statistics.median(times)
        low, middle, high = (
            left * quarter + beside for quarter in statistics.quantiles(recent, method="inclusive")
        )
        return TimeLeft(middle, low, high, high - beside > VARYING * (low - beside))


@dataclass(frozen=True)
class TimeLeft:
    """Seconds of work left, at the median time of a step and at its quartiles.

    `varies` says that these are so far apart that only the range from `low` to `high` is honest.
    """

    seconds: float
    low: float
    high: float
    varies: bool


def _speed(tokens: float, seconds: float) -> float | None:
    """Returns tokens per second, or None where either is not told."""
    return tokens / seconds if tokens and seconds > 1e-6 else None


def best_of(evals: list[events.Eval]) -> events.Eval | None:
    """Returns the first evaluation with the lowest finite loss, or None."""
    finite = [e for e in evals if isinstance(e.loss, float) and math.isfinite(e.loss)]
    return min(finite, key=lambda e: float(e.loss or 0.0), default=None)


def read_history(path: Path) -> History:
    """Reads a whole `events.jsonl`; one that cannot be read is an empty history."""
    history = History()
    tail = Tail(path)
    try:
        while block := tail.read_block():
            history.add_lines(block)
    except OSError:  # not ours to read: the status says so
        return history
    return history
