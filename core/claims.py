"""Which trainers of this machine are at work, and on which devices, as their runs tell it.

A driver shows a trainer only once it computes, which may be minutes after it chose its GPUs.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from .process import alive
from .rundir import RunDir, list_runs, lock_is_free
from .status import status_of


class AtWork(NamedTuple):
    """A run that is being trained here.

    `devices` are the ids of its GPUs, none where it computes on the host's own device; None is not
    known yet: its trainer is just beginning.
    """

    run: RunDir
    devices: tuple[str, ...] | None


def trainers(folders: Iterable[Path]) -> Iterator[AtWork]:
    """Yields the runs of these folders that a trainer of this machine is at work on.

    Cheap for runs that have ended: of these nothing but lock and process are looked at.

    Raises:
        SftError: A folder cannot be read.
    """
    for folder in folders:
        for run in list_runs(folder):
            record = run.process_record()
            living = alive(record) if record is not None else False
            if record is not None and living:
                yield AtWork(run, None if record.devices is None else tuple(record.devices))
            elif record is None and status_of(run).active:
                yield AtWork(run, None)
            elif living is False and not lock_is_free(run):  # who it is comes next
                yield AtWork(run, None)
