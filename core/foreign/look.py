"""Which of the known kinds of runs lies at a path, and what it tells."""

from pathlib import Path

from ..errors import SftError, UsageError
from ..find import GONE
from ..regular import is_gone
from ..rundir import explain_os_error
from ..subject import Subject
from . import tensorboard, trainer_state, wandb_log

KINDS = "transformers (trainer_state.json), W&B (.wandb) or TensorBoard (events.out.tfevents.*)"


def subject_at(path: Path) -> Subject | None:
    """Returns the run of others at a folder or file, or None where there is none.

    Raises:
        SftError: It cannot be read.
        UsageError: There are several.
    """
    try:
        if (state := trainer_state.find(path)) is not None:
            return trainer_state.read(path, state)
        if logs := wandb_log.find(path):
            return wandb_log.read(path, logs)
        if files := tensorboard.find(path):
            return tensorboard.read(path, files)
        folders = tensorboard.folders(path)
        if len(folders) == 1:
            return tensorboard.read(folders[0], tensorboard.find(folders[0]))
    except OSError as error:
        raise explain_os_error(error, "reading the run of another program", path) from error
    if folders:
        raise UsageError(
            f"{path} holds several runs of TensorBoard",
            ", ".join(str(folder.relative_to(path)) for folder in folders[:6]),
            "name the folder of one of them",
        )
    return None


def read(path: Path) -> Subject:
    """Returns the run of others at a path.

    Raises:
        SftError: There is none, or it cannot be read.
    """
    if is_gone(path):
        raise SftError(f"{path.name} is gone", GONE, "bring it back")
    found = subject_at(path)
    if found is None:
        why = f"it holds neither a run of sft-tui nor one of {KINDS}"
        raise SftError(f"{path} is not a run", why, "name the folder of a run")
    return found
