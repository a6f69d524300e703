"""GPUs, or the host where there is none, as one line or as a panel. Unknown is "–", never 0."""

import statistics
from collections.abc import Sequence

from ...core import events
from ...core.text import one_line
from ..format import UNKNOWN, gib, percent

_BAR = 10
_ODD = 0.3
"""How much less than the others a GPU does before it is named."""
_IN_ROWS = 2
"""From this many GPUs on each has one row."""


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
        name = one_line(gpus[0].name, 16)
        return f"GPU{gpus[0].index} {name}  {numbers(gpus[0])}  cpu {percent(system.cpu)}"
    used = " ".join(percent(gpu.utilisation).removesuffix(" %") for gpu in gpus)
    if odd := odd_one(gpus):
        return f"util {used} %  {odd}"
    heats = [gpu.temperature_c for gpu in gpus if gpu.temperature_c is not None]
    heat = f"{max(heats):.0f}°" if heats else UNKNOWN
    known = [gpu.memory_used_bytes for gpu in gpus if gpu.memory_used_bytes is not None]
    memory = "–".join(dict.fromkeys((gib(min(known)), gib(max(known))))) if known else UNKNOWN
    total = gib(gpus[0].memory_total_bytes)
    return f"util {used} %  mem {memory}/{total} GiB  max {heat}  cpu {percent(system.cpu)}"


def panel(system: events.System | None, live: bool, no_gpu: str | None) -> tuple[str, str]:
    """Returns (title, text) of the panel."""
    if system is None:
        return "Hardware", "No sample yet."
    lines: list[str] = []
    if len(system.gpus) >= _IN_ROWS:
        lines += [_row(gpu) for gpu in system.gpus]
        if odd := odd_one(system.gpus):
            lines.append(odd)
    for gpu in system.gpus if len(system.gpus) < _IN_ROWS else []:
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


def odd_one(gpus: Sequence[events.Gpu]) -> str:
    """Returns in words which GPU does much less than the others, or ""."""
    known = [gpu for gpu in gpus if gpu.utilisation is not None]
    if len(known) < 2:
        return ""
    usual = statistics.median(gpu.utilisation or 0.0 for gpu in known)
    least = min(known, key=lambda gpu: gpu.utilisation or 0.0)
    others = [gpu.utilisation or 0.0 for gpu in known if gpu is not least]
    if len(known) == 2:
        usual = others[0]
    if usual - (least.utilisation or 0.0) < _ODD:
        return ""
    rest = "the other is" if len(others) == 1 else "the others are"
    return (
        f"GPU {least.index} is at {percent(least.utilisation)}, {rest} at "
        f"{percent(statistics.median(others))}."
    )


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


def _row(gpu: events.Gpu) -> str:
    """Returns a GPU in one row, as wide as the panel."""
    used = percent(gpu.utilisation).rjust(5)
    memory = f"{gib(gpu.memory_used_bytes)}/{gib(gpu.memory_total_bytes)}"
    heat = UNKNOWN if gpu.temperature_c is None else f"{gpu.temperature_c:.0f}°"
    power = UNKNOWN if gpu.power_w is None else f"{gpu.power_w:.0f} W"
    slowed = "!" if gpu.throttled else " "
    return f"{gpu.index} {used} {memory:>11} {heat:>4}{slowed}{power:>6}"


def _power(gpu: events.Gpu) -> str:
    heat = UNKNOWN if gpu.temperature_c is None else f"{gpu.temperature_c:.0f} °C"
    power = UNKNOWN if gpu.power_w is None else f"{gpu.power_w:.0f}"
    limit = UNKNOWN if gpu.power_limit_w is None else f"{gpu.power_limit_w:.0f}"
    slowed = "  slowed by heat or power" if gpu.throttled else ""
    return f"     {power}/{limit} W  {heat}{slowed}"
