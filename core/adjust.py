"""Smaller and larger values of a field, in steps that make sense for it."""

import math
from typing import Any

from .fields import Field, accepts

_FIRST_DECIMAL = 0.01
"""The first value above 0 of a share."""


def neighbour(field: Field, value: Any, direction: int) -> Any:
    """Returns the next value in a direction, 1 or -1; None where there is none.

    Choices and switches go round. A number that is null goes to its default, or to a hundred.
    """
    if field.kind == "bool":
        return not value
    if field.kind == "choice":
        place = field.choices.index(value) + direction
        return field.choices[place % len(field.choices)]
    if field.kind not in ("int", "float"):
        return None
    if value is None:
        near = field.default if field.default is not None else 100
    else:
        near = _next(field, value, direction)
    near = float(near) if field.kind == "float" else round(near)
    return near if near != value and accepts(field, near) else None


def around(field: Field, value: Any, below: int = 2, above: int = 2) -> list[Any]:
    """Returns the values around one, in order, itself among them."""
    if field.kind == "choice":
        return list(field.choices)
    if field.kind == "bool":
        return [False, True]
    if value is None or field.kind not in ("int", "float"):
        return []
    lower: list[Any] = []
    while len(lower) < below and (near := neighbour(field, [value, *lower][-1], -1)) is not None:
        lower.append(near)
    upper: list[Any] = []
    while len(upper) < above and (near := neighbour(field, [value, *upper][-1], 1)) is not None:
        upper.append(near)
    return [*reversed(lower), value, *upper]


def _next(field: Field, value: float, direction: int) -> float:
    if field.adjust == "one":
        return value + direction
    if field.adjust == "double" and value > 0:
        # From between two powers to the nearest of them, so that 24 goes to 16 or 32.
        power = math.log2(value)
        return 2.0 ** (math.floor(power) + 1 if direction > 0 else math.ceil(power) - 1)
    if value <= 0:
        return _FIRST_DECIMAL if direction > 0 else value
    below = _FIRST_DECIMAL if accepts(field, 0.0 if field.kind == "float" else 0) else 0.0
    if direction < 0 and value <= below:
        return 0.0
    return _decimal(value, direction)


def _decimal(value: float, direction: int) -> float:
    """Returns the next of …, 0.1, 0.2, 0.5, 1, 2, 5, 10, …"""
    exponent = math.floor(math.log10(value))
    series = [
        float(f"{digit}e{power}")
        for power in range(exponent - 1, exponent + 2)
        for digit in (1, 2, 5)
    ]
    slack = 1e-9 * value
    if direction > 0:
        return next(each for each in series if each > value + slack)
    return next(each for each in reversed(series) if each < value - slack)
