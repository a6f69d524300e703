"""What a checkpoint's weights and moments stand on, which a resume may not change."""

import re
from typing import Any

import msgspec

from . import config_file, events, yaml12
from .config import RunConfig
from .errors import SftError, UsageError
from .rundir import RunDir, read_small
from .status import newest_checkpoint
from .tail import Tail

STATE = "trainer_state.json"
"""The file of a checkpoint that holds its footing, under `footing`."""
_LIMIT_BYTES = 16 << 20
_OPTIMIZER = "optim.name"
_STARTED_OR_SAVED = re.compile(rb'^\{"type":"(?:run_started|checkpoint)".*$', re.MULTILINE)


class Footing(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that give saved weights and moments their meaning, and the base below them."""

    settings: dict[str, Any]
    """By key of the configuration, as YAML and JSON write them."""
    precision: str
    base: str | None = None
    """Of the base's weights; see `training.model.fingerprint`."""
    model: str | None = None
    """The name of the base; None where a checkpoint does not tell it."""

    @classmethod
    def of(cls, config: RunConfig, base: str | None = None) -> "Footing":
        """Returns what a configuration stands on."""
        said: dict[str, Any] = msgspec.to_builtins(config.method)
        full = config.method.kind == "full"
        names = ("kind", "freeze") if full else tuple(said.keys() - {"freeze", "dropout"})
        settings = {f"method.{name}": said[name] for name in sorted(names)}
        settings["model.quantisation"] = config.model.quantisation
        settings[_OPTIMIZER] = config.optim.name
        return cls(
            settings=settings,
            precision=config.train.precision,
            base=base,
            model=config.model.name,
        )

    def check(self, other: "Footing", step: int) -> None:
        """Refuses to go on from this footing's checkpoint on another one.

        Args:
            other: What is trained with from now on.
            step: The checkpoint's.

        Raises:
            UsageError: A setting differs, or the base's weights.
        """
        kind = "method.kind"  # first: the other settings follow from it
        for key in sorted(self.settings, key=lambda key: key != kind):
            old = self.settings[key]
            new = other.settings.get(key, old)
            # adam and adamw keep the same moments; those in 8 bits are others
            if new != old and (key != _OPTIMIZER or "adamw_8bit" in (old, new)):
                raise _changed(step, key, yaml12.dump_value(old), yaml12.dump_value(new))
        if self._is_comparable(other):
            if self.base and other.base and self.base != other.base:
                raise _other_base(
                    step,
                    "its weights are not those that the checkpoint was trained on, though they "
                    "have the same names",
                )
        elif self.model and self.model != other.model:
            raise _other_base(
                step,
                f"it was trained on {self.model} in {self.precision}, with which the weights of "
                f"{other.model} in {other.precision} cannot be compared",
            )

    def _is_comparable(self, other: "Footing") -> bool:
        """Whether the same weights would have the same fingerprint; fp16 rounds them otherwise."""
        made = [base.rpartition(":")[0] for base in (self.base, other.base) if base]
        rounded = self.precision != other.precision and "fp16" in (self.precision, other.precision)
        return not rounded and len(set(made)) < 2


def _other_base(step: int, why: str) -> UsageError:
    return UsageError(
        f"checkpoint {step} cannot be resumed on this base model",
        why,
        "resume with the model.name that it was trained with and its files as they were, or start "
        "a new run",
    )


def _changed(step: int, key: str, old: str, new: str) -> UsageError:
    what = "moments" if key == _OPTIMIZER else "weights"
    return UsageError(
        f"checkpoint {step} cannot be resumed with another {key}",
        f"it was trained with {key}: {old}, and its {what} mean something else with {new}",
        f"leave {key} at {old}, or start a new run with {new}",
    )


def of_beginning(run: RunDir, step: int) -> Footing:
    """Returns what a checkpoint that does not tell its footing stands on: what the run began with.

    Raises:
        UsageError: The configuration of that start cannot be read.
    """
    try:
        return Footing.of(config_file.load(run.config))
    except SftError as error:
        raise UsageError(
            f"checkpoint {step} cannot be resumed",
            f"it does not tell what its weights stand on, and {error}",
            f"put {run.config.name} back as the run began with it, or start a new run",
        ) from error


def check(run: RunDir, config: RunConfig) -> None:
    """Refuses a configuration with which the run's newest checkpoint cannot go on.

    Says nothing where there is no checkpoint, or none that can be read: the trainer tells what is
    wrong with that.

    Raises:
        UsageError: Names the setting, what it was and what to do.
    """
    complete = run.complete_checkpoints()
    if not complete:
        return
    step, folder = complete[-1]
    try:
        found = msgspec.json.decode(read_small(folder / STATE, _LIMIT_BYTES), type=_State)
    except (OSError, msgspec.MsgspecError, RecursionError):
        return
    before = found.footing or of_beginning(run, step)
    before.check(Footing.of(config), step)


def lost_checkpoints(run: RunDir) -> str:
    """Returns what is missing where a run that was saved would begin anew, or "".

    Whoever resumes it is asked first: what it had learned is gone.
    """
    if newest_checkpoint(run) is not None:
        return ""
    saved = 0
    tail = Tail(run.events)
    try:
        while block := tail.read_block():
            for line in _STARTED_OR_SAVED.findall(block):
                event = events.decode(line)
                if isinstance(event, events.Checkpoint):
                    saved = event.step
                elif isinstance(event, events.RunStarted) and not event.resumed_from_step:
                    saved = 0  # it began anew: what was saved before was given up then
    except (OSError, ValueError):  # not ours to read, or damaged: nothing is known of it
        return ""
    if not saved:
        return ""
    return f"its checkpoints are gone: step-{saved} was saved, and {run.checkpoints} holds none"


class _State(msgspec.Struct):
    footing: Footing | None = None
