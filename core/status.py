"""What a run is doing, derived from its files: one vocabulary for every screen and command.

Words: preparing, running, evaluating, saving, pausing, paused, stopping, stopped, finished,
failed, crashed, stalled, unknown. Screens write them in capitals, JSON in lower case.
"""

import os
import stat
import statistics
import time

import msgspec

from . import events
from .errors import SftError
from .last_words import KILLED, end_of_log, last_words
from .process import alive, halted
from .regular import open_regular
from .rundir import RunDir, free_bytes
from .tail import last_lines

ACTIVE = ("preparing", "running", "evaluating", "saving", "pausing", "stopping", "stalled")
ILL = ("failed", "crashed")
"""How a run ends that did not end as it should."""
_WORD_OF_PHASE = {
    "training": "running",
    "evaluating": "evaluating",
    "sampling": "evaluating",
    "saving": "saving",
}
_ENDING = {"stop": "stopping", "pause": "pausing"}
HALTED = "its process is halted, as by SIGSTOP or Ctrl+Z"
_WINDOW_BYTES = 1 << 17
_START_GRACE_S = 15.0
_SILENT_S = 12.0  # heartbeats come every 10 s
_NO_ROOM_BYTES = 1 << 16


class Status(msgspec.Struct, frozen=True):
    """A run's state: the word, the open phase, why it ended, what to do, when it last spoke."""

    word: str
    phase: str | None = None
    reason: str | None = None
    remedy: str | None = None
    last_t: float | None = None

    @property
    def active(self) -> bool:
        """Whether a trainer is at work."""
        return self.word in ACTIVE

    @property
    def may_speak(self) -> bool:
        """Whether more may come: a trainer is at work, or is on a host that cannot be asked."""
        return self.active or (self.word == "unknown" and self.last_t is not None)


def status_of(run: RunDir, now: float | None = None) -> Status:
    """Returns the status of a run from the end of its events and its process.

    Args:
        run: The run.
        now: Seconds since the epoch; the clock's when left out.
    """
    now = time.time() if now is None else now
    if (problem := _unreadable(run)) is not None:
        return Status("unknown", None, problem, "check who owns the folder, and its rights")
    record = run.process_record()
    living = alive(record) if record is not None else None
    # Read after it was asked whether the trainer lives: what it told at its end is there by then.
    recent = _recent(run)
    last = _last_telling(recent)
    last_t = recent[-1].t if recent else None
    if isinstance(last, events.RunFinished):
        if living and _wrote_after(run, last.t):
            return Status("preparing", "loading_model", None, None, last_t)
        return _ended(run, last)
    if record is None:
        return _before_the_process(run, now)
    if living is None:
        silent = f"last heard {_span(now - last_t)} ago on {record.host}" if last_t else None
        return Status("unknown", None, silent, f"look on {record.host}", last_t)
    if not living:
        return _crashed(run, record.pid, last_t)
    phase = _open_phase(recent)
    word = _WORD_OF_PHASE.get(phase, "preparing")
    if (free := _lacks_room(run, recent, now)) is not None and not halted(record):
        return Status(
            "stalled",
            phase,
            f"its disk is full: {free:,} bytes free; the trainer waits for room",
            f"free space where {run.path} lies: it goes on by itself; after a minute it gives up",
            last_t,
        )
    if (ending := _ending(recent)) is not None:
        word = ending
    elif phase == "training" and _is_stalled(recent, now):
        if halted(record):
            why, first = HALTED, f"`kill -CONT {record.pid}` lets it go on"
        else:
            why = f"no step and no progress for {_span(now - _last_progress_t(recent))}"
            first = f"read {run.log}"
        remedy = f"{first}, or `sft-tui kill {run.id}`, then {how_to_go_on(run)}"
        return Status("stalled", phase, f"{why}; {_saved(run)}", remedy, last_t)
    return Status(word, phase, None, None, last_t)


