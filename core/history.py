"""What a run's events add up to: the curve, the answers, the estimate of the time left.

Fed event by event, by a listing as by a live screen. Events of steps that a resume did again
are superseded: they are kept and marked, and left out of every statistic.
"""

import math
import statistics
from dataclasses import dataclass, field
from pathlib import Path

from . import events
from .tail import Tail


@dataclass
class History:
    """The events of a run, sorted by kind."""

    started: events.RunStarted | None = None
    phase: events.Phase | None = None
    steps: list[events.Step] = field(default_factory=list[events.Step])
    evals: list[events.Eval] = field(default_factory=list[events.Eval])
    samples: list[events.Sample] = field(default_factory=list[events.Sample])
    superseded: list[events.Step] = field(default_factory=list[events.Step])
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
    changed_end: int | None = None
    """The end of the run as a client changed it since the last start."""
    unreadable: int = 0
    """Lines in the middle of the file that could not be decoded."""

    def add_lines(self, lines: list[bytes]) -> list[events.Event]:
        """Decodes lines and adds them; returns the events among them."""
        found: list[events.Event] = []
        for line in lines:
            try:
                event = events.decode(line)
            except ValueError:
                self.unreadable += 1
                continue
            if event is not None:
                self.add(event)
                found.append(event)
        return found

    def add(self, event: events.Event) -> None:
        """Adds one event."""
        self.first_t = event.t if self.first_t is None else self.first_t
        self.last_t = event.t
        match event:
            case events.Step():
                self.steps.append(event)
                self.steps_since_start += 1
            case events.Phase():
                if self.finished is not None:  # a later start always writes a phase first
                    self.finished = None
                    self.steps_since_start = 0
                self.phase = event
            case events.RunStarted():
                self.started = event
                self.starts += 1
                self.steps_since_start = 0
                self.changed_end = None
                self._supersede(event.resumed_from_step or 0)
            case events.Eval():
                self.evals.append(event)
            case events.Sample():
                self.samples.append(event)
            case events.Checkpoint():
                self.checkpoints.append(event)
            case events.Warning_():
                self.warnings.append(event)
            case events.Control():
                self.controls.append(event)
                if event.outcome == "done" and event.key == "max_steps" and event.new is not None:
                    self.changed_end = int(float(event.new))
            case events.System():
                self.system = event
            case events.RunFinished():
                self.finished = event
            case _:
                pass

    def _supersede(self, step: int) -> None:
        """A start goes on after `step`: what came later will be done again."""
        self.superseded.extend(event for event in self.steps if event.step > step)
        self.steps = [event for event in self.steps if event.step <= step]
        # A start from step 0 takes its evaluation and samples of step 0 again.
        first = 1 if step else 0
        self.superseded_evals.extend(e for e in self.evals if e.step >= step + first)
        self.evals = [event for event in self.evals if event.step < step + first]
        self.samples = [event for event in self.samples if event.step < step + first]

    @property
    def step(self) -> int:
        """The last step done."""
        if self.steps:
            return self.steps[-1].step
        return (self.started.resumed_from_step or 0) if self.started else 0

    @property
    def total_steps(self) -> int | None:
        """Steps of the whole run, when known."""
        if self.changed_end is not None:
            return self.changed_end
        return self.started.total_steps if self.started else None

    @property
    def best_eval(self) -> events.Eval | None:
        """The evaluation with the lowest finite loss."""
        return best_of(self.evals)

    def tokens_per_s(self, window: int = 20) -> float | None:
        """Returns useful tokens per second of training time over the last `window` steps."""
        recent = self.steps[-min(window, max(self.steps_since_start, 1)) :]
        seconds = sum(event.step_s for event in recent)
        return sum(event.tokens for event in recent) / seconds if seconds > 1e-6 else None

    def eta_s(self, eval_every: int | None = None, save_every: int | None = None) -> float | None:
        """Returns the seconds of work left, or None until 10 steps after the last start.

        Remaining steps at the median step time of the last 50 since the start, plus the
        evaluations and checkpoints still to come at their median times.

        Args:
            eval_every: Steps between evaluations; None when there are none.
            save_every: Steps between checkpoints; None when there are none.
        """
        if self.total_steps is None or self.steps_since_start < 10:
            return None
        recent = self.steps[-min(50, self.steps_since_start) :]
        left = max(self.total_steps - self.step, 0)
        seconds = left * statistics.median(event.step_s for event in recent)
        for every, times in (
            (eval_every, [event.elapsed_s for event in self.evals]),
            (save_every, [event.elapsed_s for event in self.checkpoints]),
        ):
            if every and times:
                planned = -(-self.total_steps // every) - self.step // every if left else 0
                seconds += planned * statistics.median(times)
        return seconds


def best_of(evals: list[events.Eval]) -> events.Eval | None:
    """Returns the first evaluation with the lowest finite loss, or None."""
    finite = [e for e in evals if isinstance(e.loss, float) and math.isfinite(e.loss)]
    return min(finite, key=lambda e: float(e.loss or 0.0), default=None)


def read_history(path: Path) -> History:
    """Reads a whole `events.jsonl`; one that cannot be read is an empty history."""
    history = History()
    tail = Tail(path)
    try:
        while lines := tail.read():
            history.add_lines(lines)
    except OSError:  # not ours to read: the status says so
        return history
    return history
