"""All rules of health, asked about a run.

`runs --json`, `watch --plain` and the screens ask here, so they agree. Work per question is
bounded: rules look at the last steps and at what `vitals.py` remembers. Steps that were done
again count for nothing.
"""

from collections.abc import Callable

import msgspec

from ..config import RunConfig
from ..history import History
from . import learning, machine
from .table import RULES, SILENT_STEPS
from .view import Told, View

_ORDER = ("error", "warning", "note")
_CHECKS: dict[str, Callable[[View], Told]] = {
    "nan": learning.nan,
    "zero": learning.zero,
    "no-grad": learning.no_grad,
    "spike": learning.spike,
    "overfit": learning.overfit,
    "plateau": learning.plateau,
    "data-wait": machine.data_wait,
    "gpu-idle": machine.gpu_idle,
    "straggler": machine.straggler,
    "mem": machine.mem,
    "clip": learning.clip,
    "padding": machine.padding,
    "heat": machine.heat,
    "disk": machine.disk,
    "no-save": machine.no_save,
}
_AFTER_THE_END = {
    "low_rate": "in the next run, plan all of its steps from the start, or resume with a new rate",
    "warmup_over": "in the next run, set both optim.warmup_ratio and optim.learning_rate at first",
}
"""What to do about a trainer's warnings that told how to steer it, once there is none."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong, and what to do. `key` is Monitor's against it; `step` is what it is about.

    `rule` is the id of a rule, or the code of a warning that the trainer gave.
    """

    rule: str
    severity: str
    message: str
    remedy: str
    key: str = ""
    step: int = 0

    @property
    def identity(self) -> tuple[str, int]:
        """What tells it from one of the same rule about another step."""
        return self.rule, self.step


def findings(
    history: History, *, active: bool = True, config: RunConfig | None = None
) -> list[Finding]:
    """Returns what the rules find, errors first.

    Args:
        history: The run's events.
        active: Whether a trainer is at work: what only it could mend is left out otherwise.
        config: Its configuration, for what remedies say of it; None leaves that out.
    """
    young = history.steps_since_start < SILENT_STEPS
    found: list[Finding] = []
    for name, check in _CHECKS.items():
        rule = RULES[name]
        if (young and not rule.early) or (rule.live and not active):
            continue
        told = check(View(history, config, rule, active=active))
        if told is not None:
            key = rule.key if active or not rule.key.startswith("x ") else ""  # x asks a trainer
            found.append(
                Finding(rule=name, severity=rule.severity, message=told[0], remedy=told[1],
                        key=key, step=told[2])
            )  # fmt: skip
    if any(each.rule == "overfit" for each in found):
        found = [each for each in found if each.rule != "plateau"]
    return sorted(found, key=lambda each: _ORDER.index(each.severity))


def examine(
    history: History, *, active: bool = True, config: RunConfig | None = None
) -> list[Finding]:
    """Returns what the rules find, behind it the trainer's own warnings, and damage of the file."""
    ruled = findings(history, active=active, config=config)
    return [*ruled, *warnings(history, active=active), *damage(history)]


def damage(history: History) -> list[Finding]:
    """Returns that lines of the run's events cannot be read, where that is so."""
    if not (count := history.unreadable):
        return []
    lines = "1 line of events.jsonl is" if count == 1 else f"{count:,} lines of events.jsonl are"
    message = f"{lines} unreadable: what they told is missing from all figures"
    remedy = "see whether the disk was full or has faults; training itself does not read them"
    return [Finding(rule="damage", severity="note", message=message, remedy=remedy)]


def warnings(history: History, *, active: bool = True) -> list[Finding]:
    """Returns the trainer's own warnings, the newest of each kind."""
    after = {} if active else _AFTER_THE_END
    return [
        Finding(rule=code, severity="warning", message=told.message,
                remedy=after.get(code, told.remedy), step=told.step or 0)
        for code, told in history.vitals.warned.items()
        if code != "non_finite"  # the rule `nan` tells it
    ]  # fmt: skip


def shares(history: History) -> tuple[float | None, float | None, float | None]:
    """Returns the shares of the last steps: time that waits for data, clipped steps, useful tokens.

    None is unknown.
    """
    run = View(history, None, RULES["data-wait"])
    return run.waiting(), run.clipped(), None if (lost := run.padding()) is None else 1 - lost
