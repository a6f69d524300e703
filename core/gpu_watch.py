"""Who holds the memory of the GPUs, and why one does not tell its use. Only their host can ask.

The run's own processes are those of the trainer's session.
"""

import os
from collections.abc import Callable
from typing import Any

import msgspec


class Holder(msgspec.Struct, frozen=True):
    """A process that holds memory of a GPU; None is unknown, as from inside a container."""

    pid: int
    user: str | None
    name: str | None
    memory_bytes: int | None
    ours: bool


class Watched(msgspec.Struct, frozen=True):
    """What is known of a GPU beside its numbers.

    `why` says why its use is unknown: "MIG", "no permission", or "" where it is known or the
    driver gives no reason.
    """

    index: int
    why: str = ""
    holders: tuple[Holder, ...] = ()


def watch(nvml: Any, count: int, trainer: int | None) -> list[Watched]:
    """Returns what is known of the first `count` GPUs.

    Args:
        nvml: NVIDIA's management library, ready.
        count: How many GPUs there are.
        trainer: The trainer's pid, or None.
    """
    session = _session_of(trainer)
    return [_watched(nvml, index, session) for index in range(count)]


def _watched(nvml: Any, index: int, session: int | None) -> Watched:
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
    except nvml.NVMLError:  # it is lost: its numbers are gone too
        return Watched(index)
    try:
        running: list[Any] = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except nvml.NVMLError:
        running = []
    holders = tuple(_holder(int(each.pid), each.usedGpuMemory, session) for each in running)
    return Watched(index, _why_unknown(nvml, handle), holders)


def _why_unknown(nvml: Any, handle: Any) -> str:
    try:
        nvml.nvmlDeviceGetUtilizationRates(handle)
        return ""
    except nvml.NVMLError_NoPermission:
        return "no permission"
    except nvml.NVMLError:
        return "MIG" if _is_split(nvml, handle) else ""


def _is_split(nvml: Any, handle: Any) -> bool:
    try:
        return nvml.nvmlDeviceGetMigMode(handle)[0] == nvml.NVML_DEVICE_MIG_ENABLE
    except nvml.NVMLError:  # a GPU or driver without MIG
        return False


def _holder(pid: int, used: int | None, session: int | None) -> Holder:
    import psutil

    def known(read: "Callable[[psutil.Process], str]") -> str | None:
        try:
            return read(psutil.Process(pid))
        except (psutil.Error, KeyError):  # ended, of another container, a user without a name
            return None

    ours = session is not None and _session_of(pid) == session
    user, name = known(lambda each: each.username()), known(lambda each: each.name())
    return Holder(pid, user, name, used, ours)


def _session_of(pid: int | None) -> int | None:
    try:
        return None if pid is None else os.getsid(pid)
    except OSError:  # it ended, or is of another container
        return None
