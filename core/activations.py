"""How much a decoder layer keeps for its backward pass, term by term.

Every figure is bytes for one token of one layer, of the modules in transformers 5 and the LoRA
layers of PEFT 0.18 and later. `wide` is the size of a number in the frozen weights' precision: 2
in bf16, 4 in fp32. A frozen linear layer keeps nothing but its weight.
"""

import math
import re

import msgspec

from .lora_targets import Linear, is_mixture
from .model_facts import ModelFacts

_FP32 = 4
_LAYER = re.compile(r"\.?(?:layers|h|blocks|layer)\.(\d+)\.(.+)$")
_FUSED = ("query_key_value", "qkv_proj", "Wqkv")
_TANH_IN_PYTHON = ("gelu_new", "gelu_fast", "gelu_pytorch_tanh_python", "quick_gelu")
_ATTENTION_OUTPUTS = ("o_proj", "out_proj", "dense", "wo")


class Shapes(msgspec.Struct, frozen=True):
    """The sizes of a decoder layer, and what its modules are made of."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    norms: float
    """Numbers that the norms of a layer take in per token; two of the hidden size in Llama."""
    rms: bool
    """RMSNorm in Python, on an fp32 copy; else LayerNorm, one fused operation."""
    gated: bool
    activation: str
    experts: int
    """Experts that a token goes through; 0 in a dense model."""
    fused_rotary: bool
    attention_dropout: float
    residual_dropout: float


class Settings(msgspec.Struct, frozen=True):
    """What of a run decides how much is kept."""

    wide: int
    length: int
    padded: bool
    eager: bool
    rank: int
    dropout: float
    full: bool
    fused: bool
    """Whether an adapter and its layer are one step, which keeps the input as it is."""
    on_cpu: bool


def shapes(facts: ModelFacts) -> Shapes | str:
    """Returns the sizes of a model's layers, or in words which of them its files do not tell."""
    wanted = {
        "hidden_size": facts.hidden,
        "intermediate_size": facts.intermediate,
        "num_hidden_layers": facts.layers,
        "num_attention_heads": facts.heads,
        "vocab_size": facts.vocabulary,
    }
    missing = [key for key, value in wanted.items() if not value]
    if missing:
        return f"its config.json does not tell {', '.join(missing)}"
    hidden, heads = facts.hidden or 0, facts.heads or 0
    config = facts.config
    kv_heads, head_dim = facts.kv_heads or heads, facts.head_dim or 0
    names = {tensor.name.rpartition(".")[0].rpartition(".")[2] for tensor in facts.tensors}
    rms = not any(key in config for key in ("layer_norm_eps", "layer_norm_epsilon"))
    return Shapes(
        hidden=hidden,
        intermediate=int(config.get("moe_intermediate_size") or facts.intermediate or 0),
        layers=facts.layers or 0,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        vocabulary=facts.vocabulary or 0,
        norms=_norm_inputs(facts, heads * head_dim, kv_heads * head_dim) or 2 * hidden,
        rms=rms,
        gated=is_mixture(facts) or bool(names & {"gate_proj", "gate_up_proj", "w3"}),
        activation=str(config.get("hidden_act") or config.get("activation_function") or "silu"),
        experts=_experts(facts),
        fused_rotary=bool(names & set(_FUSED)),
        attention_dropout=_share(config, "attention_dropout", "attn_pdrop"),
        residual_dropout=_share(config, "resid_pdrop", "hidden_dropout"),
    )


def kept_per_token(shapes: Shapes, adapted: list[Linear], settings: Settings) -> float:
    """Returns the bytes that one layer keeps per token, attention's probabilities left out."""
    return (
        _norms(shapes, settings)
        + _attention(shapes, settings)
        + _feed_forward(shapes, settings)
        + _adapters(shapes, adapted, settings)
        + 2 * settings.wide * shapes.hidden * (shapes.residual_dropout > 0)  # its two masks
    )


def _norms(shapes: Shapes, settings: Settings) -> float:
    """RMSNorm keeps the fp32 copy that it makes of its input, and 1 / rms; LayerNorm its input.

    In fp32 there is no copy: the residual itself is kept, which nothing else keeps. A trained
    norm weight keeps the normalised input as well.
    """
    size = _FP32 if shapes.rms else settings.wide
    return shapes.norms * (size + settings.wide * settings.full)


