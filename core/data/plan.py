"""Which rows every step trains: pure functions of the seed, for trainer and preview alike."""

import heapq
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice
from typing import TYPE_CHECKING

from . import packing
from .packing import Packing, Tokens

if TYPE_CHECKING:
    from ..config import RunConfig

WORTH = 0.1
"""Share of the tokens that must be saved before `auto` computes beginnings once."""
TEXTS = 3
"""Groups that a step must hold before `auto` trains rows of one beginning together: from fewer
texts each step learns less (README, Speed)."""
_LOOKED_AT = 200_000
"""Rows, over several epochs, among whose micro-batches the largest is looked for."""
_AHEAD = 32
"""Groups among which one is looked for that fits into what is left of a step."""


def wanted(config: "RunConfig", rows: Sequence[Tokens]) -> Packing:
    """Returns how a configuration lays out its training rows, if the model keeps them apart.

    Whether it does a trial tells when it is loaded; nothing else is decided later.
    """
    if config.data.pack == "never":
        return Packing()
    if config.data.share_prefixes == "never":
        return Packing(pack=True)
    grouped = Packing(pack=True, share=True, groups=packing.groups(rows))
    grouped = replace(grouped, saved=_saved(config, rows, grouped))
    if config.data.share_prefixes == "always":
        return grouped
    texts = BatchPlan.of(config, len(rows)).rows_per_step * len(grouped.groups) / max(len(rows), 1)
    if grouped.saved < WORTH:
        return Packing(pack=True, saved=grouped.saved)
    if texts >= TEXTS or len(grouped.groups) == len(rows):
        return grouped
    # What neighbours have in common by chance, such as the beginning of a template.
    alone = Packing(pack=True, share=True, texts=texts, grouped=grouped.saved)
    saved = _saved(config, rows, alone)
    return replace(alone, share=saved >= WORTH, saved=saved)


def _saved(config: "RunConfig", rows: Sequence[Tokens], how: Packing) -> float:
    """Returns the share of the first epoch's tokens that is left out."""
    batches = BatchPlan.packed(config, rows, how).first_epoch()
    computed = sum(how.computed([rows[row] for row in some]) for some in batches)
    return 1 - computed / max(sum(map(len, rows)), 1)


def planned(config: "RunConfig", rows: Sequence[Tokens]) -> "BatchPlan":
    """Returns the plan of a configuration, if the model keeps packed rows apart."""
    return BatchPlan.packed(config, rows, wanted(config, rows))


class BatchPlan:
    """Which rows every step trains: a pure function of seed and step, so resuming needs no state.

    Example: 10 rows, micro-batches of 2, accumulation 2 give 3 steps an epoch, with 2, 2 and 1
    micro-batches.
    """

    def __init__(
        self, rows: int, micro_batch_size: int, accumulation: int, seed: int, shuffle: bool
    ) -> None:
        self.rows = rows
        self.micro_batch_size = micro_batch_size
        self.rows_per_step = micro_batch_size * accumulation
        self.steps_per_epoch = math.ceil(rows / self.rows_per_step)
        self.packing = Packing()
        self._seed = seed
        self._shuffle = shuffle
        self._order: tuple[int, list[int]] | None = None
        self._divide: _Division | None = None

    @classmethod
    def of(cls, config: "RunConfig", rows: int) -> "BatchPlan":
        """Returns the plan of a configuration over that many training rows, nothing packed.

        The number of devices counts as accumulation does: which of them trains a micro-batch
        changes nothing about the step.
        """
        train = config.train
        return cls(
            rows, train.micro_batch_size, config.micro_batches, train.seed, config.data.shuffle
        )

    @classmethod
    def packed(cls, config: "RunConfig", rows: Sequence[Tokens], how: Packing) -> "BatchPlan":
        """Returns the plan of a configuration for rows that go through the model as `how` says.

        Groups are shuffled as wholes, and steps filled with whole ones where some fit. A step's
        division into micro-batches changes nothing about it, but where each counts as a mean of
        its own: it is by what they compute, and cuts no group that need not be cut.

        Args:
            config: The run's.
            rows: The tokens of the training rows.
            how: As `wanted` returns it, or what the model allows of that.
        """
        plan = cls.of(config, len(rows))
        plan.packing = how
        if how.pack and config.train.loss_normalisation == "tokens":
            plan._divide = _Division(rows, plan.micro_batch_size, how)
        return plan

    def micro_batches(self, step: int) -> list[list[int]]:
        """Returns the row indices of each micro-batch of a step; steps count from 1."""
        epoch, place = divmod(step - 1, self.steps_per_epoch)
        order = self._epoch_order(epoch)
        mine = order[place * self.rows_per_step : (place + 1) * self.rows_per_step]
        if self._divide is not None:
            return self._divide(mine)
        size = self.micro_batch_size
        return [mine[start : start + size] for start in range(0, len(mine), size)]

    def first_epoch(self) -> Iterator[list[int]]:
        """Yields its micro-batches, in order."""
        for step in range(1, self.steps_per_epoch + 1):
            yield from self.micro_batches(step)

    def _epoch_order(self, epoch: int) -> list[int]:
        if self._order is None or self._order[0] != epoch:
            units = list(self.packing.groups or ([index] for index in range(self.rows)))
            if self._shuffle:
                random.Random(f"{self._seed}/{epoch}").shuffle(units)
            self._order = (epoch, list(_filled(units, self.rows_per_step)))
        return self._order[1]


