"""`stop`, `checkpoint`, `set` and `kill`: ask a trainer, and wait for its answer."""

import argparse
import json
import time
from pathlib import Path

from ...core import control, events, launch
from ...core.errors import SftError, UsageError
from ...core.rundir import RunDir, find_run, lock_is_free
from ...core.status import status_of
from ...core.tail import Tail
from ...core.text import one_line
from .. import plain

REMIND_S = 30.0


def ask(arguments: argparse.Namespace) -> int:
    """Asks for `stop` or `checkpoint` and waits until it is done."""
    return _ask(_run(arguments), arguments.command, arguments.json)


def change(arguments: argparse.Namespace) -> int:
    """Changes the learning rate of a running run."""
    key, _, text = arguments.assignment.partition("=")
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if key != "learning_rate" or not 0 < value <= 1:
        raise UsageError(
            f"{arguments.assignment!r} cannot be set",
            "only learning_rate can be changed while training, to a number > 0 and ≤ 1",
            "such as learning_rate=1e-5",
        )
    return _ask(_run(arguments), "set", arguments.json, learning_rate=value)


def kill(arguments: argparse.Namespace) -> int:
    """Kills the trainer's process group; only complete checkpoints stay."""
    run = _run(arguments)
    pid = launch.kill(run)
    status = status_of(run)
    if arguments.json:
        print(json.dumps({"run": run.id, "pid": pid, "status": status.word}))
    else:
        print(f"killed pid {pid}; {status.word.upper()} {status.reason}")
    return 0


def _run(arguments: argparse.Namespace) -> RunDir:
    return find_run(arguments.run, Path(arguments.runs) if arguments.runs else None)


def _ask(run: RunDir, command: str, as_json: bool, **values: float) -> int:
    status = status_of(run)
    if not status.may_speak:
        raise SftError(
            f"{run.id} cannot be asked to {command}",
            f"no trainer is at work: it is {status.word}",
            f"`sft-tui resume {run.id}` goes on with it"
            if status.word != "finished"
            else "start a new run from its config.yaml",
        )
    tail = Tail(run.events)
    while tail.read():
        pass  # only answers that come from now on are of interest
    request = control.append(run.control, command, **values)
    if not as_json:
        plain.say(f"{command} asked; the trainer answers between micro-batches")
    answer = _await_answer(run, tail, request, as_json)
    if as_json:
        print(events.encode(answer).decode(), end="")
    else:
        change = f" {answer.old:.3g} → {answer.new:.3g}" if answer.new is not None else ""
        reason = f": {answer.reason}" if answer.reason else ""
        plain.say(one_line(f"{command} {answer.outcome}{change}{reason}"))
    if command == "stop" and answer.outcome == "done":
        _await_end(run)
    return 0 if answer.outcome == "done" else 1


def _await_answer(run: RunDir, tail: Tail, request: str, as_json: bool) -> events.Control:
    """Returns the final answer to a request.

    Raises:
        SftError: The trainer ended without answering.
    """
    asked = time.monotonic()
    reminded = False
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
        if not reminded and time.monotonic() - asked > REMIND_S:
            reminded = True
            if not as_json:
                plain.say(f"not done yet: the trainer is {status.word} ({status.phase})")
        time.sleep(0.1)


def _await_end(run: RunDir, timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    # Until the lock is free too: what follows, such as a resume, must find the trainer gone.
    while time.monotonic() < deadline and (status_of(run).active or not lock_is_free(run)):
        time.sleep(0.05)