def _attention(shapes: Shapes, settings: Settings) -> float:
    """Flash attention keeps queries, keys, values, its output and a log-sum-exp per head.

    With a mask for padding transformers repeats keys and values for every query head. Where
    queries, keys and values are one projection, its output stays alive for the values' sake.
    """
    heads = shapes.heads * shapes.head_dim
    keys = (shapes.heads if settings.padded else shapes.kv_heads) * shapes.head_dim
    kept = settings.wide * (2 * heads + 2 * keys) + _FP32 * shapes.heads
    if shapes.fused_rotary:
        kept += settings.wide * (heads + shapes.kv_heads * shapes.head_dim)
    if _plain(shapes, settings):  # it computes in fp32, and keeps its own copies
        kept += (3 * _FP32 - 2 * settings.wide) * heads
    return kept


def probabilities_per_token(shapes: Shapes, settings: Settings) -> float:
    """Returns the bytes of attention's probabilities that one layer keeps per token.

    Flash attention keeps none. Eager attention keeps its softmax, in fp32, and the copy in the
    weights' precision. torch's plain path keeps them before and after dropout, and the mask.
    """
    row = shapes.heads * settings.length
    if settings.eager:
        copy = settings.wide if settings.wide != _FP32 else 0
        dropped = 2 * settings.wide if shapes.attention_dropout > 0 else 0
        return row * (_FP32 + copy + dropped)
    return 3 * _FP32 * row if _plain(shapes, settings) else 0


def _plain(shapes: Shapes, settings: Settings) -> bool:
    """Whether torch leaves flash attention: on the CPU it knows no dropout."""
    return not settings.eager and settings.on_cpu and shapes.attention_dropout > 0


def _feed_forward(shapes: Shapes, settings: Settings) -> float:
    """Gate, its activation, and up: the factors of a product. Ungated: the activation's input.

    Activations written out in Python keep four factors. A mixture does this for each expert
    that a token goes through, and keeps the token's copy for it.
    """
    width = shapes.intermediate * max(shapes.experts, 1)
    factors = 3 if shapes.gated else 4 if shapes.activation in _TANH_IN_PYTHON else 1
    return settings.wide * (factors * width + shapes.experts * shapes.hidden)


def _adapters(shapes: Shapes, adapted: list[Linear], settings: Settings) -> float:
    """What LoRA's A and B keep of their inputs, of the mean layer.

    PEFT casts the input of every adapted module to fp32: over bf16 each keeps a copy of its own.
    Over fp32 the cast is none, and a fused adapter makes none: modules with one input share it,
    and attention keeps its output already. Dropout makes copies in any case, beside a mask. Full
    fine-tuning keeps the inputs of all linear layers.
    """
    layers = [layer for layer in adapted if _LAYER.search(layer.name)]
    low = settings.wide if settings.fused else _FP32
    inner = 0 if settings.full else low * settings.rank * len(layers)
    if settings.dropout > 0 and not settings.full:
        mask = _FP32 if settings.on_cpu else 1  # the CPU's mask is the factors themselves
        inputs = sum(layer.inputs for layer in layers) * (_FP32 + mask)
    elif settings.wide == _FP32 or settings.full or settings.fused:
        shared = {
            (layer.parent, layer.inputs) for layer in layers if layer.leaf not in _ATTENTION_OUTPUTS
        }
        inputs = sum(size for _, size in shared) * settings.wide
    else:
        inputs = sum(layer.inputs for layer in layers) * _FP32
    return (inputs + inner) / shapes.layers


def _norm_inputs(facts: ModelFacts, queries: int, keys: int) -> float:
    """Returns the numbers per token that the norms of the mean layer take in.

    Read off the 1-D weights named as norms. Norms of queries and keys have the size of a head,
    or of all heads, and take in all of them.
    """
    total, layers = 0, set[str]()
    for tensor in facts.tensors:
        found = _LAYER.search(tensor.name)
        if found is None or len(tensor.shape) != 1 or not found[2].endswith(".weight"):
            continue
        leaf = found[2].split(".")[-2]
        if not (leaf.endswith(("norm", "layernorm")) or leaf.startswith("ln_")):
            continue
        layers.add(found[1])
        total += {"q_norm": queries, "k_norm": keys}.get(leaf, math.prod(tensor.shape))
    return total / len(layers) if layers else 0


def _experts(facts: ModelFacts) -> int:
    if not is_mixture(facts):
        return 0
    for key in ("num_experts_per_tok", "num_experts_per_token", "top_k_experts", "moe_topk"):
        if type(facts.config.get(key)) is int:
            return int(facts.config[key])
    return 1


def _share(config: dict[str, object], *names: str) -> float:
    """Returns a dropout of a config.json; what it does not name is 0."""
    for name in names:
        value = config.get(name)
        if isinstance(value, int | float):
            return float(value)
    return 0.0
