"""Statistics of a data set: what a run will see, before it is started."""

from bisect import bisect_left, insort
from itertools import pairwise

from . import packing
from .dataset import Dataset, Part, Place
from .plan import BatchPlan
from .results import Histogram, Lengths, Packing, SourceStatistics, Statistics


def statistics(dataset: Dataset, *, complete: bool) -> Statistics:
    """Counts what a data set holds."""
    train, apart = dataset.sides()
    lengths = sorted(length for part in dataset.parts for length in part.lengths)
    sizes = [part.encoded.tokens(index) for part, index in train]
    problems = dataset.problems()
    steps, padding = _steps_and_padding(dataset, sizes)
    limit = dataset.config.data.max_length
    return Statistics(
        complete,
        sum(part.rows for part in dataset.parts),
        len(train),
        len(apart),
        _lengths(lengths),
        sum(sizes),
        _share(sum(part.encoded.trained(index) for part, index in train), sum(sizes)),
        sum(part.encoded.is_cut(n) for part in dataset.parts for n in range(len(part.encoded))),
        sum(part.rows - sum(part.kept) for part in dataset.parts),
        sum(problem.count for problem in problems if problem.id == "duplicates"),
        Packing(fill(sizes, limit), padding, shared_share(train)),
        steps,
        _suggested(lengths),
        [_of_source(part) for part in dataset.parts],
        problems,
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _of_source(part: Part) -> SourceStatistics:
    kept = [index for index, on in enumerate(part.kept) if on]
    tokens = sum(map(part.encoded.tokens, kept))
    shape = part.shape
    return SourceStatistics(
        part.name,
        shape.name,
        shape.reason,
        shape.certainty,
        part.template,
        part.weight,
        part.rows,
        len(kept),
        tokens,
        _share(sum(map(part.encoded.trained, kept)), tokens),
        part.unused,
    )


def _lengths(ordered: list[int]) -> Lengths | None:
    if not ordered:
        return None
    count = len(ordered)
    edges = [0]
    width = 16
    while edges[-1] <= ordered[-1]:
        edges.append(edges[-1] + width)
        if len(edges) % 8 == 1:  # eight bins of a width, then twice as wide: few bins, any length
            width *= 2
    places = [bisect_left(ordered, edge) for edge in edges]
    counts = [after - before for before, after in pairwise(places)]
    return Lengths(
        ordered[(count - 1) // 2],
        ordered[min(count - 1, round(0.95 * (count - 1)))],
        ordered[-1],
        Histogram(edges, counts),
    )


def _suggested(ordered: list[int]) -> int | None:
    """Returns the smallest multiple of 128 that keeps 99 % of the rows whole."""
    if not ordered:
        return None
    longest = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return max(-(-longest // 128) * 128, 128)


def _steps_and_padding(dataset: Dataset, sizes: list[int]) -> tuple[int | None, float | None]:
    """Returns the optimizer steps of the run, and the padding in its first epoch.

    The micro-batches are those of the trainer: the same plan, the same seed.
    """
    train = dataset.config.train
    if not sizes:
        return None, None
    plan = BatchPlan.of(dataset.config, len(sizes))
    computed = 0
    for step in range(1, plan.steps_per_epoch + 1):
        for batch in plan.micro_batches(step):
            computed += len(batch) * max(sizes[index] for index in batch)
    steps = train.max_steps or train.epochs * plan.steps_per_epoch
    return steps, 1 - sum(sizes) / computed


def fill(sizes: list[int], limit: int) -> float | None:
    """Returns how full sequences of `limit` tokens are when rows are packed, longest first.

    Each row goes where it leaves the least room (best fit decreasing).
    """
    rooms: list[int] = []
    packed = 0
    for size in sorted(sizes, reverse=True):
        place = bisect_left(rooms, size)
        if place == len(rooms):
            packed += 1
            room = limit - size
        else:
            room = rooms.pop(place) - size
        if room > 0:
            insort(rooms, room)
    return _share(sum(sizes), packed * limit)


def shared_share(train: list[Place]) -> float | None:
    """Returns the share of tokens whose whole beginning stands in another row too.

    It is what a tree of beginnings saves: in sorted order each row shares with the one before.
    """
    rows = sorted(packing.in_order(part.encoded[index].input_ids) for part, index in train)
    shared = sum(packing.common_of(before, after) for before, after in pairwise(rows))
    return _share(shared, sum(len(row) // 4 for row in rows))
