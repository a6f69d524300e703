"""Which row comes next: in the order of the file, or of what is worth looking at."""

from .....core.data.lints import Problem
from .....core.data.results import HELD_OUT, LEFT_OUT, TRAINED, Checked

ORDERS = ("file", "longest", "least trained", "problems", "held out")
SIDES = {LEFT_OUT: "left out", TRAINED: "train", HELD_OUT: "held out"}


class Walk:
    """An order of the rows of a source, or the rows that have a problem."""

    def __init__(self) -> None:
        self.order = ORDERS[0]
        self.problem: Problem | None = None

    def forget(self, order: str = ORDERS[0]) -> None:
        """Goes back to an order, without a problem."""
        self.order, self.problem = order, None

    def rows(self, found: Checked | None, source: int) -> list[int] | None:
        """Returns the rows in their order; None is the order of the file."""
        if self.problem is not None:
            return self.problem.rows
        if self.order == ORDERS[0] or found is None or source >= len(found.sources):
            return None
        known = found.sources[source]
        if self.order == "problems":
            mine = (p for p in found.problems if found.source_of(p) == source)
            return list(dict.fromkeys(row for problem in mine for row in problem.rows))
        orders = {
            "longest": known.longest,
            "least trained": known.least_trained,
            "held out": known.held_out,
        }
        return orders[self.order]

    def step(self, here: int, by: int, found: Checked | None, source: int) -> int | None:
        """Returns the row that comes `by` rows behind another; None where there is none."""
        rows = self.rows(found, source)
        if rows is None:
            first, end = known_range(found, source)
            there = here + by
            return there if there >= first and (end is None or there < end) else None
        if not rows:
            return None
        if here not in rows:
            return rows[0]
        place = rows.index(here) + by
        return rows[place] if 0 <= place < len(rows) else None

    def place(self, here: int, found: Checked | None, source: int) -> str:
        """Returns where a row stands in an order other than the file's, in words."""
        rows = self.rows(found, source)
        if rows is None:
            return ""
        name = self.problem.id if self.problem is not None else self.order
        at = f"{rows.index(here) + 1:,}" if here in rows else "–"
        return f"{name} {at}/{len(rows):,}"


def known_range(found: Checked | None, source: int) -> tuple[int, int | None]:
    """Returns the first row of a source and the end, None where that is not known yet."""
    if found is None or source >= len(found.sources):
        return 0, None
    known = found.sources[source]
    return known.first, known.first + len(known.sides) if found.complete else None


def side_of(found: Checked | None, source: int, row: int) -> str:
    """Returns the side of a row in words, "" where it is not known."""
    if found is None or not found.complete or source >= len(found.sources):
        return ""
    side = found.sources[source].side(row)
    return "" if side is None else SIDES[side]
