"""What one side of a pair took."""

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Side:
    """One process from its start to its end."""

    tokens: list[int]
    """Of every step, without padding."""
    seconds: list[float]
    losses: list[float]
    first_step_s: float
    """From the start of the process to the end of its first step."""
    wall_s: float
    peak_bytes: int
    """Most resident memory of the process; on a GPU the most that was allocated."""
    versions: dict[str, str]
    device: str = "cpu"

    def tokens_per_s(self, warmup: int) -> float:
        """Returns tokens per second over the steps after the first `warmup`."""
        return sum(self.tokens[warmup:]) / sum(self.seconds[warmup:])


@dataclass(frozen=True)
class Pair:
    """Both sides, one after the other."""

    ours: Side
    peer: Side

    def ratio(self, warmup: int, *, wall: bool) -> float:
        """Returns how many times as fast ours is; of wall times, the share that ours takes."""
        if wall:
            return self.ours.wall_s / self.peer.wall_s
        return self.ours.tokens_per_s(warmup) / self.peer.tokens_per_s(warmup)


def median(values: list[float]) -> float:
    """Returns the middle value."""
    return statistics.median(values)
