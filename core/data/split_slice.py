"""Split expressions such as `train[10%:20%]`, in the grammar and meaning of `datasets`."""

import re

import msgspec

from ..errors import DataError

_EXPRESSION = re.compile(
    r"(?P<name>\w+(?:\.\w+)*)"
    r"(?:\[(?:(?P<start>-?\d[\d_]*)(?P<start_pct>%)?)?:(?:(?P<stop>-?\d[\d_]*)(?P<stop_pct>%)?)?\])?"
)


class Slice(msgspec.Struct, frozen=True):
    """A part of a split: from a row (counted from 0) up to but not including another.

    Negative boundaries count from the end. With `percent` they are hundredths of the rows,
    rounded to the nearest row.
    """

    start: int | None = None
    stop: int | None = None
    percent: bool = False

    @property
    def needs_total(self) -> bool:
        """Whether the boundaries are known only once the rows are counted."""
        return self.percent or (self.start or 0) < 0 or (self.stop or 0) < 0

    def bounds(self, total: int | None) -> tuple[int, int | None]:
        """Returns first row (from 0) and the one behind the last; None is the end.

        Args:
            total: Rows of the split; may be None unless `needs_total`.
        """
        if total is None:
            return self.start or 0, self.stop
        ends: list[int] = []
        for boundary, default in ((self.start, 0), (self.stop, total)):
            if boundary is None:
                row = default
            elif self.percent:
                # As datasets rounds: to the nearest, halves to the even row.
                row = round(boundary * total / 100.0)
            else:
                row = boundary
            ends.append(min(max(total + row, 0) if row < 0 else row, total))
        return ends[0], ends[1]


def parse(expression: str) -> tuple[str, Slice]:
    """Returns name and slice of a split expression.

    Raises:
        DataError: It is not one.
    """
    found = _EXPRESSION.fullmatch(expression.strip())
    if found is None:
        raise DataError(
            f"the split {expression!r} cannot be understood",
            "it is neither a name nor a name with one range of rows",
            "write it like train, train[:100], train[-50:], train[100:200] or train[10%:20%]",
        )
    start, stop = (int(found[side]) if found[side] else None for side in ("start", "stop"))
    percent = bool(found["start_pct"] or found["stop_pct"])
    if percent and max(abs(start or 0), abs(stop or 0)) > 100:
        raise DataError(
            f"the split {expression!r} cannot be understood",
            "a percentage is beyond 100",
            "choose boundaries from -100% to 100%",
        )
    return found["name"], Slice(start, stop, percent)
