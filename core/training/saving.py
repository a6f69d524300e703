"""Writes checkpoints and results that are whole or absent, whatever happens meanwhile."""

import errno
import os
import shutil
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import torch
from peft import PeftModel
from safetensors.torch import load, save_file

from .. import events
from ..errors import SftError
from ..footing import STATE
from ..rundir import RunDir, explain_os_error, sync_folder, write_atomic
from ..status import with_room
from . import lora_start
from .checkpoint import ADAPTER, OPTIMIZER, TRAINED, WITHOUT, TrainerState, digest_of
from .ranks import Ranks
from .report import Report
from .sharding import is_sharded
from .whole import all_weights, optimizer_tensors, trained_weights, without_state

_ADAPTER_SETTINGS = "adapter_config.json"
_SETS = ("target_modules", "exclude_modules")


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
        save_file(moments, folder / OPTIMIZER, {WITHOUT: without})
        state.digests = {path.name: digest_of(path) for path in folder.glob("*.safetensors")}
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
    weights, settings = folder / ADAPTER, folder / _ADAPTER_SETTINGS
    said = msgspec.json.decode(settings.read_bytes())
    plain = lora_start.plain_settings(model, said)
    if plain != said:
        tensors = load(weights.read_bytes())  # not mapped: the file is written anew
        save_file(lora_start.as_plain(model, tensors), weights, {"format": "pt"})
    # PEFT writes sets, in an order that each process has of its own.
    ordered = {
        name: sorted(of) if name in _SETS and isinstance(of, list) else of
        for name, of in plain.items()
    }
    settings.write_bytes(msgspec.json.format(msgspec.json.encode(ordered)))


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