def _filled(groups: list[list[int]], size: int) -> Iterator[int]:
    """Yields all rows so that as few groups as possible lie in two of the steps of `size` rows.

    A step begins with the group that is next; then come those of the following ones that fit. Only
    where none of these does, one is cut.

    Example: groups of 3, 2, 2 and 1 rows in steps of 4: 3 and 1, 2 and 2.
    """
    coming = iter(groups)
    near = list(islice(coming, _AHEAD))
    room = size
    while near:
        fits = (place for place, group in enumerate(near) if len(group) <= room)
        place = 0 if room == size else next(fits, 0)
        taken, rest = near[place][:room], near[place][room:]
        yield from taken
        room = room - len(taken) or size
        if rest:
            near[place] = rest
        else:
            del near[place]
            near += islice(coming, 1)


class _Division:
    """Divides a step's rows into micro-batches that compute about as much as each other."""

    def __init__(self, rows: Sequence[Tokens], size: int, how: Packing) -> None:
        self._rows, self._size, self._share = rows, size, how.share
        # What so many of the longest rows compute, which memory was judged by.
        self._limit = size * max(map(len, rows), default=0)
        self._group_of = {
            index: number for number, group in enumerate(how.groups) for index in group
        }

    def __call__(self, mine: list[int]) -> list[list[int]]:
        """Returns the micro-batches of a step: the largest group goes where least is.

        No micro-batch computes more than the longest rows would: a group that is too large is
        halved. (Were there no room for a single row, each micro-batch would hold `size` rows.)
        """
        near = groupby(mine, key=lambda index: self._group_of.get(index, -1 - index))
        waiting = [self._unit(list(members)) for _, members in near]
        heapq.heapify(waiting)
        # What it computes, its number, its rows.
        batches: list[tuple[int, int, list[int]]] = [
            (0, number, []) for number in range(-(-len(mine) // self._size))
        ]
        while waiting:
            cost, _, unit = heapq.heappop(waiting)
            least, number, rows = batches[0]
            if least - cost > self._limit and len(unit) > 1:
                half = len(unit) // 2
                heapq.heappush(waiting, self._unit(unit[:half]))
                heapq.heappush(waiting, self._unit(unit[half:]))
            else:
                heapq.heapreplace(batches, (least - cost, number, rows + unit))
        filled = [rows for _, _, rows in sorted(batches, key=lambda batch: batch[1]) if rows]
        if not self._share:
            return filled
        return [sorted(some, key=lambda row: (self._key(row), row)) for some in filled]

    def _unit(self, rows: list[int]) -> tuple[int, int, list[int]]:
        """Returns what rows compute, negative so that most comes first, their first, and them."""
        cost = packing.computed([self._rows[row] for row in rows], share=self._share)
        return -cost, rows[0], rows

    def _key(self, row: int) -> bytes:
        return packing.in_order(self._rows[row])


def largest(plan: BatchPlan, rows: Sequence[Tokens], steps: int) -> list[int]:
    """Returns the rows of the micro-batch that computes most, of a run of so many steps.

    Later epochs, which only mix the same rows anew, are looked at as long as that takes seconds.
    """
    most = max(plan.steps_per_epoch, _LOOKED_AT // plan.rows_per_step)
    batches = (some for step in range(1, min(steps, most) + 1) for some in plan.micro_batches(step))
    return max(batches, key=lambda some: plan.packing.computed([rows[row] for row in some]))


def evaluation_batches(rows: Sequence[Tokens], size: int, how: Packing) -> list[list[int]]:
    """Returns the row indices of an evaluation's micro-batches.

    Padded rows stand by their lengths, `size` in each. Packed ones stand by their beginnings where
    these are shared, and fill each micro-batch with what `size` of the longest would compute.
    """
    every = range(len(rows))
    if not how.pack:
        order = sorted(every, key=lambda row: len(rows[row]))
        return [order[start : start + size] for start in range(0, len(order), size)]
    order = sorted(every, key=lambda row: packing.in_order(rows[row])) if how.share else list(every)
    limit = size * max(map(len, rows), default=0)
    batches: list[list[int]] = []
    room = 0
    for row in order:
        seen = packing.common(rows[batches[-1][-1]], rows[row]) if how.share and batches else 0
        if len(rows[row]) - seen > room:
            batches.append([])
            room, seen = limit, 0
        batches[-1].append(row)
        room -= len(rows[row]) - seen
    return batches


def repeated(count: int, weight: float, seed: int) -> list[int]:
    """Returns which of `count` rows an epoch holds, in file order, for the weight of their source.

    The whole part of the weight repeats all rows, the rest adds a random choice that is the same
    in every epoch. At least one row is left of a source that has any.

    Example: 4 rows with weight 1.5 → each once, and two of them twice.
    """
    whole, rest = divmod(weight, 1.0)
    chosen = [index for index in range(count) for _ in range(int(whole))]
    extra = round(count * rest)
    if not chosen and count:
        extra = max(extra, 1)
    picked = random.Random(f"{seed}/weight").sample(range(count), min(extra, count))
    return sorted([*chosen, *picked])
