"""Statistics of a data set: what a run will see, before it is started."""

from array import array
from bisect import bisect_left, insort
from collections.abc import Iterator
from itertools import pairwise

from ..config import RunConfig
from . import packing
from .dataset import Dataset, Part, Place
from .plan import WORTH, BatchPlan, planned, wanted
from .results import Histogram, Lengths, Packing, SourceStatistics, Statistics


def plan_of(dataset: Dataset, train: list[Place]) -> BatchPlan:
    """Returns the trainer's plan for the rows of a data set, if the model allows it."""
    return planned(dataset.config, [row.input_ids for row in dataset.picked(train)])


def statistics(dataset: Dataset, *, complete: bool, plan: BatchPlan | None = None) -> Statistics:
    """Counts what a data set holds.

    Args:
        dataset: What was gathered.
        complete: Whether that is all.
        plan: Of the rows that are trained, where that is known.
    """
    train, apart = dataset.sides()
    plan = plan or plan_of(dataset, train)
    lengths = sorted(length for part in dataset.parts for length in part.lengths)
    sizes = [part.encoded.tokens(index) for part, index in train]
    late, share = _late_beginnings(dataset, train, plan) if complete else ([], None)
    problems = dataset.problems(late)
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
        _packing(dataset.config, sizes, plan, share),
        _steps(dataset.config, plan),
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


def _steps(config: RunConfig, plan: BatchPlan) -> int | None:
    """Returns the optimizer steps of the run, None where nothing is trained."""
    steps = config.train.max_steps or config.train.epochs * plan.steps_per_epoch
    return steps if plan.rows else None


def _packing(
    config: RunConfig, sizes: list[int], plan: BatchPlan, other_order: float | None
) -> Packing:
    """Returns how rows go through the model, and what that leaves out of the first epoch."""
    if not sizes:
        return Packing()
    how, data = plan.packing, config.data
    asked = [data.pack] * how.pack + [data.share_prefixes] * how.share
    without = BatchPlan.of(config, len(sizes)).first_epoch()
    positions = sum(len(batch) * max(sizes[index] for index in batch) for batch in without)
    padding = 1 - sum(sizes) / positions
    return Packing(
        layout="shared" if how.share else "packed" if how.pack else "padded",
        on_trial="auto" in asked,
        padding_share=0.0 if how.pack else padding,
        shared_share=how.saved if how.share else 0.0,
        fill=fill(sizes, data.max_length),
        padding_share_without=padding,
        other_order_share=other_order,
        grouped_share=how.grouped or None,
    )


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


def _late_beginnings(
    dataset: Dataset, train: list[Place], plan: BatchPlan
) -> tuple[list[Place], float | None]:
    """Returns rows with the same end of their prompts, and the shared share if that stood first.

    Such an end is a text behind a question about it. Nothing where it would not be much more.
    """
    data = dataset.config.data
    if "never" in (data.pack, data.share_prefixes):
        return [], None
    rows = list(_backwards(dataset, train))
    alike = sorted(row for group in packing.groups(rows) if len(group) > 1 for row in group)
    most = sum(len(rows[row]) for row in alike) / max(sum(map(len, rows)), 1)
    # Where few rows have such an end, as most often, a plan for them is not worth its time.
    if most - plan.packing.possible < WORTH:
        return [], None
    possible = wanted(dataset.config, rows).possible
    if possible - plan.packing.possible < WORTH:
        return [], None
    return [train[row] for row in alike], possible


def _backwards(dataset: Dataset, train: list[Place]) -> Iterator["array[int]"]:
    """Yields rows whose prompts run from their end to their beginning."""
    for row in dataset.picked(train):
        ids, begin = array("i", row.input_ids), row.answer_start
        yield ids[:begin][::-1] + ids[begin:]
