"""The process that starts what waits in the queue, one by one, and ends when nothing does.

It belongs to no window. A run has its turn when the GPUs that it asks for are free, or the host's
own device where it computes there, at two looks in a row: a trainer that is just being started is
seen by then. What an earlier run waits for is kept for it.
"""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import claims, flock, gpus, launch, run_queue
from .config import LaunchConfig
from .errors import SftError
from .rundir import make_folder, runs_folder

POLL_S = 2.0
_HOST = "host"
"""Stands for what a run without NVIDIA GPUs computes on: the CPU, or a Mac's GPU."""
_INTERRUPTED = SftError(
    "its start was interrupted",
    "the scheduler ended at that moment",
    "look on Runs whether it trains: if not, add it again; then remove this entry",
)


@dataclass(frozen=True)
class Started:
    """What was started, and as what it waited."""

    entry: run_queue.Waiting
    trainer: launch.Trainer


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
    started: list[Started] = []
    last, told = "", ""
    while True:
        try:
            started = _living(started)
            begins = any(each.trainer.run.process_record() is None for each in started)
            ready = [entry for entry in run_queue.waiting() if entry.problem is None]
            if not ready and not begins:
                return
            entry = None if begins else first_ready(ready)
            before, last = last, entry.id if entry else ""
            if entry and entry.id == before:
                if (trainer := _start(entry)) is not None:
                    started.append(Started(entry, trainer))
                last = ""
                continue
        except SftError as error:  # a disk that is away may come back
            if told != (told := f"{error}. {error.remedy}"):
                print(told, file=sys.stderr, flush=True)  # into scheduler.log
        time.sleep(poll_s / 2 if last else poll_s)


def _living(started: list[Started]) -> list[Started]:
    """Returns those whose trainers live; a run whose disk had no room for one waits again.

    Raises:
        SftError: That cannot be written down.
    """
    living: list[Started] = []
    for each in started:
        if each.trainer.poll() is None:
            living.append(each)
        elif each.trainer.no_room is not None:
            run_queue.write(run_queue.refused(each.entry, each.trainer.no_room))
    return living


def first_ready(entries: Sequence[run_queue.Waiting]) -> run_queue.Waiting | None:
    """Returns the first run whose devices are free and not what an earlier one waits for.

    Nothing is ready while a trainer is choosing its devices.

    Raises:
        SftError: A folder of runs cannot be read.
    """
    folders = {Path(entry.folder) for entry in entries} | {runs_folder()}
    at_work = list(claims.trainers(folders))
    if any(each.devices is None for each in at_work):
        return None
    every = gpus.look(*folders)
    free = {gpu.uuid for gpu in every if not gpu.busy}
    if all(each.devices for each in at_work):
        free.add(_HOST)
    for entry in entries:
        try:
            takes, count = _wants(entry.run_config.launch, every)
        except SftError:
            return entry  # to start it says what is wrong
        if len(takes & free) >= count:
            return entry
        free -= takes
    return None


def _wants(wanted: LaunchConfig, every: list[gpus.Gpu]) -> tuple[set[str], int]:
    """Returns which devices a run could take, and how many of them it needs.

    It needs none where there are not that many, which its start refuses with the reason.
    """
    if not every or not gpus.wants_gpus(wanted):
        return {_HOST}, 1
    if wanted.device_ids:
        named = {gpu.uuid for gpu in every if gpu.index in wanted.device_ids}
        return named, len(named)
    return {gpu.uuid for gpu in every}, wanted.ranks if wanted.ranks <= len(every) else 0


def _start(entry: run_queue.Waiting) -> launch.Trainer | None:
    """Starts a run whose turn it is; one that cannot be started stays, with the reason.

    So does one during whose start this process is killed: started again, it might train twice.
    """
    run_queue.write(run_queue.refused(entry, _INTERRUPTED))
    try:
        trainer = launch.start(entry.run_config, Path(entry.folder), entry.id)
    except SftError as error:
        if first_ready([entry]) is None:  # somebody was quicker
            run_queue.write(entry)
            return None
        run_queue.write(run_queue.refused(entry, error))
        return None
    run_queue.discard(entry)
    return trainer


if __name__ == "__main__":
    sys.exit(main())
