"""Rules about what is learned: the loss, its gradient, the evaluations."""

import math
from itertools import pairwise

from ..history import best_of
from .table import NO_FINITE_STEP, SILENT_STEPS
from .view import Told, View, percent

_LOWER_NEXT = "in the next run, lower the learning rate"


def nan(run: View) -> Told:
    """A loss or gradient that is not finite, from the first step of the newest such streak."""
    steps = run.history.steps
    losses = set(steps.columns["loss"].bad)
    every = losses | _bad_norms(run)
    last = max(every, default=-1)
    if last < max(len(steps) - int(run.limits["steps"]), 0):
        return None
    bad = losses if run.is_scaled and last in losses else every
    row = next(row for row in range(last, -1, -1) if row - 1 not in bad)
    what, field = ("Loss", "loss") if row in losses else ("Gradient norm", "grad_norm")
    value = steps.columns[field][row]
    step = int(steps.numbers[row])
    name = "NaN" if value != value else "infinite"
    said = f"{what} became {name} at step {step}"
    if len(steps) - 1 - last >= run.limits["patience"]:
        again = (
            f"the step changed no weight; if it happens again, lower the learning rate{run.rate}"
        )
        return f"{said}. Steps after {int(steps.numbers[last])} are finite again", again, step
    saved = _last_good(run, row)
    good = f"Last good checkpoint: {saved}" if saved else "No checkpoint before it"
    return f"{said}. {good}", _after_nan(run, row, last, saved), step


def _bad_norms(run: View) -> set[int]:
    """Returns the rows whose gradient is not finite by a fault.

    In fp16 gradients overflow while the scale of the loss is found, and now and then later: that
    is none unless the trainer warned of it.
    """
    steps = run.history.steps
    norms = steps.columns["grad_norm"].bad
    if not run.is_scaled:
        return set(norms)
    warned = run.vitals.warned.get("non_finite")
    until = -1 if warned is None or warned.step is None else warned.step + 1  # it comes before
    return {row for row in norms if steps.numbers[row] <= until}


def _after_nan(run: View, row: int, last: int, saved: int | None) -> str:
    """Returns what to do about steps that are not finite, those of two rows and all between."""
    end = run.history.finished
    failed = end is not None and end.status == "failed" and last == len(run.history.steps) - 1
    if failed and end is not None and end.remedy:  # the trainer has looked at the weights
        return end.remedy
    columns = run.history.steps.columns
    before = {*columns["loss"].bad, *columns["grad_norm"].bad}
    if run.history.steps.numbers[0] == 1 and all(each in before for each in range(row)):
        return NO_FINITE_STEP
    again = f"resume from {saved}" if saved else "start again"
    lower = f"{'stop and ' * (end is None)}{again} with a lower learning rate{run.rate}"
    return f"the step changed no weight; if it goes on, {lower}"


def _last_good(run: View, row: int) -> int | None:
    """Returns the newest checkpoint before a row's step that is good, as the trainer means it.

    Such a one's weights gave a finite step.
    """
    steps = run.history.steps
    bad = {*steps.columns["loss"].bad, *_bad_norms(run)}
    next_rows = ((event.step, steps.after(event.step)) for event in run.history.checkpoints)
    good = [saved for saved, next_row in next_rows if next_row < row and next_row not in bad]
    return good[-1] if good else None


def zero(run: View) -> Told:
    """Nothing is trained."""
    losses = run.last("loss")
    low = len(losses) >= run.limits["steps"] and all(loss < run.limits["loss"] for loss in losses)
    trained = run.last("supervised_tokens")
    empty = run.vitals.told_supervised and 0 in trained
    if not (low or empty):
        return None
    what = f"Loss is below {run.limits['loss']:g} for {len(losses)} steps"
    if empty:
        what = "A step of the last 5 trained 0 tokens"
    return (
        f"{what}: nothing is being trained",
        "look at what is trained of each row in New › Preview; data.loss_on and data.max_length "
        "decide it",
        0,
    )


def no_grad(run: View) -> Told:
    """No gradient arrives."""
    norms = run.last("grad_norm")
    if len(norms) < run.limits["steps"] or any(norms) or any(norm != norm for norm in norms):
        return None
    return (
        f"No gradient reaches what is trained: its norm is 0 for {len(norms)} steps",
        "check method.target_modules and the learning rate, then start again",
        0,
    )


