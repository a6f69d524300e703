"""Rows in one sequence: each once, and the beginning that neighbours have in common only once.

Nothing is padded. Rows of a micro-batch stand behind one another and see only themselves; rows
with one beginning, such as several questions about one text, become its branches: the beginning
runs through the model once, each branch goes on from its end and sees it and itself.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Tokens = Sequence[int]
_MOST = 64
"""Rows of a group: in larger ones next to nothing would be shuffled."""


@dataclass(frozen=True)
class Family:
    """Neighbouring rows and how many tokens of their beginning run once for all of them."""

    first: int
    """Index of its first row among those of the micro-batch."""
    rows: int
    shared: int
    """0 where it is a single row, or where rows have nothing in common."""


def common(one: Tokens, other: Tokens) -> int:
    """Returns how many tokens two rows have in common from their beginning."""
    for place, (here, there) in enumerate(zip(one, other, strict=False)):
        if here != there:
            return place
    return min(len(one), len(other))


def families(rows: Sequence[Tokens], *, share: bool) -> list[Family]:
    """Divides neighbouring rows so that as few tokens as possible are computed.

    A row keeps at least its last token to itself. Example with `share`: rows [1, 2, 3], [1, 2, 4]
    and [7, 8] become a family of two that shares two tokens, and one of one.
    """
    if not share:
        return [Family(index, 1, 0) for index in range(len(rows))]
    # saved[n]: the most tokens that the first n rows save; begins[n]: where the last family begins.
    saved, begins, shares = [0], [0], [0]
    for end in range(1, len(rows) + 1):
        alike = len(rows[end - 1]) - 1
        best = (saved[end - 1], end - 1, 0)
        for first in range(end - 2, -1, -1):
            alike = min(alike, len(rows[first]) - 1, common(rows[first], rows[first + 1]))
            if alike == 0:
                break
            total = saved[first] + (end - first - 1) * alike
            if total > best[0]:
                best = (total, first, alike)
        saved.append(best[0])
        begins.append(best[1])
        shares.append(best[2])
    found: list[Family] = []
    end = len(rows)
    while end:
        found.append(Family(begins[end], end - begins[end], shares[end]))
        end = begins[end]
    return found[::-1]


def computed(rows: Sequence[Tokens], *, share: bool) -> int:
    """Returns how many positions go through the model for a packed micro-batch."""
    saved = sum((family.rows - 1) * family.shared for family in families(rows, share=share))
    return sum(map(len, rows)) - saved


def groups(rows: Sequence[Tokens]) -> list[list[int]]:
    """Returns the numbers of rows that belong together, because most of the shorter is common.

    Rows of a group keep their order, and groups stand in the order of their first rows. How a
    template begins all rows counts for nothing: any neighbours share that. What more rows have in
    common than `_MOST` is of that kind too.
    """
    if not rows:
        return []
    order = sorted(range(len(rows)), key=lambda index: (array("q", rows[index]), index))
    head = common(rows[order[0]], rows[order[-1]])
    together: list[list[int]] = [order[:1]]
    for before, index in pairwise(order):
        alike = common(rows[before], rows[index]) - head
        shorter = min(len(rows[before]), len(rows[index])) - head
        if alike > 0 and 2 * alike >= shorter:
            together[-1].append(index)
        else:
            together.append([index])
    kept = [group for group in together if len(group) <= _MOST]
    single = [[index] for group in together if len(group) > _MOST for index in group]
    return sorted((sorted(group) for group in [*kept, *single]), key=lambda group: group[0])
