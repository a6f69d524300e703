"""The process that starts what waits in the queue, one by one, and ends when nothing does.

It belongs to no window. A run has its turn when no trainer of this machine is at work and its GPUs
are free, at two looks in a row: a trainer that is just being started is seen by then.
"""

import os
import sys
import time
from pathlib import Path

from . import flock, gpus, launch, run_queue
from .config import LaunchConfig
from .errors import SftError
from .rundir import make_folder, runs_folder

POLL_S = 2.0
_INTERRUPTED = SftError(
    "its start was interrupted",
    "the scheduler ended at that moment",
    "look on Runs whether it trains: if not, add it again; then remove this entry",
)


def main(poll_s: float = POLL_S) -> int:
    """Starts what waits until nothing does. A second scheduler leaves it to the first."""
    make_folder(run_queue.queue_folder())
    descriptor = os.open(run_queue.lock_path(), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not flock.take(descriptor, 3 * poll_s):
            return 0  # whoever holds it looks at the queue again before it ends
        _serve(poll_s)
        return 0
    finally:
        os.close(descriptor)


def _serve(poll_s: float) -> None:
    trainers: list[launch.Trainer] = []
    free, told = False, ""
    while True:
        trainers = [trainer for trainer in trainers if trainer.poll() is None]
        try:
            ready = [entry for entry in run_queue.waiting() if entry.problem is None]
            if not ready:
                return
            was_free, free = free, not trainers and not _must_wait(ready[0])
            if free and was_free:
                if (trainer := _start(ready[0])) is not None:
                    trainers.append(trainer)
                free = False
                continue
        except SftError as error:  # a disk that is away may come back
            if told != (told := f"{error}. {error.remedy}"):
                print(told, file=sys.stderr, flush=True)  # into scheduler.log
        time.sleep(poll_s / 2 if free else poll_s)


def _must_wait(entry: run_queue.Waiting) -> bool:
    """Whether a trainer is at work where the run will lie or at home, or its GPUs are busy."""
    if run_queue.at_work({Path(entry.folder), runs_folder()}) is not None:
        return True
    try:
        return _gpus_are_busy(entry.run_config.launch)
    except SftError:
        return False  # to start it says what is wrong


def _gpus_are_busy(wanted: LaunchConfig) -> bool:
    if not gpus.wants_gpus(wanted):
        return False
    every = gpus.look()
    if wanted.device_ids:
        return any(gpu.busy for gpu in every if gpu.index in wanted.device_ids)
    free = sum(not gpu.busy for gpu in every)
    return free < wanted.ranks <= len(every)


def _start(entry: run_queue.Waiting) -> launch.Trainer | None:
    """Starts a run whose turn it is; one that cannot be started stays, with the reason.

    So does one during whose start this process is killed: started again, it might train twice.
    """
    run_queue.write(run_queue.refused(entry, _INTERRUPTED))
    try:
        trainer = launch.start(entry.run_config, Path(entry.folder))
    except SftError as error:
        if _must_wait(entry):  # somebody was quicker
            run_queue.write(entry)
            return None
        run_queue.write(run_queue.refused(entry, error))
        return None
    run_queue.discard(entry)
    return trainer


if __name__ == "__main__":
    sys.exit(main())
