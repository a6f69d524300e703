"""Loads an export as others do, in plain PEFT and transformers, and compares its logits."""

import warnings
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from .. import demo
from .. import export as exports
from ..config import ModelConfig
from ..errors import SftError
from ..export import TRAINED, Chosen
from ..history import read_history
from ..hub import local
from ..hub.child import Tell
from ..hub.progress import Event
from ..rundir import RunDir
from ..safetensors_header import read_header
from ..text import one_line
from ..verify import Measured, Request
from .export import Told, pinned, untie, weight_digests
from .locate import locate
from .model import DTYPES

_ROWS, _TOKENS = 4, 24
_WHOLE = "export again with `sft-tui export`, or copy the folder again from where it is whole"
_STORED = {"F32": "fp32", "BF16": "bf16", "F16": "fp16"}


def verify(request: Request, tell: Tell) -> Event:
    """Loads what a request names, and compares where it names a checkpoint.

    Raises:
        SftError: It cannot be loaded, or its logits are not finite.
    """
    told, folder = Told(tell), Path(request.folder)
    base = _base(request, told) if request.adapter or request.chosen else ""
    told.phase("loading the export")
    model = _exported(folder, base if request.adapter else None)
    told.phase("computing the logits of the export")
    rows = fixed_rows(model)
    found = _logits(model, rows)
    del model  # one model at a time: a large one leaves no room for two
    if not torch.isfinite(found).all():
        raise SftError(
            f"{folder} is of no use",
            "its logits are not finite for ordinary tokens",
            "export an earlier checkpoint: `sft-tui show` lists them",
        )
    precision, dtypes = ("fp32", {}) if request.adapter else _precisions(folder)
    changed = _changed(request, told)
    difference = rounding = None
    if request.chosen is not None:
        told.phase("loading the checkpoint")
        with _explained(Path(request.chosen.folder)):
            trained = _trained(request.chosen, base)
        told.phase("computing the logits of the checkpoint")
        exact = reference = _logits(trained, rows)
        if precision != "fp32":
            reference = _logits(_rounded(trained, dtypes, precision), rows)
            rounding = _apart(reference, exact)
        difference = _apart(found, reference)
    measured = Measured(
        rows=_ROWS,
        tokens=_TOKENS,
        dtype=precision,
        difference=difference,
        rounding=rounding,
        changed=changed,
    )
    return Event("done", folder=request.folder, answer=msgspec.to_builtins(measured))


def _changed(request: Request, told: Told) -> list[str]:
    """Returns the weight files that are not what was exported; logits hide a small change."""
    if not request.sha256:
        return []
    told.phase("comparing the weight files with what was exported")
    now = weight_digests(Path(request.folder))
    names = sorted(now.keys() | request.sha256.keys())
    return [name for name in names if now.get(name) != request.sha256.get(name)]


def fixed_rows(model: Any) -> torch.Tensor:
    """Returns token ids from all over the vocabulary, [rows, tokens]: the same for every model."""
    count = model.get_input_embeddings().weight.shape[0]
    return (torch.arange(_ROWS * _TOKENS) * 7919 + 11).remainder(count).view(_ROWS, _TOKENS)


def _base(request: Request, told: Told) -> str:
    """Returns the folder of the base: as given, as the run has it, or as the adapter names it."""
    if request.base is not None:
        return locate(ModelConfig(name=request.base), told)
    if request.run is not None:
        source = RunDir(Path(request.run))
        model, started = exports.config_of(source).model, read_history(source.events).started
        return locate(pinned(model, exports.base_of(model, started)), told)
    name = local.base_of(Path(request.folder)) or ""
    if name == demo.HUB_ID:
        return locate(ModelConfig(name="demo"), told)
    if "/" not in name and not Path(name).exists():
        raise SftError(
            f"{request.folder} cannot be loaded",
            f"its base {one_line(name, 100)!r} is the name of a folder, which is not here",
            "give that folder with --base",
        )
    return locate(ModelConfig(name=name, revision=_revision(Path(request.folder))), told)


