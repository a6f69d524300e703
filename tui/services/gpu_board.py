"""What Monitor remembers of the GPUs: their last two minutes, who holds them, which were lost.

A plain object; widgets read it when they repaint.
"""

from collections import deque
from collections.abc import Sequence

from ...core import events
from ...core.gpu_watch import Holder, Watched

KEPT = 120
"""Samples that are kept: two minutes of live ones."""
FOREIGN_BYTES = 1 << 30
"""From so much memory on another's process on a GPU of the run is told."""


class GpuBoard:
    """The samples of one run's host, live or as its trainer recorded them."""

    def __init__(self) -> None:
        self.live = False
        self.system: events.System | None = None
        self.use: dict[int, deque[float | None]] = {}
        self.memory: dict[int, deque[float | None]] = {}
        """Shares of each GPU by its number, the newest last; None is unknown."""
        self._seen: dict[int, events.Gpu] = {}
        self._watched: dict[int, Watched] = {}

    def add(self, system: events.System, watched: Sequence[Watched] = (), *, live: bool) -> None:
        """Takes a sample. Once there are live ones, recorded ones say nothing more."""
        if live != self.live:
            self.__init__()
            self.live = live
        self.system = system
        self._watched = {each.index: each for each in watched}
        now = {gpu.index: gpu for gpu in system.gpus}
        for index in {*self._seen, *now}:
            gpu = now.get(index)
            for kept, value in ((self.use, gpu and gpu.utilisation), (self.memory, _share(gpu))):
                kept.setdefault(index, deque(maxlen=KEPT)).append(value)
            if gpu is not None and _tells(gpu):
                self._seen[index] = gpu

    @property
    def gpus(self) -> list[events.Gpu]:
        """The GPUs by number; one that was lost has only its name."""
        now = {gpu.index: gpu for gpu in self.system.gpus} if self.system else {}
        lost = {
            index: events.Gpu(index=index, name=gpu.name)
            for index, gpu in self._seen.items()
            if index not in now or not _tells(now[index])
        }
        every = now | lost
        return [every[index] for index in sorted(every)]

    @property
    def lost(self) -> list[int]:
        """The numbers of GPUs that told something before, and nothing any longer."""
        return [gpu.index for gpu in self.gpus if gpu.index in self._seen and not _tells(gpu)]

    def why(self, index: int) -> str:
        """Returns why the use of a GPU is unknown, or ""."""
        return self._watched[index].why if index in self._watched else ""

    def ours(self, index: int) -> int | None:
        """Returns the bytes that this run holds on a GPU; None is unknown, or none at all."""
        known = [each.memory_bytes for each in self._holders(index) if each.ours]
        return sum(value or 0 for value in known) if any(known) else None

    @property
    def foreign(self) -> list[tuple[int, Holder]]:
        """Processes of others on the GPUs that this run uses, with the number of each GPU."""
        return [
            (index, each)
            for index in sorted(self._watched)
            if any(holder.ours for holder in self._holders(index))
            for each in self._holders(index)
            if not each.ours and (each.memory_bytes is None or each.memory_bytes > FOREIGN_BYTES)
        ]

    def _holders(self, index: int) -> tuple[Holder, ...]:
        return self._watched[index].holders if index in self._watched else ()


def _tells(gpu: events.Gpu) -> bool:
    """Whether a GPU tells anything: one that the driver lost does not even tell its memory."""
    return gpu.memory_total_bytes is not None or gpu.utilisation is not None


def _share(gpu: events.Gpu | None) -> float | None:
    if gpu is None or gpu.memory_used_bytes is None or not gpu.memory_total_bytes:
        return None
    return gpu.memory_used_bytes / gpu.memory_total_bytes
