"""Does a run fit this machine: the memory of its largest step, part by part, and a verdict.

An estimate from a model's files alone; `core/training/measure.py` measures the same. What a layer
keeps is counted in `activations.py`, what the machine has is `hardware.py`'s.
"""

from dataclasses import dataclass, replace
from typing import Literal

from . import activations
from .activations import Settings, Shapes
from .config import RunConfig
from .lora_targets import Linear, adapted, adapter_parameters, frozen_tensors, linear_layers
from .model_facts import ModelFacts

Kind = Literal["lora", "qlora", "full"]
Device = Literal["cpu", "cuda"]

_FP32 = 4
_ADAM_MOMENTS = 2
_MOMENT = {"adamw": 4.0, "adam": 4.0, "adamw_8bit": 1 + 4 / 256}
"""Bytes of one of Adam's moments; in 8 bits each 256 share a scale (Dettmers et al. 2022)."""
_NF4_BITS = 4.127
"""A 4-bit weight with its share of the doubly quantised scales (Dettmers et al. 2023, QLoRA)."""
_RUNTIME = {"cpu": 420 << 20, "cuda": 900 << 20}
"""Memory before a weight is loaded. CPU: Python, torch, transformers and PEFT, and what the first
step loads, 400 to 440 MiB with torch 2.13. CUDA: the context, cuBLAS and its workspaces; not
measured."""


@dataclass(frozen=True)
class _Held:
    """What the allocator holds for what tensors need."""

    layers: float
    """Bytes held for each byte that the layers keep."""
    accumulating: float
    """The same, where a step has several micro-batches."""
    head: int
    """Bytes held for each supervised position and word of the vocabulary."""


_HELD = {
    ("cpu", 2): _Held(1.5, 2.0, 8),
    ("cpu", 4): _Held(2.0, 2.75, 20),
    ("cuda", 2): _Held(1.1, 1.1, 5),
    ("cuda", 4): _Held(1.1, 1.1, 9),
}
"""By device and bytes of a number.

The head needs its logits and their gradient, 4 bytes each word in bf16, and a block of it.

CPU: glibc's posix_memalign cannot give a freed block to a tensor of the same size, because it
asks for the alignment on top; only smaller ones fit, or neighbours that are free together. So the
head's tensors have places beside those of the layers, and more where there are several pieces.
In the layers it is freed temporaries that only smaller tensors can take the place of, which in
fp32, where sizes are the same, are few. From the second micro-batch of a step on, gradients of
the adapters lie among the freed blocks and divide them. The factors of the layers fit within 15 %
of the total in 70 measured runs of PEFT's own adapters and padded rows (glibc 2.36, torch 2.13; 6
to 230 million parameters, 128 to 1,024 tokens, 3 to 100 % of them trained), most within 8 %;
packed rows and fused adapters were within 11 % in 14. Attention's probabilities, where they are
kept, are the largest tensors, and leave no such gaps.

CUDA: torch's caching allocator gives blocks to tensors of the same size. A tenth is allowed for
gaps; nothing was measured there.
"""

_PACKED_FP32 = _Held(1.25, 1.8, 20)
"""Of packed rows in fp32 on the CPU, whose attention leaves fewer gaps."""

_SPREAD = {"cpu": 0.2, "cuda": 0.3}
"""Half the width of the range, as a share: what estimates differ from measured peaks on the CPU;
on CUDA more, as nothing was measured there."""


@dataclass(frozen=True)
class Basis:
    """What an estimate was made of."""

    facts: ModelFacts
    config: RunConfig
    kind: Kind
    device: Device
    rows_tokens: int
    checkpointing: bool
    supervised_share: float
    """Share of the positions whose next token is trained."""
    padded: bool

    @property
    def positions(self) -> int:
        """Positions of a micro-batch whose rows are all as long as the longest."""
        return self.config.train.micro_batch_size * self.rows_tokens

    @property
    def packed(self) -> bool:
        """Whether rows stand in one sequence, if the model keeps them apart there."""
        config = self.config
        return config.data.pack != "never" and config.model.attention in ("auto", "segments")

    @property
    def fused(self) -> bool:
        """Whether an adapter and its frozen layer are computed as one step."""
        method = self.config.method
        apart = method.dropout > 0 or method.dora or self.facts.packed
        return self.config.train.fused_lora and self.kind == "lora" and not apart

    @property
    def wide(self) -> int:
        """Bytes of a number in the precision of the run."""
        return _FP32 if self.config.train.precision == "fp32" else 2


