"""The course of a run: its length, its learning rate and its intervals, and what changes them.

Planned from the configuration, changed by clients while training, kept in checkpoints.
"""

import math
import sys

import msgspec

from ..config import RunConfig
from .optim import decayed

_LOW = 0.05
"""Share of the peak below which a run that goes on hardly learns."""

Value = float | int | None


class Unchangeable(Exception):
    """A change that makes no sense at this point of the run; its text says why."""


class Course(msgspec.Struct, kw_only=True):
    """What is planned for every step.

    The rate rises to `rate` in `warmup` steps, and after `since` the schedule leads it down, from
    `rate`, until `total_steps`. `factor` is what clients multiplied all that by.
    """

    total_steps: int
    schedule: str = "constant"
    warmup: int = 0
    ahead: float = 0.0
    """How many steps further on the rise is than it would be had it always been as steep as now."""
    since: int = 0
    rate: float
    decay_ratio: float = 0.1
    factor: float = 1.0
    eval_every_steps: int | None = None
    save_every_steps: int | None = None
    configured: dict[str, float | str | None] = {}
    """What the configuration said when this was planned: where it says something else later, it
    counts more than what clients changed."""

    changed_at: int = 0
    """The step after which clients changed something last, and what: `changed`."""
    changed: dict[str, Value] = {}

    @classmethod
    def planned(cls, config: RunConfig, total_steps: int) -> "Course":
        """Returns the course that a configuration alone describes."""
        warmup = math.ceil(config.optim.warmup_ratio * total_steps)
        return cls(
            total_steps=total_steps,
            schedule=config.optim.schedule,
            warmup=warmup,
            since=warmup,
            rate=config.optim.learning_rate,
            decay_ratio=config.optim.decay_ratio,
            eval_every_steps=config.evaluate.every_steps,
            save_every_steps=config.save.every_steps,
            configured=_configured(config, total_steps),
        )

    def goes_on(self, config: RunConfig, total_steps: int, step: int) -> frozenset[str]:
        """Takes over what a resumed run's configuration says otherwise than before.

        A new length or schedule is planned from `step` on, starting at the current rate. A new
        learning rate is the new peak of the whole course; together with a new length it is where
        the rest starts.

        Args:
            config: What is trained with from now on.
            total_steps: What it says of the run's length.
            step: The last step done.

        Returns:
            The keys that were changed: `max_steps`, `learning_rate`, `schedule`, `warmup_ratio`,
            `decay_ratio`, `eval_every_steps`, `save_every_steps`, `rows_per_step`.
        """
        old, now = self.configured, _configured(config, total_steps)
        changed = frozenset(key for key in now if now[key] != old.get(key, now[key]))
        self.configured = now
        if "warmup_ratio" in changed and step < self.warmup:
            steps = math.ceil(config.optim.warmup_ratio * total_steps)
            self.warmup = self.since = max(steps, step)
            self.ahead = 0.0
        falls = config.optim.schedule == "wsd" and "decay_ratio" in changed
        if falls or changed & {"max_steps", "schedule"}:
            self.schedule, self.decay_ratio = config.optim.schedule, config.optim.decay_ratio
            self._plan(step, total_steps if "max_steps" in changed else self.total_steps)
        if "learning_rate" in changed:
            peak = config.optim.learning_rate
            before = float(old["learning_rate"] or peak)
            fresh = self.since == step or self.since <= self.warmup
            self.rate = peak if fresh else self.rate * peak / before
            self.factor = 1.0
        if "eval_every_steps" in changed:
            self.eval_every_steps = config.evaluate.every_steps
        if "save_every_steps" in changed:
            self.save_every_steps = config.save.every_steps
        return changed

    def learning_rate(self, step: int) -> float:
        """Returns the rate of a step, counted from 1."""
        if step <= self.warmup:
            return self.rate * (step + self.ahead) / (self.warmup + self.ahead) * self.factor
        first = 0 if self.since <= self.warmup else self.since
        falling = math.ceil(self.decay_ratio * (self.total_steps - first))
        share = decayed(self.schedule, step, self.since, self.total_steps, falling)
        return self.rate * share * self.factor

    def low_rate(self, step: int) -> str | None:
        """Returns a remark where what was planned at `step` starts too low to teach much."""
        rate, peak = self.learning_rate(step + 1), float(self.configured["learning_rate"] or 1)
        if step < self.warmup or rate > _LOW * peak:
            return None
        return (
            f"the learning rate goes on at {rate:.2g}, {rate / peak:.1%} of its peak; a new one "
            "gives the rest another start"
        )

    def warms_up(self, step: int) -> str | None:
        """Returns a remark where a rate that is set after `step` is one to warm up to."""
        if step >= self.warmup:
            return None
        return f"the rate still warms up: it rises to this one until step {self.warmup}"

    def change(self, key: str, value: Value, step: int) -> Value:
        """Changes one value from the step after `step` on; returns the one before.

        Args:
            key: One of `control.SETTABLE`.
            value: As `control.problem` lets it pass.
            step: The last step done.

        Raises:
            Unchangeable: It cannot be, at this step.
        """
        before: Value
        match key:
            case "learning_rate":
                before = self._set_rate(float(value or 0.0), step)
            case "max_steps":
                before, total = self.total_steps, int(value or 0)
                if total <= step:
                    raise Unchangeable(f"step {step} is done already; give more, or stop the run")
                self._plan(step, total)
            case _:  # the names of the intervals are those of the fields
                before = getattr(self, key)
                setattr(self, key, None if value is None else int(value))
        if self.changed_at != step:
            self.changed_at, self.changed = step, {}
        self.changed[key] = value
        return before

    def took(self, key: str, value: Value, step: int) -> bool:
        """Returns whether this change after `step` is in the course already.

        A checkpoint that is written after the change holds it, one from before does not.
        """
        return self.changed_at == step and key in self.changed and self.changed[key] == value

    def _set_rate(self, rate: float, step: int) -> float:
        """Scales the rest of the schedule so that it goes on at `rate`.

        In warm-up it is measured against the peak, so that a rate set early is not multiplied by
        the rest of the rise.
        """
        upcoming = step + 1
        at = self.rate * self.factor if upcoming <= self.warmup else self.learning_rate(upcoming)
        if at == 0:
            raise Unchangeable("the schedule has reached zero")
        if at < sys.float_info.min:  # such numbers have too few digits left to be scaled
            raise Unchangeable(f"the rate before it, {at:.2g}, is too small to be scaled")
        self.factor *= rate / at
        return at

    def _plan(self, step: int, total_steps: int) -> None:
        """Plans the schedule anew: from `step` to the end, starting at the current rate.

        A warm-up that is under way goes on as steeply as it would in a run of that length, and the
        schedule begins after it.
        """
        if step < self.warmup:
            share = (step + self.ahead) / (self.warmup + self.ahead)
            whole = math.ceil(float(self.configured["warmup_ratio"] or 0.0) * total_steps)
            left = max(round(whole * (1 - share)), 1)
            self.warmup = self.since = step + left
            self.ahead = left * share / (1 - share) - step  # so that step is at this share still
        elif step > self.warmup and self.since != step:  # else it starts there already
            self.rate = self.learning_rate(step) / self.factor
            self.since = step
        self.total_steps = total_steps


def _configured(config: RunConfig, total_steps: int) -> dict[str, float | str | None]:
    return {
        "max_steps": total_steps,
        "learning_rate": config.optim.learning_rate,
        "schedule": config.optim.schedule,
        "warmup_ratio": config.optim.warmup_ratio,
        "decay_ratio": config.optim.decay_ratio,
        "eval_every_steps": config.evaluate.every_steps,
        "save_every_steps": config.save.every_steps,
        "rows_per_step": config.rows_per_step,
    }
