"""Starts the other ranks of a run, watches them, and leaves none behind.

The trainer is rank 0 itself, so that a run of one rank and of several are the same code. Every
other rank is a child process (`rank.py`) whose output goes to `trainer.log` with its number, and
which ends when the pipe to its standard input closes: that happens however the trainer ends.
"""

import os
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import IO, NoReturn

import msgspec

from ..errors import SftError
from ..rundir import RunDir
from ..status import how_to_go_on
from ..text import one_line

EXIT_LOST_PEER = 76
"""Exit code of a rank that only noticed that another one was gone."""
_STORE = ".ranks-"
_KEPT_LINES = 40
_CAUSE = re.compile(r"^(\w+\.)*\w*(Error|Exception|Interrupt|Exit)\b|^Fatal |out of memory", re.I)
"""A line that tells why a process ended; what libraries say after it, as they leave, does not."""
_GRACE_S = 10.0
"""How long the trainer has to end by itself after a rank was lost."""
_LEAVING_S = 15.0
LESS_MEMORY = (
    "lower train.micro_batch_size and raise train.gradient_accumulation by the same factor, or "
    "lower data.max_length"
)


class Place(msgspec.Struct, frozen=True):
    """Which rank of how many a process is, and the file through which they find each other."""

    rank: int = 0
    size: int = 1
    store: str = ""
    devices: str = ""
    """What they compute on, in words; empty leaves it to torch."""


class RankLost(SftError):
    """Another rank ended before the run did."""


class _Loss(msgspec.Struct, frozen=True):
    rank: int
    code: int
    lines: tuple[str, ...]
    """The last that it printed and that say something."""

    def error(self, run: RunDir) -> RankLost:
        """Returns what is told of it."""
        how = f"signal {-self.code}" if self.code < 0 else f"code {self.code}"
        cause = next((line for line in reversed(self.lines) if _CAUSE.search(line)), "")
        reason = f"it ended with {how}"
        if cause:
            reason += f": {cause}"
        elif self.lines:
            reason += f", after the line “{self.lines[-1]}”"
        if self.code == -9 or "memory" in cause.lower():
            reason += "" if self.code != -9 else "; the system kills so where memory runs out"
            remedy = f"{LESS_MEMORY}; {how_to_go_on(run, ' --set KEY=VALUE …')}"
            return RankLost(f"rank {self.rank} was lost", reason, remedy)
        return RankLost(
            f"rank {self.rank} was lost",
            reason,
            f"the lines of [rank {self.rank}] in trainer.log tell more; {how_to_go_on(run)}",
        )


class Crew:
    """The ranks besides this one; does nothing where there are none.

    Example:
        with Crew(run, "config.yaml", ranks=2, failed=tell) as place:
            recipe.run_training(run, config, report, steering, place)
    """

    def __init__(
        self,
        run: RunDir,
        config_name: str,
        ranks: int,
        devices: str,
        failed: Callable[[SftError], None],
    ) -> None:
        """Prepares.

        Args:
            run: The run's folder.
            config_name: The configuration in it.
            ranks: All of them.
            devices: See `Place`.
            failed: Tells the end of a run whose main thread is stuck; the process exits then.
        """
        self._run, self._config_name, self._failed = run, config_name, failed
        self._place = Place(0, ranks, str(run.path / f"{_STORE}{os.getpid()}"), devices)
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._losses: list[_Loss] = []
        self._lost = threading.Event()
        self._closing = threading.Event()
        self._ending = threading.Lock()

    def __enter__(self) -> Place:
        for left in self._run.path.glob(f"{_STORE}*"):  # of a trainer that was killed
            left.unlink()
        for rank in range(1, self._place.size):
            self._start(rank)
        return self._place

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType
    ) -> None:
        """Ends the ranks.

        Raises:
            RankLost: In place of an error that only says that another rank is gone.
        """
        if error is not None and is_lost_peer(error):
            self._lost.wait(_GRACE_S / 2)
        with self._ending:
            self._closing.set()
        self._end(_LEAVING_S if error is None else 0.0)
        if error is not None and is_lost_peer(error) and self._losses:
            raise self._first_loss().error(self._run) from error

    def _start(self, rank: int) -> None:
        place = msgspec.structs.replace(self._place, rank=rank)
        child = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "sft_tui.core.training.rank"),
                *(str(self._run.path), self._config_name, msgspec.json.encode(place).decode()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._children[rank] = child
        assert child.stdout is not None
        last: deque[bytes] = deque(maxlen=_KEPT_LINES)
        reader = threading.Thread(target=_copy, args=(rank, child.stdout, last), daemon=True)
        reader.start()
        threading.Thread(target=self._watch, args=(rank, child, reader, last), daemon=True).start()

    def _watch(
        self,
        rank: int,
        child: subprocess.Popen[bytes],
        reader: threading.Thread,
        last: deque[bytes],
    ) -> None:
        """Waits for a rank's end; one before the run's end is told by the main thread, or here."""
        code = child.wait()
        if code == 0 or self._closing.is_set():
            return
        reader.join(1.0)
        lines = tuple(one_line(line.decode(errors="replace"), 300) for line in last)
        self._losses.append(_Loss(rank, code, lines))
        if code != EXIT_LOST_PEER:
            self._lost.set()
        if self._closing.wait(_GRACE_S):
            return
        with self._ending:  # the main thread waits for a rank that is gone, or is long at work
            if not self._closing.is_set():
                self._failed(self._first_loss().error(self._run))
                self._end(0.0)
                os._exit(1)

    def _first_loss(self) -> _Loss:
        """Returns the loss that the others followed from."""
        return min(self._losses, key=lambda loss: loss.code == EXIT_LOST_PEER)

    def _end(self, patience_s: float) -> None:
        for child in self._children.values():
            try:
                child.wait(patience_s)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if self._children:
            _remove(self._place.store)


def _remove(store: str) -> None:
    try:
        os.unlink(store)
    except FileNotFoundError:  # torch removes it where all ranks ended well
        pass


def _copy(rank: int, output: IO[bytes], last: deque[bytes]) -> None:
    """Writes a rank's lines with its number, and keeps the last ones that say something.

    Indented lines are of stack traces, which would push out the line that says why they are there.
    """
    for line in output:
        sys.stderr.buffer.write(b"[rank %d] " % rank + line.rstrip(b"\n") + b"\n")
        sys.stderr.buffer.flush()
        if line.strip() and not line.startswith((b" ", b"Extension modules: ")):
            last.append(line)


def is_lost_peer(error: BaseException) -> bool:
    """Returns whether an error of torch says no more than that another rank cannot be reached."""
    if not isinstance(error, RuntimeError):
        return False
    names = {kind.__name__ for kind in type(error).__mro__}
    text = str(error)
    return bool(names & {"DistError", "DistBackendError", "DistNetworkError"}) or (
        "gloo" in text.lower() or "NCCL" in text or "Connection closed by peer" in text
    )


def leave(code: int) -> NoReturn:
    """Ends this process at once: threads of collectives that failed would keep it otherwise."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
