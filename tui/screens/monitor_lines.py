"""Monitor's lines of text: pure functions from the model to what a line says."""

import math
import time
from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len

from ...core import events
from ...core.config import RunConfig
from ...core.last_words import LOG_BEGINS
from ...core.rundir import RunDir
from ...core.summary import is_resuming, method_of, speed_of
from ...core.text import one_line
from ..control_flow import READ_ONLY, remedy_in_keys
from ..format import UNKNOWN, amount, clock, number, percent, rate, speed, time_left
from ..services.run_model import RunModel
from ..theme import badge

_SMALL_BYTES = 1 << 20
"""Of a smaller file it is not told how much was read."""
_WIDE = 100
"""Columns from which on there is room for more than the five facts."""
NO_RUN = """\
No run to watch yet.

  2   Set up a run

  1   All runs"""
SEEKS = "Looking for the newest run…"
READING = "Reading…"


def run_line(run: RunDir, model: RunModel, config: RunConfig | None, width: int) -> str:
    """Returns status, name, model and data; at 80 columns also step, share and time left."""
    status = model.status
    word = badge(status.word) if model.known else READING
    if status.word == "preparing" and status.phase:
        word += f" · {status.phase.replace('_', ' ')}{amount(model.history.phase)}"
    if model.gone:
        word += "  FOLDER GONE"
    if model.silent_s:
        word += f"  NO ANSWER FROM THE DISK {model.silent_s} s"
    name, done = one_line(run.id), facts(model, config, wide=width >= _WIDE)
    if width < 60:  # too narrow for one line: the word may never be cut
        return f" {word} {name[16:]}"[:width] + "\n" + f" {done}"[:width]
    if width < _WIDE:
        return _fit(f" {word} {name[16:]}", done, width)
    trained = UNKNOWN
    if config is not None:
        data = ", ".join(Path(source.source).name for source in config.data.sources)
        trained = f"{Path(config.model.name).name} · {method_of(config)} · {data}"
    return _fit(f" {word}  {name} · {one_line(trained, 60)}", done, width)


def facts(model: RunModel, config: RunConfig | None, *, wide: bool = False) -> str:
    """Returns step of total, share, and time left; when `wide`, also by the clock."""
    if _is_reading(model) and model.reading is not None:
        done, size = model.reading
        read = f"Reading events: {done / 2**20:.0f} of {size / 2**20:.0f} MiB "
        if size < _SMALL_BYTES:
            read = "Reading events… "
        if model.ahead is None:
            return read
        known = model.ahead.history
        return f"step {known.step}/{known.total_steps or UNKNOWN}  {read}"
    step, total = model.position
    if step is None:
        return f"step {UNKNOWN}  ETA {UNKNOWN} "
    share = percent(step / total) if total else UNKNOWN
    left = time_left(model.status, model.history, config, at=time.time() if wide else None)
    return f"step {step}/{total or UNKNOWN}  {share}  ETA {left} "


def _is_reading(model: RunModel) -> bool:
    """Whether figures would only be passing ones: the file was not read to its end."""
    return not model.complete and model.reading is not None


def figures(model: RunModel, average: float | None, width: int) -> str:
    """Returns loss, average, evaluation, rate, gradient and speed of the last step."""
    history = model.history
    if _is_reading(model):
        if model.ahead is None:
            return ""
        history, average = model.ahead.history, None
    last = history.steps[-1] if history.steps else None
    before = is_resuming(model.status, history)
    newest = history.evals[-1] if history.evals else None
    evaluation = f"eval {number(newest.loss)}@{newest.step}" if newest else f"eval {UNKNOWN}"
    parts = [
        f"{'before: ' * before}loss {number(last.loss if last else None)}",
        f"EMA {number(average)}",
        evaluation + _arrow(history.evals),
        f"lr {rate(last.learning_rate if last else None)}",
        f"grad {number(last.grad_norm if last else None)}",
    ]
    right = speed(speed_of(model.status, history))
    wider: list[str] = []
    if width >= _WIDE and last is not None and not before:
        took = UNKNOWN if last.step_s is None else f"{last.step_s:.2f}"
        step, mfu = f"{right}   step {took} s", f"MFU {percent(last.mfu)}"
        wider = [f"{step}  {mfu}  up {clock(last.elapsed_s)}", step]

    def fits(right: str) -> bool:
        return cell_len("  ".join(parts)) + cell_len(right) + 3 <= width

    right = next(filter(fits, wider), right)  # what has no room is left out, but no number is cut
    if not fits(right):
        parts[2] = evaluation
    while len(parts) > 1 and not fits(right):
        parts.pop()
    return _fit(f" {'  '.join(parts)}", right + " ", width)


