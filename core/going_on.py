"""What a run that has ended goes on with: its newest configuration, what of it changes, its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import config_file
from .config import RunConfig
from .errors import SftError, UsageError
from .history import read_history
from .rundir import RunDir

_END = "train.max_steps"
_SETS_END = (f"{_END}=", "train.epochs=")


@dataclass(frozen=True)
class Plan:
    """What `launch.resume` is given, and what that changes."""

    config: RunConfig | None = None
    """None is the run's own as it is."""
    max_steps: int | None = None
    """The new end, where clients moved it and the configuration says it already."""
    changed: Sequence[tuple[str, Any, Any]] = ()
    """(key, old value, new value) of every key that changes."""


def planned(run: RunDir, sets: list[str]) -> Plan:
    """Returns what a run goes on with where settings are changed, such as `train.max_steps=200`.

    Raises:
        SftError: The run's configuration cannot be read, or the settings cannot be used.
    """
    known = run.configs()
    if not sets or not known:  # without a configuration `launch.resume` says what is missing
        return Plan()
    config = config_file.load(known[-1], sets)
    changed = config_file.differences(config_file.load(known[-1]), config)
    history = read_history(run.events)
    end = history.total_steps  # clients may have moved it
    wanted = history.steps_of(config)
    if not changed and wanted != end and any(each.startswith(_SETS_END) for each in sets):
        return Plan(config, wanted, [(_END, end, wanted)])
    now = [(key, end or old if key == _END else old, new) for key, old, new in changed]
    return Plan(config, None, now)


def refuse_shorter(run: RunDir, sets: list[str]) -> None:
    """Refuses an end that is no later than the run's own, as a trainer at work does.

    Raises:
        UsageError: With `sets` the run would not be longer.
    """
    history = read_history(run.events)
    now, known = history.total_steps, run.configs()
    if now is None or not known:
        return
    end = history.steps_of(config_file.load(known[-1], sets))
    if end is not None and end <= now:
        raise UsageError(
            f"{run.id} cannot be extended to {end} steps",
            f"the run has {now} steps",
            f"give more, or `sft-tui resume {run.id} --set train.max_steps={end}` ends it earlier",
        )


def refuse_done(run: RunDir, config: RunConfig | None) -> None:
    """Refuses a finished run that its new configuration makes no longer.

    Raises:
        SftError: All of its steps are done.
    """
    done = read_history(run.events).step
    if config is not None and run.configs():
        before, train = config_file.load(run.configs()[-1]).train, config.train
        longer = train.max_steps is None or train.max_steps > done
        if longer and (train.max_steps, train.epochs) != (before.max_steps, before.epochs):
            return
    raise SftError(
        f"the run {run.id} is finished",
        f"all of its {done} steps are done",
        f"`sft-tui extend {run.id} max_steps={2 * done or 1}` trains it further; a new run with "
        "its config.yaml trains again",
    )


def refuse_end_behind(run: RunDir, config: RunConfig) -> None:
    """Refuses a new end that the checkpoint to go on from has passed, as a trainer at work does.

    Raises:
        UsageError: There is no step left to do.
    """
    known, saved = run.configs(), run.complete_checkpoints()
    if not known or not saved:
        return
    before, step = config_file.load(known[-1]), saved[-1][0]
    old, new = before.train, config.train
    same_end = (new.max_steps, new.epochs) == (old.max_steps, old.epochs)
    unknown = new.max_steps is None and config.data != before.data  # how many rows that makes
    if same_end or unknown:
        return
    end = read_history(run.events).steps_of(config)
    if end is not None and end <= step:
        raise UsageError(
            f"the run {run.id} cannot end at step {end}",
            f"step {step} is done already",
            f"give more than {step} steps, or start a new run with {end}",
        )
