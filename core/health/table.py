"""The thresholds of all rules of health, in one table."""

from dataclasses import dataclass

SILENT_STEPS = 20
"""Steps after a start before which only rules with `early` speak."""

NO_FINITE_STEP = (
    "the weights are as they were loaded, so no learning rate is to blame: if it goes on, look at "
    "the files of the base, and at train.precision"
)
"""What to do where the first step already was not finite."""


@dataclass(frozen=True)
class Rule:
    """When a rule fires: its limits, a sentence that states them, and what it is worth.

    `severity` is error, warning or note. `key` is what Monitor offers against it. A rule that is
    `live` speaks only of a run that is at work, one that is `early` from its first step on.
    """

    severity: str
    key: str
    when: str
    limits: dict[str, float]
    live: bool = False
    early: bool = False

    @property
    def words(self) -> str:
        """When it fires, with its numbers."""
        return self.when.format(**self.limits).replace("%", " %")


RULES = {
    "nan": Rule(
        "error", "x s", "loss or gradient norm not finite in one of the last {steps} steps",
        {"steps": 200, "patience": 20}, early=True,
    ),
    "zero": Rule(
        "error", "2", "loss below {loss:g} for {steps} steps, or a step without trained tokens",
        {"loss": 1e-4, "steps": 5}, early=True,
    ),
    "no-grad": Rule("error", "x s", "gradient norm 0 for {steps} steps", {"steps": 10}),
    "spike": Rule(
        "warning", "x l",
        "loss above {times:g} × its average and {deviations:g} robust deviations of the last "
        "{steps} steps above it; still high after {patience}, or told until {told} after it came "
        "back",
        {"times": 1.5, "deviations": 6, "steps": 200, "patience": 20, "told": 50, "first": 20},
    ),
    "overfit": Rule(
        "warning", "x s",
        "evaluation loss rose {times} times in a row and is {over:.0%} above the best while the "
        "average of the training loss fell",
        {"times": 2, "over": 0.02},
    ),
    "plateau": Rule(
        "note", "x s",
        "best evaluation loss improved by less than {under:.1%} over {evals} evaluations; without "
        "evaluations the average of the training loss over {share:.0%} of the steps",
        {"under": 0.005, "evals": 3, "share": 0.25},
    ),
    "data-wait": Rule(
        "warning", "i", "more than {share:.0%} of the time of the last {steps} steps waits for "
        "data", {"share": 0.15, "steps": 50},
    ),
    "gpu-idle": Rule(
        "warning", "b", "all GPUs of the run below {use:.0%} for {seconds:g} s of training",
        {"use": 0.2, "seconds": 60}, live=True,
    ),
    "straggler": Rule(
        "warning", "x p", "one GPU {below:.0%} of its use below the others for {seconds:g} s",
        {"below": 0.3, "seconds": 60}, live=True,
    ),
    "mem": Rule(
        "warning", "x p", "peak memory at {share:.0%} of the GPU's or more", {"share": 0.95},
    ),
    "clip": Rule(
        "note", "d", "more than {share:.0%} of the last {steps} steps clipped",
        {"share": 0.5, "steps": 50},
    ),
    "padding": Rule(
        "note", "d", "less than {useful:.0%} of the computed tokens of the last {steps} steps are "
        "useful", {"useful": 0.6, "steps": 50},
    ),
    "heat": Rule(
        "warning", "x p", "a GPU slows itself by heat or power for {seconds:g} s",
        {"seconds": 30}, live=True,
    ),
    "disk": Rule(
        "error", "y", "less free space than {checkpoints} checkpoints need", {"checkpoints": 2},
        live=True, early=True,
    ),
    "no-save": Rule(
        "note", "x c",
        "no checkpoint planned before the end of a run of {long_min:g} min, or the last one "
        "{old_min:g} min old",
        {"old_min": 60, "long_min": 10}, live=True,
    ),
}  # fmt: skip
"""By id, errors first in each list of findings."""

WINDOW = int(max(rule.limits.get("steps", 0) for rule in RULES.values()))
"""Steps that rules look back at."""


def thresholds() -> list[str]:
    """Returns a line for each rule: when it fires."""
    silent = f"Silent in the first {SILENT_STEPS} steps after a start, except "
    silent += ", ".join(name for name, rule in RULES.items() if rule.early) + "."
    lines = [f"{rule.severity:<7}  {name}: {rule.words}" for name, rule in RULES.items()]
    return [*lines, silent]
