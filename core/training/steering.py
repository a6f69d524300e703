"""What clients and signals ask of the running trainer, read between micro-batches.

Commands are accepted when read and carried out at step boundaries; each gets `accepted` and
then `done` or `refused`. Commands that an earlier start left unanswered are expired.

Of several ranks the first reads, and the others take the same lines at the next `settle`: what is
decided right after one is decided alike everywhere.
"""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

import msgspec

from .. import control, events
from ..rundir import RunDir
from ..tail import Tail
from .report import Report


class _Asked(msgspec.Struct):
    """What was asked since ranks were last told; the signal is told again each time."""

    commands: list[control.Command] = []
    signal: str | None = None


class Steering:
    """Pending requests: `stop`, `checkpoint` and a new learning rate.

    `learning_rate_factor` multiplies the schedule from now on; it is kept through resume.
    """

    def __init__(self, run: RunDir, report: Report, *, reads: bool = True) -> None:
        """Prepares.

        Args:
            run: Its `control.jsonl` is read.
            report: Told the answers.
            reads: Whether this is the rank that reads; the others take what it shares.
        """
        self._report = report
        self._tail = Tail(run.control)
        self._events = run.events
        self._reads = reads
        self._unshared = _Asked()
        self._caught: str | None = None
        self._signal: str | None = None
        self.share: Callable[[bytes], bytes] = lambda data: data
        """Gives every rank what the first one gives; several ranks set theirs."""
        self.learning_rate_factor = 1.0
        self.stop: control.Command | None = None
        self.checkpoints: list[control.Command] = []
        self.learning_rates: list[control.Command] = []

    def catch_signals(self) -> None:
        """SIGTERM and SIGINT stop after the step, without the adapter; a second exits at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._caught is not None:
            os.write(sys.stderr.fileno(), b"second signal: exiting at once\n")
            os._exit(128 + number)
        self._caught = signal.Signals(number).name

    @property
    def stopping(self) -> bool:
        """Whether the trainer was asked to end."""
        return self.stop is not None or self._signal is not None

    @property
    def stopped_by(self) -> str:
        """Who asked the trainer to end, in words."""
        return f"asked by {self.stop.by}" if self.stop else f"signal {self._signal}"

    @property
    def wants_adapter(self) -> bool:
        """Whether the adapter is written before the end: a command asks for it, a signal not."""
        return self._signal is None

    def expire_old(self) -> None:
        """Answers every command that an earlier start never finished, and skips the answered."""
        open_ids = self._unanswered()
        for line in self._tail.read():
            command = control.decode(line)
            if command is not None and command.id in open_ids:
                self._answer(command, "expired", reason="the trainer ended before it was done")

    def _unanswered(self) -> set[str]:
        asked = {
            command.id
            for line in Tail(self._tail.path).read()
            if (command := control.decode(line)) is not None
        }
        tail = Tail(self._events)
        while lines := tail.read():
            for line in lines:
                if not line.startswith(b'{"type":"control"'):
                    continue
                try:
                    event = events.decode(line)
                except ValueError:
                    continue  # a torn line of an earlier start; its readers report it
                if isinstance(event, events.Control) and event.outcome in control.FINAL_OUTCOMES:
                    asked.discard(event.id)
        return asked

    def poll(self) -> None:
        """Reads new commands and answers each with `accepted` or `refused`."""
        self._report.tick()
        if not self._reads:
            return
        for line in self._tail.read():
            command = control.decode(line)
            if command is not None:
                self._unshared.commands.append(command)
                self._take(command)

    def settle(self) -> None:
        """Reads, and brings every rank to the same state; decisions follow it without a `poll`."""
        self.poll()
        self._unshared.signal = self._caught
        asked = msgspec.json.decode(self.share(msgspec.json.encode(self._unshared)), type=_Asked)
        self._unshared = _Asked()
        self._signal = asked.signal
        if not self._reads:
            for command in asked.commands:
                self._take(command)

    def _take(self, command: control.Command) -> None:
        if command.command == "stop":
            if self.stop is not None:
                self._answer(command, "refused", reason="the run is stopping already")
                return
            self.stop = command
        elif command.command == "checkpoint":
            self.checkpoints.append(command)
        elif command.command == "set":
            rate = command.learning_rate
            if rate is None or not 0 < rate <= 1:
                reason = f"learning_rate must be a number > 0 and ≤ 1; got {rate}"
                self._answer(command, "refused", reason=reason)
                return
            self.learning_rates.append(command)
        else:
            known = ", ".join(control.COMMANDS)
            self._answer(command, "refused", reason=f"this trainer knows {known}")
            return
        self._answer(command, "accepted")

    def done(
        self,
        command: control.Command,
        *,
        old: float | None = None,
        new: float | None = None,
        reason: str | None = None,
    ) -> None:
        """Answers a command that was carried out, with the old and new value where it has one."""
        self._answer(command, "done", old=old, new=new, reason=reason)

    def refuse(self, command: control.Command, reason: str) -> None:
        """Answers a command that was accepted and cannot be carried out."""
        self._answer(command, "refused", reason=reason)

    def refuse_open(self, reason: str) -> None:
        """Answers everything that was accepted and will not be carried out any more."""
        pending = [*self.checkpoints, *self.learning_rates, *([self.stop] if self.stop else [])]
        for command in pending:
            self.refuse(command, reason)

    def _answer(
        self,
        command: control.Command,
        outcome: str,
        *,
        old: float | None = None,
        new: float | None = None,
        reason: str | None = None,
    ) -> None:
        self._report.emit(
            events.Control(
                id=command.id,
                command=command.command,
                by=command.by,
                outcome=outcome,
                old=old,
                new=new,
                step=self._report.step,
                reason=reason,
            )
        )
