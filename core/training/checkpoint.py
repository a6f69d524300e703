"""Checkpoints that are whole or absent, and going on from one.

`checkpoints/step-<n>/` holds the adapter in PEFT's format, or the trained weights by name, the
optimizer's moments and the random state as safetensors, and `trainer_state.json`. Nothing is
pickled, so nothing is unpickled.
"""

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import torch
from peft import PeftModel, set_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, load_file, save_file

from .. import events
from ..errors import SftError
from ..footing import STATE, Footing
from ..rundir import RunDir, explain_os_error, sync_folder, write_atomic
from ..status import with_room
from ..text import one_line
from . import lora_start
from .course import Course
from .ranks import Ranks
from .report import Report
from .sharding import is_sharded
from .whole import (
    Incomplete,
    all_weights,
    optimizer_tensors,
    restore_optimizer,
    restore_random,
    trained,
    trained_weights,
    without_state,
)

_ADAPTER = "adapter_model.safetensors"
_ADAPTER_SETTINGS = "adapter_config.json"
TRAINED = "trained.safetensors"
"""The weights that were trained, without an adapter: fp32, under the names of the modules."""
_OPTIMIZER = "optimizer.safetensors"
_WITHOUT = "without_moments"
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
            if _digest(folder / name) != digest:
                raise Incomplete(f"{name} is not what was written")
    return state, folder


def _digest(path: Path) -> str:
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
        return all(_digest(folder / name) == told for name, told in state.digests.items())
    except (msgspec.MsgspecError, SafetensorError, OSError):
        return False


def save(
    run: RunDir,
    model: Any,
    optimizer: torch.optim.Optimizer,
    state: TrainerState,
    keep: int,
    report: Report,
    ranks: Ranks,
) -> None:
    """Writes a checkpoint under a temporary name and renames it, then drops the oldest.

    The one of `state.best_step` stays beside the newest `keep`. Every rank gives its share, and
    the first one writes: the files are the same whatever the number of ranks.

    Raises:
        DiskFull: No space; the checkpoints that were complete stay as they are.
        SftError: It cannot be written for another reason.
    """
    if not ranks.first:
        trained_weights(model)
        optimizer_tensors(model, optimizer, ranks)
        return
    report.phase("saving")
    began = time.monotonic()
    target = run.checkpoints / f"step-{state.step}"

    def write(folder: Path) -> None:
        if isinstance(model, PeftModel):
            save_adapter(model, folder)
        else:
            save_file(trained_weights(model), folder / TRAINED)
        moments = optimizer_tensors(model, optimizer, ranks)
        without = msgspec.json.encode(without_state(model, moments)).decode()
        save_file(moments, folder / _OPTIMIZER, {_WITHOUT: without})
        state.digests = {path.name: _digest(path) for path in folder.glob("*.safetensors")}
        (folder / STATE).write_bytes(msgspec.json.encode(state))

    with _explained(run, f"saving the checkpoint of step {state.step}"):
        run.checkpoints.mkdir(mode=0o700, exist_ok=True)
        _write_folder(target, write)
    size = sum(path.stat().st_size for path in target.iterdir())
    report.emit(
        events.Checkpoint(
            step=state.step,
            path=str(target.relative_to(run.path)),
            bytes=size,
            elapsed_s=time.monotonic() - began,
        )
    )
    for step, folder in run.complete_checkpoints()[:-keep]:
        if step == state.best_step:
            continue
        # Renamed first: a folder under its own name is complete even while it is being removed.
        doomed = folder.with_name(f".{folder.name}.removed")
        os.rename(folder, doomed)
        shutil.rmtree(doomed)


def say_again(run: RunDir, state: TrainerState, ranks: Ranks) -> None:
    """Writes the state of a checkpoint anew: its evaluation came after it.

    Raises:
        SftError: It cannot be written.
    """
    if not ranks.first:
        return
    path = run.checkpoints / f"step-{state.step}" / STATE
    with _explained(run, f"saving the state of step {state.step}"):
        state.digests = msgspec.json.decode(path.read_bytes(), type=TrainerState).digests
        write_atomic(path, msgspec.json.encode(state))


