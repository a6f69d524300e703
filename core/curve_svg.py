"""The loss curve of a run as a picture that needs no script: an SVG for a model card.

Knows numbers, and nothing of files or runs. A value that is not finite leaves a gap.
"""

import math
from collections.abc import Iterable
from html import escape

Point = tuple[float, float]
"""A step and its loss."""

WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 72, 20, 48, 52
_MOST_POINTS = 1000
_TRAIN, _EVAL = "#4c78a8", "#e45756"


def curve_svg(train: list[Point], evaluation: list[Point], title: str = "Loss") -> str:
    """Returns the picture of a training and an evaluation loss.

    Args:
        train: By step; values may be NaN or infinite.
        evaluation: As `train`; may be empty.
        title: What stands above.
    """
    finite = [point for point in (*train, *evaluation) if math.isfinite(point[1])]
    plane = _Plane(finite)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" '
        'font-family="Helvetica, Arial, sans-serif" font-size="13">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="26" font-size="16" fill="#222">{escape(title)}</text>',
        *plane.axes(),
    ]
    if not finite:
        middle = f'x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT / 2}" text-anchor="middle"'
        parts.append(f'<text {middle} fill="#666">no finite loss was measured</text>')
    parts += _line(plane, _thinned(train), _TRAIN, "train", dots=False)
    parts += _line(plane, _runs(evaluation), _EVAL, "evaluation", dots=True)
    parts += _legend(bool(train), bool(evaluation))
    return "\n".join([*parts, "</svg>"]) + "\n"


class _Plane:
    """Where a step and a loss lie on the picture."""

    def __init__(self, points: list[Point]) -> None:
        steps = [step for step, _ in points] or [0.0]
        losses = [loss for _, loss in points] or [0.0, 1.0]
        self.x_ticks = _ticks(min(steps), max(steps), 8, least=1.0)
        self.y_ticks = _ticks(min(losses), max(losses), 6)

    def x(self, step: float) -> float:
        return LEFT + _share(step, self.x_ticks) * (WIDTH - LEFT - RIGHT)

    def y(self, loss: float) -> float:
        return HEIGHT - BOTTOM - _share(loss, self.y_ticks) * (HEIGHT - TOP - BOTTOM)

    def axes(self) -> list[str]:
        """Returns the grid, the numbers at it, and what they are."""
        right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
        parts: list[str] = []
        for tick in self.y_ticks:
            y = f"{self.y(tick):.1f}"
            parts += [
                f'<line x1="{LEFT}" x2="{right}" y1="{y}" y2="{y}" stroke="#e3e3e3"/>',
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
            f'transform="rotate(-90 18 {middle})">loss</text>',
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


def _runs(points: Iterable[Point]) -> list[list[Point]]:
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
    runs = _runs(points)
    if size <= 1:
        return runs
    return [[_mean(run[i : i + size]) for i in range(0, len(run), size)] for run in runs]


def _mean(points: list[Point]) -> Point:
    count = len(points)
    return sum(step for step, _ in points) / count, sum(loss for _, loss in points) / count


def _line(
    plane: _Plane, runs: list[list[Point]], colour: str, name: str, *, dots: bool
) -> list[str]:
    """Returns a line for each stretch; a point alone, or each of `dots`, is a dot."""
    parts: list[str] = []
    for run in runs:
        places = [(f"{plane.x(step):.1f}", f"{plane.y(loss):.1f}") for step, loss in run]
        if len(places) > 1:
            way = " ".join(",".join(place) for place in places)
            parts.append(
                f'<polyline class="{name}" points="{way}" fill="none" stroke="{colour}" '
                'stroke-width="1.8" stroke-linejoin="round"/>'
            )
        if dots or len(places) == 1:
            parts += [
                f'<circle class="{name}" cx="{x}" cy="{y}" r="3.5" fill="{colour}"/>'
                for x, y in places
            ]
    return parts


def _legend(train: bool, evaluation: bool) -> list[str]:
    parts: list[str] = []
    x = WIDTH - RIGHT - 200
    for shown, name, colour in (
        (train, "training", _TRAIN),
        (evaluation, "evaluation", _EVAL),
    ):
        if shown:
            parts += [
                f'<line x1="{x}" x2="{x + 22}" y1="21" y2="21" stroke="{colour}" '
                'stroke-width="3"/>',
                f'<text x="{x + 28}" y="25.5" fill="#222">{name}</text>',
            ]
        x += 100
    return parts
