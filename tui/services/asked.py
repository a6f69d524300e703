"""What clients asked of a trainer that has not answered: every viewer sees it, with who asked.

A plain object: the feed reads `control.jsonl`, the model says what was answered.
"""

from collections.abc import Sequence

from ...core import events
from ...core.control import Command
from ...core.history import History
from ...core.status import HALTED, Status
from ...core.text import one_line
from .. import clocks
from ..format import amount

PATIENCE_S = 30.0
"""After so long it is said why a command may wait."""


def in_words(command: str, t: float, by: str) -> str:
    """Returns the sentence for a command that was asked."""
    return f"{command} asked {clocks.at(t, '%H:%M:%S')} by {by}, waiting for the trainer."


class Asked:
    """The commands that wait for an answer."""

    def __init__(self) -> None:
        self._open: dict[str, Command] = {}
        self._answered: set[str] = set()
        self._explained: set[str] = set()

    def answer(self, told: events.Control) -> None:
        """Notes that the trainer has read a command."""
        self._answered.add(told.id)
        self._open.pop(told.id, None)

    def add(self, commands: Sequence[Command]) -> None:
        """Notes commands that were found in the file."""
        self._open |= {each.id: each for each in commands if each.id not in self._answered}

    def newest(self, commands: Sequence[Command]) -> str | None:
        """Returns in words the last of these commands that waits."""
        waits = [each for each in commands if each.id in self._open]
        return one_line(in_words(waits[-1].command, waits[-1].t, waits[-1].by)) if waits else None

    def overdue(
        self, status: Status, history: History, halted: int | None, now: float
    ) -> str | None:
        """Returns why the oldest command that waits for long may wait; said once for each.

        Args:
            status: Of the run.
            history: Of the run.
            halted: The pid of the trainer where its process stands still.
            now: In seconds since the epoch.
        """
        if not status.active:
            return None
        for command in self._open.values():
            if command.id in self._explained or now - command.t < PATIENCE_S:
                continue
            self._explained.add(command.id)
            phase = history.phase
            why = f"the trainer is alive and {status.word}{amount(phase) if phase else ''}"
            if halted is not None:
                why = f"{HALTED}. `kill -CONT {halted}` lets it go on"
            asked = clocks.at(command.t, "%H:%M:%S")
            return one_line(f"{command.command} asked {asked} is not read yet: {why}.")
        return None