def save_result(run: RunDir, model: Any, tokenizer: Any, report: Report, ranks: Ranks) -> None:
    """Writes `adapter/` or `model/`: what plain PEFT and transformers load, with the tokenizer.

    Every rank gives its share, and the first one writes.

    Raises:
        DiskFull: No space.
        SftError: It cannot be written for another reason.
    """
    if not ranks.first:
        trained_weights(model) if isinstance(model, PeftModel) else all_weights(model)
        return
    report.phase("saving")

    def write(folder: Path) -> None:
        if isinstance(model, PeftModel):
            save_adapter(model, folder)
        else:
            weights = all_weights(model) if is_sharded(model) else None
            model.save_pretrained(str(folder), state_dict=weights)
        tokenizer.save_pretrained(folder)

    target = run.adapter if isinstance(model, PeftModel) else run.model
    with _explained(run, f"saving the {target.name}"):
        _write_folder(target, write)


def save_adapter(model: PeftModel, folder: Path) -> None:
    """Writes the adapter's weights and configuration in PEFT's format, as plain LoRA."""
    # Embeddings are never trained here; the default would ask the Hub about the base.
    model.save_pretrained(
        str(folder),
        safe_serialization=True,
        save_embedding_layers=False,
        state_dict=trained_weights(model) if is_sharded(model) else None,
    )
    weights, settings = folder / _ADAPTER, folder / _ADAPTER_SETTINGS
    said = msgspec.json.decode(settings.read_bytes())
    plain = lora_start.plain_settings(model, said)
    if plain != said:
        tensors = load(weights.read_bytes())  # not mapped: the file is written anew
        save_file(lora_start.as_plain(model, tensors), weights, {"format": "pt"})
        settings.write_bytes(msgspec.json.format(msgspec.json.encode(plain)))


def restore_weights(folder: Path, model: Any) -> None:
    """Puts a checkpoint's weights in place, before the model is divided over ranks.

    Raises:
        SftError: The checkpoint does not fit the model.
    """
    with _resuming(folder):
        put_weights(model, load_file(folder / weights_file(isinstance(model, PeftModel))))


def weights_file(adapter: bool) -> str:
    """Returns the name of the file that holds what was trained."""
    return _ADAPTER if adapter else TRAINED


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
        with safe_open(folder / _OPTIMIZER, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            without = (file.metadata() or {}).get(_WITHOUT, "[]")
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


def remove_leftovers(run: RunDir) -> None:
    """Removes what an interrupted save or removal left under temporary names."""
    for place in (run.checkpoints, run.path):
        if place.is_dir():
            for path in place.glob(".*"):
                if path.is_dir() and path.name.endswith((".writing", ".removed")):
                    shutil.rmtree(path)


def _write_folder(target: Path, write: Callable[[Path], None]) -> None:
    """Fills a folder under a temporary name, flushes it to the disk and renames it."""
    temporary = target.with_name(f".{target.name}.writing")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(mode=0o700)
        write(temporary)
        for path in temporary.iterdir():
            path.chmod(0o600)
            with path.open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(temporary)
        if target.exists():
            old = target.with_name(f".{target.name}.removed")
            os.rename(target, old)
            os.rename(temporary, target)
            shutil.rmtree(old)
        else:
            os.rename(temporary, target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _explained(run: RunDir, doing: str) -> Generator[None]:
    try:
        yield
    except SftError:
        raise
    except OSError as error:
        raise explain_os_error(error, doing, when_full=with_room(run)) from error
    except Exception as error:
        # safetensors and tokenizers write from Rust: the system's error is in their text alone,
        # and that of tokenizers is of the bare class Exception.
        if "os error 28" in str(error) or "os error 122" in str(error):
            full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise explain_os_error(full, doing, when_full=with_room(run)) from error
        raise SftError(f"{doing} failed", str(error), "check the disk and the folder") from error
