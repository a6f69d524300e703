"""Samples of the host and its GPUs: psutil for the host, NVML through nvidia-ml-py for GPUs.

A value that cannot be read is None, never zero.
"""

import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from . import events
from .gpu_watch import Watched, watch
from .rundir import free_bytes

_SHORTEST_S = 0.1
"""CPU use over less is noise, says psutil's documentation, and over nothing it is 0."""

_CGROUP = Path("/sys/fs/cgroup")
"""Where a container sees its own group; outside of one the root group has no limit."""

_WHY_NONE = {
    4: "its driver does not permit this user to ask (NVML error 4)",
    9: "the driver is not loaded (NVML error 9)",
    12: "there is no NVIDIA driver library; a container needs access to the GPUs, such as "
    "--gpus all (NVML error 12)",
    18: "driver and library have different versions, as after an update; restart the machine "
    "(NVML error 18)",
}
"""What NVML's errors mean at its start, and what helps, by their numbers."""


def start_nvml() -> tuple[Any, str | None]:
    """Returns NVIDIA's management library, ready, or None and why there is none."""
    import pynvml  # pyright: ignore[reportMissingTypeStubs] (it has none)

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        number = int(getattr(error, "value", 0))  # pyright: ignore[reportUnknownArgumentType]
        why = _WHY_NONE.get(number, str(error))
        return None, f"no NVIDIA GPU visible: {why}"
    return pynvml, None


class Sampler:
    """Takes one sample after another; CPU use is measured since the sample before."""

    def __init__(self, folder: Path, pid: int | None = None) -> None:
        """Prepares sampling.

        Args:
            folder: Its file system's free space is reported.
            pid: The trainer whose memory is reported; None leaves it out.
        """
        import psutil  # 10 ms, only where samples are taken

        self._psutil: Any = psutil
        self._folder = folder
        self._process: Any = psutil.Process(pid) if pid is not None else None
        self._psutil.cpu_percent()  # the first call has nothing to compare with
        self._counted_at = time.monotonic()
        self._nvml, self.no_gpu_reason = start_nvml()

    def sample(self) -> events.System:
        """Returns the host's and the GPUs' state now."""
        memory = self._psutil.virtual_memory()
        return events.System(
            host=socket.gethostname(),
            gpus=self._gpus(),
            cpu=self._cpu(),
            memory_used_bytes=memory.total - memory.available,
            process_memory_bytes=self._resident(),
            disk_free_bytes=free_bytes(self._folder),
        )

    def watch(self, trainer: int | None) -> list[Watched]:
        """Returns who holds the memory of each GPU, and why one does not tell its use.

        Args:
            trainer: The pid of the run's trainer, None where none lives.
        """
        nvml: Any = self._nvml
        if nvml is None:
            return []
        try:
            return watch(nvml, nvml.nvmlDeviceGetCount(), trainer)
        except nvml.NVMLError:  # the driver is gone, as after an update
            return []

    def _cpu(self) -> float | None:
        now = time.monotonic()
        if now - self._counted_at < _SHORTEST_S:
            return None
        self._counted_at = now
        return self._psutil.cpu_percent() / 100

    def _resident(self) -> int | None:
        if self._process is None:
            return None
        try:
            return self._process.memory_info().rss
        except self._psutil.Error:  # the trainer ended between two samples
            return None

    def _gpus(self) -> list[events.Gpu]:
        nvml: Any = self._nvml
        if nvml is None:
            return []
        try:
            count = nvml.nvmlDeviceGetCount()
        except nvml.NVMLError:
            return []
        return [self._gpu(nvml, index) for index in range(count)]

    def _gpu(self, nvml: Any, index: int) -> events.Gpu:
        def known(read: Callable[[], Any]) -> Any:
            """Runs one query; what this GPU or driver does not tell is None."""
            try:
                return read()
            except nvml.NVMLError:
                return None

        handle = known(lambda: nvml.nvmlDeviceGetHandleByIndex(index))
        if handle is None:
            return events.Gpu(index=index, name="GPU")
        rates = known(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
        memory = known(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        power = known(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        limit = known(lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle))
        reasons = known(lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
        slowed = (
            nvml.nvmlClocksThrottleReasonSwThermalSlowdown
            | nvml.nvmlClocksThrottleReasonHwThermalSlowdown
            | nvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown
        )
        return events.Gpu(
            index=index,
            name=str(known(lambda: nvml.nvmlDeviceGetName(handle)) or "GPU"),
            utilisation=rates.gpu / 100 if rates else None,
            memory_used_bytes=int(memory.used) if memory else None,
            memory_total_bytes=int(memory.total) if memory else None,
            temperature_c=known(
                lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)
            ),
            power_w=power / 1000 if power is not None else None,
            power_limit_w=limit / 1000 if limit is not None else None,
            throttled=bool(reasons & slowed) if reasons is not None else None,
        )


def has_nvidia_device() -> bool:
    """Returns whether the kernel shows an NVIDIA device, without asking the driver."""
    return sys.platform == "linux" and Path("/dev/nvidiactl").exists()


class Memory(msgspec.Struct, frozen=True):
    """One memory that a run could use; `capacity_bytes` is None when it cannot be read."""

    name: str
    capacity_bytes: int | None
    is_gpu: bool


def memories(accelerator: str) -> list[Memory]:
    """Returns the GPUs' whole memories, or the host's available one where a run would use that.

    Args:
        accelerator: As `launch.accelerator`; auto takes GPUs where there are some.
    """
    gpus = [] if accelerator in ("cpu", "mps") else Sampler(Path.home()).sample().gpus
    if gpus:
        return [Memory(f"GPU {gpu.index} {gpu.name}", gpu.memory_total_bytes, True) for gpu in gpus]
    if accelerator == "cuda":
        return [Memory("GPU", None, True)]
    return [Memory("this host", memory_available_bytes(), False)]


def memory_available_bytes() -> int:
    """Returns what the host can still give to a process: less inside a cgroup with a limit.

    Files that the group has read count as used there, but give way.
    """
    import psutil

    available = int(psutil.virtual_memory().available)
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
        lines = (_CGROUP / "memory.stat").read_text().splitlines()
    except (OSError, ValueError):  # none of version 2 there, or "max"
        return available
    files = sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    return min(available, max(limit - used + files, 0))
