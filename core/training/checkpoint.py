"""Checkpoints: what lies in one, and going on from it. `saving.py` writes them.

`checkpoints/step-<n>/` holds the adapter in PEFT's format, or the trained weights by name, the
optimizer's moments and the random state as safetensors, and `trainer_state.json`. Nothing is
pickled, so nothing is unpickled.
"""

import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import torch
from peft import PeftModel, set_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from ..errors import SftError
from ..footing import STATE, Footing
from ..rundir import RunDir
from ..text import one_line
from . import lora_start
from .course import Course
from .ranks import Ranks
from .whole import Incomplete, restore_optimizer, restore_random, trained

ADAPTER = "adapter_model.safetensors"
TRAINED = "trained.safetensors"
"""The weights that were trained, without an adapter: fp32, under the names of the modules."""
OPTIMIZER = "optimizer.safetensors"
WITHOUT = "without_moments"
"""In its header: the trained weights that had no moments, as a JSON list."""


class TrainerState(msgspec.Struct, kw_only=True):
    """What goes on after a resume, beside weights and moments."""

    step: int
    footing: Footing | None = None
    course: Course | None = None
    data_hash: str | None = None
    elapsed_s: float = 0.0
    best_step: int | None = None
    """The step of the lowest evaluation loss so far, and that loss."""
    best_loss: float | None = None
    evaluated: int | None = None
    """The last step that was evaluated."""
    loss_scale: dict[str, int | float] = {}
    """Of fp16, as `Precision.state` gives it."""
    digests: dict[str, str] = {}
    """SHA-256 of the safetensors beside it, by name."""


def newest(run: RunDir) -> tuple[TrainerState, Path] | None:
    """Returns the newest complete checkpoint of a run, or None.

    Raises:
        SftError: Its state cannot be read, or a part of it lies outside of the run.
    """
    _refuse_foreign([run.checkpoints])
    complete = run.complete_checkpoints()
    if not complete:
        return None
    _, folder = complete[-1]
    _refuse_foreign([folder, *folder.iterdir()])
    try:
        state = msgspec.json.decode((folder / STATE).read_bytes(), type=TrainerState)
    except (msgspec.MsgspecError, OSError) as error:
        raise SftError(
            f"the checkpoint {folder} cannot be resumed",
            f"its {STATE} cannot be read: {error}",
            _without(folder),
        ) from error
    with _resuming(folder):
        for name, digest in state.digests.items():
            if digest_of(folder / name) != digest:
                raise Incomplete(f"{name} is not what was written")
    return state, folder


def digest_of(path: Path) -> str:
    """Returns the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_foreign(paths: list[Path]) -> None:
    """Refuses what is neither a folder nor a file of its own, such as a link to elsewhere.

    Raises:
        SftError: Names it.
    """
    for path in paths:
        if path.is_symlink() or (path.exists() and not (path.is_dir() or path.is_file())):
            raise SftError(
                f"{path} cannot be resumed from",
                "it is a link: what lies outside of the run may be anything"
                if path.is_symlink()
                else "it is no file",
                "put what it stands for in its place, or remove it",
            )


def _without(folder: Path) -> str:
    """Returns what to do about a damaged checkpoint: to which whole one to go back."""
    others = [path for _, path in RunDir(folder.parent.parent).complete_checkpoints()]
    before = others[: others.index(folder)] if folder in others else []
    damaged: list[str] = []
    while before and not _is_whole(before[-1]):
        damaged.append(before.pop().name)
    doomed = f"that folder and {', '.join(damaged)}, damaged too," if damaged else "that folder"
    goes = f"go on from {before[-1].name}" if before else "start again from step 0"
    return f"remove {doomed} to {goes}"


def _is_whole(folder: Path) -> bool:
    """Returns whether all files of a checkpoint can be read and are what was written."""
    try:
        state = msgspec.json.decode((folder / STATE).read_bytes(), type=TrainerState)
        for path in folder.glob("*.safetensors"):
            with safe_open(path, "pt"):
                pass
        return all(digest_of(folder / name) == told for name, told in state.digests.items())
    except (msgspec.MsgspecError, SafetensorError, OSError):
        return False


def restore_weights(folder: Path, model: Any) -> None:
    """Puts a checkpoint's weights in place, before the model is divided over ranks.

    Raises:
        SftError: The checkpoint does not fit the model.
    """
    with _resuming(folder):
        put_weights(model, load_file(folder / weights_file(isinstance(model, PeftModel))))


def weights_file(adapter: bool) -> str:
    """Returns the name of the file that holds what was trained."""
    return ADAPTER if adapter else TRAINED


def put_weights(model: Any, tensors: dict[str, torch.Tensor]) -> None:
    """Puts what a checkpoint's weights file holds into a model made for it by `method.attach`.

    Raises:
        KeyError: The adapter is another one.
        RuntimeError: Other weights were trained, or of other shapes.
    """
    if isinstance(model, PeftModel):
        _restore_adapter(model, tensors)
        return
    if wrong := tensors.keys() ^ trained(model).keys():
        was = "was trained, and is not any more" if min(wrong) in tensors else "was frozen"
        raise RuntimeError(f"{min(wrong)} {was}")
    restore_trained(model, tensors)


def restore_progress(
    folder: Path, model: Any, optimizer: torch.optim.Optimizer, ranks: Ranks
) -> None:
    """Puts a checkpoint's moments and this rank's random state in place.

    Raises:
        SftError: The checkpoint does not fit the model.
    """
    with _resuming(folder):
        with safe_open(folder / OPTIMIZER, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            without = (file.metadata() or {}).get(WITHOUT, "[]")
        restore_optimizer(model, optimizer, tensors, msgspec.json.decode(without, type=set[str]))
    restore_random(tensors, ranks)


@contextmanager
def _resuming(folder: Path) -> Generator[None]:
    try:
        yield
    except (SafetensorError, msgspec.MsgspecError, Incomplete, OSError) as error:
        raise SftError(
            f"the checkpoint {folder} cannot be resumed",
            f"it is damaged: {error}",
            _without(folder),
        ) from error
    except (KeyError, RuntimeError) as error:
        raise SftError(
            f"the checkpoint {folder} cannot be resumed",
            f"it does not fit this model and configuration: {one_line(str(error), 300)}",
            "resume with the configuration that it was trained with, or start a new run",
        ) from error


def _restore_adapter(model: PeftModel, tensors: dict[str, torch.Tensor]) -> None:
    found = set_peft_model_state_dict(model, lora_start.from_plain(model, tensors))
    missing = [name for name in found.missing_keys if "lora_" in name]
    if wrong := [*found.unexpected_keys, *missing]:
        raise KeyError(wrong[0])


def restore_trained(model: Any, tensors: dict[str, torch.Tensor]) -> None:
    """Puts the weights of `TRAINED` into a model.

    Raises:
        KeyError: The model has no weight of one of the names.
    """
    parameters = dict(model.named_parameters())
    for name, tensor in tensors.items():
        parameters[name].data.copy_(tensor)