def refuse_unheard(run: RunDir, command: str) -> None:
    """Refuses a command that no trainer would read.

    Raises:
        SftError: None is at work.
    """
    status = status_of(run)
    if not status.may_speak:
        raise SftError(
            f"{run.id} cannot be asked to {command}",
            f"no trainer is at work: it is {status.word}",
            f"`sft-tui resume {run.id}` goes on with it"
            if status.word != "finished"
            else "start a new run from its config.yaml",
        )


def _wrote_after(run: RunDir, end_t: float) -> bool:
    """Returns whether a trainer wrote who it is after an earlier one told its end."""
    try:
        return run.process.stat().st_mtime > end_t
    except OSError:
        return False


def _unreadable(run: RunDir) -> str | None:
    """Returns why the events cannot be read though they are there; None where they can."""
    try:
        if not stat.S_ISREG(run.events.stat().st_mode):
            return f"{run.events.name} is not a file: {run.events}"
        with open_regular(run.events):
            return None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return f"{run.events.name} cannot be read: {error.strerror}: {run.events}"


def _recent(run: RunDir) -> list[events.Event]:
    """Returns the events at the end of the file, from the last start's beginning if in reach."""
    size = _WINDOW_BYTES
    while True:
        try:
            lines = last_lines(run.events, size)
            whole = run.events.stat().st_size <= size
        except OSError:  # not there yet, removed, or not ours to read: `_unreadable` tells
            return []
        found: list[events.Event] = []
        for line in lines:
            try:
                event = events.decode(line)
            except ValueError:
                continue  # a damaged line; readers of the whole file count and report it
            if event is not None:
                found.append(event)
        # Heartbeats and hardware alone do not tell the phase: look further back.
        if whole or _last_telling(found) is not None:
            return found
        size *= 8


def _last_telling(recent: list[events.Event]) -> events.Event | None:
    quiet = (events.Heartbeat, events.System, events.Control, events.Warning_)
    return next((event for event in reversed(recent) if not isinstance(event, quiet)), None)


def _open_phase(recent: list[events.Event]) -> str:
    """Returns the phase that lasts now; a step is only ever written while training."""
    for event in reversed(recent):
        if isinstance(event, events.Step):
            return "training"
        if isinstance(event, events.Phase):
            return event.name
    return "loading_model"


def _this_start(recent: list[events.Event]) -> list[events.Event]:
    """Returns the events after the last end of an earlier start."""
    for index in range(len(recent) - 1, -1, -1):
        if isinstance(recent[index], events.RunFinished):
            return recent[index + 1 :]
    return recent


def _ending(recent: list[events.Event]) -> str | None:
    """Returns stopping or pausing where this start took such a command: so until its last event."""
    asked = [
        event
        for event in _this_start(recent)
        if isinstance(event, events.Control)
        and event.command in _ENDING
        and event.outcome != "refused"
    ]
    if asked and asked[-1].outcome in ("accepted", "done"):
        return _ENDING[asked[-1].command]
    return None


def _last_progress_t(recent: list[events.Event]) -> float:
    """Returns when a step or the heartbeat's progress counter last moved."""
    moved = recent[0].t if recent else 0.0
    progress: int | None = None
    for event in recent:
        if isinstance(event, events.Heartbeat):
            if event.progress != progress:
                moved = event.t
            progress = event.progress
        elif not isinstance(event, events.System):
            moved = event.t
    return moved


def _is_stalled(recent: list[events.Event], now: float) -> bool:
    steps = [event for event in recent if isinstance(event, events.Step)]
    times = [step.step_s for step in steps if step.step_s is not None]
    patience = max(60.0, 10 * statistics.median(times)) if times else 60.0
    return now - _last_progress_t(recent) > patience


def _lacks_room(run: RunDir, recent: list[events.Event], now: float) -> int | None:
    """Returns how little is free where a run lies that cannot even write its heartbeats."""
    if not recent or now - recent[-1].t < _SILENT_S:
        return None
    free = free_bytes(run.path)
    return free if free is not None and free < _NO_ROOM_BYTES else None


