"""The run directory: names, atomic writes, the lock, listing. All state of a run lies in it.

Knows files, not their meaning: `status.py` tells what they say about a run.
"""

import errno
import json
import os
import re
import secrets
import socket
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from . import flock
from .errors import DiskFull, RunBusy, SftError, UsageError
from .process import ProcessRecord, lock_holder
from .regular import read_small

_LOCK_PATIENCE_S = 0.5
FULL = (errno.ENOSPC, errno.EDQUOT)
"""How the system calls a full disk."""
_STEP = re.compile(r"step-(\d+)")
NAME = re.compile(r"\d{8}-\d{6}(-.+-[0-9a-f]{4})")
"""A name that was given by `run_name`: all behind its time stands in the group."""


def home() -> Path:
    """Returns the folder of everything the application keeps: `$SFT_TUI_HOME` or the platform's."""
    given = os.environ.get("SFT_TUI_HOME")
    if given:
        try:
            return Path(given).expanduser().absolute()
        except RuntimeError as error:
            raise UsageError(
                "SFT_TUI_HOME cannot be used", str(error), "set it to a folder you can write"
            ) from error
    import platformdirs  # about 5 ms, only where the variable is not set

    return Path(platformdirs.user_data_dir("sft-tui", appauthor=False))


class RunDir:
    """Paths of one run's files."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.id = self.path.name
        self.config = self.path / "config.yaml"
        self.events = self.path / "events.jsonl"
        self.control = self.path / "control.jsonl"
        self.log = self.path / "trainer.log"
        self.note = self.path / "note.txt"
        self.process = self.path / "process.json"
        self.lock = self.path / "run.lock"
        self.checkpoints = self.path / "checkpoints"
        self.adapter = self.path / "adapter"
        self.model = self.path / "model"
        self.track = self.path / "track.json"
        self.track_log = self.path / "track.log"

    def configs(self) -> list[Path]:
        """Returns `config.yaml` and the configurations of the resumes, oldest first."""
        numbered = [
            (int(match[1]), path)
            for path in self.path.glob("config-*.yaml")
            if (match := re.fullmatch(r"config-(\d+)\.yaml", path.name))
        ]
        first = [self.config] if os.path.exists(self.config) else []
        return first + [path for _, path in sorted(numbered)]

    def complete_checkpoints(self) -> list[tuple[int, Path]]:
        """Returns (step, folder) of every complete checkpoint, oldest first."""
        if not self.checkpoints.is_dir():
            return []
        found = [
            (int(match[1]), path)
            for path in self.checkpoints.iterdir()
            if (match := _STEP.fullmatch(path.name)) and path.is_dir()
        ]
        return sorted(found)

    def is_begun(self) -> bool:
        """Returns whether anything of a run was ever written: a folder alone is none."""
        return any(map(os.path.exists, (self.config, self.events, self.process)))

    def process_record(self) -> ProcessRecord | None:
        """Returns who trains or trained this run; None before the trainer said so."""
        try:
            return msgspec.json.decode(read_small(self.process), type=ProcessRecord)
        except (
            OSError,
            msgspec.MsgspecError,
            RecursionError,
        ):  # absent, not ours to read, or damaged
            return None


def runs_folder(folder: Path | None = None) -> Path:
    """Returns the folder that holds the runs."""
    return folder.absolute() if folder else home() / "runs"


def list_runs(folder: Path | None = None) -> list[RunDir]:
    """Returns the runs of a folder, newest first; a folder that does not exist holds none.

    Behind them come folders of other names, such as a copy: when they began is not in their name.
    """
    place = runs_folder(folder)
    try:
        names = [entry.name for entry in os.scandir(place) if entry.is_dir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SftError(
            f"{place} cannot be read", str(error.strerror), "check the path and its rights"
        ) from error
    names.sort(key=lambda name: (NAME.fullmatch(name) is not None, name), reverse=True)
    return [RunDir(place / name) for name in names if not name.startswith(".")]


def queue_folder() -> Path:
    """Returns the folder of what waits."""
    return home() / "queue"


def run_name(slug: str, waited_as: str = "") -> str:
    """Returns a new name for a run: `YYYYMMDD-HHMMSS-<slug>-<4 hex>`.

    Args:
        slug: What it trains.
        waited_as: The id under which it waited in the queue. Only its time becomes another, as
            runs are ordered by when they began.
    """
    if waited := NAME.fullmatch(waited_as):
        return f"{time.strftime('%Y%m%d-%H%M%S')}{waited[1]}"
    clean = re.sub(r"[^a-z0-9]+", "-", slug.lower()).strip("-")[:40].strip("-") or "run"
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{clean}-{secrets.token_hex(2)}"


def new_run(slug: str, folder: Path | None = None, waited_as: str = "") -> RunDir:
    """Makes an empty run folder, mode 0700.

    Raises:
        SftError: The folder cannot be made.
    """
    place = runs_folder(folder)
    try:
        make_folder(place)
        path = place / run_name(slug, waited_as)
        path.mkdir(mode=0o700)
    except OSError as error:
        if error.errno in FULL:
            raise explain_os_error(error, "making the run's folder", place) from error
        raise SftError(
            f"no run can be started in {place}",
            error.strerror or str(error),
            "set SFT_TUI_HOME or --runs to a folder you can write",
        ) from error
    return RunDir(path)


def make_folder(path: Path) -> None:
    """Makes `path` and the folders above it, readable by their owner alone."""
    for folder in [*reversed(path.parents), path]:
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)


def write_atomic(
    path: Path, data: bytes | Sequence[bytes | memoryview], *, exclusive: bool = False
) -> None:
    """Writes a file that is whole or absent at every moment, mode 0600, flushed to the disk.

    Args:
        path: The file.
        data: Its content, or the parts of it.
        exclusive: Refuse to replace a file that exists.

    Raises:
        FileExistsError: `exclusive`, and the file exists.
        OSError: It cannot be written; nothing of it is left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(3)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines([data] if isinstance(data, bytes) else data)
            file.flush()
            os.fsync(file.fileno())
        if exclusive:
            os.link(temporary, path)
        else:
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_own(path: Path, data: bytes) -> None:
    """Writes a file below `home()`, and makes the folders above it.

    Raises:
        SftError: It cannot be written.
    """
    try:
        make_folder(path.parent)
        write_atomic(path, data)
    except OSError as error:
        raise SftError(
            "the application's own folder cannot be written",
            f"{error.strerror or error}: {home()}",
            "free space there or make it writable, or set SFT_TUI_HOME to another folder",
        ) from error


