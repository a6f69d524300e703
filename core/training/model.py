"""Loads a base model, in the precision of the run or in 4 bits.

Remote code is never run and only safetensors are read.
"""

import hashlib
import importlib.util
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from ..config import ModelConfig, TrainConfig
from ..errors import SftError
from ..hub import local
from ..text import one_line
from .failures import is_out_of_memory
from .report import Report

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32, "stored": "auto"}
"""By precision; `stored` is what the files hold."""


def load_base(
    folder: str, model: ModelConfig, precision: str, device: torch.device | None = None
) -> Any:
    """Returns the base model of a folder in the dtype of `precision`, its weights not yet frozen.

    Args:
        folder: As `locate` gives it.
        model: Attention and quantisation are read.
        precision: A key of `DTYPES`.
        device: Where 4-bit weights are made; others are loaded on the CPU.

    Raises:
        SftError: It cannot be had, or is no causal language model.
    """
    options: dict[str, Any] = {}
    if model.attention != "auto":
        options["attn_implementation"] = model.attention
    if model.quantisation == "nf4":
        options["quantization_config"] = _nf4(DTYPES[precision])
        options["device_map"] = {"": device or torch.device("cpu")}
    with _explained(folder, model.attention):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=DTYPES[precision],
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # else an error that only a log explains
            output_loading_info=True,
            **options,
        )
    base, found = loaded
    _refuse_misshapen(folder, found["mismatched_keys"])
    _refuse_incomplete(folder, found["missing_keys"])
    if model.quantisation == "nf4":
        _keep_as_quantised(base)
    # What the adapter names as its base must mean the same on any machine.
    base.name_or_path = local.id_of(Path(folder)) or folder
    return base


def _nf4(compute: Any) -> BitsAndBytesConfig:
    """Returns NF4 with doubly quantised scales (Dettmers et al. 2023), computed in `compute`.

    Raises:
        SftError: bitsandbytes is not installed.
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        raise SftError(
            "model.quantisation: nf4 cannot be used",
            "the package bitsandbytes, which quantises, is not installed",
            "pip install 'sft-tui[qlora]', or set model.quantisation to none",
        )
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )


def _keep_as_quantised(base: Any) -> None:
    """Keeps bitsandbytes from packing 4-bit weights anew where they are evaluated on a CPU.

    On CPUs with AVX512-BF16 it does so in eval mode and rounds the scales to bf16: an evaluation
    would change the frozen weights, and shapes that are no multiple of a block would fail.
    """
    for module in base.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


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


def _refuse_incomplete(folder: str, missing: Collection[str]) -> None:
    """Refuses a base of which transformers would draw some weights at random.

    Raises:
        SftError: Names some of them.
    """
    if not missing:
        return
    names = sorted(missing)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    raise SftError(
        f"the weights of {local.id_of(Path(folder)) or folder} are not complete",
        f"its safetensors hold no {', '.join(one_line(name, 100) for name in names[:3])}{more}, "
        "which would be random",
        "copy or download the model again; one that was saved without its head is saved anew from "
        "AutoModelForCausalLM",
    )


class _explained:
    """Turns transformers' errors about files and configurations into a message."""

    def __init__(self, folder: str, attention: str) -> None:
        self._name = local.id_of(Path(folder)) or folder
        self._attention = attention

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, (OSError, ValueError, ImportError, KeyError)):
            return
        if is_out_of_memory(error):
            return
        if self._attention != "auto" and "support an attention implementation" in str(error):
            raise SftError(
                f"model.attention: {self._attention} cannot be used",
                f"{self._name} has no such implementation",
                "set model.attention to auto, or to eager, which every model has",
            ) from error
        raise SftError(
            f"the model {self._name} cannot be loaded",
            one_line(str(error), 300),
            "choose a causal language model that transformers knows; one that needs its own code "
            "is not supported",
        ) from error


_FINGERPRINT = "bf16:"
"""How they are made: others are not compared."""


def fingerprint(base: torch.nn.Module) -> str:
    """Returns a hash of names, shapes and some numbers of a base's weights, as they are loaded.

    Sixteen numbers from each end of every weight, so that it costs nothing: models of equal shapes
    differ in some of them. As bf16, so that it is the same whether they are loaded so or in fp32.
    """
    found = hashlib.sha256()
    for name, weight in base.named_parameters():
        flat = weight.detach().flatten()
        ends = torch.cat([flat[:16], flat[-16:]]).cpu().bfloat16().view(torch.uint8)
        found.update(f"{name} {tuple(weight.shape)} ".encode() + bytes(ends.tolist()))
    return f"{_FINGERPRINT}{found.hexdigest()[:16]}"


def judge_length(base: Any, longest: int, report: Report) -> None:
    """Warns of rows that are longer than what the model was made for.

    Args:
        base: The model.
        longest: Tokens of the longest row.
        report: Is told.

    Raises:
        SftError: The model has one learned vector for each position, and none for the last ones.
    """
    limit = getattr(base.config, "max_position_embeddings", None)
    if not isinstance(limit, int) or longest <= limit:
        return
    what = f"rows have up to {longest:,} tokens, and the model was made for {limit:,}"
    remedy = f"set data.max_length to {limit} or less"
    words = base.get_input_embeddings()
    tables = [m for m in base.modules() if isinstance(m, torch.nn.Embedding) and m is not words]
    # OPT keeps two vectors more than it has positions.
    if any(table.num_embeddings in (limit, limit + 2) for table in tables):
        raise SftError("the rows are too long for this model", what, remedy)
    report.warn("longer_than_context", what, remedy)


def save_memory(model: Any, train: TrainConfig) -> None:
    """Turns on gradient checkpointing where asked for.

    Raises:
        SftError: The model's own code cannot do it.
    """
    if train.gradient_checkpointing:
        try:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        except ValueError as error:
            raise SftError(
                "train.gradient_checkpointing cannot be used",
                one_line(str(error), 200),
                "set it to false",
            ) from error
        # Frozen embeddings give the first layer no gradient to check in.
        model.enable_input_require_grads()


def decoder_layers(model: torch.nn.Module) -> list[torch.nn.Module]:
    """Returns the layers of a decoder: the longest list of modules within it.

    Raises:
        SftError: There is none.
    """
    lists = [module for module in model.modules() if isinstance(module, torch.nn.ModuleList)]
    if not lists:
        raise SftError(
            "the decoder layers of this model are not found",
            "it holds no list of layers",
            "set train.compile to never, and launch.strategy to ddp",
        )
    return list(max(lists, key=len))
