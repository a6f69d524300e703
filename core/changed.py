"""What clients changed of a run while it trained: its configuration does not tell of it."""

from typing import NamedTuple

from . import events
from .history import History

_SETTINGS = {
    "learning_rate": "optim.learning_rate",
    "max_steps": "train.max_steps",
    "eval_every_steps": "evaluate.every_steps",
    "save_every_steps": "save.every_steps",
}


class Change(NamedTuple):
    """A setting that was changed after a step; the rate before is what its schedule had come to."""

    step: int
    setting: str
    old: str
    new: str

    def __str__(self) -> str:
        """Returns it as a short line."""
        return f"step {self.step:,}: {self.setting} {self.old} → {self.new}"


def changes(history: History) -> list[Change]:
    """Returns the changes that the steps of a run were done with, by their steps.

    Where a resume went back and a setting was changed anew, what came later before is void, as
    for the trainer; of several changes after one step the last holds.
    """
    found: list[Change] = []
    for event in history.controls:
        setting = _SETTINGS.get(event.key or "")
        if setting is None or event.outcome != "done" or event.step is None:
            continue
        again = [each for each in found if each.setting == setting and each.step >= event.step]
        found = [each for each in found if each not in again]
        old = next((each.old for each in again if each.step == event.step), _shown(event.old))
        found.append(Change(event.step, setting, old, _shown(event.new)))
    done = [each for each in found if each.step <= history.step and each.old != each.new]
    return sorted(done, key=lambda each: each.step)


def _shown(value: events.Number) -> str:
    return "null" if value is None else f"{float(value):.10g}"
