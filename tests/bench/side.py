"""What one side of a pair took."""

import os
import signal
import statistics
import subprocess
from dataclasses import dataclass
from itertools import pairwise


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
    gpu: str = ""
    """Its name, where there is one."""
    parameters: int = 0
    """Of the model with its adapter; ours alone tells."""

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


def seconds_between(began: float, ends: list[float]) -> list[float]:
    """Returns how long each step took with all that lay before it, from when each had ended."""
    return [after - before for before, after in pairwise([began, *ends])]


def waited(child: subprocess.Popen[bytes]) -> tuple[int, int]:
    """Waits for a child that leads a process group; where that is cut short, the group ends too.

    Returns:
        Its exit code, and the most resident memory that it had, in bytes.
    """
    try:
        _, status, usage = os.wait4(child.pid, 0)
    except BaseException:  # Ctrl+C: nothing trains on behind it
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        raise
    child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, usage.ru_maxrss * 1024


def median(values: list[float]) -> float:
    """Returns the middle value."""
    return statistics.median(values)
