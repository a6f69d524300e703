"""What training costs on GPUs that are not here: arithmetic, memory and communication.

    python -m tests.bench.cost_model

prints the tables of docs/speed.md. Arithmetic is counted from shapes; which share of a device's
peak is reached is taken from one published row of each device, and every other row is predicted.
Memory is what `sft-tui fit` estimates.
"""

from dataclasses import dataclass, replace
from typing import Literal

from sft_tui.core import config_file
from sft_tui.core.fit import Kind, estimate
from sft_tui.core.model_facts import ModelFacts, from_headers

GIB = 1 << 30


@dataclass(frozen=True)
class Model:
    """A decoder in Llama's manner, its head apart from its embedding."""

    name: str
    layers: int
    hidden: int
    keys: int
    """Width of the keys, and of the values."""
    intermediate: int
    vocabulary: int
    head_dim: int = 128

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """Shapes (out, in) of a layer's linear modules; queries are as wide as the layer."""
        h, k, wide = self.hidden, self.keys, self.intermediate
        return {
            "self_attn.q_proj": (h, h), "self_attn.k_proj": (k, h), "self_attn.v_proj": (k, h),
            "self_attn.o_proj": (h, h), "mlp.gate_proj": (wide, h), "mlp.up_proj": (wide, h),
            "mlp.down_proj": (h, wide),
        }  # fmt: skip

    @property
    def multiplied(self) -> int:
        """Weights of the layers that a token is multiplied with."""
        return self.layers * sum(out * into for out, into in self.linears.values())

    @property
    def head(self) -> int:
        """Weights of the head; the embedding has as many."""
        return self.vocabulary * self.hidden

    def adapter(self, rank: int) -> int:
        """Parameters of an adapter on all linear modules."""
        return self.layers * sum(rank * (out + into) for out, into in self.linears.values())

    def facts(self) -> ModelFacts:
        """Returns what `fit` reads of such a model's files."""
        shapes = {"model.embed_tokens": (self.vocabulary, self.hidden)}
        shapes["lm_head"] = shapes["model.embed_tokens"]
        for layer in range(self.layers):
            shapes |= {f"model.layers.{layer}.{leaf}": s for leaf, s in self.linears.items()}
        header = {f"{n}.weight": {"dtype": "BF16", "shape": list(s)} for n, s in shapes.items()}
        config = {
            "architectures": ["LlamaForCausalLM"],
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.hidden // self.head_dim,
            "num_key_value_heads": self.keys // self.head_dim,
            "vocab_size": self.vocabulary,
            "rms_norm_eps": 1e-5,
        }
        return from_headers([header], config, self.name)


@dataclass(frozen=True)
class Device:
    """A GPU by its data sheet: dense bf16 FLOPs and bytes a second."""

    name: str
    flops: float
    share: float
    """Of `flops`, that training reaches: from one published row."""
    memory: float
    """Bytes a second of its memory."""
    link: float
    """Bytes a second and direction to the others of a node."""
    network: float = 50e9
    """The same to another node: 400 Gbit/s a GPU."""


@dataclass(frozen=True)
class Job:
    """A micro-batch of full rows, an adapter on all linear modules."""

    model: Model
    length: int
    rows: int = 2
    rank: int = 16
    kind: Kind = "lora"
    checkpointing: bool = False
    accumulation: int = 1

    @property
    def tokens(self) -> int:
        """Of a micro-batch on one GPU."""
        return self.length * self.rows


LLAMA_8B = Model("Llama 3 8B", 32, 4096, 1024, 14336, 128256)
QWEN_7B = Model("Qwen2.5 7B", 28, 3584, 512, 18944, 152064)
LLAMA_70B = Model("Llama 3 70B", 80, 8192, 1024, 28672, 128256)
QWEN_32B = Model("Qwen2.5 32B", 64, 5120, 1024, 27648, 152064)
H100 = Device("H100", 989e12, 0.43, 3.35e12, 450e9)
RTX_4090 = Device("RTX 4090", 165e12, 0.87, 1.008e12, 25e9)


def flops_per_token(job: Job) -> float:
    """Returns the FLOPs of one token.

    A weight takes two going forward and two for the gradient of its input; a trained one two more.
    Attention sees half of the row on average, and its backward pass has five products for the
    forward's two (Dao et al. 2022). Checkpointing does the layers' forward pass again.
    """
    model = job.model
    attention = 2.0 * job.length * model.hidden * model.layers
    layers = 2.0 * model.multiplied
    forward, head = layers + attention, 2.0 * model.head
    total = forward + layers + 2.5 * attention + 2 * head
    if job.kind == "full":
        total += layers + head
    else:
        total += 6.0 * model.adapter(job.rank)
    return total + (forward if job.checkpointing else 0)


def unpacking_s(job: Job, device: Device) -> float:
    """Returns the seconds of a micro-batch in which 4-bit weights are read and written as bf16."""
    passes = 3 if job.checkpointing else 2
    return passes * job.model.multiplied * 2.5 / device.memory if job.kind == "qlora" else 0.0


