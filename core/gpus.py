"""Which GPUs a run takes: free ones, or those that its configuration names.

GPUs are numbered as nvidia-smi numbers them. What CUDA_VISIBLE_DEVICES hides from this process is
not taken.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from . import claims
from .config import LaunchConfig
from .errors import UsageError
from .hardware import has_nvidia_device, start_nvml
from .rundir import runs_folder

_GIB = 1 << 30
_IDLE_SHARE = 0.1
"""Share of its memory that a GPU without work may hold: the driver's, a desktop's."""
VISIBLE = "CUDA_VISIBLE_DEVICES"


class Use(msgspec.Struct, frozen=True):
    """A process that computes on a GPU; None is unknown, as inside a container."""

    pid: int
    name: str | None
    memory_bytes: int | None


class Gpu(msgspec.Struct, frozen=True):
    """One GPU and who uses it now."""

    index: int
    uuid: str
    name: str
    used_bytes: int
    total_bytes: int
    uses: tuple[Use, ...] = ()
    run: str | None = None
    """The run whose trainer took it, which the driver may not show yet."""

    @property
    def busy(self) -> bool:
        """Whether something computes or will compute there, or holds more than an idle GPU."""
        taken = bool(self.uses) or self.run is not None
        return taken or self.used_bytes > _IDLE_SHARE * self.total_bytes

    @property
    def words(self) -> str:
        """The GPU, its memory and its processes."""
        text = (
            f"GPU {self.index} {self.name}: {self.used_bytes / _GIB:.0f} of "
            f"{self.total_bytes / _GIB:.0f} GiB used"
        )
        for use in self.uses:
            size = f", {use.memory_bytes / _GIB:.0f} GiB" if use.memory_bytes else ""
            text += f", by pid {use.pid} ({use.name or 'unknown'}{size})"
        return text if self.run is None else f"{text}, taken by run {self.run}"


class Chosen(msgspec.Struct, frozen=True):
    """What a run takes; no `gpus` leave the choice to torch."""

    gpus: tuple[Gpu, ...] = ()
    of: int = 0
    """How many there are to choose from."""

    @property
    def visible(self) -> str:
        """The value of CUDA_VISIBLE_DEVICES: ids that no order of the devices changes."""
        return ",".join(gpu.uuid for gpu in self.gpus)

    @property
    def busy(self) -> list[Gpu]:
        """Those that others use as well."""
        return [gpu for gpu in self.gpus if gpu.busy]


def look(*folders: Path) -> list[Gpu]:
    """Returns the GPUs that this process may use, by their number; none without a driver.

    Args:
        folders: Of runs whose trainers count, besides those of `runs/` at home.

    Raises:
        SftError: A folder of runs cannot be read.
    """
    nvml, _ = start_nvml()
    if nvml is None:
        return []
    at_work = claims.trainers({*folders, runs_folder()})
    taken = {uuid: each.run.id for each in at_work for uuid in each.devices or ()}
    seen = [_gpu(nvml, index, taken) for index in range(nvml.nvmlDeviceGetCount())]
    return [gpu for gpu in seen if _visible(gpu, os.environ.get(VISIBLE))]


def _gpu(nvml: Any, index: int, taken: dict[str, str]) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    running: list[Any] = (
        _known(nvml, lambda: nvml.nvmlDeviceGetComputeRunningProcesses(handle)) or []
    )
    uuid = str(nvml.nvmlDeviceGetUUID(handle))
    return Gpu(
        index=index,
        uuid=uuid,
        name=str(nvml.nvmlDeviceGetName(handle)),
        used_bytes=int(memory.used),
        total_bytes=int(memory.total),
        uses=tuple(Use(p.pid, _name_of(p.pid), p.usedGpuMemory) for p in running),
        run=taken.get(uuid),
    )


def _known(nvml: Any, read: Callable[[], Any]) -> Any:
    """Runs one query; what this GPU or driver does not tell is None."""
    try:
        return read()
    except nvml.NVMLError:
        return None


def _name_of(pid: int) -> str | None:
    import psutil

    try:
        return psutil.Process(pid).name()
    except psutil.Error:  # ended, or of another container
        return None


def _visible(gpu: Gpu, visible: str | None) -> bool:
    """Returns whether CUDA_VISIBLE_DEVICES names a GPU, by its number or the start of its id."""
    if visible is None:
        return True
    names = [name.strip() for name in visible.split(",")]
    return any(
        name == str(gpu.index) or (len(name) > 4 and gpu.uuid.startswith(name)) for name in names
    )


def wants_gpus(launch: LaunchConfig) -> bool:
    """Returns whether a run computes on NVIDIA GPUs, as far as the kernel shows."""
    return launch.accelerator == "cuda" or (
        launch.accelerator == "auto" and (bool(launch.device_ids) or has_nvidia_device())
    )


def choose(launch: LaunchConfig, *folders: Path) -> Chosen:
    """Returns the GPUs of a run: those it names, else free ones, else the least used one.

    Several ranks take no GPU that is busy unless it is named: others work there. One rank takes
    the GPU with the most free memory where none is free.

    Args:
        launch: What the run asks for.
        folders: As `look` takes them.

    Raises:
        UsageError: There are not that many devices, or not that many free ones.
        SftError: A folder of runs cannot be read.
    """
    if not wants_gpus(launch):
        _enough_cores(launch.ranks)
        return Chosen()
    gpus = look(*folders)
    if launch.device_ids:
        return Chosen(tuple(_named(launch.device_ids, gpus)), len(gpus))
    if not gpus:
        return Chosen()  # a driver that NVML does not know: torch says what it sees
    if len(gpus) < launch.ranks:
        raise UsageError(
            f"launch.devices is {launch.ranks}, and there are not that many GPUs",
            f"there {_are(len(gpus))}: {_list(gpus)}",
            f"set launch.devices to {len(gpus)} or less",
        )
    ordered = sorted(gpus, key=lambda gpu: (gpu.busy, gpu.used_bytes - gpu.total_bytes))
    taken = tuple(sorted(ordered[: launch.ranks], key=lambda gpu: gpu.index))
    busy = [gpu for gpu in gpus if gpu.busy]
    if launch.ranks > 1 and any(gpu.busy for gpu in taken):
        raise UsageError(
            f"launch.devices is {launch.ranks}, and only {len(gpus) - len(busy)} GPUs are free",
            _list(busy),
            "lower launch.devices, wait, or name the GPUs to share in launch.device_ids",
        )
    return Chosen(taken, len(gpus))


def _named(ids: list[int], gpus: list[Gpu]) -> list[Gpu]:
    known = {gpu.index: gpu for gpu in gpus}
    missing = [str(number) for number in ids if number not in known]
    if missing:
        hidden = f" (of those that {VISIBLE} shows)" if VISIBLE in os.environ else ""
        raise UsageError(
            f"launch.device_ids names GPU {', '.join(missing)}, which is not there",
            f"there {_are(len(gpus))}{hidden}" + (f": {_list(gpus)}" if gpus else ""),
            "name GPUs that are there, or leave launch.device_ids empty",
        )
    return [known[number] for number in ids]


def _enough_cores(ranks: int) -> None:
    cores = os.cpu_count() or 1
    if ranks > cores:
        raise UsageError(
            f"launch.devices is {ranks}, and there are not that many devices",
            f"this host computes on its CPU, which has {cores} cores",
            f"set launch.devices to {cores} or less",
        )


def _are(count: int) -> str:
    return {0: "is none", 1: "is one"}.get(count, f"are {count}")


def _list(gpus: list[Gpu]) -> str:
    return "; ".join(gpu.words for gpu in gpus)
