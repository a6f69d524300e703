"""The ranks of a run: how they meet, agree, and divide what is done.

Every rank runs the same recipe over the same plan. What only one can do (reading commands,
downloading, writing) is rank 0's, which tells the others; what must be equal is shared at the
same place of the recipe on every rank.
"""

import gc
import os
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import msgspec
import torch
import torch.distributed as dist

from ..config import LaunchConfig
from ..errors import UsageError
from .crew import Place

Item = TypeVar("Item")
_PATIENCE = timedelta(days=7)
"""Ranks wait for each other as long as rank 0 samples or saves; `Crew` notices one that died."""


class Ranks:
    """This process among the ranks of a run; alone, nothing is exchanged."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size
        self.first = rank == 0

    @classmethod
    def join(cls, place: Place, device: torch.device) -> "Ranks":
        """Waits for the others and returns this process among them.

        They find each other through a file, and gloo and NCCL keep to the loopback interface, so
        nothing can be reached from another machine.
        """
        if place.size == 1:
            return cls()
        interface = "lo0" if os.uname().sysname == "Darwin" else "lo"
        for library in ("GLOO", "NCCL"):
            os.environ[f"{library}_SOCKET_IFNAME"] = interface
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
            store=dist.FileStore(place.store, place.size),  # pyright: ignore[reportPrivateImportUsage]
            rank=place.rank,
            world_size=place.size,
            timeout=_PATIENCE,
        )
        return cls(place.rank, place.size)

    def end(self) -> None:
        """Waits until all ranks are done, and parts from them.

        What DDP wraps must have been let go: its reducer, if it held the group last, would wait
        for a thread of gloo that waits for Python's lock (torch 2.13).
        """
        if self.size > 1:
            self.total(0.0)
            gc.collect()
            dist.destroy_process_group()

    def share(self, data: bytes) -> bytes:
        """Returns on every rank what rank 0 gives."""
        if self.size == 1:
            return data
        length = torch.tensor([len(data)])
        dist.broadcast(length, 0)
        if not length:
            return b""
        content = torch.zeros(int(length), dtype=torch.uint8)
        if self.first:
            content = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        dist.broadcast(content, 0)
        return content.numpy().tobytes()

    def told(self, make: Callable[[], Item], kind: type[Item]) -> Item:
        """Returns on every rank what `make` gives on rank 0, which alone calls it."""
        if self.size == 1:
            return make()
        data = msgspec.json.encode(make()) if self.first else b""
        return msgspec.json.decode(self.share(data), type=kind)

    def total(self, *values: float) -> list[float]:
        """Returns each value's sum over all ranks, in fp64."""
        if self.size == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(sums)
        return sums.tolist()

    def gather(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        """Returns every rank's tensor, all of the same shape and on the CPU, by rank."""
        if self.size == 1:
            return [tensor]
        found = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(found, tensor)
        return found

    def mine(self, items: list[Item]) -> list[Item | None]:
        """Returns this rank's items of a list that all ranks divide.

        Each gets as many; None stands where a rank has nothing left to do.

        Example: of [a, b, c] rank 0 of 2 gets [a, c] and rank 1 [b, None].
        """
        rounds = -(-len(items) // self.size)
        own: list[Item | None] = list(items[self.rank :: self.size])
        return own + [None] * (rounds - len(own))


def device_of(launch: LaunchConfig, place: Place) -> torch.device:
    """Returns the device that a rank computes on, and lets CPU ranks divide the cores.

    Raises:
        UsageError: torch sees no such device, or not as many.
    """
    wanted = launch.accelerator
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        wanted = next((name for name, there in has.items() if there), "cpu")
    if not has.get(wanted, True):
        raise UsageError(
            f"launch.accelerator is {wanted}, which cannot be used",
            f"torch {torch.__version__} sees no {wanted} device",
            "set launch.accelerator to auto or cpu, or install a torch build for the device",
        )
    if wanted == "cpu" and place.size > 1 and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(torch.get_num_threads() // place.size, 1))
    if wanted != "cuda":
        return torch.device(wanted)
    if torch.cuda.device_count() < place.size:
        raise UsageError(
            f"launch.devices is {place.size}, and there are not that many GPUs",
            f"torch {torch.__version__} sees {torch.cuda.device_count()}",
            "lower launch.devices",
        )
    torch.cuda.set_device(place.rank)
    return torch.device("cuda", place.rank)
