"""Checkpoints that are whole or absent, and going on from one.

`checkpoints/step-<n>/` holds the adapter in PEFT's format, AdamW's moments and the random state
as safetensors, and `trainer_state.json`. Nothing is pickled, so nothing is unpickled.
"""

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
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from .. import events
from ..errors import SftError
from ..rundir import RunDir, explain_os_error, sync_folder
from .report import Report

_ADAPTER = "adapter_model.safetensors"
_OPTIMIZER = "optimizer.safetensors"
_STATE = "trainer_state.json"


class TrainerState(msgspec.Struct, kw_only=True):
    """What goes on after a resume, beside weights and moments."""

    step: int
    learning_rate_factor: float = 1.0
    data_hash: str | None = None
    elapsed_s: float = 0.0


def newest(run: RunDir) -> tuple[TrainerState, Path] | None:
    """Returns the newest complete checkpoint of a run, or None.

    Raises:
        SftError: Its state cannot be read.
    """
    complete = run.complete_checkpoints()
    if not complete:
        return None
    _, folder = complete[-1]
    try:
        return msgspec.json.decode((folder / _STATE).read_bytes(), type=TrainerState), folder
    except (msgspec.MsgspecError, OSError) as error:
        raise SftError(
            f"the checkpoint {folder} cannot be resumed",
            f"its {_STATE} cannot be read: {error}",
            _without(folder),
        ) from error


def _without(folder: Path) -> str:
    """Returns what to do about a damaged checkpoint."""
    others = [path for _, path in RunDir(folder.parent.parent).complete_checkpoints()]
    before = others[: others.index(folder)] if folder in others else []
    if before:
        return f"remove that folder to go on from {before[-1].name}"
    return "remove that folder to start again from step 0"


def save(
    run: RunDir,
    model: PeftModel,
    optimizer: torch.optim.Optimizer,
    state: TrainerState,
    keep: int,
    report: Report,
) -> None:
    """Writes a checkpoint under a temporary name and renames it, then drops the oldest.

    Raises:
        DiskFull: No space; the checkpoints that were complete stay as they are.
        SftError: It cannot be written for another reason.
    """
    report.phase("saving")
    began = time.monotonic()
    target = run.checkpoints / f"step-{state.step}"

    def write(folder: Path) -> None:
        save_adapter(model, folder)
        save_file(_optimizer_tensors(model, optimizer), folder / _OPTIMIZER)
        (folder / _STATE).write_bytes(msgspec.json.encode(state))

    with _explained(f"saving the checkpoint of step {state.step}"):
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
    for _, folder in run.complete_checkpoints()[:-keep]:
        # Renamed first: a folder under its own name is complete even while it is being removed.
        doomed = folder.with_name(f".{folder.name}.removed")
        os.rename(folder, doomed)
        shutil.rmtree(doomed)


def save_result(run: RunDir, model: PeftModel, tokenizer: Any, report: Report) -> None:
    """Writes `adapter/`: what plain PEFT and transformers load, with tokenizer and template.

    Raises:
        DiskFull: No space.
        SftError: It cannot be written for another reason.
    """
    report.phase("saving")

    def write(folder: Path) -> None:
        save_adapter(model, folder)
        tokenizer.save_pretrained(folder)

    with _explained("saving the adapter"):
        _write_folder(run.adapter, write)


def save_adapter(model: PeftModel, folder: Path) -> None:
    """Writes the adapter's weights and configuration in PEFT's format."""
    # Embeddings are never trained here; the default would ask the Hub about the base.
    model.save_pretrained(str(folder), safe_serialization=True, save_embedding_layers=False)


def restore(folder: Path, model: PeftModel, optimizer: torch.optim.Optimizer) -> None:
    """Puts a checkpoint's weights, moments and random state in place.

    Raises:
        SftError: The checkpoint does not fit the model.
    """
    try:
        found = set_peft_model_state_dict(model, load_file(folder / _ADAPTER))
        missing = [name for name in found.missing_keys if "lora_" in name]
        if wrong := [*found.unexpected_keys, *missing]:
            raise KeyError(wrong[0])
        tensors = load_file(folder / _OPTIMIZER)
        _restore_optimizer(model, optimizer, tensors)
    except (SafetensorError, OSError) as error:
        raise SftError(
            f"the checkpoint {folder} cannot be resumed",
            f"it is damaged: {error}",
            _without(folder),
        ) from error
    except (KeyError, RuntimeError) as error:
        raise SftError(
            f"the checkpoint {folder} cannot be resumed",
            f"it does not fit this model and configuration: {error}",
            "resume with the configuration that it was trained with, or start a new run",
        ) from error
    torch.set_rng_state(tensors["random.torch"])
    if torch.cuda.is_available() and "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"])


def remove_leftovers(run: RunDir) -> None:
    """Removes what an interrupted save or removal left under temporary names."""
    for place in (run.checkpoints, run.path):
        if place.is_dir():
            for path in place.glob(".*"):
                if path.is_dir() and path.name.endswith((".writing", ".removed")):
                    shutil.rmtree(path)


def _optimizer_tensors(
    model: PeftModel, optimizer: torch.optim.Optimizer
) -> dict[str, torch.Tensor]:
    tensors = {"random.torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{key}.{name}"] = value.detach().cpu().contiguous()
    return tensors


def _restore_optimizer(
    model: PeftModel, optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]
) -> None:
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and f"exp_avg.{name}" in tensors:
            optimizer.state[parameter] = {
                # The step count stays on the CPU, where AdamW keeps it; moments follow the weight.
                key: tensors[f"{key}.{name}"].to("cpu" if key == "step" else parameter.device)
                for key in ("step", "exp_avg", "exp_avg_sq")
            }


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
def _explained(doing: str) -> Generator[None]:
    try:
        yield
    except SftError:
        raise
    except OSError as error:
        raise explain_os_error(error, doing) from error
    except Exception as error:
        # safetensors and tokenizers write from Rust: the system's error is in their text alone,
        # and that of tokenizers is of the bare class Exception.
        if "os error 28" in str(error) or "os error 122" in str(error):
            raise explain_os_error(OSError(28, "No space left on device"), doing) from error
        raise SftError(f"{doing} failed", str(error), "check the disk and the folder") from error
