"""Starts trainers that outlive their starter, resumes them, and ends them.

A trainer is a process of its own session with its output in `trainer.log`: closing the window,
the SSH link or the application that started it does not reach it.
"""

import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

from . import config_file, control, footing, going_on, preflight
from .config import RunConfig
from .errors import DiskFull, SftError
from .gpus import wants_gpus
from .last_words import KILLED, LOG_BEGINS, last_words
from .process import alive
from .rundir import (
    RunDir,
    busy,
    explain_os_error,
    home,
    lock_is_free,
    new_run,
    sync_folder,
    write_atomic,
)
from .status import status_of

EXIT_BUSY = 75
"""Exit code of a trainer that found the run's lock held (EX_TEMPFAIL of sysexits)."""

EXIT_FULL = 74
"""Exit code of a trainer that could not write who it is on a full disk (EX_IOERR there)."""

_LEAVING_S = 15.0

# They must stand in the environment before the process starts.
_CPU_MEMORY = {
    # glibc returns freed blocks to the kernel and faults them in again at every step; with these
    # thresholds a CPU run keeps them.
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "268435456",
    # Large pages for them, where glibc (2.35 and later) and the kernel give such on request.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    # oneDNN keeps a kernel for each of the last 1,024 shapes of a bf16 product, and each packed
    # micro-batch has a new length.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128",
}
"""Variables of a trainer on the CPU, where the user has not set them.

Measured of kernels, bf16, packed rows of ragged lengths, torch 2.13, one thread: a Llama of 2
layers and 0.1M parameters grew in 150 steps from 0.5 GiB to 1,233 MiB with oneDNN's own limit, to
872 with 256, 837 with 128 and 815 with 64; one of 12 layers, 16 rows a micro-batch, in 40 steps to
1,174, and to 951 with 256 and 881 with 64. The time of the steps did not differ by more than it did
between runs of the same limit.
"""


class Trainer:
    """A trainer that this process started. Reap it with `poll`, or it stays a zombie.

    Args:
        run: What it trains.
        child: Its process.
        first: Whether it is the first one of the run.
    """

    def __init__(self, run: RunDir, child: subprocess.Popen[bytes], *, first: bool = False) -> None:
        self.run = run
        self.child = child
        self._first = first
        self.no_room: DiskFull | None = None

    @property
    def pid(self) -> int:
        """The trainer's process id."""
        return self.child.pid

    def poll(self) -> int | None:
        """Reaps the trainer if it ended; returns its exit code, or None while it lives.

        Of a run whose first trainer found no room on the disk nothing is left then, and
        `no_room` says so.
        """
        code = self.child.poll()
        if code == EXIT_FULL and self._first and self.no_room is None:
            _take_back(self.run)
            self.no_room = DiskFull(
                f"the run {self.run.id} did not start, and nothing of it is left",
                "its disk is full: the trainer could not write who it is",
                f"free space in {self.run.path.parent}, then start it again",
            )
        return code

    def wait_until_started(self, timeout_s: float = 60.0) -> None:
        """Returns when the trainer has taken the run's lock and written `process.json`.

        Raises:
            RunBusy: Another trainer was first.
            SftError: The trainer ended before that; the message has its last words.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            code = self.poll()
            record = self.run.process_record()
            if record is not None and record.pid == self.child.pid:
                return
            if code == EXIT_BUSY:
                raise busy(self.run)
            if self.no_room is not None:
                raise self.no_room
            if code is not None:
                raise SftError(
                    f"the trainer of {self.run.id} did not start",
                    f"it ended with code {code}: {last_words(self.run)}",
                    f"read {self.run.log}",
                )
            time.sleep(0.02)
        raise SftError(
            f"the trainer of {self.run.id} did not start",
            f"it wrote nothing within {timeout_s:.0f} s",
            f"read {self.run.log}",
        )


def start(config: RunConfig, folder: Path | None = None, waited_as: str = "") -> Trainer:
    """Makes a run directory for `config` and starts its trainer, detached.

    Args:
        config: What to train.
        folder: Where runs lie.
        waited_as: The id under which it waited in the queue, which leads to the run from then on.

    Raises:
        SftError: Data or model are not there, the folder cannot be written, or the process cannot
            be started.
    """
    preflight.check(config)
    run = new_run(run_slug(config), folder, waited_as)
    try:
        write_atomic(run.config, config_file.to_yaml(config).encode(), exclusive=True)
        return _spawn(run, config, run.config.name, first=True)
    except OSError as error:
        _take_back(run)
        raise explain_os_error(error, "writing config.yaml", run.path.parent) from error
    except SftError:
        _take_back(run)
        raise


def _take_back(run: RunDir) -> None:
    """Removes the folder of a run that no trainer ever began."""
    shutil.rmtree(run.path, ignore_errors=True)


def resume(
    run: RunDir, config: RunConfig | None = None, *, max_steps: int | None = None
) -> Trainer:
    """Starts a new trainer on an existing run, from its newest complete checkpoint.

    Args:
        run: The run.
        config: What to train with from now on; None takes the newest of the run's own. With more
            steps a finished run goes on too.
        max_steps: The new end of the whole run. It is given where clients moved the end, which
            counts more than the configuration, back to what that says.

    Raises:
        RunBusy: A trainer is at work on it.
        UsageError: The checkpoint's weights mean something else with `config`, or its end is behind
            the checkpoint.
        SftError: The run has no configuration, is finished, or cannot be written.
    """
    state = status_of(run)
    if not state.active:
        _wait_until_gone(run)
    if state.word == "finished" and max_steps is None:
        going_on.refuse_done(run, config)
    if config is not None:
        going_on.refuse_end_behind(run, config)
    if _is_held(run):
        raise busy(run)
    known = run.configs()
    if not known:
        raise SftError(
            f"the run {run.id} cannot be resumed",
            "it has no config.yaml",
            "start a new run; the folder's checkpoints stay where they are"
            if run.is_begun()
            else state.remedy or "start a new run",
        )
    if config is None:
        config = config_file.load(known[-1])
    footing.check(run, config)
    text = config_file.to_yaml(config).encode()
    number = len(known)
    while True:
        name = f"config-{number}.yaml"
        try:
            write_atomic(run.path / name, text, exclusive=True)
        except FileExistsError:
            number += 1
            continue
        except OSError as error:
            raise explain_os_error(error, f"writing {name} into the run") from error
        try:
            moved = () if max_steps is None else (_move_end(run, max_steps),)
            return _spawn(run, config, name, *moved)
        except SftError:
            (run.path / name).unlink(missing_ok=True)  # else the next resume would go on with it
            raise


def _move_end(run: RunDir, max_steps: int) -> str:
    """Asks the trainer that is about to start for another end; returns the command's id."""
    return control.append(run.control, "set", max_steps=max_steps)


