"""What rules of health remember of a run beyond its last steps, in bounded memory.

Fed event by event, and told of each resume, so that every reader of the same events knows the
same. Nothing here judges.
"""

import statistics
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from .. import events
from ..steps import Steps
from .table import RULES

_WEIGHT = 0.9
_MOST_MARKS = 256
_MAD_TO_SIGMA = 1.4826
"""Median absolute deviation of normally distributed values to their standard deviation."""


@dataclass
class Jump:
    """A loss far above what was usual; `back_after` steps it was no longer, or None until then."""

    step: int
    loss: float
    usual: float
    back_after: int | None = None


class Losses:
    """The average of the loss as the chart draws it, where it was before, and its last jump."""

    def __init__(self) -> None:
        rule = RULES["spike"].limits
        self._deviations, self._times = rule["deviations"], rule["times"]
        self._first, self._window = int(rule["first"]), int(rule["steps"])
        self._recent: deque[tuple[float, float]] = deque(maxlen=self._window)
        """Step and loss."""
        self._sum = self._weights = 0.0
        self._marks: list[tuple[float, float]] = []
        """Step and average, ever sparser the longer the run is."""
        self._stride = 1
        self._next = 0.0
        self.jump: Jump | None = None

    @property
    def average(self) -> float | None:
        """The bias-corrected average of the finite losses."""
        return self._sum / self._weights if self._weights else None

    def average_at(self, step: float) -> float | None:
        """Returns about what the average was after a step."""
        at = bisect_right(self._marks, step, key=lambda mark: mark[0]) - 1
        return self._marks[at][1] if at >= 0 else None

    def extend(self, steps: Sequence[float], losses: Sequence[float]) -> None:
        """Adds losses; NaN counts for nothing."""
        done = 0  # what was put into `_recent` already
        total, weights, times = self._sum, self._weights, self._times
        for at, (step, loss) in enumerate(zip(steps, losses, strict=True)):
            if loss != loss:
                continue
            if self.jump is not None and self._is_open(step):
                self._end_jump(int(step), loss)
            elif loss * weights > times * total and weights:
                self._remember(steps[done:at], losses[done:at])
                done = at
                self._consider(int(step), loss, total / weights)
            total = _WEIGHT * total + (1 - _WEIGHT) * loss
            weights = _WEIGHT * weights + (1 - _WEIGHT)
            if step >= self._next:
                self._mark(step, total / weights)
        self._sum, self._weights = total, weights
        self._remember(steps[done:], losses[done:])

    def _remember(self, steps: Sequence[float], losses: Sequence[float]) -> None:
        """Adds to the last losses; those of a long part that would fall out are not even looked at.

        A part that is full of unknown losses so counts for fewer.
        """
        last = zip(steps[-self._window :], losses[-self._window :], strict=True)
        self._recent.extend(pair for pair in last if pair[1] == pair[1])

    def _is_open(self, step: float) -> bool:
        """Whether the last jump is not over at a step; one that lasts is the new level."""
        jump = self.jump
        return jump is not None and jump.back_after is None and step - jump.step <= self._window

    def _end_jump(self, step: int, loss: float) -> None:
        if self.jump is not None and loss <= self._times * self.jump.usual:
            self.jump.back_after = step - self.jump.step

    def _consider(self, step: int, loss: float, usual: float) -> None:
        """Takes a loss for a jump where it is far out of the scatter of those before it."""
        if len(self._recent) < self._first:
            return
        before = [each for _, each in self._recent]
        middle = statistics.median(before)
        scatter = _MAD_TO_SIGMA * statistics.median(abs(each - middle) for each in before)
        if loss > usual + self._deviations * scatter:
            self.jump = Jump(step, loss, usual)

    def _mark(self, step: float, average: float) -> None:
        self._marks.append((step, average))
        if len(self._marks) > _MOST_MARKS:
            del self._marks[1::2]
            self._stride *= 2
        self._next = step + self._stride

    def cut(self, step: int) -> None:
        """Forgets what came after a step: it is done again."""
        kept = [pair for pair in self._recent if pair[0] <= step]
        del self._marks[bisect_right(self._marks, step, key=lambda mark: mark[0]) :]
        self._next = self._marks[-1][0] + self._stride if self._marks else 0.0
        if self.jump is not None and self.jump.step > step:
            self.jump = None
        self._recent.clear()
        self._recent.extend(kept)
        self._sum = self._weights = 0.0
        for _, loss in kept:
            self._sum = _WEIGHT * self._sum + (1 - _WEIGHT) * loss
            self._weights = _WEIGHT * self._weights + (1 - _WEIGHT)


class Devices:
    """Since when the GPUs of a run idle, lag behind the others, or slow themselves."""

    def __init__(self) -> None:
        self.now: float | None = None
        """When they were last looked at, in seconds since the epoch."""
        self.idle_since: float | None = None
        self.slow_since: dict[int, float] = {}
        """By the number of the GPU."""
        self.hot_since: dict[int, float] = {}

    def add(self, sample: events.System, started: events.RunStarted | None) -> None:
        """Takes a sample of the hardware while steps are trained."""
        gpus = of_run(sample, started)
        used = [gpu.utilisation for gpu in gpus if gpu.utilisation is not None]
        self.now = sample.t
        idle = bool(used) and max(used) < RULES["gpu-idle"].limits["use"]
        self.idle_since = (self.idle_since or sample.t) if idle else None
        below = RULES["straggler"].limits["below"]
        slow = [gpu.index for gpu in gpus if _behind(gpu, gpus) > below]
        hot = [gpu.index for gpu in gpus if gpu.throttled]
        self.slow_since = {index: self.slow_since.get(index, sample.t) for index in slow}
        self.hot_since = {index: self.hot_since.get(index, sample.t) for index in hot}

    def rest(self) -> None:
        """Begins anew: no steps are trained now."""
        self.__init__()


def of_run(sample: events.System, started: events.RunStarted | None) -> list[events.Gpu]:
    """Returns the GPUs that the run computes on; none where it does not, or does not say which."""
    if started is None or started.device.startswith(("cpu", "mps")):
        return []
    if started.gpus:
        return [gpu for gpu in sample.gpus if gpu.index in started.gpus]
    return sample.gpus if len(sample.gpus) == started.world_size else []


def others_use(gpu: events.Gpu, gpus: list[events.Gpu]) -> float | None:
    """Returns the median use of the other GPUs, or None where none is known."""
    used = [g.utilisation for g in gpus if g is not gpu and g.utilisation is not None]
    return statistics.median(used) if used else None


def _behind(gpu: events.Gpu, gpus: list[events.Gpu]) -> float:
    """Returns how much less a GPU is used than the others."""
    others = others_use(gpu, gpus)
    return 0.0 if gpu.utilisation is None or others is None else others - gpu.utilisation


class Vitals:
    """All that is remembered of one run."""

    def __init__(self) -> None:
        self.losses = Losses()
        self.devices = Devices()
        self.warned: dict[str, events.Warning_] = {}
        """The trainer's newest warning of each code."""
        self.told_supervised = False
        """Whether steps tell how many of their tokens were trained."""

    def add_steps(self, steps: Steps) -> None:
        """Adds steps whose numbers rise."""
        self.losses.extend(steps.numbers, steps.columns["loss"].values)
        supervised = steps.columns["supervised_tokens"]
        self.told_supervised = self.told_supervised or any(supervised.told())

    def cut(self, step: int) -> None:
        """Forgets the steps after this one, which are done again."""
        self.losses.cut(step)
        self.devices.rest()