def _revision(folder: Path) -> str | None:
    said: dict[str, Any] = msgspec.json.decode((folder / exports.ADAPTER_CONFIG).read_bytes())
    revision = said.get("revision")
    return revision if isinstance(revision, str) else None


def _exported(folder: Path, base: str | None) -> Any:
    """Returns an export as others load it, after its tokenizer was loaded too.

    Args:
        folder: The export.
        base: The folder of the base that its adapter goes over; None for a whole model.
    """
    if (lack := local.tokenizer_lack(folder)) is not None:
        raise SftError(f"{folder} cannot be loaded", lack, _WHOLE)
    model: Any = None
    if base is not None:
        with _explained(Path(base)):
            model = _plain(base)
    with _explained(folder):
        AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        return _adapted(model, folder) if base is not None else _plain(str(folder))


def _plain(folder: str) -> Any:
    """Returns a model of transformers in fp32.

    Raises:
        ValueError: Weights are missing, which would be random.
    """
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.float32,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        output_loading_info=True,
    )
    model, found = loaded
    if found["missing_keys"]:
        raise ValueError(f"it holds no {min(found['missing_keys'])}")
    return model


def _adapted(base: Any, folder: Path) -> Any:
    """Returns a base with an adapter over it, in PEFT.

    Raises:
        UserWarning: Weights of the adapter are missing: PEFT leaves them at their start.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Found missing adapter keys")
        return PeftModel.from_pretrained(base, str(folder))


def _trained(chosen: Chosen, base: str) -> Any:
    """Returns the model as it was trained until a checkpoint, in fp32.

    Raises:
        RuntimeError: The checkpoint is of another model.
    """
    model = _plain(base)
    if not chosen.full:
        untie(model, Path(chosen.folder))
        return _adapted(model, Path(chosen.folder))
    found = model.load_state_dict(load_file(Path(chosen.folder, TRAINED)), strict=False)
    if found.unexpected_keys:
        raise RuntimeError(f"it has no {found.unexpected_keys[0]}")
    return model


def _rounded(model: Any, dtypes: dict[str, str], usual: str) -> Any:
    """Returns a model with its adapter merged and every weight in the precision of a file."""
    model = model.merge_and_unload() if isinstance(model, PeftModel) else model
    for name, parameter in model.named_parameters():
        stored: Any = DTYPES[dtypes.get(name, usual)]
        parameter.data = parameter.data.to(stored).float()
    return model


def _precisions(folder: Path) -> tuple[str, dict[str, str]]:
    """Returns the precision of most weights of a model's files, and of each by name."""
    dtypes: dict[str, str] = {}
    for path in folder.glob("*.safetensors"):
        for name, entry in read_header(path).items():
            if name != "__metadata__":
                dtypes[name] = _STORED.get(entry["dtype"], "fp32")
    return Counter(dtypes.values()).most_common(1)[0][0], dtypes


def _logits(model: Any, rows: torch.Tensor) -> torch.Tensor:
    """Returns the logits of rows, [rows, tokens, vocabulary]."""
    with torch.inference_mode():
        return model.eval()(input_ids=rows, use_cache=False).logits.float()


def _apart(found: torch.Tensor, reference: torch.Tensor) -> float:
    """Returns the largest difference as a share of the largest logit; 1 where shapes differ."""
    if found.shape != reference.shape:
        return 1.0
    return ((found - reference).abs().max() / reference.abs().max()).item()


@contextmanager
def _explained(folder: Path) -> Generator[None]:
    """Turns what libraries raise about files into a message."""
    try:
        yield
    except (MemoryError, SftError):
        raise
    except Exception as error:  # whatever transformers, PEFT and tokenizers meet in a broken file
        raise SftError(
            f"{folder} cannot be loaded",
            one_line(str(error), 300) or type(error).__name__,
            _WHOLE,
        ) from error