def _wait_until_gone(run: RunDir) -> None:
    """Waits for a trainer that told its end and is still leaving; it needs seconds for that."""
    deadline = time.monotonic() + _LEAVING_S
    while _is_held(run) and time.monotonic() < deadline:
        time.sleep(0.05)


def _is_held(run: RunDir) -> bool:
    """Whether a trainer is there: the lock goes first, and the process some time after it."""
    record = run.process_record()
    return not lock_is_free(run) or (record is not None and bool(alive(record)))


def run_slug(config: RunConfig) -> str:
    """Returns the part of a run's name that says what it trains on what."""
    model = config.model.name.rstrip("/").rpartition("/")[2]
    first, *others = config.data.sources
    data = Path(first.source).name.partition(".")[0]
    if others:
        data += f"-and-{len(others)}-more"
    return model if model == data else f"{model}-{data}"


def kill(run: RunDir, wait_s: float = 5.0) -> int:
    """Kills the trainer's process group at once; the last complete checkpoint stays.

    Returns:
        The pid that was killed.

    Raises:
        SftError: No trainer of this run lives on this host, or it is another user's.
    """
    record = run.process_record()
    living = alive(record) if record is not None else False
    if record is None or living is False:
        raise SftError(
            f"there is no trainer of {run.id} to kill",
            "its process is not alive",
            f"`sft-tui show {run.id}` tells how it ended",
        )
    if living is None:
        raise SftError(
            f"the trainer of {run.id} cannot be killed from here",
            f"it runs on {record.host}",
            f"log in to {record.host} and kill it there",
        )
    try:
        os.killpg(record.pid, signal.SIGKILL)
    except PermissionError as error:
        raise SftError(
            f"the trainer of {run.id} cannot be killed",
            f"pid {record.pid} belongs to another user",
            "ask its owner",
        ) from error
    deadline = time.monotonic() + wait_s
    while alive(record) and time.monotonic() < deadline:
        time.sleep(0.02)
    _note_kill(run, record.pid)
    return record.pid


def _note_kill(run: RunDir, pid: int) -> None:
    """Leaves in the log who killed the trainer: else its end would look like a crash."""
    try:
        with _open_log(run) as log:
            log.write(f"\n{KILLED}{control.author()}\n".encode())
    except OSError as error:
        raise SftError(
            f"pid {pid} was killed, and {run.id} will call that a crash",
            f"who killed it cannot be noted in {run.log.name}: {error.strerror or error}",
            "its checkpoints are as they were; nothing needs to be done",
        ) from error


def _open_log(run: RunDir) -> BinaryIO:
    """Opens the log to append to it."""
    # A pipe in its place would block for ever: without a reader it is refused instead.
    how = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK
    return open(os.open(run.log, how, 0o600), "ab")


def _spawn(run: RunDir, config: RunConfig, *arguments: str, first: bool = False) -> Trainer:
    """Starts the trainer; its arguments are the configuration's name and what it does first."""
    # -P keeps a folder named sft_tui in the working directory from shadowing this package.
    argv = [sys.executable, "-P", "-m", "sft_tui.core.training", str(run.path), *arguments]
    try:
        with _open_log(run) as log:
            log.write(LOG_BEGINS.encode())
            log.flush()
            sync_folder(run.path)  # before there is a process, which a failure would leave behind
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=run.path,
                env=trainer_environment(config),
                start_new_session=True,
            )
    except OSError as error:
        raise explain_os_error(error, "starting the trainer", run.path.parent) from error
    return Trainer(run, child, first=first)


def trainer_environment(config: RunConfig) -> dict[str, str]:
    """Returns the environment variables under which a trainer of this configuration runs."""
    # The trainer works in its run folder, so a relative home must be made absolute here.
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "SFT_TUI_HOME": str(home())}
    if not wants_gpus(config.launch) and platform.libc_ver()[0] == "glibc":
        for name, value in _CPU_MEMORY.items():
            environment.setdefault(name, value)
    return environment
