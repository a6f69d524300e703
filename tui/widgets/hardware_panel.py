"""GPUs, or the host where there is none, as one line or as a panel. Unknown is "–", never 0."""

import statistics
from collections.abc import Sequence
from itertools import islice

from ...core import events
from ...core.gpu_watch import Holder
from ...core.text import one_line
from ..format import UNKNOWN, gib, percent
from ..services.gpu_board import KEPT, GpuBoard

_BAR = 10
_TREND = 4
"""Cells of the trend of one GPU among several."""
_ODD = 0.3
"""How much less than the others a GPU does before it is named."""
_IN_ROWS = 2
"""From this many GPUs on each has one row."""
_WITH_TREND = 36
"""Cells that a row of numbers takes with the trend before them."""
_LINE = 79
_BLOCKS = " ▁▂▃▄▅▆▇█"

Shares = Sequence[float | None]


def strip(board: GpuBoard) -> str:
    """Returns the hardware on one line: what is odd about it before its numbers."""
    system = board.system
    if system is None:
        return "Hardware: no sample yet"
    gpus, cpu = board.gpus, f"cpu {percent(system.cpu)}"
    if not gpus:
        host = f"{cpu}  ram {gib(system.memory_used_bytes)} GiB"
        disk = f"disk {gib(system.disk_free_bytes)} GiB free"
        return f"Host {one_line(system.host, 20)} ({_origin(board.live)})  {host}  {disk}"
    if board.lost:
        return one_line(lost(board), _LINE)
    others = f"  others: {foreign(board)[0]}" if board.foreign else ""
    if len(gpus) == 1:
        gpu = gpus[0]
        first = f"GPU{gpu.index} {one_line(gpu.name, 16)}"
        if others:
            return one_line(
                f"{first}  util {_share_of_use(board, gpu)}  mem {_memory(gpu)} GiB{others}", _LINE
            )
        return f"{first}  {numbers(gpu, board.why(gpu.index))}  {cpu}"
    used = " ".join(percent(gpu.utilisation).removesuffix(" %") for gpu in gpus)
    if odd := odd_one(gpus):
        return f"util {used} %  {odd}"
    heats = [gpu.temperature_c for gpu in gpus if gpu.temperature_c is not None]
    heat = f"{max(heats):.0f}°" if heats else UNKNOWN
    known = [gpu.memory_used_bytes for gpu in gpus if gpu.memory_used_bytes is not None]
    memory = "–".join(dict.fromkeys((gib(min(known)), gib(max(known))))) if known else UNKNOWN
    numbers_ = f"util {used} %  mem {memory}/{gib(gpus[0].memory_total_bytes)} GiB"
    return one_line(numbers_ + (others or f"  max {heat}  {cpu}"), _LINE)


def panel(
    board: GpuBoard,
    no_gpu: str | None,
    size: tuple[int, int],
    *,
    peak: int | None = None,
    history: bool = False,
) -> tuple[str, str]:
    """Returns (title, text) of the panel.

    Args:
        board: What is known.
        no_gpu: Why there is no GPU, or None.
        size: Columns and rows within the panel.
        peak: The most bytes that the run has taken on a device, None where that is unknown.
        history: The last two minutes as graphs in place of numbers.
    """
    system = board.system
    if system is None:
        return "Hardware", "No sample yet."
    origin, width = _origin(board.live), max(size[0], 20)
    if not board.gpus:
        lines = _host(system)
        if no_gpu:
            lines.append(one_line(no_gpu))
        return f"Host {one_line(system.host, 16)}  {origin}", "\n".join(lines)
    told = [lost(board)] if board.lost else []
    told += [f"! {each}" for each in foreign(board)]
    if history:
        lines = _graphs(board, width, max(size[1] - len(told), 2))
        return f"GPU  {origin}, 2 min", "\n".join([*lines, *(one_line(x, width) for x in told)])
    lines = _one(board, width, peak) if len(board.gpus) < _IN_ROWS else _table(board, width)
    if odd := odd_one(board.gpus):
        told.insert(0, odd)
    host = _host(system)
    if len(lines) + len(told) + len(host) > size[1]:
        host = [_host_line(system)]
    told = [one_line(each, width) if each[0] == "!" else each for each in told]
    if len(lines) + len(told) + len(host) > size[1]:
        lines, told = told, lines  # what is odd is seen, whatever is not
    return f"GPU  {origin}", "\n".join([*lines, *told, *host])


def _one(board: GpuBoard, width: int, peak: int | None) -> list[str]:
    """Returns the lines of the only GPU."""
    (gpu,) = board.gpus
    ours = board.ours(gpu.index)
    lines = [
        f"GPU {gpu.index}  {one_line(gpu.name, width - 7)}",
        f"util {trend(board.use[gpu.index], _BAR)} {_share_of_use(board, gpu)}",
        f"mem  {bar(_share(gpu))} {_memory(gpu)} GiB",
    ]
    if ours is not None or peak is not None:
        most = "" if peak is None else f"  peak {gib(peak)}"
        lines.append(f"     run {gib(ours)}{most} GiB")
    return [*lines, _power(gpu)]


def _table(board: GpuBoard, width: int) -> list[str]:
    """Returns a row for each GPU, with its trend where there is room."""
    wide = width >= _WITH_TREND
    return [
        _row(gpu, board.why(gpu.index), trend(board.use[gpu.index], _TREND) if wide else "")
        for gpu in board.gpus
    ]


