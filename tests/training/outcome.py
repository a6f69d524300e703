"""What one start of the recipe told and left behind."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors.torch import load_file

from sft_tui.core import events
from sft_tui.core.rundir import RunDir
from sft_tui.core.training.report import Report
from sft_tui.core.training.steering import Steering


@dataclass
class Outcome:
    """What one start of the trainer left behind."""

    run: RunDir
    last_step: int
    steering: Steering
    told: list[events.Event] = field(default_factory=list)

    def of(self, kind: type) -> list[Any]:
        """Returns the events of one kind, in order."""
        return [event for event in self.told if isinstance(event, kind)]

    @property
    def steps(self) -> list[Any]:
        return self.of(events.Step)

    @property
    def losses(self) -> list[float]:
        return [event.loss for event in self.steps]

    def warnings(self, code: str) -> list[Any]:
        return [event for event in self.of(events.Warning_) if event.code == code]

    def answers(self, command_id: str) -> list[str]:
        return [event.outcome for event in self.of(events.Control) if event.id == command_id]

    @property
    def adapter(self) -> dict[str, torch.Tensor]:
        return load_file(self.run.adapter / "adapter_model.safetensors")


class ObservedReport(Report):
    """A report that keeps its events and calls `seen` after each was written."""

    def __init__(self, run: RunDir, seen: Callable[[RunDir, events.Event], None] | None) -> None:
        super().__init__(run, disk_wait_s=0.0)
        self.kept: list[events.Event] = []
        self._seen = seen

    def emit(self, event: events.Event) -> None:
        super().emit(event)
        self.kept.append(event)
        if self._seen is not None:
            self._seen(self.run, event)
