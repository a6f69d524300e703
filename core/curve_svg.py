"""Curves of a run as pictures that need no script: SVG for a model card and for a report.

Knows numbers, and nothing of files or runs. A value that is not finite leaves a gap. Colours are
attributes, so that a page's own style sheet may set others by class.
"""

import math
from collections.abc import Iterable
from html import escape

import msgspec

Point = tuple[float, float]
"""A step and its value."""

WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 92, 20, 48, 52
COLUMNS = WIDTH - LEFT - RIGHT
"""How many steps of a long run can be told apart, at most."""
TRAIN, SMOOTH, EVAL = "#4c78a8", "#1f3f66", "#e45756"
_MOST_POINTS = 1000


class Line(msgspec.Struct, frozen=True):
    """A curve in stretches of points, which are not joined with each other.

    `name` is its class in the picture and `label` its name in the legend.
    """

    name: str
    label: str
    stretches: list[list[Point]]
    colour: str
    dots: bool = False
    width: float = 1.8


def curve_svg(train: list[Point], evaluation: list[Point], title: str = "Loss") -> str:
    """Returns the picture of a training and an evaluation loss.

    Args:
        train: By step; values may be NaN or infinite.
        evaluation: As `train`; may be empty.
        title: What stands above.
    """
    lines = [
        Line("train", "training", _thinned(train), TRAIN),
        Line("evaluation", "evaluation", runs_of(evaluation), EVAL, dots=True),
    ]
    return chart_svg([line for line in lines if line.stretches], title, "loss")


def chart_svg(lines: list[Line], title: str, quantity: str) -> str:
    """Returns the picture of some curves over the steps of a run.

    Args:
        lines: All their values are finite. Where there is none, the picture says so.
        title: What stands above.
        quantity: What the vertical axis shows, such as "loss".
    """
    finite = [point for line in lines for stretch in line.stretches for point in stretch]
    plane = _Plane(finite)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" '
        'font-family="Helvetica, Arial, sans-serif" font-size="13">',
        f"<title>{escape(title)}</title>",
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="26" font-size="16" fill="#222">{escape(title)}</text>',
        *plane.axes(quantity),
    ]
    if not finite:
        middle = f'x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT / 2}" text-anchor="middle"'
        parts.append(f'<text {middle} fill="#666">no finite {escape(quantity)} was measured</text>')
    for line in lines:
        parts += _drawn(plane, line)
    parts += _legend(lines)
    return "\n".join([*parts, "</svg>"]) + "\n"


class _Plane:
    """Where a step and a value lie on the picture."""

    def __init__(self, points: list[Point]) -> None:
        steps = [step for step, _ in points] or [0.0]
        values = [value for _, value in points] or [0.0, 1.0]
        self.x_ticks = _ticks(min(steps), max(steps), 8, least=1.0)
        self.y_ticks = _ticks(min(values), max(values), 6)

    def x(self, step: float) -> float:
        return LEFT + _share(step, self.x_ticks) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - _share(value, self.y_ticks) * (HEIGHT - TOP - BOTTOM)

    def axes(self, quantity: str) -> list[str]:
        """Returns the grid, the numbers at it, and what they are."""
        right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
        parts: list[str] = []
        for tick in self.y_ticks:
            y = f"{self.y(tick):.1f}"
            parts += [
                f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y}" y2="{y}" stroke="#e3e3e3"/>',
                f'<text class="y" x="{LEFT - 8}" y="{self.y(tick) + 4.5:.1f}" text-anchor="end" '
                f'fill="#555">{tick:.6g}</text>',
            ]
        for tick in self.x_ticks:
            x = f"{self.x(tick):.1f}"
            parts += [
                f'<line x1="{x}" x2="{x}" y1="{floor}" y2="{floor + 5}" stroke="#888"/>',
                f'<text class="x" x="{x}" y="{floor + 20}" text-anchor="middle" '
                f'fill="#555">{tick:.10g}</text>',
            ]
        frame = f'd="M{LEFT} {TOP}V{floor}H{right}" fill="none" stroke="#888"'
        middle = (TOP + floor) / 2
        return [
            *parts,
            f"<path {frame}/>",
            f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 12}" text-anchor="middle" '
            'fill="#222">step</text>',
            f'<text x="18" y="{middle}" text-anchor="middle" fill="#222" '
            f'transform="rotate(-90 18 {middle})">{escape(quantity)}</text>',
        ]


def _share(value: float, ticks: list[float]) -> float:
    return (value - ticks[0]) / (ticks[-1] - ticks[0])


def _ticks(low: float, high: float, most: int, least: float = 0.0) -> list[float]:
    """Returns round numbers from at most `low` to at least `high`, `least` or more apart."""
    if high - low <= abs(high) * 1e-12:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    spacing = next(s * power for s in (1, 2, 2.5, 5, 10, 20) if s * power >= rough)
    spacing = max(spacing, least)
    first, last = math.floor(low / spacing), math.ceil(high / spacing)
    return [number * spacing for number in range(first, last + 1)]


def runs_of(points: Iterable[Point]) -> list[list[Point]]:
    """Returns the stretches of points whose values are finite."""
    runs: list[list[Point]] = [[]]
    for point in points:
        if math.isfinite(point[1]):
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _thinned(points: list[Point]) -> list[list[Point]]:
    """Returns the stretches, of long curves the means of neighbours: a picture has few pixels."""
    size = -(-len(points) // _MOST_POINTS)
    runs = runs_of(points)
    if size <= 1:
        return runs
    return [[_mean(run[i : i + size]) for i in range(0, len(run), size)] for run in runs]


def _mean(points: list[Point]) -> Point:
    count = len(points)
    return sum(step for step, _ in points) / count, sum(loss for _, loss in points) / count


def _drawn(plane: _Plane, line: Line) -> list[str]:
    """Returns a line for each stretch; a point alone, or each of `dots`, is a dot."""
    parts: list[str] = []
    for stretch in line.stretches:
        places = [(f"{plane.x(step):.1f}", f"{plane.y(value):.1f}") for step, value in stretch]
        if len(places) > 1:
            way = " ".join(",".join(place) for place in places)
            parts.append(
                f'<polyline class="{line.name}" points="{way}" fill="none" '
                f'stroke="{line.colour}" stroke-width="{line.width}" stroke-linejoin="round"/>'
            )
        if line.dots or len(places) == 1:
            parts += [
                f'<circle class="{line.name}" cx="{x}" cy="{y}" r="3.5" fill="{line.colour}"/>'
                for x, y in places
            ]
    return parts


def _legend(lines: list[Line]) -> list[str]:
    parts: list[str] = []
    x = WIDTH - RIGHT
    for line in reversed(lines):
        x -= 44 + 7 * len(line.label)
        parts += [
            f'<line class="{line.name}" x1="{x}" x2="{x + 22}" y1="21" y2="21" '
            f'stroke="{line.colour}" stroke-width="3"/>',
            f'<text x="{x + 28}" y="25.5" fill="#222">{escape(line.label)}</text>',
        ]
    return parts
