"""The tracker's process: `python -P -m sft_tui.core.track RUN_DIRECTORY KIND PROJECT`.

Follows `events.jsonl` and hands its numbers over. Started by the trainer, which it can neither
slow nor stop; the end of its input says that the trainer is done or gone, and that nothing
more will come. Output goes to `track.log`, how far it came and why it failed to `track.json`.
"""

import os
import select
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

from .. import config_file, events
from ..rundir import RunDir
from ..tail import Tail
from ..text import one_line
from . import state
from .state import Followed
from .trackers import Tracker, open_tracker

POLL_S = 1.0
END_S = 30.0
"""How long the process lives at most after its trainer: to hand over the rest, and to finish."""


def main(argv: list[str]) -> int:
    """Follows one start of a run; returns 0 when all was handed over, 1 when the tracker failed."""
    run, kind, project = RunDir(Path(argv[0])), argv[1], argv[2]
    os.umask(0o077)
    os.nice(10)  # the trainer comes first
    for number in (signal.SIGTERM, signal.SIGINT):  # the trainer's to answer: its end is ours
        signal.signal(number, signal.SIG_IGN)
    over = threading.Event()
    threading.Thread(target=_outlive, args=(os.getppid(), over), daemon=True).start()

    followed = state.load(run)
    if followed is None or (followed.kind, followed.project) != (kind, project):
        followed = Followed(kind=kind, project=project)
    try:
        followed.error = None
        state.save(run, followed)
        config = config_file.load(run.configs()[-1])
        follow(run, open_tracker(kind, run, project, config), followed, over)
    except Exception as error:  # whatever a tracker raises is told, and harms nobody else
        traceback.print_exc()
        followed.error = one_line(f"{type(error).__name__}: {error}", 300)
        state.save(run, followed)
        os._exit(1)  # its threads and exit handlers may hang
    return 0


def _outlive(trainer: int, over: threading.Event) -> None:
    """Sets `over` when the trainer closed our input or is gone; ends us a while later."""
    while os.getppid() == trainer and not select.select([0], [], [], 1.0)[0]:
        pass
    over.set()
    time.sleep(END_S)
    print(f"the tracker did not finish within {END_S:.0f} s of the run's end", file=sys.stderr)
    os._exit(1)


def follow(run: RunDir, tracker: Tracker, followed: Followed, over: threading.Event) -> None:
    """Hands over what is told from `followed.offset` on, until nothing more will come."""
    tail = Tail(run.events, followed.offset)
    status = "crashed"
    while True:
        last = over.is_set()  # asked first: what is read afterwards is all there will be
        lines = tail.read()
        for event in _decoded(lines):
            status = _status(event, status)
            hand_over(event, tracker)
        tracker.flush()
        if lines:
            followed.offset = tail.progress()[0]
            state.save(run, followed)
        elif last:
            break
        else:
            over.wait(POLL_S)
    tracker.finish(status)


def _status(event: events.Event, before: str) -> str:
    match event:
        case events.RunFinished():
            return event.status
        case events.RunStarted():
            return "crashed"  # until its end is told
        case _:
            return before


def _decoded(lines: list[bytes]) -> list[events.Event]:
    """Returns the events of some lines without those that a later start among them supersedes."""
    kept: list[events.Event] = []
    for line in lines:
        try:
            event = events.decode(line)
        except ValueError:  # a damaged line, which every reader skips
            continue
        if isinstance(event, events.RunStarted):
            first = first_superseded(event)
            kept = [
                old
                for old in kept
                if not isinstance(old, events.Step | events.Eval | events.Sample)
                or old.step < first
            ]
        if event is not None:
            kept.append(event)
    return kept


def first_superseded(started: events.RunStarted) -> int:
    """Returns from which step on a start does again what was done before it."""
    return started.resumed_from_step + 1 if started.resumed_from_step else 0


def hand_over(event: events.Event, tracker: Tracker) -> None:
    """Gives a tracker what it can show of an event; numbers of a step it gets at once."""
    match event:
        case events.RunStarted():
            tracker.go_back(event.t, first_superseded(event))
        case events.Step():
            numbers = {
                "train/loss": event.loss,
                "train/learning_rate": event.learning_rate,
                "train/grad_norm": event.grad_norm,
                "train/tokens_per_s": event.tokens_per_s,
                "train/memory_bytes": event.memory_bytes,
            }
            tracker.log(event.t, event.step, _known(numbers))
        case events.Eval():
            numbers = {"eval/loss": event.loss, "eval/perplexity": event.perplexity}
            tracker.log(event.t, event.step, _known(numbers))
        case events.Sample():
            text = f"{event.prompt}\n\n{event.text}"
            tracker.sample(event.t, event.step, event.prompt_id, text)
        case _:
            pass


def _known(numbers: dict[str, float | str | None]) -> dict[str, float]:
    return {name: float(value) for name, value in numbers.items() if value is not None}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
