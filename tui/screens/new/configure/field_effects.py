"""What a field does in this run, in a few words beside it. "" where there is nothing to say."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any

from .....core.raw_values import value_at
from .....core.sidecar.effect_calls import Effects
from .....core.text import one_line
from ....format import counted


@dataclass(frozen=True)
class Seen:
    """What effects are told from: values, what the helper process found, what the rows are.

    `statistics` are of all rows, or None while these were not read.
    """

    raw: dict[str, Any]
    effects: Effects | None
    statistics: Any

    def value(self, path: str) -> Any:
        """Returns the value of a field."""
        return value_at(self.raw, path)


OF_LORA = tuple(
    f"method.{name}"
    for name in (
        "rank",
        "alpha",
        "dropout",
        "target_modules",
        "exclude_modules",
        "target_parameters",
        "rslora",
        "dora",
        "init",
    )
)
"""Fields that do nothing where all weights are trained."""


def count(number: int) -> str:
    """Returns a number of parameters: 4.02B, 33.0M, 921k."""
    for limit, unit in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= limit:
            return f"{number / limit:.3g}{unit}"
    return str(number)


def size(number: float) -> str:
    """Returns bytes in GiB, or MiB where they are few."""
    if number >= 2**30:
        return f"{number / 2**30:.1f} GiB"
    few = number / 2**20
    return f"{few:.0f} MiB" if few >= 100 else f"{few:.1f} MiB"


def percent(share: float) -> str:
    """Returns a share: small ones with two digits, 0.82 %, others whole."""
    return f"{share * 100:.0f} %" if share >= 0.1 else f"{share * 100:.2g} %"


def effect(path: str, seen: Seen) -> str:
    """Returns what a field does."""
    if path in OF_LORA and seen.value("method.kind") != "lora":
        return "of LoRA only"
    tell = _TELL.get(path)
    return one_line(tell(seen)) if tell is not None else ""


def effects(seen: Seen) -> dict[str, str]:
    """Returns what every field does, by path."""
    return {path: effect(path, seen) for path in {*_TELL, *OF_LORA}}


def _model(seen: Seen) -> str:
    found = seen.effects
    if found is None or (found.adapter is None and found.failure is None):
        return ""
    if found.failure is not None:
        return f"? {found.failure.what}: {found.failure.why}"
    known = found.adapter.parameters if found.adapter else None
    return f"{count(known)} parameters" if known else ""


def trainable(seen: Seen) -> str:
    """Returns how much is trained."""
    adapter = seen.effects.adapter if seen.effects else None
    if adapter is None:
        return ""
    share = "" if adapter.share is None else f" ({percent(adapter.share)})"
    return f"{count(adapter.trainable)} trainable{share}"


def _trained_whole(seen: Seen) -> str:
    return trainable(seen) if seen.value("method.kind") == "full" else ""


def _targets(seen: Seen) -> str:
    found = seen.effects
    if found is None:
        return ""
    if found.adapter_failure is not None:
        failure = found.adapter_failure
        return f"✗ {failure.what.partition(': ')[2] or failure.what}; {failure.remedy}"
    if found.adapter is None:
        return ""
    kinds, layers = len(found.adapter.kinds), found.adapter.layers
    return f"{counted(kinds, 'kind')} · {counted(layers, 'layer')} match"


def _alpha(seen: Seen) -> str:
    return f"= {seen.value('method.alpha') / seen.value('method.rank'):.3g} × rank"


def _a_step(seen: Seen) -> str:
    rows = seen.value("train.micro_batch_size")
    times = seen.value("train.gradient_accumulation")
    devices = len(seen.value("launch.device_ids")) or seen.value("launch.devices")
    shared = f" × {devices}" if devices > 1 else ""
    return f"{rows} × {times}{shared} = {rows * times * devices} rows a step"


def _warmup(seen: Seen) -> str:
    steps = seen.effects.steps if seen.effects else None
    if not steps:
        return ""
    warm = ceil(steps * seen.value("optim.warmup_ratio"))
    return counted(warm, "step")


def _epochs(seen: Seen) -> str:
    if seen.value("train.max_steps") is not None:
        return "max steps decides"
    per_epoch = seen.effects.steps_per_epoch if seen.effects else None
    return f"{per_epoch:,} steps each" if per_epoch else ""


def _max_steps(seen: Seen) -> str:
    found, chosen = seen.effects, seen.value("train.max_steps")
    if found is None or found.steps_per_epoch is None:
        return ""
    if chosen is None:
        return f"{found.steps:,} in all epochs"
    return f"{chosen / found.steps_per_epoch:.3g} epochs"


def _max_length(seen: Seen) -> str:
    if seen.statistics is None or not seen.statistics.rows:
        return ""
    dropped = seen.value("data.truncate") == "drop"
    rows = seen.statistics.dropped_rows if dropped else seen.statistics.cut_rows
    if not rows and not dropped:
        return "keeps every row whole"
    words = "left out" if dropped else "cut"
    return f"{counted(rows, 'row')} {words} ({percent(rows / seen.statistics.rows)})"


def _held_out(seen: Seen) -> str:
    return (
        "" if seen.statistics is None else f"{counted(seen.statistics.eval_rows, 'row')} held out"
    )


def _of_source(key: str) -> Callable[[Seen], str]:
    def tell(seen: Seen) -> str:
        if seen.statistics is None or seen.value(f"data.sources.0.{key}") != "auto":
            return ""
        return str(getattr(seen.statistics.sources[0], key))

    return tell


def _times(key: str, noun: str) -> Callable[[Seen], str]:
    def tell(seen: Seen) -> str:
        every, steps = seen.value(key), seen.effects.steps if seen.effects else None
        if every is None or steps is None:
            return ""
        times = ceil(steps / every)
        return counted(times, noun)

    return tell


def _kept(seen: Seen) -> str:
    disk = seen.effects.disk if seen.effects else None
    return f"{disk.kept} × {size(disk.checkpoint)}" if disk else ""


def _precision(seen: Seen) -> str:
    memory = seen.effects.memory if seen.effects else None
    return f"weights {size(memory.parts['weights'])}" if memory else ""


def _device(seen: Seen) -> str:
    fits = seen.effects.fits if seen.effects else []
    return ", ".join(fit.device for fit in fits)


_TELL: dict[str, Callable[[Seen], str]] = {
    "model.name": _model,
    "data.sources.0.shape": _of_source("shape"),
    "data.sources.0.template": _of_source("template"),
    "data.eval_fraction": _held_out,
    "data.max_length": _max_length,
    "method.kind": _trained_whole,
    "method.rank": trainable,
    "method.alpha": _alpha,
    "method.target_modules": _targets,
    "optim.warmup_ratio": _warmup,
    "train.epochs": _epochs,
    "train.max_steps": _max_steps,
    "train.micro_batch_size": _a_step,
    "train.gradient_accumulation": _a_step,
    "launch.devices": _a_step,
    "train.precision": _precision,
    "evaluate.every_steps": _times("evaluate.every_steps", "evaluation"),
    "save.every_steps": _times("save.every_steps", "checkpoint"),
    "save.keep": _kept,
    "launch.accelerator": _device,
}
"""The fields whose effect can be told."""
