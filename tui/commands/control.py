"""`stop`, `pause`, `set`, `extend`, `kill` and their like: ask a trainer, wait for its answer."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from ...core import control, events, going_on, launch, yaml12
from ...core.errors import SftError, UsageError
from ...core.find import find_run
from ...core.process import halted
from ...core.rundir import RunDir, lock_is_free
from ...core.status import HALTED, Status, refuse_unheard, status_of
from ...core.tail import Tail
from ...core.text import one_line
from .. import plain

REMIND_S = 30.0
HALTED_S = 2.0
"""From when on it is said that a process stands still."""


def ask(arguments: argparse.Namespace) -> int:
    """Asks for what takes no value, such as `stop`, and waits until it is done."""
    return _ask(_run(arguments), arguments.command, arguments.json)


def change(arguments: argparse.Namespace) -> int:
    """Changes a value of a running run."""
    values = _values("set", arguments.assignment, "learning_rate=1e-5")
    return _ask(_run(arguments), "set", arguments.json, **values)


def extend(arguments: argparse.Namespace) -> int:
    """Gives a run a new end: asks its trainer, or resumes it where none is at work."""
    values = _values("extend", arguments.assignment, "max_steps=200")
    run = _run(arguments)
    if status_of(run).may_speak:
        return _ask(run, "extend", arguments.json, **values)
    from .train import go_on

    sets = [f"train.{key}={value}" for key, value in values.items()]
    if "max_steps" not in values:  # which counts more than epochs where both are given
        sets.append("train.max_steps=null")
    going_on.refuse_shorter(run, sets)
    return go_on(run, arguments, sets)


def _values(command: str, assignment: str, example: str) -> dict[str, Any]:
    """Returns the value that a command is given, by its key.

    Raises:
        UsageError: No trainer takes it.
    """
    key, _, text = assignment.partition("=")
    try:
        values = {key: yaml12.scalar_of(text)}
    except ValueError:
        values = {key: text}
    if (wrong := control.problem(command, values)) is not None:
        what = {"set": "set", "extend": "a run's new end"}[command]
        raise UsageError(f"{assignment!r} cannot be {what}", wrong, f"such as {example}")
    return values


def kill(arguments: argparse.Namespace) -> int:
    """Kills the trainer's process group; only complete checkpoints stay."""
    run = _run(arguments)
    pid = launch.kill(run)
    status = status_of(run)
    if arguments.json:
        print(json.dumps({"run": run.id, "pid": pid, "status": status.word}))
    else:
        saved = run.complete_checkpoints()
        left = f"checkpoint {saved[-1][0]} is left" if saved else "there is no checkpoint yet"
        goes_on = "goes on from there" if saved else "begins it anew"
        print(f"killed pid {pid}; {left}: sft-tui resume {run.id} {goes_on}")
    return 0


def _run(arguments: argparse.Namespace) -> RunDir:
    return find_run(arguments.run, Path(arguments.runs) if arguments.runs else None)


def _ask(run: RunDir, command: str, as_json: bool, **values: Any) -> int:
    refuse_unheard(run, command)
    tail = Tail(run.events)
    while tail.read():
        pass  # only answers that come from now on are of interest
    request = control.append(run.control, command, **values)
    if not as_json:
        plain.say(
            f"{command} asked; the trainer answers between micro-batches{_seen(run, command)}"
        )
    answer = _await_answer(run, tail, request, as_json)
    if as_json:
        print(events.encode(answer).decode(), end="")
    else:
        change = _change(answer)
        reason = f": {answer.reason}" if answer.reason else ""
        plain.say(one_line(f"{command} {answer.outcome}{change}{reason}"))
    if command in ("stop", "pause") and answer.outcome == "done":
        _await_end(run)
    return 0 if answer.outcome == "done" else 1


def _seen(run: RunDir, command: str) -> str:
    """Returns where that is seen which a command makes, and no answer holds."""
    if command != "sample":
        return ""
    return f". Its answers come into Play and into `sft-tui show {run.id} --json`, as samples"


def _change(answer: events.Control) -> str:
    """Returns what a command changed: nothing, a value and its new one, or what was found."""
    if answer.outcome != "done" or (answer.key is None and answer.new is None):
        return ""
    old, new = (
        "null" if value is None else f"{float(value):.6g}" for value in (answer.old, answer.new)
    )
    if answer.key is None:
        return f": loss {new}"
    return f" {answer.key} {old} → {new}"


def _await_answer(run: RunDir, tail: Tail, request: str, as_json: bool) -> events.Control:
    """Returns the final answer to a request.

    Raises:
        SftError: The trainer ended without answering.
    """
    asked, told = time.monotonic(), ""
    while True:
        status = status_of(run)
        for line in tail.read():
            try:
                event = events.decode(line)
            except ValueError:
                continue  # a damaged line holds no answer
            if isinstance(event, events.Control) and event.id == request:
                if event.outcome in control.FINAL_OUTCOMES:
                    return event
                if not as_json:
                    plain.say(f"{event.command} {event.outcome} at step {event.step}")
        if not status.may_speak:
            raise SftError(
                f"{run.id} did not answer",
                f"its trainer ended first: {status.word}, {status.reason or 'no reason given'}",
                status.remedy or f"`sft-tui show {run.id}` tells more",
            )
        if (why := _why_not_yet(run, status, time.monotonic() - asked)) and why != told:
            told = why
            print(one_line(f"not done yet: {why}"), file=sys.stderr, flush=True)
        time.sleep(0.1)


def _why_not_yet(run: RunDir, status: Status, waited_s: float) -> str:
    """Returns why an answer may not have come for so long; "" while it is too soon to say."""
    record = run.process_record()
    if waited_s > HALTED_S and record is not None and halted(record):
        return f"{HALTED}. `kill -CONT {record.pid}` lets it go on; Ctrl+C leaves it asked"
    return f"the trainer is {status.word} ({status.phase})" if waited_s > REMIND_S else ""


def _await_end(run: RunDir, timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    # Until the lock is free too: what follows, such as a resume, must find the trainer gone.
    while time.monotonic() < deadline and (status_of(run).active or not lock_is_free(run)):
        time.sleep(0.05)
