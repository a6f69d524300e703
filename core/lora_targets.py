"""Which modules an adapter reaches: the pattern rule, and what headers tell of it.

The trainer matches the modules of the loaded model with the same rule; here the linear layers
are read off a model's headers, so that nothing has to be loaded.
"""

import difflib
import fnmatch
import re
from collections import Counter
from collections.abc import Iterable

import msgspec

from .config import MethodConfig
from .errors import SftError
from .model_facts import ModelFacts, TensorFact

_WEIGHT = re.compile(r"(.+)\.(?:weight|qweight|weight_packed)$")
_EMBEDDINGS = re.compile(r"(^|[._])(embed\w*|wte|wpe|word_embeddings\w*|shared)$")
_EMBEDS_TOKENS = re.compile(r"(^|\.)(embed_tokens|wte|word_embeddings|embed_in)\.weight$")
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


def chosen_strictly(
    names: list[str],
    targets: list[str],
    excluded: list[str],
    *,
    key: str = "method.target_modules",
    modules: Iterable[str] = (),
) -> list[str]:
    """Returns what `chosen` does, pattern by pattern.

    Args:
        names: What can be chosen.
        targets: Patterns of what is.
        excluded: Patterns of what is left out of that.
        key: Where the target patterns stand.
        modules: All modules there are, where `names` are those of them that LoRA can adapt.

    Raises:
        SftError: A pattern matches nothing, with near misses; or nothing is left.
    """
    hits: list[str] = []
    for pattern in targets:
        found = [name for name in names if matches(pattern, name)]
        if not found:
            raise _no_match(key, pattern, names, modules)
        hits += found
    for pattern in excluded:
        if not any(matches(pattern, name) for name in names):
            raise _no_match("method.exclude_modules", pattern, names, modules)
    kept = [name for name in dict.fromkeys(hits) if not any(matches(p, name) for p in excluded)]
    if not kept:
        raise SftError(
            "no module is left to train",
            "method.exclude_modules takes out everything that method.target_modules names",
            "exclude less",
        )
    return kept


def _no_match(key: str, pattern: str, names: list[str], modules: Iterable[str]) -> SftError:
    leaves = [leaf for leaf in dict.fromkeys(map(_leaf, names)) if not leaf.isdigit()]
    if not names:
        return SftError(
            f"{key}: {pattern!r} matches nothing",
            "the model has no parameters of that kind: it is no mixture with fused experts",
            f"set {key} to []",
        )
    if there := next((name for name in modules if matches(pattern, name)), None):
        return SftError(
            f"{key}: {pattern!r} names no module that LoRA can adapt",
            f"{there} is there, but LoRA adapts linear layers alone",
            "".join(f"{each} names what is in it; or " for each in _wider(pattern, names)[:1])
            + f"name some of {', '.join(leaves[:12])}",
        )
    near = _near(pattern, names, leaves)
    return SftError(
        f"{key}: {pattern!r} matches no module",
        f"the model has {', '.join(leaves[:12])}",
        f"did you mean {', '.join(near)}? A pattern is a name, or a full path with *",
    )


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]


def _wider(pattern: str, names: list[str]) -> list[str]:
    """Returns patterns that say more than one which matches nothing, and match something.

    Example: layers.0 → *.layers.0.*
    """
    more = (f"{pattern}.*", f"*.{pattern}", f"*.{pattern}.*")
    return [each for each in more if any(matches(each, name) for name in names)]


def _near(pattern: str, names: list[str], leaves: list[str]) -> list[str]:
    """Returns patterns that match something and are written much as one which matches nothing."""
    if "." in pattern and (wider := _wider(pattern, names)):
        return wider
    parts = list(dict.fromkeys(part for name in names for part in name.split(".")))
    mended = ".".join(_mended(part, parts) for part in pattern.split("."))
    if "." in pattern and mended != pattern and any(matches(mended, name) for name in names):
        return [mended]
    bare = _leaf(pattern).strip("*")
    found = _closest(bare, leaves, 4) if bare else []
    return found or fnmatch.filter(leaves, f"*{bare}*")[:4] or leaves[:8]


def _mended(part: str, parts: list[str]) -> str:
    """Returns the part of a name that is written much as this one; numbers and `*` stay."""
    if "*" in part or part.isdigit() or part in parts:
        return part
    return next(iter(_closest(part, parts, 1)), part)


def _closest(word: str, words: list[str], most: int) -> list[str]:
    """Returns the words that are written much as one, whatever is large in it."""
    small = {each.lower(): each for each in reversed(words)}
    return [small[each] for each in difflib.get_close_matches(word.lower(), small, most, 0.5)]


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


def adapted_strictly(facts: ModelFacts, method: MethodConfig) -> list[Linear]:
    """Returns what `adapted` does, in the words of the trainer where a pattern matches none.

    Raises:
        SftError: A pattern matches nothing, or nothing is left.
    """
    layers = {layer.name: layer for layer in linear_layers(facts)}
    targets, excluded = method.target_modules, method.exclude_modules
    names = chosen_strictly(list(layers), targets, excluded, modules=_modules(facts))
    return [layers[name] for name in names]


def by_kind(layers: Iterable[Linear]) -> dict[str, int]:
    """Returns how many layers there are under each last part of a name, in their order."""
    return dict(Counter(layer.leaf for layer in layers))


def adapter_parameters(layers: list[Linear], rank: int, *, dora: bool = False) -> int:
    """Returns the numbers in LoRA's A, (rank, in), and B, (out, rank), of all layers.

    DoRA has a size for each output as well.
    """
    sizes = sum(layer.outputs for layer in layers) if dora else 0
    return sizes + sum(rank * (layer.inputs + layer.outputs) for layer in layers)


def frozen_tensors(facts: ModelFacts, patterns: list[str]) -> set[str]:
    """Returns the names of the weights within modules that patterns name, as files have them.

    A tied head and its embedding are one weight: where the head's name is meant, both are.
    """
    found = {
        tensor.name
        for tensor in facts.tensors
        if any(matches(p, module) for p in patterns for module in _around(tensor.name))
    }
    if facts.tied and any(matches(p, head) for p in patterns for head in _HEADS):
        found |= {t.name for t in facts.tensors if _EMBEDS_TOKENS.search(t.name)}
    return found


def frozen_strictly(facts: ModelFacts, patterns: list[str]) -> set[str]:
    """Returns what `frozen_tensors` does, in the words of the trainer where one matches none.

    Raises:
        SftError: A pattern names no module.
    """
    modules = _modules(facts)
    if facts.tied:
        modules["lm_head"] = None
    if patterns:
        chosen_strictly(list(modules), patterns, [], key="method.freeze")
    return frozen_tensors(facts, patterns)


def _modules(facts: ModelFacts) -> dict[str, None]:
    """Returns the names of all modules that hold a stored weight, each once, in their order."""
    return dict.fromkeys(m for tensor in facts.tensors for m in _around(tensor.name))


def _around(name: str) -> list[str]:
    """Returns the modules that hold a weight. Example: a.b.weight → [a, a.b]."""
    parts = _whole_name(name).split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def _whole_name(name: str) -> str:
    """Returns a stored name as the module has it."""
    for start, prefix in _LEFT_OUT.items():
        if name.startswith(start):
            return prefix + name
    return name


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
    name = _whole_name(name)
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
