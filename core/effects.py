"""What a configuration does, from the headers of its model, this machine, and earlier runs.

No weight is read and nothing is trained. A model that the Hub alone has costs a few small
requests, once.
"""

import os
import time
from collections.abc import Callable
from math import ceil
from pathlib import Path

import msgspec

from . import events
from .config import ModelConfig, RunConfig
from .errors import SftError
from .fields import declared
from .fit import Device, Estimate, estimate, kind_of, optimizer_bytes, trained_parameters
from .hardware import memories
from .lora_targets import (
    adapted_strictly,
    adapter_parameters,
    by_kind,
    chosen_strictly,
    frozen_strictly,
    is_mixture,
    linear_layers,
)
from .model_facts import ModelFacts, facts_of, folder_of
from .regular import open_regular
from .rundir import RunDir, list_runs, runs_folder
from .sidecar.effect_calls import Adapter, Disk, Effects, Fit, Kind, Memory, Rows, Speed, Wanted
from .sidecar.protocol import Failure
from .steps import Steps
from .summary import newest_config
from .verdict import verdict

_FP32 = 4
_KEPT_S, _FAILED_S = 300.0, 20.0
"""How long facts of the Hub hold, and how long it is not asked again after it gave none."""
_RUNS_LOOKED_AT = 50
_TAIL_BYTES = 1 << 16
_FEWEST_STEPS = 5
"""Steps that tell a speed: the first ones are slower than the rest."""

_facts: dict[tuple[str, str | None], tuple[float, ModelFacts | SftError]] = {}
_speeds: dict[Path, tuple[float, tuple[str | bool, ...] | None, float | None]] = {}
"""By run: when its events last changed, what and how it trains, and its speed."""


def effects_of(asked: Wanted, tell: Callable[[str], None] | None = None) -> Effects:
    """Returns what a configuration does; what cannot be known is None, with the reason.

    Args:
        asked: The configuration.
        tell: Told in a sentence what takes seconds now, such as unpacking a model.
    """
    config, rows = asked.config, asked.rows
    train = config.train
    a_step = config.rows_per_step
    per_epoch = ceil(rows.train / a_step) if rows and rows.train else None
    steps = train.max_steps or (train.epochs * per_epoch if per_epoch else None)
    found = Effects(rows_per_step=a_step, steps=steps, steps_per_epoch=per_epoch)
    if not asked.has_model:
        return found
    folder = runs_folder(Path(asked.runs_folder) if asked.runs_folder else None)
    speed = _measured_speed(folder, config)
    found = msgspec.structs.replace(
        found,
        speed=speed,
        epoch_s=rows.tokens / speed.tokens_per_s if rows and rows.tokens and speed else None,
    )
    try:
        facts = _known_facts(config.model, tell)
    except SftError as error:
        why = f"{error.what}: {error.why}"
        return msgspec.structs.replace(found, failure=_failure(error), fits=[_unknown(config, why)])
    try:
        trained = _trained(facts, config)
    except SftError as error:
        return msgspec.structs.replace(
            found, adapter_failure=_failure(error), fits=[_unknown(config, error.what)]
        )
    memory, fits = _memory(facts, config, rows)
    return msgspec.structs.replace(
        found,
        adapter=trained,
        memory=memory,
        fits=fits,
        context=facts.context,
        disk=_disk(facts, trained.trainable, config, steps, folder),
    )


def _failure(error: SftError) -> Failure:
    return Failure(error.what, error.why, error.remedy)


def _unknown(config: RunConfig, why: str) -> Fit:
    device = memories(config.launch.accelerator)[0]
    return Fit(device=device.name, capacity=device.capacity_bytes, word="unknown", why=why)


def _known_facts(model: ModelConfig, tell: Callable[[str], None] | None) -> ModelFacts:
    """Returns a model's facts; those of the Hub are kept, so that a changed rank asks nothing."""
    if folder_of(model, tell) is not None:
        return facts_of(model, tell)
    key, now = (model.name, model.revision), time.monotonic()
    kept = _facts.get(key)
    holds = _FAILED_S if kept and isinstance(kept[1], SftError) else _KEPT_S
    if kept is None or now - kept[0] > holds:
        try:
            known: ModelFacts | SftError = facts_of(model, tell)
        except SftError as error:
            known = error
        kept = _facts[key] = time.monotonic(), known
    if isinstance(kept[1], SftError):
        raise kept[1]
    return kept[1]


def _trained(facts: ModelFacts, config: RunConfig) -> Adapter:
    """Returns what is trained, and in which linear layers.

    Raises:
        SftError: A pattern of the method names nothing, or nothing is left to train.
    """
    method = config.method
    parameters = None if facts.packed else facts.parameters
    if method.kind == "full":
        frozen = frozen_strictly(facts, method.freeze)
        layers = [n for n in linear_layers(facts) if f"{n.name}.weight" not in frozen]
        trainable = trained_parameters(facts, method.freeze)
    else:
        if method.target_parameters and not is_mixture(facts):
            chosen_strictly([], method.target_parameters, [], key="method.target_parameters")
        layers = adapted_strictly(facts, method)
        trainable = adapter_parameters(layers, method.rank, dora=method.dora)
    kinds = [Kind(name, count) for name, count in by_kind(layers).items()]
    return Adapter(kinds, trainable, parameters)


