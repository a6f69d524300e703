"""Runs that wait for free devices: a file for each in `queue/`, which belongs to no window.

`scheduler.py` starts them, each in its turn; it is started here and ends when none waits.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from . import config_file, flock, preflight
from .config import RunConfig
from .errors import SftError, UsageError
from .launch import run_slug
from .regular import read_small
from .rundir import (
    explain_os_error,
    home,
    make_folder,
    queue_folder,
    run_name,
    runs_folder,
    write_own,
)
from .text import one_line


class Waiting(msgspec.Struct, kw_only=True, frozen=True):
    """A run that waits. `folder` is that of the runs, `config` its whole YAML."""

    id: str
    t: float
    folder: str
    config: str
    problem: str | None = None
    """Why it could not be started; then it waits for nothing but its removal."""

    @property
    def run_config(self) -> RunConfig:
        """Its configuration.

        Raises:
            SftError: It cannot be read.
        """
        return config_file.parse(self.config)


def add(config: RunConfig, folder: Path | None = None) -> Waiting:
    """Lets a run wait for its turn, and sees to it that there is a scheduler.

    Raises:
        SftError: Data or model are not there, or the queue cannot be written.
    """
    preflight.check_inputs(config)
    entry = Waiting(
        id=run_name(run_slug(config)),
        t=time.time(),
        folder=str(runs_folder(folder)),
        config=config_file.to_yaml(config),
    )
    write(entry)
    start_scheduler()
    return entry


def write(entry: Waiting) -> None:
    """Writes what waits.

    Raises:
        SftError: The queue cannot be written.
    """
    write_own(_path(entry.id), msgspec.json.encode(entry))


def waiting() -> list[Waiting]:
    """Returns what waits, the next one first; what cannot be read is among it with its problem.

    Raises:
        SftError: The queue cannot be read.
    """
    try:
        paths = [path for path in queue_folder().glob("*.json") if path.name[0] != "."]
    except OSError as error:
        raise explain_os_error(error, "reading the queue") from error
    found: list[Waiting] = []
    for path in paths:
        try:
            found.append(msgspec.json.decode(read_small(path), type=Waiting))
        except FileNotFoundError:  # started or removed meanwhile
            continue
        except (OSError, msgspec.MsgspecError, RecursionError) as error:
            said = one_line(f"its file cannot be read: {error}", 200)
            found.append(Waiting(id=path.stem, t=0.0, folder="", config="", problem=said))
    return sorted(found, key=lambda entry: (entry.t, entry.id))


def find(text: str) -> Waiting:
    """Returns what waits under an id, or a unique part of one.

    Raises:
        UsageError: Nothing or more than one thing that waits is named so.
        SftError: The queue cannot be read.
    """
    every = waiting()
    found = [entry for entry in every if entry.id == text] or [
        entry for entry in every if text and text in entry.id
    ]
    if len(found) != 1:
        raise UsageError(
            f"{text!r} names {'nothing' if not found else 'several runs'} in the queue",
            ", ".join(entry.id for entry in found or every) or "the queue is empty",
            "`sft-tui queue` lists what waits",
        )
    return found[0]


def remove(text: str) -> Waiting:
    """Takes what has an id, or a unique part of one, out of the queue.

    Raises:
        UsageError: Nothing or more than one thing that waits is named so.
        SftError: The queue cannot be written.
    """
    found = find(text)
    discard(found)
    return found


def discard(entry: Waiting) -> None:
    """Takes an entry out of the queue.

    Raises:
        SftError: The queue cannot be written.
    """
    try:
        _path(entry.id).unlink(missing_ok=True)
    except OSError as error:
        raise explain_os_error(error, "changing the queue") from error


def _path(entry_id: str) -> Path:
    return queue_folder() / f"{entry_id}.json"


def lock_path() -> Path:
    """Returns the file that the scheduler holds locked for its whole life."""
    return queue_folder() / "scheduler.lock"


def is_scheduled() -> bool:
    """Returns whether a scheduler is there; after a restart of the machine there is none."""
    return not flock.is_free(lock_path())


def start_scheduler() -> None:
    """Starts a scheduler that outlives this process; where there is one, it ends by itself.

    Raises:
        SftError: The process cannot be started.
    """
    argv = [sys.executable, "-P", "-m", "sft_tui.core.scheduler"]
    try:
        make_folder(queue_folder())
        how = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK
        with open(os.open(queue_folder() / "scheduler.log", how, 0o600), "ab") as log:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=queue_folder(),
                env={**os.environ, "SFT_TUI_HOME": str(home())},
                start_new_session=True,
            )
    except OSError as error:
        raise explain_os_error(error, "starting the scheduler of the queue") from error
    _children[:] = [each for each in _children if each.poll() is None]  # reaps those that ended
    _children.append(child)


_children: list[subprocess.Popen[bytes]] = []
"""Schedulers that this process started: kept so that they are reaped, never ended."""


def refused(entry: Waiting, error: SftError) -> Waiting:
    """Returns an entry that could not be started, with the reason."""
    said = one_line(f"{error}. {error.remedy}", 400)
    return msgspec.structs.replace(entry, problem=said)
