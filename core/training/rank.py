"""A rank besides the first: `python -P -m sft_tui.core.training.rank RUN CONFIG_NAME PLACE`.

Runs the same recipe as the trainer and tells nothing: events are the first rank's. What it prints
goes to `trainer.log`, each line with its number. `crew.py` starts it.
"""

import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

import msgspec

from .. import config_file, events
from ..errors import SftError
from ..rundir import RunDir
from .crew import EXIT_LOST_PEER, Place, is_lost_peer, leave
from .imports import leave_out_unused, quick_imports
from .report import Report
from .steering import Steering


class Silent(Report):
    """Keeps count of steps and writes nothing."""

    def __init__(self, run: RunDir) -> None:
        self.run, self.step, self.began = run, 0, time.monotonic()
        self._progress, self.longest_row, self.gpus = 0, None, []

    def emit(self, event: events.Event) -> None:
        """Takes an event that the first rank tells."""
        if isinstance(event, events.Step):
            self.step = event.step

    def phase(
        self, name: str, done: int | None = None, total: int | None = None, unit: str | None = None
    ) -> None:
        """Takes a phase that the first rank tells."""


def main(argv: list[str]) -> int:
    """Runs one rank; returns 0 when the run ended as it should."""
    _end_with_the_trainer()
    faulthandler.enable()
    for number in (signal.SIGTERM, signal.SIGINT):  # a whole group may get it: rank 0 tells us
        signal.signal(number, signal.SIG_IGN)
    run = RunDir(Path(argv[0]))
    place = msgspec.json.decode(argv[2], type=Place)
    report = Silent(run)
    try:
        config = config_file.load(run.path / argv[1])
        leave_out_unused(config)
        with quick_imports():  # torch and transformers: seconds
            from . import recipe

        recipe.run_training(run, config, report, Steering(run, report, reads=False), place)
    except SftError as error:
        print(f"{error}. {error.remedy}", flush=True)
        return 1
    except Exception as error:
        traceback.print_exc()
        return EXIT_LOST_PEER if is_lost_peer(error) else 1
    return 0


def _end_with_the_trainer() -> None:
    """Ends this process when the trainer's end of the pipe closes: it ended, however it did."""

    def wait() -> None:
        os.read(sys.stdin.fileno(), 1)
        os._exit(EXIT_LOST_PEER)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
