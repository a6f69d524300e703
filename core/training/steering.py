"""What clients and signals ask of the running trainer, read between micro-batches.

Commands are accepted when read and carried out at step boundaries; each gets `accepted` and
then `done` or `refused`. Commands that an earlier start left unanswered are expired, and what
was changed after the checkpoint that a resumed run goes on from is changed again.

Of several ranks the first reads, and the others take the same commands at the next `settle`: what
is decided right after one is decided alike everywhere.
"""

import copy
import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

import msgspec

from .. import control, events
from ..rundir import RunDir
from ..tail import Tail
from .report import Report

_DUMP_POLL_S = 0.5
CHANGES = ("set", "extend")


@dataclass(frozen=True)
class Recalled:
    """A change that an earlier start made after its step `step`."""

    step: int
    key: str
    value: float | None


class _Asked(msgspec.Struct):
    """What was asked since ranks were last told; the signal is told again each time."""

    commands: list[control.Command] = []
    signal: str | None = None


class Steering:
    """What is asked and not done yet: `end`, which is a stop or a pause, and `waiting`."""

    def __init__(self, run: RunDir, report: Report, *, reads: bool = True) -> None:
        """Prepares. What is asked from now on is asked of this start.

        Args:
            run: Its `control.jsonl` is read.
            report: Told the answers.
            reads: Whether this is the rank that reads; the others take what it shares.
        """
        self._report = report
        self._tail = Tail(run.control)
        _, self._earlier_bytes = self._tail.progress()
        self._events = run.events
        self._reads = reads
        self._unshared = _Asked()
        self._caught: str | None = None
        self._signal: str | None = None
        self.share: Callable[[bytes], bytes] = lambda data: data
        """Gives every rank what the first one gives; several ranks set theirs."""
        self._no_more_dumps = threading.Event()
        self._dumper: threading.Thread | None = None
        self.end: control.Command | None = None
        self.waiting: list[control.Command] = []
        self.recalled: list[Recalled] = []
        """Of earlier starts, in order."""

    def catch_signals(self) -> None:
        """SIGTERM and SIGINT stop after the step, without the adapter; a second exits at once.

        SIGUSR1 writes the stack traces of all threads into the log, as a crash of the process
        does: also where the interpreter itself stands still.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        faulthandler.enable()
        faulthandler.register(signal.SIGUSR1)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._caught is not None:
            os.write(sys.stderr.fileno(), b"second signal: exiting at once\n")
            os._exit(128 + number)
        self._caught = signal.Signals(number).name

    @property
    def stopping(self) -> bool:
        """Whether the trainer was asked to end, for good or for a while."""
        return self.end is not None or self._signal is not None

    @property
    def end_word(self) -> str:
        """How a run that was asked to end has ended: stopped, or paused."""
        pausing = self.end is not None and self.end.command == "pause"
        return "paused" if pausing and self._signal is None else "stopped"

    @property
    def ended_by(self) -> str:
        """Who asked the trainer to end, in words."""
        return f"signal {self._signal}" if self.end is None else f"asked by {self.end.by}"

    @property
    def wants_adapter(self) -> bool:
        """Whether the adapter is written before the end: not for a pause or a signal."""
        return self._signal is None and self.end_word == "stopped"

    def read_earlier(self, first: str | None = None) -> None:
        """Answers every command that an earlier start never finished, and skips the answered.

        What was changed is kept in `recalled`.

        Args:
            first: The id of a command that this start is to carry out.
        """
        open_ids = self._unanswered()
        for line in self._tail.read(self._earlier_bytes):
            command = control.decode(line)
            if command is None or command.id not in open_ids:
                continue
            if command.id == first:
                self._accept(command)
            else:
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
                    self._recall(event)
        return asked

    def _recall(self, event: events.Control) -> None:
        if event.outcome != "done" or event.key is None or event.step is None:
            return
        # A resume went back and was told otherwise: what came later in the start before is void.
        self.recalled = [
            change
            for change in self.recalled
            if change.key != event.key or change.step < event.step
        ]
        value = None if event.new is None else float(event.new)
        self.recalled.append(Recalled(event.step, event.key, value))

    def start_dumping(self) -> None:
        """Answers `dump` from now on, in a thread: it is asked for when nothing else answers."""
        tail = copy.copy(self._tail)
        self._dumper = threading.Thread(target=self._dump, args=[tail], name="dump", daemon=True)
        self._dumper.start()

    def stop_dumping(self) -> None:
        """Ends that thread."""
        self._no_more_dumps.set()
        if self._dumper is not None:
            self._dumper.join()

    def _dump(self, tail: Tail) -> None:
        while not self._no_more_dumps.wait(_DUMP_POLL_S):
            for line in tail.read():
                command = control.decode(line)
                if command is None or command.command != "dump":
                    continue
                if (wrong := control.problem("dump", command.values)) is not None:
                    self._answer(command, "refused", reason=wrong)
                    continue
                self._answer(command, "accepted")
                print(f"stack traces, asked by {command.by}:", file=sys.stderr, flush=True)
                faulthandler.dump_traceback()
                self._answer(command, "done", reason="the stack traces are in trainer.log")

    def poll(self) -> None:
        """Reads new commands and answers each with `accepted` or `refused`."""
        self._report.tick()
        if not self._reads:
            return
        for line in self._tail.read():
            command = control.decode(line)
            if command is not None and command.command != "dump":
                self._accept(command)

    def settle(self) -> bool:
        """Reads, and brings every rank to the same state; decisions follow it without a `poll`.

        Returns:
            Whether to end.
        """
        self.poll()
        self._unshared.signal = self._caught
        asked = msgspec.json.decode(self.share(msgspec.json.encode(self._unshared)), type=_Asked)
        self._unshared = _Asked()
        self._signal = asked.signal
        if not self._reads:
            for command in asked.commands:
                self._take(command)
        return self.stopping

    def _accept(self, command: control.Command) -> None:
        """Takes a command, for every rank."""
        self._unshared.commands.append(command)
        self._take(command)

    def _take(self, command: control.Command) -> None:
        wrong = control.problem(command.command, command.values)
        if wrong is None and command.command in ("stop", "pause"):
            if self.end is None:
                self.end = command
            else:
                words = {"stop": "stopping", "pause": "pausing"}
                wrong = f"the run is {words[self.end.command]} already"
        elif wrong is None:
            self.waiting.append(command)
        if wrong is None:
            self._answer(command, "accepted")
        else:
            self._answer(command, "refused", reason=wrong)

    def asked(self, *names: str) -> list[control.Command]:
        """Returns the commands of these names that wait, each once."""
        found = [command for command in self.waiting if command.command in names]
        self.waiting = [command for command in self.waiting if command.command not in names]
        return found

    def asked_for(self, name: str) -> bool:
        """Returns whether a command of this name waits."""
        return any(command.command == name for command in self.waiting)

    def done(
        self,
        command: control.Command,
        *,
        key: str | None = None,
        old: float | None = None,
        new: float | None = None,
        reason: str | None = None,
    ) -> None:
        """Answers a command that was carried out, with the old and new value where it has one."""
        # Asked for anew: what an earlier start changed later than now counts no more.
        self.recalled = [change for change in self.recalled if change.key != key]
        self._answer(command, "done", key=key, old=old, new=new, reason=reason)

    def refuse(self, command: control.Command, reason: str) -> None:
        """Answers a command that was accepted and cannot be carried out."""
        self._answer(command, "refused", reason=reason)

    def refuse_waiting(self, reason: str) -> None:
        """Answers everything that waits and will not be carried out any more."""
        for command in self.waiting:
            self.refuse(command, reason)
        self.waiting.clear()

    def refuse_all(self, reason: str) -> None:
        """Answers what waits and the end that was asked for, where a failure came first."""
        self.refuse_waiting(reason)
        if self.end is not None:
            self.refuse(self.end, reason)

    def _answer(
        self,
        command: control.Command,
        outcome: str,
        *,
        key: str | None = None,
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
                key=key or next(iter(command.values), None),
                old=old,
                new=new,
                step=self._report.step,
                reason=reason,
            )
        )
