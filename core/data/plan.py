"""Which rows every step trains: pure functions of the seed, for trainer and preview alike."""

import math
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..config import RunConfig


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
        self._seed = seed
        self._shuffle = shuffle
        self._order: tuple[int, list[int]] | None = None
        self._groups: list[list[int]] | None = None

    def keep_together(self, groups: list[list[int]]) -> None:
        """Lets the rows of a group follow each other; what is shuffled then are groups.

        Args:
            groups: All row numbers, each once.
        """
        self._groups, self._order = groups, None

    @classmethod
    def of(cls, config: "RunConfig", rows: int) -> "BatchPlan":
        """Returns the plan of a configuration over that many training rows.

        The number of devices counts as accumulation does: which of them trains a micro-batch
        changes nothing about the step.
        """
        train = config.train
        return cls(
            rows, train.micro_batch_size, config.micro_batches, train.seed, config.data.shuffle
        )

    def micro_batches(self, step: int) -> list[list[int]]:
        """Returns the row indices of each micro-batch of a step; steps count from 1."""
        epoch, place = divmod(step - 1, self.steps_per_epoch)
        order = self._epoch_order(epoch)
        mine = order[place * self.rows_per_step : (place + 1) * self.rows_per_step]
        size = self.micro_batch_size
        return [mine[start : start + size] for start in range(0, len(mine), size)]

    def _epoch_order(self, epoch: int) -> list[int]:
        if self._order is None or self._order[0] != epoch:
            units = list(self._groups or ([index] for index in range(self.rows)))
            if self._shuffle:
                random.Random(f"{self._seed}/{epoch}").shuffle(units)
            self._order = (epoch, [index for unit in units for index in unit])
        return self._order[1]


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
