"""What waits in the queue, in words, for the screen and the command line."""

import time
from collections.abc import Sequence
from pathlib import Path

from ..core import run_queue
from ..core.config import LaunchConfig
from ..core.errors import SftError
from ..core.gpus import wants_gpus
from ..core.run_queue import Waiting
from ..core.summary import method_of
from ..core.text import one_line
from .format import counted


def line(entry: Waiting) -> str:
    """Returns what a run that waits will train, or why it cannot."""
    if entry.problem is not None:
        return f"✗ {one_line(entry.problem)}"
    try:
        config = entry.run_config
    except SftError as error:
        return f"✗ {one_line(str(error))}"
    model, data = config.model.name, config.data.sources[0].source
    told = (
        f"{Path(model).name} · {method_of(config)} · {Path(data).name} · {_devices(config.launch)}"
    )
    return one_line(told)


def _devices(launch: LaunchConfig) -> str:
    """Returns what a run waits for."""
    if launch.device_ids:
        return f"GPU {', '.join(map(str, launch.device_ids))}"
    if wants_gpus(launch):
        return counted(launch.devices, "free GPU")
    return "CPU" if launch.accelerator != "mps" else "the Mac's GPU"


def _needed(launch: LaunchConfig) -> str:
    if wants_gpus(launch) and not launch.device_ids:
        return _devices(launch)
    named = "the CPU" if _devices(launch) == "CPU" else _devices(launch)
    return f"{named} to be free of other trainers"


def waits_for(entry: Waiting) -> tuple[str, str]:
    """Returns what something in the queue waits for, and what to do about it.

    Raises:
        SftError: The queue cannot be read.
    """
    out = f"`sft-tui queue remove {entry.id}` takes it out"
    if entry.problem is not None:
        return entry.problem, f"mend it and add it again; {out}"
    try:
        needs = f"it waits for {_needed(entry.run_config.launch)}"
    except SftError as error:
        return str(error), out
    every = run_queue.waiting()
    before = [each.id for each in every if each.problem is None and each.t < entry.t]
    if before:
        needs += f", and for {', '.join(before[:2])}{' and others' if len(before) > 2 else ''}"
    if held(every):
        return f"{needs}; but nothing is started now", f"`sft-tui queue start` goes on; {out}"
    return needs, out


_YOUNG_S = 5.0
"""For so long a scheduler may still be on its way."""


def held(entries: Sequence[Waiting]) -> bool:
    """Returns whether nothing will start what could be started."""
    ready = [each for each in entries if each.problem is None]
    old = any(time.time() - each.t > _YOUNG_S for each in ready)
    return old and not run_queue.is_scheduled()