@dataclass(frozen=True)
class Estimate:
    """Bytes by part. `unknown` says in words why there is no estimate; the parts are 0 then."""

    basis: Basis
    weights: int = 0
    adapter: int = 0
    gradients: int = 0
    optimizer: int = 0
    activations: int = 0
    head: int = 0
    """Logits, their softmax and its gradients, at supervised positions."""
    runtime: int = 0
    trainable: int = 0
    """Trained parameters, a number."""
    unknown: str = ""

    @property
    def parts(self) -> dict[str, int]:
        """The parts by name, in bytes."""
        names = ("weights", "adapter", "gradients", "optimizer", "activations", "head", "runtime")
        return {name: getattr(self, name) for name in names}

    @property
    def total(self) -> int:
        """All parts together, in bytes."""
        return sum(self.parts.values())

    @property
    def spread(self) -> float:
        """Half the width of the range, as a share of the total."""
        return _SPREAD[self.basis.device]

    @property
    def low(self) -> int:
        """The lower end of the range, in bytes."""
        return round(self.total * (1 - self.spread))

    @property
    def high(self) -> int:
        """The upper end of the range, in bytes."""
        return round(self.total * (1 + self.spread))


def estimate(
    facts: ModelFacts,
    config: RunConfig,
    *,
    kind: Kind | None = None,
    device: Device = "cpu",
    rows_tokens: int | None = None,
    checkpointing: bool | None = None,
    supervised_tokens: int | None = None,
    padded: bool | None = None,
) -> Estimate:
    """Estimates the memory of a run's largest step: of one GPU, or of all processes on a CPU.

    Args:
        facts: Of the model.
        config: Micro-batch, precision, method, optimizer and attention are read.
        kind: LoRA, LoRA over 4-bit weights, or all weights trained; None as configured.
        device: Whose memory.
        rows_tokens: Tokens of the longest row; None takes data.max_length.
        checkpointing: Whether only the inputs of layers are kept and the rest is computed again;
            None as configured.
        supervised_tokens: Trained tokens of the longest micro-batch; None counts all as trained.
        padded: Whether rows of the longest micro-batch differ in length; None supposes so of
            more than one row.
    """
    rows = config.train.micro_batch_size
    length = rows_tokens or config.data.max_length
    share = 1.0 if supervised_tokens is None else supervised_tokens / (rows * length)
    basis = Basis(
        facts,
        config,
        kind or kind_of(config),
        device,
        length,
        config.train.gradient_checkpointing if checkpointing is None else checkpointing,
        share,
        rows > 1 if padded is None else padded,
    )
    return estimate_of(basis)


def kind_of(config: RunConfig) -> Kind:
    """Returns what a configuration trains."""
    if config.method.kind == "full":
        return "full"
    return "qlora" if config.model.quantisation == "nf4" else "lora"


def optimizer_bytes(config: RunConfig, trainable: int) -> int:
    """Returns the bytes of Adam's two moments of so many trained parameters."""
    return round(_ADAM_MOMENTS * _MOMENT[config.optim.name] * trainable)


def estimate_of(basis: Basis) -> Estimate:
    """Estimates what `estimate` describes, of inputs that were put together before."""
    facts, method = basis.facts, basis.config.method
    shapes = activations.shapes(facts)
    if isinstance(shapes, str):
        return Estimate(basis, unknown=shapes)
    if facts.packed and facts.quantisation is None:
        return Estimate(
            basis, unknown="its weights are packed and its config.json does not say how"
        )
    layers = linear_layers(facts) if basis.kind == "full" else adapted(facts, method)
    if not layers:
        return Estimate(
            basis, unknown="method.target_modules names none of the weights that its files list"
        )
    weights, trainable = _weights(basis, layers)
    kept, words = _kept(basis, shapes, layers)
    alone = Estimate(
        basis,
        weights=weights,
        adapter=0 if basis.kind == "full" else _FP32 * trainable,
        gradients=_FP32 * trainable,
        optimizer=optimizer_bytes(basis.config, trainable),
        activations=round(kept),
        head=round(words * _held(basis).head),
        runtime=_RUNTIME[basis.device],
        trainable=trainable,
    )
    return _over_ranks(alone, shapes.layers) if basis.config.launch.ranks > 1 else alone