def _arrow(evals: Sequence[events.Eval]) -> str:
    losses = [float(each.loss) for each in evals[-2:] if each.loss is not None]
    if len(losses) < 2 or any(map(math.isnan, losses)):
        return ""
    before, now = losses
    return " ↓" if now < before else " ↑" if now > before else " ="


def progress(model: RunModel, width: int) -> str:
    """Returns the bar of steps, with the newest checkpoint."""
    if _is_reading(model):
        return ""
    saved = f"last ckpt {model.saved}"
    if model.saved is None:
        may_come = "no checkpoint yet" if model.status.may_speak else "no checkpoint"
        saved = f"ckpt {UNKNOWN}" if model.gone else may_come
    step, total = model.position
    room = width - len(saved) - 4
    if not total or room < 10:
        return f" {saved}"
    full = min(round((step or 0) / total * room), room)
    bar = ["━"] * full + ["─"] * (room - full)
    if width >= _WIDE:
        for checkpoint in model.history.checkpoints:
            bar[min(round(checkpoint.step / total * room), room - 1)] = "✓"
    return f" {''.join(bar)}  {saved}"


def why(run: RunDir, model: RunModel) -> str:
    """Returns cause and remedy of a run that did not end well, or nothing.

    The line of the log that names an error is added where the cause does not quote it.
    """
    status = model.status
    if status.word not in ("failed", "crashed", "stalled", "unknown") or not status.reason:
        return ""
    reason = one_line(status.reason)
    said = [f"{status.word.upper()}: {reason}"]
    error = one_line(important_line(model.log), 200)
    if error and status.word in ("failed", "crashed") and error.partition(": ")[2] not in reason:
        said.append(f"Log (b): {error}")
    remedy = remedy_in_keys(run.id, status.word, status.remedy, writable=model.writable)
    if remedy:
        said.append(remedy.replace(f"read {run.log}", "read the log (b)"))
    if not (model.writable or model.gone):
        said.append(READ_ONLY)
    return "\n".join(said)


def important_line(log: Sequence[str]) -> str:
    """Returns the last line of a log that names an error, or "".

    Only what the latest start wrote counts: a resume goes on in the same log.
    """
    for line in reversed(log):
        if line.endswith(LOG_BEGINS.strip()):
            return ""
        name, colon, _ = line.partition(": ")
        if colon and name.endswith(("Error", "Exception", "Interrupt")) and " " not in name:
            return line
    return ""


def no_point_yet(model: RunModel) -> str:
    """Returns what an empty chart says: what is being waited for."""
    if not model.complete:
        return READING
    if not model.status.active:
        return "This run has no point of this metric."
    return f"No point yet; the first comes after step 1. {_now(model)}"


def no_event_yet(model: RunModel) -> str:
    """Returns what an empty list of events says: what is being waited for."""
    if not model.complete:
        return READING
    if not model.status.active:
        return "This run has no event to show."
    return f"No event yet. {_now(model)}"


def _now(model: RunModel) -> str:
    phase = (model.status.phase or "loading model").replace("_", " ")
    return f"Now: {phase}{amount(model.history.phase)}."


def _fit(left: str, right: str, width: int) -> str:
    """Returns both parts on one line, the right one whole and the left one cut if need be."""
    room = width - len(right) - 1
    if len(left) > room:
        left = left[: max(room - 1, 0)] + "…"
    return f"{left}{' ' * max(width - len(left) - len(right), 1)}{right}"