def spike(run: View) -> Told:
    """A jump of the loss."""
    jump = run.vitals.losses.jump
    if jump is None:
        return None
    passed = run.history.step - jump.step
    said = f"Loss jumped to {jump.loss:.3g} at step {jump.step} (usual {jump.usual:.3g})"
    lower = f"lower the learning rate{run.rate}" if run.active else _LOWER_NEXT
    if jump.back_after is not None:
        if passed - jump.back_after > run.limits["told"]:
            return None
        count = f"{jump.back_after} step{'s' * (jump.back_after != 1)}"
        again = f"if it happens again, {lower}" if run.active else lower
        return f"{said}. It came back after {count}", again, jump.step
    if passed > run.limits["steps"]:
        return None
    if not run.active:
        return said, lower, jump.step
    if passed >= run.limits["patience"]:
        return f"{said}. Still high after {passed} steps", lower, jump.step
    return said, f"wait some steps; if it stays high, {lower}", jump.step


def overfit(run: View) -> Told:
    """Evaluations get worse while training goes on to improve."""
    told = _evaluations(run)
    count = int(run.limits["times"]) + 1
    best = best_of(run.history.evals)
    if len(told) < count or best is None:
        return None
    lowest, newest = float(best.loss or 0.0), told[-1][1]
    rose = all(before[1] < after[1] for before, after in pairwise(told[-count:]))
    if not rose or newest < lowest * (1 + run.limits["over"]):
        return None
    average, before = run.vitals.losses.average, run.vitals.losses.average_at(best.step)
    if average is None or before is None or average >= before:
        return None
    kept = run.config is not None and run.config.save.keep_best
    return (
        f"Evaluation loss is rising ({lowest:.4g} → {newest:.4g}) while training loss falls. "
        f"Best is step {best.step}" + ("; it is kept" if kept else ""),
        f"{'stop, and ' * run.active}take the checkpoint of step {best.step}; fewer epochs or a "
        "lower rank overfit later",
        best.step,
    )


def plateau(run: View) -> Told:
    """No progress any more."""
    told = _evaluations(run)
    count = int(run.limits["evals"])
    if told:
        if len(told) <= count:
            return None
        before, now = min(loss for _, loss in told[:-count]), min(loss for _, loss in told)
        since = told[-count - 1][0]
    else:
        losses, total = run.vitals.losses, run.history.total_steps
        if total is None or losses.average is None:
            return None
        since = round(run.history.step - run.limits["share"] * total)
        earlier = losses.average_at(since) if since >= SILENT_STEPS else None
        if earlier is None:
            return None
        before, now = earlier, losses.average
    if before - now >= run.limits["under"] * abs(before):
        return None
    return (
        f"Little change since step {since} ({before:.4g} → {now:.4g})",
        "more steps may not help: stop and save, or try another learning rate"
        if run.active
        else "in the next run, fewer steps may do, or try another learning rate",
        0,
    )


def clip(run: View) -> Told:
    """Most steps are clipped."""
    share = run.clipped()
    if share is None or share <= run.limits["share"]:
        return None
    optim = None if run.config is None else run.config.optim
    at = "" if optim is None or optim.max_grad_norm is None else f" at {optim.max_grad_norm:g}"
    rate = run.history.steps[-1].learning_rate
    if not run.active:
        remedy = "in the next run, lower the learning rate, or take"
    elif optim is not None and rate is not None and rate < optim.learning_rate / 2:
        remedy = f"the schedule has lowered the learning rate{run.rate}: another run may take"
    else:
        remedy = f"the learning rate may be high{run.rate}: lower it, or let another run take"
    remedy += " a higher optim.max_grad_norm"
    return f"{percent(share)} of the last steps are clipped{at}", remedy, 0


def _evaluations(run: View) -> list[tuple[int, float]]:
    """Returns step and loss of the evaluations whose loss is finite."""
    told = [(event.step, event.loss) for event in run.history.evals]
    known = [(step, float(loss)) for step, loss in told if loss is not None]
    return [(step, loss) for step, loss in known if math.isfinite(loss)]
