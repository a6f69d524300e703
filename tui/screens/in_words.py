"""Runs and Monitor in plain sentences: pure functions from what is known to what is said."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...core import events
from ...core.rundir import RunDir
from ...core.series import Series
from ...core.summary import is_resuming, speed_of
from ...core.text import one_line
from ..control_flow import READ_ONLY, remedy_in_keys
from ..format import UNKNOWN, gib, number, percent, rate, rounded_clock, sentences, speed
from ..services.curves import LOSS, Metric
from ..services.run_model import RunModel
from ..widgets import hardware_panel
from ..widgets.tab_pane import Line

if TYPE_CHECKING:
    from ...core.summary import Summary

LEVEL = 0.005
"""An average that changed by less than this share over the last tenth is called level."""


def listed_run(summary: "Summary", place: int, count: int) -> str:
    """Returns what Runs shows of the run under the cursor."""
    said = [
        f"Run {place} of {count}: {one_line(summary.id)} is {summary.status.upper()}.",
        f"{summary.method or UNKNOWN} of {one_line(summary.model or UNKNOWN)} on "
        f"{one_line(summary.data or UNKNOWN)}.",
        f"Step {known(summary.step)} of {known(summary.total_steps)}, loss "
        f"{number(summary.loss)}, evaluation {number(summary.eval_loss)}, best at step "
        f"{known(summary.best_step)}.",
        f"{speed(summary.tokens_per_s)}, time left {rounded_clock(summary.eta_s)}.",
    ]
    if summary.note:
        said.append(f"Note: {_sentence(summary.note)}")
    for each in summary.health:
        said.append(f"{each['severity'].capitalize()}: {one_line(sentences(each['message']))}")
    if summary.reason:
        said.append(_sentence(summary.reason))
    writable = summary.writable
    if remedy := remedy_in_keys(summary.id, summary.status, summary.remedy, writable=writable):
        said.append(_sentence(remedy))
    if not writable:
        said.append(READ_ONLY)
    return "\n".join(said)


def watched_run(run: RunDir, model: RunModel, left: str) -> str:
    """Returns the facts of a run that Monitor shows above all panels."""
    status, (step, total) = model.status, model.position
    last = model.history.steps[-1] if model.history.steps else None
    word = status.word.upper()
    if status.phase and status.word == "preparing":
        word += f" ({status.phase.replace('_', ' ')})"
    said = [
        f"Run {one_line(run.id)} is {word}: step {known(step)} of {known(total)}, time left {left}."
    ]
    if last is not None:
        before = is_resuming(status, model.history)
        fast = "" if before else f", {speed(speed_of(status, model.history))}"
        said.append(
            f"Last step{' before this start' * before}: loss {number(last.loss)}, "
            f"learning rate {rate(last.learning_rate)}, gradient {number(last.grad_norm)}{fast}."
        )
    if status.reason:
        said.append(_sentence(status.reason))
    saved = "No checkpoint yet." if model.saved is None else f"Last checkpoint: step {model.saved}."
    return "\n".join([*said, saved])


def chart(model: RunModel, metric: Metric, weight: float, empty: str) -> str:
    """Returns how a metric went."""
    raw = model.curves.raw(metric)
    title = metric.title[:1].upper() + metric.title[1:]
    known = raw.numbers(0, len(raw))
    if not known:
        return f"{title}: {empty}"

    def written(y: float) -> str:
        return number(y / metric.scale)

    (_, first_x, first), (_, last_x, last) = known[0], known[-1]
    way = "fell" if last < first else "rose" if last > first else "stayed"
    _, low_x, lowest = min(known, key=lambda point: point[2])
    _, high_x, highest = max(known, key=lambda point: point[2])
    said = [
        f"{title}, steps {first_x:.0f} to {last_x:.0f}: {way} from {written(first)} to "
        f"{written(last)}",
        f"lowest {written(lowest)} at step {low_x:.0f}, highest {written(highest)} at step "
        f"{high_x:.0f}",
        _gaps(raw),
    ]
    average = model.curves.average(metric, weight)
    if average is not None and (newest := average.last()) is not None:
        said.insert(1, f"average {written(newest)}, {_trend(average)}")
    if metric is LOSS:
        said.append(_evaluations(model.history.evals, model.history.best_eval))
    return "; ".join(said) + "."


def _gaps(raw: Series) -> str:
    if not raw.bad:
        return "no gaps"
    steps = ", ".join(f"{x:.0f}" for x in raw.bad[:5])
    more = " and more" if len(raw.bad) > 5 else ""
    return f"{len(raw.bad)} not finite, at step {steps}{more}"


def _trend(average: Series) -> str:
    known = average.numbers(0, len(average))
    now, before = known[-1][2], known[-1 - len(known) // 10][2]
    if abs(now - before) <= LEVEL * abs(before):
        return "level"
    return "falling" if now < before else "rising"


def _evaluations(evals: Sequence[events.Eval], best: events.Eval | None) -> str:
    if not evals:
        return "no evaluation yet"
    count = "1 evaluation" if len(evals) == 1 else f"{len(evals)} evaluations"
    said = f"{count}, last {number(evals[-1].loss)} at step {evals[-1].step}"
    if best is None:
        return said
    return f"{said}, best {number(best.loss)} at step {best.step}"


def hardware(model: RunModel) -> str:
    """Returns what the machine is doing."""
    system = model.system
    if system is None:
        return f"Hardware: {'no sample yet.' if model.complete else 'reading…'}"
    origin = "measured now" if model.gpus.live else "recorded by the trainer"
    said = [f"Host {one_line(system.host, 40)}, {origin}."]
    for gpu in model.gpus.gpus:
        told = hardware_panel.numbers(gpu, model.gpus.why(gpu.index))
        said.append(f"GPU {gpu.index}, {one_line(gpu.name, 40)}: {told}.")
    if model.gpus.lost:
        said.append(hardware_panel.lost(model.gpus))
    said += [f"Others: {each}." for each in hardware_panel.foreign(model.gpus)]
    if not system.gpus and model.no_gpu:
        said.append(_sentence(model.no_gpu))
    said.append(
        f"Processor {percent(system.cpu)}, memory in use {gib(system.memory_used_bytes)} GiB, of "
        f"this run {gib(system.process_memory_bytes)} GiB, disk free "
        f"{gib(system.disk_free_bytes)} GiB."
    )
    return "\n".join(said)


def tab(name: str, lines: Sequence[Line]) -> str:
    """Returns how much a tab holds, and its newest lines."""
    if not lines:
        return f"{name}: empty."
    count = "1 line" if len(lines) == 1 else f"{len(lines)} lines"
    newest = [one_line(str(lines[at])) for at in range(max(len(lines) - 5, 0), len(lines))]
    return "\n".join([f"{name}, {count}; the newest:", *newest])


def known(value: int | None) -> str:
    """Returns a number, or the sign of what is not known."""
    return UNKNOWN if value is None else str(value)


def _sentence(text: str) -> str:
    line = one_line(text)
    return line if line.endswith((".", "!", "?")) else f"{line}."
