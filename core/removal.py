"""Removes a run's folder: what would be lost is told first, and a run at work is refused.

What was exported lies elsewhere and stays.
"""

import os
import secrets
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from .errors import SftError
from .notes import read_note
from .process import alive
from .rundir import FULL, RunDir, explain_os_error, held
from .status import status_of
from .text import one_line

_TRACKED = ("wandb", "tensorboard", "trackio", "mlruns")
"""Folders of trackers."""
_NAMED = 3
"""Entries that no run writes of which the names are told."""


@dataclass(frozen=True)
class Loss:
    """What goes with a run's folder."""

    bytes: int
    files: int
    steps: tuple[int, ...]
    """Of the complete checkpoints."""
    result: str | None
    """"adapter" or "model", where training has written one."""
    note: str | None
    strangers: tuple[str, ...]
    """Entries of the folder that no run writes."""

    def words(self) -> list[str]:
        """Returns a sentence for each kind of thing."""
        held = "curves, log and configuration"
        if (last := max(self.steps, default=None)) is not None:
            count = f"{len(self.steps)} checkpoints" if len(self.steps) > 1 else "1 checkpoint"
            held = f"{count} (the last of step {last}), {held}"
        if self.result:
            held = f"the trained {self.result}, {held}"
        said = [f"{_size(self.bytes)} in {self.files} files: {held}."]
        if self.note:
            said.append(f"The note: {one_line(self.note, 80)}")
        if self.strangers:
            names = ", ".join(one_line(name, 30) for name in self.strangers[:_NAMED])
            more = len(self.strangers) - _NAMED
            said.append(f"Not of the run: {names}" + (f" and {more} more." if more > 0 else "."))
        return said


def loss_of(run: RunDir) -> Loss:
    """Returns what removing the run would lose.

    Raises:
        SftError: It is at work, or cannot be removed from here.
    """
    refuse_at_work(run)
    own = {
        *(path.name for path in vars(run).values() if isinstance(path, Path)),
        *(path.name for path in run.configs()),
        *_TRACKED,
    }
    total = files = 0
    strangers: list[str] = []
    try:
        for entry in os.scandir(run.path):
            if entry.name not in own and not entry.name.startswith("system-"):
                strangers.append(entry.name)
        for folder, _, names in os.walk(run.path):
            for name in names:
                total += os.lstat(os.path.join(folder, name)).st_size
                files += 1
    except OSError as error:
        raise explain_os_error(error, "looking at the run's files") from error
    result = next((path.name for path in (run.adapter, run.model) if path.is_dir()), None)
    steps = tuple(step for step, _ in run.complete_checkpoints())
    return Loss(total, files, steps, result, read_note(run), tuple(sorted(strangers)))


def refuse_at_work(run: RunDir) -> None:
    """Refuses to remove what a trainer may be writing.

    Raises:
        RunBusy: A trainer is there.
        SftError: A trainer of another host may be there, or the folder is but a link.
    """
    status, record = status_of(run), run.process_record()
    if status.active or (record is not None and alive(record)):
        raise SftError(
            f"{run.id} cannot be deleted",
            f"it is {status.word}: its trainer is at work",
            "stop it first: x s in the application, or "
            f"`sft-tui stop {run.id}`; `kill` if it does not answer",
        )
    if status.may_speak:
        raise SftError(
            f"{run.id} cannot be deleted",
            f"its trainer may be at work: {status.reason}",
            f"{status.remedy}; where that machine is gone for good, remove {run.path} by hand",
        )
    if run.path.is_symlink():
        raise SftError(
            f"{run.id} cannot be deleted",
            "its folder is a link to another place",
            f"remove the link {run.path} by hand, and the folder that it points to if you like",
        )


def remove(run: RunDir) -> None:
    """Removes the run's folder, out of sight at once and then file by file.

    Raises:
        RunBusy: A trainer is there.
        SftError: As `refuse_at_work`, or it cannot be removed.
    """
    refuse_at_work(run)
    away = run.path.with_name(f".deleted-{run.id}-{secrets.token_hex(2)}")
    try:
        with ExitStack() as until_gone:
            _hold(run, until_gone)
            os.rename(run.path, away)
    except OSError as error:
        raise explain_os_error(error, "deleting the run") from error
    try:
        shutil.rmtree(away)
    except OSError as error:
        raise SftError(
            f"{run.id} was deleted in part",
            f"{error.strerror}: {error.filename}",
            f"remove {away} by hand",
        ) from error


def _hold(run: RunDir, stack: ExitStack) -> None:
    """Keeps a resume from beginning on what is about to go.

    A full disk takes no new lock, neither ours nor a trainer's: deleting is what gives it room.
    """
    try:
        stack.enter_context(held(run))
    except OSError as error:
        if error.errno not in FULL:
            raise


def letters_of(run: RunDir) -> str:
    """Returns what is typed to confirm: the last four letters of the id."""
    return run.id[-4:]


def _size(count: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"
