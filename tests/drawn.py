"""Reads pictures of curves back: the points of their lines, and what the ticks say of a place."""

from collections.abc import Callable
from xml.etree.ElementTree import Element

SVG = "{http://www.w3.org/2000/svg}"


def lines(root: Element, name: str) -> list[list[tuple[float, ...]]]:
    """Returns the places of each line of a class."""
    return [
        [tuple(map(float, place.split(","))) for place in line.attrib["points"].split()]
        for line in root.iter(f"{SVG}polyline")
        if line.attrib["class"] == name
    ]


def scale(root: Element, axis: str) -> Callable[[float], float]:
    """Returns what maps a place on the picture to a value, read from the first and last tick."""
    ticks = [text for text in root.iter(f"{SVG}text") if text.get("class") == axis]
    shift = 4.5 if axis == "y" else 0.0
    (a, at_a), (b, at_b) = (
        (float(tick.text or ""), float(tick.attrib[axis]) - shift) for tick in (ticks[0], ticks[-1])
    )
    return lambda place: a + (place - at_a) / (at_b - at_a) * (b - a)
