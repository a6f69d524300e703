"""Ranges and labels of an axis: round numbers, four digits, never wider than their place."""

import math

LABEL_WIDTH = 7


def label(value: float) -> str:
    """Returns a number in at most `LABEL_WIDTH` characters, with up to four digits.

    Example: 0.00015 → "1.5e-4", 1234.5 → "1234", 0.5 → "0.5", 12000 → "12k".
    """
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e15 or size < 1e-3:
        text = ""
        for digits in (3, 2, 1, 0):  # fewer digits where the exponent takes their place
            mantissa, exponent = f"{value:.{digits}e}".split("e")
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
            return f"{value / divisor:.4g}{unit}"
    return f"{value:.4g}"


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


def padded(low: float, high: float) -> tuple[float, float]:
    """Returns a range that leaves a little room; a single value gets a range around it."""
    if high > low:
        room = (high - low) * 0.03
        return low - room, high + room
    room = abs(low) * 0.1 or 1.0
    return low - room, high + room