def _before_the_process(run: RunDir, now: float) -> Status:
    if not os.path.isdir(run.path):
        return Status("unknown", None, "the folder is gone", "look where it was moved, or mount it")
    try:
        made = run.config.stat().st_mtime
    except OSError:
        return _without_configuration(run, now)
    if now - made < _START_GRACE_S:
        return Status("preparing", "loading_model", None, None, made)
    return Status(
        "crashed",
        None,
        f"the trainer never started{end_of_log(last_words(run))}",
        f"read {run.log}, then `sft-tui resume {run.id}`"
        if run.log.exists()
        else f"`sft-tui resume {run.id}` starts it",
        made,
    )


def _without_configuration(run: RunDir, now: float) -> Status:
    """Returns what a folder is that holds none: a start that came no further, or something else."""
    try:
        made = run.path.stat().st_mtime
        others = [name for name in os.listdir(run.path) if not _is_of_a_start(run, name)]
    except OSError:
        made, others = now, ["?"]
    if others:
        return Status(
            "unknown",
            None,
            "the folder has no config.yaml: it is damaged, or not a run",
            f"look at the files in {run.path}; delete the folder if nothing in it is of use",
        )
    if now - made < _START_GRACE_S:
        return Status("preparing", "loading_model", None, None, made)
    return Status(
        "failed",
        None,
        f"it never started: its folder holds no configuration{end_of_log(last_words(run))}",
        f"`sft-tui delete {run.id}` takes the folder away: nothing was trained",
    )


def _is_of_a_start(run: RunDir, name: str) -> bool:
    """Whether a start makes an entry of this name before anything is trained."""
    return name.startswith(".") or name in (run.log.name, run.lock.name)


def _ended(run: RunDir, last: events.RunFinished) -> Status:
    """Returns the end that a trainer told; one that was asked for, with where it goes on."""
    reason, remedy = last.reason, last.remedy
    if last.status in ("stopped", "paused"):
        saved = newest_checkpoint(run)
        held = "no checkpoint is there" if saved is None else f"checkpoint step-{saved}"
        where = held if last.step is None else f"at step {last.step}, {held}"
        reason = f"{where}; {reason}" if reason else where
        remedy = remedy or how_to_go_on(run)
    return Status(last.status, None, reason, remedy, last.t)


def _crashed(run: RunDir, pid: int, last_t: float | None) -> Status:
    where = _saved(run)
    said = last_words(run)
    if said.startswith(KILLED):
        why = f"the trainer (pid {pid}) was killed by {said.removeprefix(KILLED)}; {where}"
    else:
        why = (
            f"the trainer (pid {pid}) is gone without a word (killed, out of memory, or a reboot); "
            f"{where}{end_of_log(said)}"
        )
    return Status(
        "crashed",
        None,
        why,
        how_to_go_on(run),
        last_t,
    )


def how_to_go_on(run: RunDir, changed: str = "") -> str:
    """Returns the command that resumes a run, with what is to be changed, and from where it does.

    Example: `sft-tui resume mine --set KEY=VALUE` continues from step 5
    """
    saved = newest_checkpoint(run)
    goes = "starts again from step 0" if saved is None else f"continues from step {saved}"
    return f"`sft-tui resume {run.id}{changed}` {goes}"


def with_room(run: RunDir) -> str:
    """Returns what to do where a full disk ended a run."""
    return f"free space where the run lies, then {how_to_go_on(run)}"


def newest_checkpoint(run: RunDir) -> int | None:
    """Returns the step of the newest complete checkpoint that can be seen, or None."""
    try:
        saved = run.complete_checkpoints()
    except OSError:  # not ours to read
        return None
    return saved[-1][0] if saved else None


def _saved(run: RunDir) -> str:
    saved = newest_checkpoint(run)
    return "no checkpoint yet" if saved is None else f"last complete checkpoint: step {saved}"


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