def _host(system: events.System) -> list[str]:
    lines = [
        f"cpu  {bar(system.cpu)} {percent(system.cpu)}",
        f"ram  {gib(system.memory_used_bytes)} GiB in use",
    ]
    if system.process_memory_bytes is not None:
        lines.append(f"run  {gib(system.process_memory_bytes)} GiB resident")
    return [*lines, f"disk {gib(system.disk_free_bytes)} GiB free"]


def _host_line(system: events.System) -> str:
    ram, disk = gib(system.memory_used_bytes), gib(system.disk_free_bytes)
    return f"cpu {percent(system.cpu)}  ram {ram}  disk {disk} G"


def _graphs(board: GpuBoard, width: int, height: int) -> list[str]:
    """Returns use and memory of every GPU over time, as large as the panel lets them be."""
    gpus = board.gpus
    rows = max(height // len(gpus), 1)
    lines: list[str] = []
    for gpu in gpus:
        used, held = board.use[gpu.index], board.memory[gpu.index]
        if rows == 1:
            now = _share_of_use(board, gpu)
            lines.append(f"{gpu.index} {trend(used, max(width - len(now) - 3, 4))} {now}")
            continue
        first = f"{gpu.index} util {_share_of_use(board, gpu)}"
        if rows < 4:
            lines += [first, *graph(used, width, rows - 1)]
            continue
        half = (rows - 2) // 2
        lines += [first, *graph(used, width, half), f"  mem {_memory(gpu)} GiB"]
        lines += graph(held, width, half)
    return lines


def graph(shares: Shares, width: int, height: int) -> list[str]:
    """Returns shares over time as rows of blocks, the newest at the right; unknown is a gap."""
    steps = len(_BLOCKS) - 1
    cells = [
        None if share is None else round(min(max(share, 0.0), 1.0) * height * steps)
        for share in _columns(shares, width)
    ]
    return [
        "".join(
            " " if cell is None else _BLOCKS[min(max(cell - row * steps, row == 0), steps)]
            for cell in cells
        )
        for row in reversed(range(height))
    ]


def trend(shares: Shares, width: int) -> str:
    """Returns shares over the last two minutes on one line; unknown is a gap."""
    return graph(shares, width, 1)[0]


def _columns(shares: Shares, width: int) -> list[float | None]:
    """Returns the mean of what falls into each column, of which all stand for two minutes."""
    every = [None] * (KEPT - len(shares)) + list(shares)
    found: list[float | None] = []
    for at in range(width):
        first, end = at * KEPT // width, max((at + 1) * KEPT // width, at * KEPT // width + 1)
        known = [share for share in islice(every, first, end) if share is not None]
        found.append(statistics.fmean(known) if known else None)
    return found


def lost(board: GpuBoard) -> str:
    """Returns in words which GPUs told something before and are gone, or ""."""
    if not board.lost:
        return ""
    named = ", ".join(map(str, board.lost))
    are = "is" if len(board.lost) == 1 else "are"
    return f"! GPU {named} {are} gone: the driver lost it. nvidia-smi and dmesg tell more."


def foreign(board: GpuBoard) -> list[str]:
    """Returns in words which processes of others hold memory of the run's GPUs."""
    several = len(board.gpus) > 1
    return [
        (f"GPU {index}: " if several else "") + _in_words(each) for index, each in board.foreign
    ]


def _in_words(holder: Holder) -> str:
    user, name = holder.user or "user unknown", holder.name or "not seen from here"
    return one_line(f"pid {holder.pid} {gib(holder.memory_bytes)} GiB {user} {name}")


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


def _memory(gpu: events.Gpu) -> str:
    return f"{gib(gpu.memory_used_bytes)}/{gib(gpu.memory_total_bytes)}"


def _share_of_use(board: GpuBoard, gpu: events.Gpu) -> str:
    """Returns the use of a GPU, or why it is unknown."""
    why = board.why(gpu.index)
    return f"n/a ({why})" if why and gpu.utilisation is None else percent(gpu.utilisation)


def numbers(gpu: events.Gpu, why: str = "") -> str:
    """Returns use, memory, heat and power of a GPU; `why` says why its use is unknown."""
    heat = UNKNOWN if gpu.temperature_c is None else f"{gpu.temperature_c:.0f} °C"
    power = UNKNOWN if gpu.power_w is None else f"{gpu.power_w:.0f} W"
    used = f"n/a ({why})" if why and gpu.utilisation is None else percent(gpu.utilisation)
    return f"util {used}  mem {_memory(gpu)} GiB  {heat}  {power}"


def _row(gpu: events.Gpu, why: str, shown: str) -> str:
    """Returns a GPU in one row, as wide as the panel."""
    used = "MIG" if why == "MIG" else "n/a" if why else percent(gpu.utilisation)
    heat = UNKNOWN if gpu.temperature_c is None else f"{gpu.temperature_c:.0f}°"
    power = UNKNOWN if gpu.power_w is None else f"{gpu.power_w:.0f} W"
    slowed = "!" if gpu.throttled else " "
    shown = f" {shown}" if shown else ""
    return f"{gpu.index}{shown} {used:>5} {_memory(gpu):>11} {heat:>4}{slowed}{power:>6}"


def _power(gpu: events.Gpu) -> str:
    heat = UNKNOWN if gpu.temperature_c is None else f"{gpu.temperature_c:.0f} °C"
    power = UNKNOWN if gpu.power_w is None else f"{gpu.power_w:.0f}"
    limit = UNKNOWN if gpu.power_limit_w is None else f"{gpu.power_limit_w:.0f}"
    slowed = "  slowed by heat or power" if gpu.throttled else ""
    return f"     {power}/{limit} W  {heat}{slowed}"
