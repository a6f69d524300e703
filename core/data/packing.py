"""Rows in one sequence: each once, and the beginning that neighbours have in common only once.

Nothing is padded. Rows of a micro-batch stand behind one another and see only themselves; rows
with one beginning, such as several questions about one text, become its branches: the beginning
runs through the model once, each branch goes on from its end and sees it and itself.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Tokens = Sequence[int]
_MOST = 64
"""Rows of a group: in larger ones next to nothing would be shuffled."""


@dataclass(frozen=True)
class Packing:
    """How the rows of a micro-batch go through the model."""

    pack: bool = False
    """In one sequence behind one another, not below one another with padding."""
    share: bool = False
    """What neighbours have in common from their beginning goes through it once."""
    groups: list[list[int]] = field(default_factory=list[list[int]])
    """With `share`: the numbers of all rows, by what belongs together; none where rows stand in
    the order that they would have without it."""
    saved: float = 0.0
    """Share of an epoch's tokens that this leaves out, or would leave out."""
    texts: float = 0.0
    """Groups that a step would hold, where these are too few to train rows by them; else 0."""
    grouped: float = 0.0
    """Share of the tokens that such groups would leave out."""

    @property
    def possible(self) -> float:
        """Share of the tokens that is left out, or would be if rows of one text were together."""
        return max(self.saved, self.grouped)

    def computed(self, rows: Sequence[Tokens]) -> int:
        """Returns how many positions go through the model for a micro-batch."""
        if self.pack:
            return computed(rows, share=self.share)
        return len(rows) * max(map(len, rows), default=0)


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
    return common_of(in_order(one), in_order(other))


def in_order(row: Tokens) -> bytes:
    """Returns a key whose order puts rows with a common beginning beside each other."""
    return (row if isinstance(row, array) and row.itemsize == 4 else array("i", row)).tobytes()


def common_of(one: bytes, other: bytes) -> int:
    """Returns how many whole tokens two keys of `in_order` have in common from their beginning."""
    low, high = 0, min(len(one), len(other)) // 4
    while low < high:
        middle = (low + high + 1) // 2
        if one[low * 4 : middle * 4] == other[low * 4 : middle * 4]:
            low = middle
        else:
            high = middle - 1
    return low


def families(rows: Sequence[Tokens], *, share: bool) -> list[Family]:
    """Divides neighbouring rows so that as few tokens as possible are computed.

    A row keeps at least its last token to itself. Example with `share`: rows [1, 2, 3], [1, 2, 4]
    and [7, 8] become a family of two that shares two tokens, and one of one.
    """
    if not share:
        return [Family(index, 1, 0) for index in range(len(rows))]
    keys = [in_order(row) for row in rows]
    beside = [0, *(common_of(one, other) for one, other in pairwise(keys))]
    # saved[n]: the most tokens that the first n rows save; begins[n]: where the last family begins.
    saved, begins, shares = [0], [0], [0]
    for end in range(1, len(rows) + 1):
        alike = len(rows[end - 1]) - 1
        best = (saved[end - 1], end - 1, 0)
        for first in range(end - 2, -1, -1):
            alike = min(alike, len(rows[first]) - 1, beside[first + 1])
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

    Rows of a group stand by their beginnings, and groups in the order of their first rows. How a
    template begins all rows counts for nothing: any neighbours share that. What more rows have in
    common than `_MOST` is of that kind too. Rows that are repeated, as those of a source of weight
    2, are repeated in groups of their own: a step that trained both would see fewer rows.
    """
    if not rows:
        return []
    keys = [in_order(row) for row in rows]
    seen: dict[bytes, int] = {}
    copies: list[int] = []
    for key in keys:
        copies.append(seen.get(key, 0))
        seen[key] = copies[-1] + 1
    order = sorted(range(len(rows)), key=lambda index: (copies[index], keys[index]))
    head = common_of(min(seen), max(seen))
    together: list[list[int]] = [order[:1]]
    for before, index in pairwise(order):
        alike = common_of(keys[before], keys[index]) - head
        shorter = min(len(rows[before]), len(rows[index])) - head
        if copies[before] == copies[index] and alike > 0 and 2 * alike >= shorter:
            together[-1].append(index)
        else:
            together.append([index])
    kept = [group for group in together if len(group) <= _MOST]
    single = [[index] for group in together if len(group) > _MOST for index in group]
    return sorted([*kept, *single], key=min)
