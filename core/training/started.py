"""What a start tells of itself once it is ready for its first step."""

import math
import platform
from typing import Any

import accelerate
import peft
import torch
import transformers

from .. import __version__, events
from ..config import RunConfig
from ..data.plan import BatchPlan
from ..rundir import RunDir
from .attention import FLEX, SEGMENTS
from .crew import Place
from .data import Prepared
from .locate import COMMIT
from .method import count_parameters
from .utilisation import peak_flops


def run_started(
    run: RunDir,
    config: RunConfig,
    place: Place,
    device: torch.device,
    model: Any,
    data: Prepared,
    plan: BatchPlan,
    total_steps: int,
    resumed_from_step: int | None,
    commit: str | None,
    gpus: list[int],
) -> events.RunStarted:
    """Returns the event that tells what is trained, on what and with what."""
    trainable, total = count_parameters(model)
    attention = str(getattr(model.config, "_attn_implementation", None) or "unknown")
    choices = dict(data.choices)
    if commit:
        choices[COMMIT] = commit
    if config.model.attention == "auto":
        ours = attention in (SEGMENTS, FLEX)
        whose = "of packed rows" if ours else "transformers' choice for this model"
        choices["attention"] = f"{attention}: {whose}"
    if config.launch.accelerator == "auto":
        choices["device"] = place.devices or f"{device.type}: the first that torch sees"
    return events.RunStarted(
        run_id=run.id,
        resumed_from_step=resumed_from_step,
        total_steps=total_steps,
        epochs=math.ceil(total_steps / plan.steps_per_epoch),
        train_rows=len(data.train),
        eval_rows=len(data.evaluation),
        eval_hash=data.eval_hash,
        data_hash=data.data_hash,
        trainable_params=trainable,
        total_params=total,
        world_size=place.size,
        device=_device_words(config, place, device),
        gpus=gpus,
        dtype=config.train.precision,
        attention=attention,
        choices=choices,
        peak_flops=peak_flops(device, config.train.precision),
        versions=versions(),
    )


def _device_words(config: RunConfig, place: Place, device: torch.device) -> str:
    if place.size == 1:
        return str(device)
    return f"{device.type} × {place.size} ({config.launch.strategy})"


def versions() -> dict[str, str]:
    """Returns the versions that a result depends on."""
    return {
        "sft-tui": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "accelerate": accelerate.__version__,
    }