def _over_ranks(alone: Estimate, layers: int) -> Estimate:
    """Returns the estimate of several ranks: of each GPU, or together on a CPU, which they share.

    fsdp divides weights, adapter, gradients and moments; the layer at work and the next one are
    whole beside that.
    """
    launch = alone.basis.config.launch
    together = launch.ranks if alone.basis.device == "cpu" else 1
    parts = {name: size * together for name, size in alone.parts.items()}
    if launch.strategy == "fsdp":
        for name in ("weights", "adapter", "gradients", "optimizer"):
            parts[name] //= launch.ranks
        parts["weights"] += together * 2 * alone.weights // max(layers, 2)
    return replace(alone, **parts)


def _weights(basis: Basis, layers: list[Linear]) -> tuple[int, int]:
    """Returns the bytes of the base model's weights, and how many parameters are trained.

    Frozen weights are in the run's precision, a tied head once. QLoRA keeps the linear layers of
    the decoder in 4 bits. Full fine-tuning keeps fp32 weights, and narrower copies of those that
    are trained under autocast.
    """
    facts = basis.facts
    stored = sum(t.elements for t in facts.tensors if not (facts.tied and _is_head(t.name)))
    if basis.kind == "full":
        trained = trained_parameters(facts, basis.config.method.freeze)
        copies = basis.wide if basis.wide != _FP32 else 0
        return stored * _FP32 + trained * copies, trained
    method = basis.config.method
    trainable = adapter_parameters(layers, method.rank, dora=method.dora)
    if facts.packed:
        return sum(t.size_bytes for t in facts.tensors), trainable
    if basis.kind == "qlora":
        inner = sum(n.inputs * n.outputs for n in linear_layers(facts) if not _is_head(n.name))
        return round(inner * _NF4_BITS / 8) + (stored - inner) * basis.wide, trainable
    return stored * basis.wide, trainable


def trained_parameters(facts: ModelFacts, freeze: list[str]) -> int:
    """Returns how many parameters are trained where no adapter is, a tied head's once."""
    frozen = frozen_tensors(facts, freeze)
    return sum(
        tensor.elements
        for tensor in facts.tensors
        if tensor.name not in frozen and not (facts.tied and _is_head(tensor.name))
    )


def _is_head(name: str) -> bool:
    return "lm_head" in name.split(".") or "embed_out" in name.split(".")


def _held(basis: Basis) -> _Held:
    lean = basis.device == "cpu" and basis.wide == _FP32 and basis.packed
    return _PACKED_FP32 if lean else _HELD[basis.device, basis.wide]


def _kept(basis: Basis, shapes: Shapes, layers: list[Linear]) -> tuple[float, float]:
    """Returns the bytes held for activations at the step's peak, and how many logits there are.

    The peak is where the backward pass begins: every layer's activations are kept, and the head
    is at its largest. Where little is supervised, it is in the last layer instead: gradients of
    its widest part, in the weights' precision and in fp32 for the adapter, are beside it. With
    checkpointing a layer's activations exist only while its own backward pass runs.
    """
    positions, wide = basis.positions, basis.wide
    config = basis.config
    settings = Settings(
        wide=wide,
        length=basis.rows_tokens,
        padded=basis.padded and not basis.packed,
        eager=config.model.attention == "eager",
        rank=config.method.rank,
        dropout=config.method.dropout,
        full=basis.kind == "full",
        fused=basis.fused,
        on_cpu=basis.device == "cpu",
    )
    held = _held(basis)
    factor = held.accumulating if config.train.gradient_accumulation > 1 else held.layers
    layer = positions * (
        factor * activations.kept_per_token(shapes, layers, settings)
        + activations.probabilities_per_token(shapes, settings)
    )
    mask = basis.rows_tokens * positions * wide * settings.padded
    sharded = config.launch.ranks > 1 and config.launch.strategy == "fsdp"
    whole = sharded or config.train.precision == "fp16"
    chunk = None if whole else config.train.loss_chunk
    trained = positions * basis.supervised_share
    words = min(trained, chunk or trained) * shapes.vocabulary
    width = shapes.intermediate * max(shapes.experts, 1)
    last = positions * width * (3 * wide + 2 * _FP32 * (not basis.fused))
    if basis.checkpointing:
        kept = shapes.layers * positions * shapes.hidden * wide
        last += layer
    else:
        kept = shapes.layers * layer
    # The head's tensors are gone by then. glibc gives their places to no other, so that they count
    # beside a layer that is computed again; estimates of it are up to a fifth low.
    places = 0 if basis.checkpointing and basis.device == "cpu" else 2 * wide * words
    return kept + mask + max(last - places, 0), words
