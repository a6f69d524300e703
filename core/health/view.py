"""A run as a rule of health sees it: its last steps, and what remedies say of it."""

from ..config import RunConfig
from ..history import History
from .table import Rule

Told = tuple[str, str, int] | None
"""What a rule says: message, remedy, and the step or GPU that they are about."""


class View:
    """A run under a rule, whose window says how many steps its last ones are."""

    def __init__(
        self, history: History, config: RunConfig | None, rule: Rule, *, active: bool = True
    ) -> None:
        self.history, self.config, self.limits = history, config, rule.limits
        self.active = active
        """Whether a trainer is at work that can still be steered."""
        self.started = history.started
        self.vitals = history.vitals

    @property
    def is_scaled(self) -> bool:
        """Whether the loss is multiplied by a scale that is found by overflows."""
        return self.config is not None and self.config.train.precision == "fp16"

    def last(self, field: str) -> list[float]:
        """Returns a field of the last steps since the start; NaN is unknown or not finite."""
        count = min(int(self.limits["steps"]), self.history.steps_since_start)
        return list(self.history.steps.columns[field].values[-count:]) if count else []

    def _share(self, part: str, whole: str) -> float | None:
        pairs = zip(self.last(part), self.last(whole), strict=True)
        told = [(some, every) for some, every in pairs if some == some and every == every]
        total = sum(every for _, every in told)
        return sum(some for some, _ in told) / total if total > 0 else None

    def waiting(self) -> float | None:
        """The share of the last steps' time in which the device waited for data."""
        return self._share("data_wait_s", "step_s")

    def clipped(self) -> float | None:
        """The share of the last steps whose gradient was clipped."""
        told = [each for each in self.last("clipped") if each == each]
        return sum(told) / len(told) if told else None

    def padding(self) -> float | None:
        """The share of the last steps' computed tokens that was padding."""
        pairs = zip(self.last("computed_tokens"), self.last("padding_share"), strict=True)
        told = [(size, share) for size, share in pairs if size == size and share == share]
        total = sum(size for size, _ in told)
        return sum(size * share for size, share in told) / total if total else None

    @property
    def rate(self) -> str:
        """The learning rate now, in brackets; of a run that ended none is."""
        rate = self.history.steps[-1].learning_rate if self.history.steps else None
        return "" if not self.active or rate is None else f" (now {rate:.3g})"

    @property
    def smaller_batch(self) -> str:
        """What takes less memory and trains the same."""
        if self.config is None:
            return "lower train.micro_batch_size and raise train.gradient_accumulation as much"
        size, times = self.config.train.micro_batch_size, self.config.train.gradient_accumulation
        if size < 2:
            return f"lower data.max_length, now {self.config.data.max_length}"
        return (
            f"micro_batch_size {size} → {size // 2} with gradient_accumulation {times} → "
            f"{times * 2} keeps {size * times} rows a step"
        )


def percent(share: float) -> str:
    """Returns a share as a whole percentage."""
    return f"{share * 100:.0f} %"
