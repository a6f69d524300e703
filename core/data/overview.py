"""What a pass over the rows found, in a form that a screen can walk: amounts, sides, orders."""

import heapq
from array import array

from .dataset import Dataset, Part, Place
from .plan import BatchPlan
from .results import HELD_OUT, TRAINED, Checked, Epoch, SourceRows
from .statistics import plan_of, statistics

_MOST = 10_000
"""Rows in each order: nobody walks further, and a million need not go to the screen."""


def overview(dataset: Dataset, *, complete: bool) -> Checked:
    """Returns what was gathered so far, or of all rows."""
    train, apart = dataset.sides()
    plan = plan_of(dataset, train)
    return Checked(
        statistics(dataset, complete=complete, plan=plan),
        [_rows_of(part, train, apart) for part in dataset.parts],
        _epoch(dataset, train, plan) if complete and train else None,
    )


def _rows_of(part: Part, train: list[Place], apart: list[Place]) -> SourceRows:
    sides = bytearray(part.rows)
    for side, places in ((TRAINED, train), (HELD_OUT, apart)):
        for of, index in places:
            if of is part:
                sides[part.numbers[index] - part.first] = side
    every = range(len(part.encoded))
    least = heapq.nsmallest(_MOST, every, key=lambda index: _share(part, index))
    longest = heapq.nlargest(_MOST, every, key=lambda index: part.lengths[index])
    held_out = [part.first + place for place, side in enumerate(sides) if side == HELD_OUT]
    return SourceRows(
        source=part.name,
        first=part.first,
        sides=bytes(sides),
        longest=[part.numbers[index] for index in longest],
        least_trained=[part.numbers[index] for index in least],
        held_out=held_out[:_MOST],
    )


def _share(part: Part, index: int) -> float:
    return part.encoded.trained(index) / max(part.lengths[index], 1)


def _epoch(dataset: Dataset, train: list[Place], plan: BatchPlan) -> Epoch:
    """Returns the first epoch as the trainer has it."""
    of = {id(part): place for place, part in enumerate(dataset.parts)}
    sources, rows, ends = array("i"), array("i"), array("i")
    for batch in plan.first_epoch():
        for part, index in map(train.__getitem__, batch):
            sources.append(of[id(part)])
            rows.append(part.numbers[index])
        ends.append(len(rows))
    return Epoch(sources.tobytes(), rows.tobytes(), ends.tobytes(), plan.rows_per_step)
