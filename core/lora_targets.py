"""Which modules an adapter reaches: the pattern rule, and what headers tell of it.

The trainer matches the modules of the loaded model with the same rule; here the linear layers
are read off a model's headers, so that nothing has to be loaded.
"""

import re
from collections.abc import Iterable

import msgspec

from .config import MethodConfig
from .model_facts import ModelFacts, TensorFact

_WEIGHT = re.compile(r"(.+)\.(?:weight|qweight|weight_packed)$")
_EMBEDDINGS = re.compile(r"(^|[._])(embed\w*|wte|wpe|word_embeddings\w*|shared)$")
_EXPERTS = re.compile(r"\.experts\.\d+\.")
_ROUTERS = ("gate", "router")
_HEADS = ("lm_head", "embed_out")
_TRANSPOSED = ("gpt2", "openai-gpt", "imagegpt", "decision_transformer")
"""Model types whose linear layers are Conv1D, which keeps its weight as (in, out)."""
# Checkpoints of GPT-2 and its kin were saved from the inner model, whose name is left out.
_LEFT_OUT = {"h.": "transformer.", "layers.": "model."}


class Linear(msgspec.Struct, frozen=True):
    """A linear layer under the name that patterns meet; `inputs` and `outputs` are features."""

    name: str
    inputs: int
    outputs: int

    @property
    def leaf(self) -> str:
        """The last part of the name, such as q_proj."""
        return self.name.rpartition(".")[2]

    @property
    def parent(self) -> str:
        """The name of the module that holds it, such as model.layers.0.self_attn."""
        return self.name.rpartition(".")[0]


def matches(pattern: str, name: str) -> bool:
    """Returns whether a pattern names a module.

    The rule is NeMo's: a pattern is the exact last part of a name, or the whole dotted name with
    `*` for any run of characters, anchored at both ends.
    """
    if name.rpartition(".")[2] == pattern:
        return True
    regex = ".*".join(re.escape(part) for part in pattern.split("*"))
    return re.fullmatch(regex, name) is not None


def chosen(names: Iterable[str], targets: list[str], excluded: list[str]) -> list[str]:
    """Returns the names that a target pattern matches and no excluded one, in their order."""
    return [
        name
        for name in names
        if any(matches(pattern, name) for pattern in targets)
        and not any(matches(pattern, name) for pattern in excluded)
    ]


def linear_layers(facts: ModelFacts) -> list[Linear]:
    """Returns the linear layers that transformers would make of a checkpoint's weights.

    Left out are embeddings, experts of mixtures, which transformers fuses into parameters of
    three dimensions, and the routers before them. A tied head is a module, though no weight of
    its own is stored.
    """
    found = [layer for tensor in facts.tensors if (layer := _linear(tensor, facts)) is not None]
    if facts.tied and facts.hidden and facts.vocabulary:
        found = [layer for layer in found if layer.leaf not in _HEADS]
        found.append(Linear("lm_head", facts.hidden, facts.vocabulary))
    return found


def adapted(facts: ModelFacts, method: MethodConfig) -> list[Linear]:
    """Returns the linear layers that get an adapter; empty where the patterns match none."""
    layers = {layer.name: layer for layer in linear_layers(facts)}
    return [layers[name] for name in chosen(layers, method.target_modules, method.exclude_modules)]


def adapter_parameters(layers: list[Linear], rank: int) -> int:
    """Returns the numbers in LoRA's A, (rank, in), and B, (out, rank), of all layers."""
    return sum(rank * (layer.inputs + layer.outputs) for layer in layers)


def _linear(tensor: TensorFact, facts: ModelFacts) -> Linear | None:
    found = _WEIGHT.fullmatch(tensor.name)
    if found is None:
        return None
    name = found[1]
    leaf = name.rpartition(".")[2]
    if _EMBEDDINGS.search(leaf) and leaf not in _HEADS:
        return None
    if _EXPERTS.search(name) or (leaf in _ROUTERS and is_mixture(facts)):
        return None
    shape = _packed_shape(leaf, facts) if tensor.packed else tensor.shape
    if shape is None or len(shape) != 2:
        return None
    for start, prefix in _LEFT_OUT.items():
        if name.startswith(start):
            name = prefix + name
    outputs, inputs = shape[::-1] if facts.config.get("model_type") in _TRANSPOSED else shape
    return Linear(name, inputs, outputs)


def is_mixture(facts: ModelFacts) -> bool:
    """Returns whether the model is a mixture of experts."""
    return any("expert" in key for key in facts.config)


def _packed_shape(leaf: str, facts: ModelFacts) -> tuple[int, int] | None:
    """Returns the (out, in) of a layer whose weight is packed, from the names that Llama gave.

    None for any other name: its shape is not known, and neither is the model's size then.
    """
    hidden, wide, heads, size = facts.hidden, facts.intermediate, facts.heads, facts.head_dim
    if not (hidden and wide and heads and size):
        return None
    keys = (facts.kv_heads or heads) * size
    return {
        "q_proj": (heads * size, hidden),
        "k_proj": (keys, hidden),
        "v_proj": (keys, hidden),
        "o_proj": (hidden, heads * size),
        "gate_proj": (wide, hidden),
        "up_proj": (wide, hidden),
        "down_proj": (hidden, wide),
    }.get(leaf)
