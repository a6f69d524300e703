"""What part of a curve is seen: a window in units of the data, held or following the newest point.

Shared by all charts of a screen. Knows numbers only; a key changes it, a chart asks it.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from ....core.series import Range

_ROOM = 1 / 16
"""Share of the width that is left free for points to come, so that a new one moves nothing."""
_PAN = 1 / 4
_ZOOM = 2.0


@dataclass
class View:
    """`window` is None where all is seen. `cross` is the row of the crosshair, where there is one.

    `held_at` is how many rows there were when the window was taken off the newest one.
    """

    log: bool = False
    clip: bool = False
    window: Range | None = None
    follows: bool = True
    held_at: int = 0
    cross: int | None = None
    changes: int = 0
    """Goes up with every key that changes what part is seen."""
    _all: Range | None = None

    def shown(self, first: float, newest: float, grows: bool) -> Range:
        """Returns the left and right edge for data from `first` to `newest`.

        A window that follows moves on, and the range of all grows, a part of the width at a
        time: what is drawn already then stays where it is. `grows` says that more may come.
        """
        if self.window is None:
            self._all = self._whole(first, newest, grows)
            return self._all
        x0, x1 = self.window
        if self.follows and newest > x1:
            jump = (x1 - x0) * _ROOM
            by = math.ceil((newest - x1) / jump) * jump
            self.window = x0, x1 = x0 + by, x1 + by
        return x0, x1

    def _whole(self, first: float, newest: float, grows: bool) -> Range:
        span = newest - first
        if not grows or span <= 0:
            return first, newest if span > 0 else first + 1.0
        before = self._all
        fits = before is not None and before[0] == first and newest <= before[1]
        if before is not None and fits and before[1] - newest <= 2 * _ROOM * span:
            return before
        return first, newest + span * _ROOM

    def zoom(self, closer: bool, edges: Range, about: float | None, least: float) -> None:
        """Shows half or twice as much about a place, else about the right edge.

        `edges` are those seen now; less than `least` is never shown.
        """
        x0, x1 = edges
        middle = x1 if about is None else min(max(about, x0), x1)
        factor = 1 / _ZOOM if closer else _ZOOM
        factor = max(factor, min(least / (x1 - x0), 1.0))
        self.window = middle - (middle - x0) * factor, middle + (x1 - middle) * factor
        self.changes += 1

    def pan(self, direction: int, edges: Range) -> None:
        """Moves by a quarter of what is seen."""
        x0, x1 = edges
        by = (x1 - x0) * _PAN * direction
        self.window = x0 + by, x1 + by
        self.changes += 1

    def keep_within(self, first: float, newest: float, rows: int) -> None:
        """Ends a move: shows all where all is in sight, and holds where the newest is not."""
        if self.window is None:
            return
        x0, x1 = self.window
        if x0 <= first and x1 >= newest:
            self.fit()
            return
        width = x1 - x0
        x0 = min(max(x0, first - width / 2), newest - width / 2)
        self.window = x0, x0 + width
        self.follows, self.held_at = newest <= x0 + width, rows

    def fit(self) -> None:
        """Shows all."""
        self.window, self.follows = None, True
        self.changes += 1

    def follow(self, newest: float) -> None:
        """Goes to the newest point at the width of now."""
        if self.window is not None:
            width = self.window[1] - self.window[0]
            self.window = newest - width * (1 - _ROOM), newest + width * _ROOM
        self.follows = True
        self.changes += 1

    def along(self, before: Sequence[float], after: Sequence[float]) -> None:
        """Keeps the place of the data when rows get other x: from `before` to `after`."""
        self._all = None
        self.changes += 1
        if self.window is not None and len(before) > 1:
            x0, x1 = (_moved(x, before, after) for x in self.window)
            self.window = (x0, x1) if x1 > x0 else None

    def badge(self, rows: int) -> str:
        """Returns the word for what new points do."""
        if self.window is None or self.follows:
            return "FOLLOW"
        return f"HELD +{rows - self.held_at}" if rows > self.held_at else "HELD"


def _moved(x: float, before: Sequence[float], after: Sequence[float]) -> float:
    """Returns where a place lies after all rows got other x; beyond them as the edge's slope."""
    row = min(max(bisect_left(before, x), 1), len(before) - 1)
    if x < before[0] or x > before[-1]:
        low, high = 0, len(before) - 1
    else:
        low, high = row - 1, row
    span = before[high] - before[low]
    share = (x - before[low]) / span if span else 0.0
    return after[low] + share * (after[high] - after[low])