def gathering_s(job: Job, device: Device, gpus: int, node: int = 8) -> float:
    """Returns the seconds in which fsdp brings all weights to each GPU, forward and backward.

    Within a node over its links; what other nodes hold comes over the network, a GPU its share of
    it, and goes round within the node.
    """
    size = 2.0 * (job.model.multiplied + 2 * job.model.head)
    within = size * (min(gpus, node) - 1) / min(gpus, node) / device.link
    nodes = -(-gpus // node)
    between = size * (nodes - 1) / nodes / node / device.network
    return 2 * (within + between)


def reducing_s(job: Job, device: Device, gpus: int, node: int = 8) -> float:
    """Returns the seconds in which ranks add up a step's fp32 gradients of the adapter."""
    speed = device.link if gpus <= node else device.network
    return 2 * (gpus - 1) / gpus * 4.0 * job.model.adapter(job.rank) / speed


def tokens_per_s(
    job: Job, device: Device, gpus: int = 1, strategy: Literal["ddp", "fsdp"] = "ddp"
) -> float:
    """Returns useful tokens per second of each GPU, rows being full.

    fsdp brings the next layer's weights while one computes: the longer of the two counts.
    """
    computing = job.tokens * flops_per_token(job) / (device.flops * device.share)
    step = computing + unpacking_s(job, device)
    if gpus > 1:
        if strategy == "fsdp":
            step = max(step, gathering_s(job, device, gpus))
        step += reducing_s(job, device, gpus) / job.accumulation
    return job.tokens / step


def memory_gib(job: Job, gpus: int = 1, strategy: str = "ddp", loss_share: float = 1.0) -> float:
    """Returns the GiB of each GPU, as `fit` estimates them.

    Args:
        job: What is trained.
        gpus: How many share each step.
        strategy: ddp or fsdp.
        loss_share: Share of the positions whose logits are in memory at once.
    """
    config = config_file.build(
        [
            f"train.micro_batch_size={job.rows}",
            "train.gradient_accumulation=1",
            f"method.rank={job.rank}",
            'method.target_modules=["*_proj"]',
            f"launch.devices={gpus}",
            f"launch.strategy={strategy}",
        ]
    )
    told = estimate(
        job.model.facts(),
        config,
        kind=job.kind,
        device="cuda",
        rows_tokens=job.length,
        checkpointing=job.checkpointing,
        supervised_tokens=round(job.tokens * loss_share),
        padded=False,
    )
    return told.total / GIB


@dataclass(frozen=True)
class Published:
    """A row that others measured."""

    job: Job
    device: Device
    gpus: int
    tokens_per_s: float
    gib: float | None = None
    calibrates: bool = False
    """Whether the device's share of its peak is taken from it."""

    @property
    def predicted(self) -> float:
        """Tokens per second and GPU that the model gives."""
        return tokens_per_s(self.job, self.device, self.gpus, "fsdp")


_NEMO = Job(LLAMA_8B, 4096, accumulation=16)
_BIG = replace(_NEMO, checkpointing=True, accumulation=4)
# torchtune's recipes: attention alone is adapted there, which is 1 % of the arithmetic.
_TUNE = Job(LLAMA_8B, 2048, rank=8, checkpointing=True)
PUBLISHED = (
    # docs/performance-summary of NVIDIA-NeMo/Automodel, June 2026, and its recipes. The large ones
    # divide layers over two GPUs as well, which is not modelled.
    Published(_NEMO, H100, 1, 12472.87, calibrates=True),
    Published(replace(_NEMO, model=QWEN_7B), H100, 1, 14110.05),
    Published(replace(_BIG, model=QWEN_32B), H100, 8, 2250.31),
    Published(replace(_BIG, model=QWEN_32B), H100, 16, 2072.89),
    Published(replace(_BIG, model=LLAMA_70B), H100, 8, 1091.85),
    Published(replace(_BIG, model=LLAMA_70B), H100, 16, 984.85),
    # README of pytorch/torchtune, late 2024: rows packed to 2048, two at once, compiled.
    Published(_TUNE, RTX_4090, 1, 3083, 16.2, calibrates=True),
    Published(replace(_TUNE, kind="qlora"), RTX_4090, 1, 2413, 7.4),
)


def checks() -> list[str]:
    """Returns the table of published rows beside what the model gives, as markdown."""
    lines = [
        "| row | tokens/s and GPU, published | model | off | GiB, published | model |",
        "|---|---|---|---|---|---|",
    ]
    for row in PUBLISHED:
        off = "calibrates" if row.calibrates else f"{row.predicted / row.tokens_per_s - 1:+.0%}"
        where = f"{row.gpus} × {row.device.name}" if row.gpus > 1 else row.device.name
        # Its loss goes over the logits in eighths.
        gib = f"{memory_gib(row.job, loss_share=1 / 8):.1f}" if row.gib else ""
        lines.append(
            f"| {row.job.model.name} {row.job.kind}, {where} | {row.tokens_per_s:,.0f} | "
            f"{row.predicted:,.0f} | {off} | {row.gib or ''} | {gib} |"
        )
    return lines


def scale() -> list[str]:
    """Returns what one to sixteen H100 would do, as markdown."""
    lines = [
        "| LoRA of rank 16, strategy | GPUs | tokens/s and GPU | all | GiB a GPU | "
        "communication s, of a micro-batch of s |",
        "|---|---|---|---|---|---|",
    ]
    cases = ((replace(_NEMO, checkpointing=True), "ddp"), (replace(_BIG, model=QWEN_32B), "fsdp"))
    for job, strategy in (*cases, (replace(_BIG, model=LLAMA_70B), "fsdp")):
        for gpus in (1, 2, 4, 8, 16):
            each = tokens_per_s(job, H100, gpus, strategy)
            told = 0.0
            if gpus > 1:
                told = reducing_s(job, H100, gpus) / job.accumulation
                told += gathering_s(job, H100, gpus) if strategy == "fsdp" else 0
            gib = memory_gib(job, gpus, strategy, loss_share=1 / 8)
            fits = "" if gib < 80e9 / GIB else ", does not fit"
            lines.append(
                f"| {job.model.name}, {strategy} | {gpus} | {each:,.0f} | {gpus * each:,.0f} | "
                f"{gib:.0f}{fits} | {told:.2g} of {job.tokens / each:.2g} |"
            )
    return lines


if __name__ == "__main__":
    print("\n".join([*checks(), "", *scale()]))