def moved_aside(path: Path) -> Path:
    """Keeps a file of ours under another name, and returns that.

    Raises:
        OSError: It cannot be renamed.
    """
    aside = path.with_name(f"{path.stem}-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}")
    os.replace(path, aside)
    return aside


def put_aside(path: Path, what: str, error: Exception) -> str:
    """Keeps a file of ours that cannot be read under another name; returns what is to be said."""
    try:
        aside = moved_aside(path)
    except OSError as refused:
        return f"{what} cannot be read ({error}) nor put aside ({refused.strerror})."
    return f"{what} could not be read ({error}). A new file was begun; the old is kept as {aside}."


def sync_folder(path: Path) -> None:
    """Flushes a folder's entries to the disk, so that a rename outlives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(run: RunDir) -> Generator[int]:
    """Holds the run's lock and writes into it who does.

    Yields:
        The lock's file descriptor: child processes must not keep it open.

    Raises:
        RunBusy: Another trainer holds it; the message says who.
    """
    with held(run) as descriptor:
        os.ftruncate(descriptor, 0)
        holder = json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode()
        os.pwrite(descriptor, holder, 0)
        yield descriptor


@contextmanager
def held(run: RunDir) -> Generator[int]:
    """Holds the run's lock, which the kernel lets go when the process ends, however it ends.

    Yields:
        The lock's file descriptor.

    Raises:
        RunBusy: Another trainer holds it; the message says who.
    """
    descriptor = os.open(run.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not flock.take(descriptor, _LOCK_PATIENCE_S):
            raise busy(run)
        yield descriptor
    finally:
        os.close(descriptor)


def free_bytes(folder: Path) -> int | None:
    """Returns how much can still be written into a folder, or None where it is gone."""
    try:
        facts = os.statvfs(folder)
    except OSError:  # it was removed while watched
        return None
    return facts.f_bavail * facts.f_frsize


def lock_is_free(run: RunDir) -> bool:
    """Returns whether no trainer holds the run at this moment."""
    return flock.is_free(run.lock)


def busy(run: RunDir) -> RunBusy:
    """Returns the error that says who holds the run."""
    try:
        holder = lock_holder(read_small(run.lock).decode(errors="replace"))
    except OSError:  # let go and removed meanwhile, or not ours to read
        holder = lock_holder("")
    return RunBusy(
        f"the run {run.id} is already being trained",
        f"{holder} holds its lock",
        f"watch it with `sft-tui watch {run.id}`, or stop it first",
    )


def explain_os_error(
    error: OSError,
    doing: str,
    path: Path | None = None,
    when_full: str = "free space there, then try again",
) -> SftError:
    """Turns a failed file operation into a message for the user.

    Its cause stands before the path, which is what a short line leaves out.

    Args:
        error: What failed.
        doing: What was being done, without a path: "writing the note".
        path: What it was done to, where the file that the error names means nothing to a user.
        when_full: What to do where the disk is full.
    """
    cause = error.strerror or str(error)
    if error.errno in FULL:
        return DiskFull(
            f"the disk is full while {doing}",
            f"{cause}: {path or error.filename or 'the run folder'}",
            when_full,
        )
    place = path or (Path(str(error.filename)) if error.filename else None)
    if path is None and place is not None and place.name.startswith("."):
        place = place.parent  # a temporary name of ours tells a user nothing
    return SftError(
        f"{doing} failed",
        f"{cause}: {place}" if place else cause,
        "check that the folder exists, is mounted writable, and belongs to you",
    )
