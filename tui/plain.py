"""A run in plain lines: one per change, its state as the first word, no escape codes.

The way to follow a run off a terminal, in a log, or with a screen reader.
"""

import sys
import time
from collections.abc import Callable

from ..core import events
from ..core.config import RunConfig
from ..core.health.findings import Finding, findings
from ..core.history import History, Told
from ..core.rundir import RunDir
from ..core.status import Status, status_of
from ..core.summary import is_resuming, newest_config
from ..core.tail import Tail
from ..core.text import one_line
from .format import amount, number, rate, sentences, time_left

QUIET_S = 10.0
"""Shortest time between two lines of progress; a change of state is told at once."""
POLL_S = 0.25


class Follower:
    """Follows one run and prints its changes until it ends.

    Args:
        run: The run.
        out: Takes each line.
        poll_child: Reaps the trainer where this process started it.
    """

    def __init__(
        self,
        run: RunDir,
        out: Callable[[str], None],
        poll_child: Callable[[], object] = lambda: None,
    ) -> None:
        self.run = run
        self.history = History()
        self._tail = Tail(run.events)
        self._out = out
        self._poll_child = poll_child
        self._config, _ = newest_config(run)
        self._firing: dict[str, Finding] = {}
        self._judged_t = -QUIET_S
        self._told: str = ""
        self._told_word = ""
        self._told_t = 0.0

    def follow(self) -> Status:
        """Prints changes until no trainer is at work; returns the last status."""
        self._read(quiet=True)  # what happened before is in the first line, not told again
        while True:
            self._poll_child()
            status = status_of(self.run)
            self._read()
            self._tell(status)
            self._tell_health(status)
            if not status.may_speak:
                return status
            time.sleep(POLL_S)

    def _read(self, *, quiet: bool = False) -> None:
        try:
            while block := self._tail.read_block():
                for event in self.history.add_lines(block):
                    if not quiet:
                        self._tell_event(event)
        except OSError:  # not ours to read, or the disk fails: the status says so
            return

    def _tell_event(self, event: Told) -> None:
        match event:
            case events.Eval():
                text = f"evaluation after step {event.step}: loss {number(event.loss)}"
            case events.Checkpoint():
                text = f"checkpoint {event.step} saved ({event.bytes / 2**20:.1f} MiB)"
            case events.Warning_():
                text = f"warning: {sentences(event.message, event.remedy)}"
            case events.Control() if event.outcome != "accepted":
                text = f"{event.command} by {event.by}: {event.outcome} {event.reason or ''}"
            case _:
                return
        self._out(f"{status_of(self.run).word.upper()} {one_line(text)}")

    def _tell_health(self, status: Status) -> None:
        """Says which rules fire now and did not before, and which no longer do."""
        now = time.monotonic()
        if status.may_speak and now - self._judged_t < QUIET_S:
            return  # what hovers about a threshold would fill the screen
        self._judged_t = now
        found = findings(self.history, active=status.active, config=self._config)
        firing, word = {each.rule: each for each in found}, status.word.upper()
        for rule, told in firing.items():
            if rule not in self._firing:
                said = sentences(told.message, told.remedy)
                self._out(one_line(f"{word} health: {told.severity} {rule}: {said}"))
        for rule in self._firing:
            if rule not in firing and status.may_speak:  # else it is silent, not over
                self._out(f"{word} health: {rule} is over")
        self._firing = firing

    def _tell(self, status: Status) -> None:
        line = progress_line(status, self.history, self._config)
        now = time.monotonic()
        new_word = status.word != self._told_word
        if line == self._told or (not new_word and now - self._told_t < QUIET_S):
            return
        self._told, self._told_word, self._told_t = line, status.word, now
        self._out(line)


def progress_line(status: Status, history: History, config: RunConfig | None) -> str:
    """Returns a run's state, step, loss, speed and time left on one line; unknown is "–"."""
    parts = [status.word.upper()]
    phase = history.phase
    if status.word in ("preparing", "evaluating", "saving") and phase is not None:
        parts.append(phase.name.replace("_", " ") + amount(phase))
    if is_resuming(status, history):
        parts.append(f"before: {earlier(history)}")
        return "  ".join(parts)
    if history.started is not None:
        total = history.total_steps
        share = f" {history.step / total:.0%}" if total else ""
        parts.append(f"step {history.step}/{total or '–'}{share}")
    if history.steps:
        last = history.steps[-1]
        parts.append(f"loss {number(last.loss)}")
        parts.append(f"lr {rate(last.learning_rate)}")
    if history.evals:
        parts.append(f"eval {number(history.evals[-1].loss)} at {history.evals[-1].step}")
    if status.active and history.steps:
        speed = history.tokens_per_s()
        parts.append(f"{speed:,.0f} tok/s" if speed else "– tok/s")
        parts.append(f"ETA {time_left(status, history, config)}")
    if status.reason:
        parts.append(one_line(status.reason))
    if status.remedy:
        parts.append(f"do: {one_line(status.remedy)}")
    return "  ".join(parts)


def earlier(history: History) -> str:
    """Returns how far a run had come that is being started again."""
    last = history.steps[-1] if history.steps else None
    loss = number(last.loss if last else None)
    return f"step {history.step} of {history.total_steps or '–'}, loss {loss}"


def say(line: str) -> None:
    """Prints a line at once, also into a pipe."""
    print(line, flush=True)


def print_events(run: RunDir, poll_child: Callable[[], object] = lambda: None) -> Status:
    """Prints a run's events as they stand in its file, until it ends; returns its last status."""
    tail = Tail(run.events)
    while True:
        poll_child()
        status = status_of(run)
        while lines := _lines(tail):
            sys.stdout.write("".join(line.decode("utf-8", "replace") + "\n" for line in lines))
            sys.stdout.flush()
        if not status.may_speak:
            return status
        time.sleep(POLL_S)


def _lines(tail: Tail) -> list[bytes]:
    try:
        return tail.read()
    except OSError:  # not ours to read, or the disk fails: the status says so
        return []