def _memory(
    facts: ModelFacts, config: RunConfig, rows: Rows | None
) -> tuple[Memory | None, list[Fit]]:
    """Estimates for the longest row that there is, or that may be, and judges every device."""
    limit = config.data.max_length
    longest = min(rows.longest, limit) if rows and rows.longest else limit
    share = 1.0 if rows is None or rows.trained_share is None else rows.trained_share
    places = memories(config.launch.accelerator)
    device: Device = "cuda" if places[0].is_gpu else "cpu"
    guess = estimate(
        facts,
        config,
        device=device,
        rows_tokens=longest,
        supervised_tokens=round(share * longest * config.train.micro_batch_size),
    )
    fits = [_fit(guess, place.name, place.capacity_bytes) for place in places]
    if guess.unknown:
        return None, fits
    return Memory(guess.parts, guess.total, guess.low, guess.high, longest), fits


def _fit(guess: Estimate, device: str, capacity: int | None) -> Fit:
    found = verdict(guess, capacity)
    fit = Fit(device=device, capacity=capacity, word=found.word, share=found.share, why=found.why)
    if found.instead is None:
        return fit
    known = {field.path for field in declared()}
    return msgspec.structs.replace(
        fit,
        instead=found.instead.sentence,
        instead_total=found.instead.total,
        overrides=found.instead.overrides,
        settable=set(found.instead.overrides) <= known,
    )


def _disk(
    facts: ModelFacts, trainable: int, config: RunConfig, steps: int | None, folder: Path
) -> Disk:
    """Counts fp32 weights and the moments of each checkpoint, and the result.

    That is the adapter, or the whole model in fp32. pissa and olora keep what they started with
    beside what they trained.
    """
    every, kept = config.save.every_steps, config.save.keep
    if every is None:
        kept = 1
    elif steps is not None:
        kept = min(kept, ceil(steps / every))
    weights = _FP32 * trainable
    if config.method.kind == "lora" and config.method.init in ("pissa", "olora"):
        weights *= 2
    result = _FP32 * facts.parameters if config.method.kind == "full" else weights
    checkpoint = weights + optimizer_bytes(config, trainable)
    return Disk(checkpoint, kept, result, _free_bytes(folder))


def _free_bytes(folder: Path) -> int | None:
    """Returns the free space where a folder is, or will be made."""
    for place in (folder, *folder.parents):
        try:
            facts = os.statvfs(place)
        except FileNotFoundError:  # not made yet: it will lie on the disk of the one above
            continue
        except OSError:  # not ours to look at
            return None
        return facts.f_bavail * facts.f_frsize
    return None


def _measured_speed(folder: Path, config: RunConfig) -> Speed | None:
    """Returns the speed of the newest run that trains the same model in the same way."""
    try:
        runs = list_runs(folder)[:_RUNS_LOOKED_AT]
    except SftError:  # Runs says so; the speed is unknown
        return None
    for run in runs:
        trained, speed = _speed_of(run)
        if trained == _way(config) and speed is not None:
            return Speed(speed, run.id)
    return None


def _way(config: RunConfig) -> tuple[str | bool, ...]:
    """Returns what decides how fast tokens are trained."""
    train = config.train
    kind = kind_of(config)
    return config.model.name, train.precision, kind, train.gradient_checkpointing, train.compile


def _speed_of(run: RunDir) -> tuple[tuple[str | bool, ...] | None, float | None]:
    """Returns what a run trains and its speed; reads it again only where its events changed."""
    try:
        changed = run.events.stat().st_mtime
    except OSError:  # it has none
        return None, None
    kept = _speeds.get(run.path)
    if kept is None or kept[0] != changed:
        config, _ = newest_config(run)
        trained = _way(config) if config else None
        kept = _speeds[run.path] = changed, trained, _last_speed(run.events)
    return kept[1], kept[2]


def _last_speed(path: Path) -> float | None:
    """Returns tokens per second over the last steps of a run's events."""
    try:
        with open_regular(path) as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _TAIL_BYTES, 0))
            lines = file.read().split(b"\n")
    except OSError:  # not ours to read
        return None
    steps: list[events.Step] = []
    for line in lines:
        try:
            event = events.decode(line)
        except ValueError:  # the first one is cut, the last may not be whole yet
            continue
        if isinstance(event, events.Step):
            steps.append(event)
    tokens, seconds = Steps(steps).work()
    if len(steps) < _FEWEST_STEPS or not tokens or not seconds:
        return None
    return tokens / seconds
