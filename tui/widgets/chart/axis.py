"""Ranges and labels of an axis: round numbers, four digits, never wider than their place."""

import math
from collections.abc import Sequence

LABEL_WIDTH = 7
_CLOCK = tuple(
    unit * many
    for unit, counts in (
        (1, (1, 2, 5, 10, 15, 30)),
        (60, (1, 2, 5, 10, 15, 30)),
        (3600, (1, 2, 3, 6, 12)),
        (86_400, (1, 2, 5, 10, 20, 50, 100)),
    )
    for many in counts
)
"""Seconds between two ticks of time."""


def labels(values: Sequence[float]) -> list[str]:
    """Returns the labels of an axis, with more than four digits where they would be the same.

    What is the same also then has no label but the first.
    """
    found: list[str] = []
    for digits in (4, 5, 6):
        more = [label(value, digits) for value in values]
        if not found or max(map(len, more)) <= LABEL_WIDTH:
            found = more
        if len(set(found)) == len(found):
            break
    return ["" if text in found[:at] else text for at, text in enumerate(found)]


def label(value: float, digits: int = 4) -> str:
    """Returns a number in at most `LABEL_WIDTH` characters, with up to four digits.

    Example: 0.00015 → "1.5e-4", 1234.5 → "1234", 0.5 → "0.5", 12000 → "12k".
    """
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e15 or size < 1e-3:
        text = ""
        for places in (3, 2, 1, 0):  # fewer digits where the exponent takes their place
            mantissa, exponent = f"{value:.{places}e}".split("e")
            text = f"{float(mantissa):g}e{int(exponent)}"
            if len(text) <= LABEL_WIDTH:
                break
        return text
    for limit, divisor, unit in (
        (1e12, 1e12, "T"),
        (1e9, 1e9, "G"),
        (1e6, 1e6, "M"),
        (1e4, 1e3, "k"),
    ):
        if size >= limit:
            return f"{value / divisor:.{digits}g}{unit}"
    return f"{value:.{digits}g}"


def ticks(low: float, high: float, count: int, *, whole: bool = False) -> list[float]:
    """Returns about `count` round values from low to high: multiples of 1, 2 or 5 times 10^n.

    With `whole` they are whole numbers, as steps are.
    """
    if count < 1 or not high > low:
        return [low]
    rough = (high - low) / count
    base = 10.0 ** math.floor(math.log10(rough))
    step = next((base * m for m in (1, 2, 5) if base * m >= rough * 0.999), base * 10)
    step = max(step, 1.0) if whole else step
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def log_ticks(low: float, high: float, count: int) -> list[float]:
    """Returns the logarithms of about `count` round values whose logarithms lie in a range.

    Powers of ten where there are enough of them, else 1, 2 and 5 times these, else any round value.
    """
    first, last = math.floor(low), math.ceil(high)
    powers = [float(power) for power in range(first, last + 1) if low <= power <= high]
    if len(powers) > count:
        return powers[:: -(-len(powers) // count)]
    if len(powers) >= 2:
        finer = [power + math.log10(m) for power in range(first, last + 1) for m in (1, 2, 5)]
        finer = [tick for tick in finer if low <= tick <= high]
        return finer if len(finer) <= count else powers
    return [math.log10(v) for v in ticks(10**low, 10**high, count) if v > 0]


def clock_ticks(low: float, high: float, count: int) -> list[float]:
    """Returns about `count` round times in seconds from low to high."""
    rough = (high - low) / max(count, 1)
    step = next((each for each in _CLOCK if each >= rough * 0.999), None)
    if step is None or rough < 0.5:
        return ticks(low, high, count)
    return [float(at * step) for at in range(math.ceil(low / step), math.floor(high / step) + 1)]


def clock_label(seconds: float) -> str:
    """Returns a time since the start: "0:05", "1:02:00", "2d 3:00"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24}d {hours % 24}:{minutes:02}"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def padded(low: float, high: float) -> tuple[float, float]:
    """Returns a range that leaves a little room; a single value gets a range around it."""
    if high > low:
        room = (high - low) * 0.03
        return low - room, high + room
    room = abs(low) * 0.1 or 1.0
    return low - room, high + room
