"""GPUs, or the host where there is none, as one line or as a panel. Unknown is "–", never 0."""

from ...core import events
from ...core.text import one_line
from ..format import UNKNOWN, gib, percent

_BAR = 10


def strip(system: events.System | None, live: bool) -> str:
    """Returns the hardware on one line."""
    if system is None:
        return "Hardware: no sample yet"
    host = f"cpu {percent(system.cpu)}  ram {gib(system.memory_used_bytes)} GiB"
    if not system.gpus:
        disk = f"disk {gib(system.disk_free_bytes)} GiB free"
        return f"Host {one_line(system.host, 20)} ({_origin(live)})  {host}  {disk}"
    gpus = system.gpus
    if len(gpus) == 1:
        return f"GPU{gpus[0].index} {one_line(gpus[0].name, 16)}  {numbers(gpus[0])}  {host}"
    utilisation = " ".join(percent(gpu.utilisation).removesuffix(" %") for gpu in gpus)
    hottest = max(
        (gpu.temperature_c for gpu in gpus if gpu.temperature_c is not None), default=None
    )
    heat = UNKNOWN if hottest is None else f"{hottest:.0f}°"
    memory = " ".join(gib(gpu.memory_used_bytes) for gpu in gpus)
    return f"util {utilisation} %  mem {memory} GiB  max {heat}  {host}"


def panel(system: events.System | None, live: bool, no_gpu: str | None) -> tuple[str, str]:
    """Returns (title, text) of the panel."""
    if system is None:
        return "Hardware", "No sample yet."
    lines: list[str] = []
    for gpu in system.gpus:
        lines.append(f"GPU {gpu.index}  {one_line(gpu.name, 24)}")
        lines.append(f"util {bar(gpu.utilisation)} {percent(gpu.utilisation)}")
        lines.append(
            f"mem  {bar(_share(gpu))} {gib(gpu.memory_used_bytes)}"
            f"/{gib(gpu.memory_total_bytes)} GiB"
        )
        lines.append(_power(gpu))
    lines.append(f"cpu  {bar(system.cpu)} {percent(system.cpu)}")
    lines.append(f"ram  {gib(system.memory_used_bytes)} GiB in use")
    if system.process_memory_bytes is not None:
        lines.append(f"run  {gib(system.process_memory_bytes)} GiB resident")
    lines.append(f"disk {gib(system.disk_free_bytes)} GiB free")
    if not system.gpus and no_gpu:
        lines.append(one_line(no_gpu))
    title = "GPU" if system.gpus else f"Host {one_line(system.host, 16)}"
    return f"{title}  {_origin(live)}", "\n".join(lines)


def bar(share: float | None) -> str:
    """Returns a bar of ten cells; unknown is an empty one."""
    full = 0 if share is None else min(max(round(share * _BAR), 0), _BAR)
    return "█" * full + "░" * (_BAR - full)


def _origin(live: bool) -> str:
    return "live" if live else "recorded"


def _share(gpu: events.Gpu) -> float | None:
    if gpu.memory_used_bytes is None or not gpu.memory_total_bytes:
        return None
    return gpu.memory_used_bytes / gpu.memory_total_bytes


def numbers(gpu: events.Gpu) -> str:
    """Returns use, memory, heat and power of a GPU."""
    heat = UNKNOWN if gpu.temperature_c is None else f"{gpu.temperature_c:.0f} °C"
    power = UNKNOWN if gpu.power_w is None else f"{gpu.power_w:.0f} W"
    memory = f"{gib(gpu.memory_used_bytes)}/{gib(gpu.memory_total_bytes)} GiB"
    return f"util {percent(gpu.utilisation)}  mem {memory}  {heat}  {power}"


def _power(gpu: events.Gpu) -> str:
    heat = UNKNOWN if gpu.temperature_c is None else f"{gpu.temperature_c:.0f} °C"
    power = UNKNOWN if gpu.power_w is None else f"{gpu.power_w:.0f}"
    limit = UNKNOWN if gpu.power_limit_w is None else f"{gpu.power_limit_w:.0f}"
    slowed = "  slowed by heat or power" if gpu.throttled else ""
    return f"     {power}/{limit} W  {heat}{slowed}"
