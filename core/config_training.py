"""The groups of the configuration that say how, how long and where is trained.

`config.py` has the rest, and says what derives from such declarations.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from .about import Group, about

_Pattern = Annotated[str, Meta(min_length=1)]
_MOST_AT_ONCE = 1 << 20
"""Far more rows, or micro-batches, than any step has; a mistyped number is more."""


class MethodConfig(Group, frozen=True):
    """What is trained: an adapter on some modules (LoRA), or the model's own weights."""

    kind: Annotated[
        Literal["lora", "full"],
        about(
            "Trains a small adapter beside frozen weights, or all weights of the model.",
            label="Method",
        ),
    ] = "lora"
    rank: Annotated[
        int, Meta(ge=1, le=4096), about("Size of the update; 8 to 32 suits most jobs.")
    ] = 16
    alpha: Annotated[
        float,
        Meta(gt=0),
        about(
            "Scale of the update: the adapter counts alpha / rank times.",
            adjust="double",
            follows=("method.rank", 2.0),
        ),
    ] = 32.0
    dropout: Annotated[
        float, Meta(ge=0, lt=1), about("Share of the adapter's inputs zeroed while training.")
    ] = 0.0
    target_modules: Annotated[
        list[_Pattern],
        Meta(min_length=1),
        about("Modules that get an adapter: exact names, or full paths with `*`."),
    ] = msgspec.field(default_factory=lambda: ["*_proj"])
    exclude_modules: Annotated[
        list[_Pattern], about("Modules left out again, by the same patterns.", advanced=True)
    ] = []
    target_parameters: Annotated[
        list[_Pattern],
        about(
            "Parameters that get an adapter though no linear layer holds them, such as fused "
            "experts; patterns as above.",
            advanced=True,
        ),
    ] = []
    rslora: Annotated[
        bool,
        about(
            "Scales by alpha / sqrt(rank), which keeps large ranks learning.",
            advanced=True,
            label="rsLoRA",
        ),
    ] = False
    dora: Annotated[
        bool,
        about(
            "Trains the size of each weight row apart from its direction.",
            advanced=True,
            label="DoRA",
        ),
    ] = False
    init: Annotated[
        Literal["default", "gaussian", "orthogonal", "pissa", "olora"],
        about(
            "Start of the adapter: pissa and olora start from the weights' largest directions.",
            advanced=True,
            label="Start",
        ),
    ] = "default"
    freeze: Annotated[
        list[_Pattern],
        about("Modules whose weights stay as they are when kind is full; patterns.", advanced=True),
    ] = []


class OptimConfig(Group, frozen=True):
    """The optimizer and its learning rate."""

    name: Annotated[
        Literal["adamw", "adam", "adamw_8bit"],
        about(
            "adamw decays weights apart from the gradient, adam within it; adamw_8bit keeps "
            "moments in a quarter of the memory and needs bitsandbytes.",
            advanced=True,
            label="Optimizer",
        ),
    ] = "adamw"

    learning_rate: Annotated[float, Meta(gt=0, le=1), about("Peak learning rate.")] = 2e-4
    schedule: Annotated[
        Literal["constant", "linear", "cosine", "wsd"],
        about(
            "Course of the learning rate after warm-up: linear and cosine fall to near zero, wsd "
            "stays and falls in its last steps."
        ),
    ] = "cosine"
    warmup_ratio: Annotated[
        float, Meta(ge=0, lt=1), about("Share of the steps in which the rate rises to its peak.")
    ] = 0.03
    decay_ratio: Annotated[
        float,
        Meta(gt=0, le=1),
        about(
            "Share of the steps in which wsd falls; of d such steps the last has 1 / d of the "
            "rate.",
            advanced=True,
        ),
    ] = 0.1
    weight_decay: Annotated[
        float,
        Meta(ge=0, lt=1),
        about("Pulls trained weights towards zero; how, the optimizer's name says.", advanced=True),
    ] = 0.0
    betas: Annotated[
        tuple[float, float],
        about("Decay of Adam's two running averages, each in [0, 1).", advanced=True),
    ] = (0.9, 0.999)
    eps: Annotated[float, Meta(gt=0), about("Added to Adam's denominator.", advanced=True)] = 1e-8
    max_grad_norm: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        about(
            "Gradients with a larger norm are scaled down to it; null never clips.", advanced=True
        ),
    ] = 1.0


class TrainConfig(Group, frozen=True):
    """Length and size of the training steps."""

    epochs: Annotated[
        int, Meta(ge=1, le=1_000_000), about("Passes over the training rows.", adjust="one")
    ] = 1
    max_steps: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000_000)] | None,
        about(
            "Trains exactly this many optimizer steps; null trains all epochs.",
            unit="steps",
            adjust="decimal",
        ),
    ] = None
    micro_batch_size: Annotated[
        int,
        Meta(ge=1, le=_MOST_AT_ONCE),
        about("Rows that go through the model at once.", unit="rows"),
    ] = 4
    gradient_accumulation: Annotated[
        int,
        Meta(ge=1, le=_MOST_AT_ONCE),
        about("Micro-batches in one optimizer step, on each device.", unit="micro-batches"),
    ] = 4
    precision: Annotated[
        Literal["bf16", "fp16", "fp32"],
        about(
            "Precision of frozen weights, and of the arithmetic when kind is full; what is "
            "trained is always kept in fp32."
        ),
    ] = "bf16"
    loss_normalisation: Annotated[
        Literal["tokens", "micro_batch"],
        about(
            "Mean over all trained tokens of a step, or of the means of its micro-batches, in "
            "which short answers weigh more.",
            advanced=True,
        ),
    ] = "tokens"
    gradient_checkpointing: Annotated[
        bool,
        about("Keeps little and computes it again going back: less memory, a third slower."),
    ] = False
    fused_lora: Annotated[
        bool,
        about(
            "Computes an adapter and its frozen layer as one step, with fp32 adapters rounded for "
            "the product alone: faster, in half the memory. Not with dropout or DoRA.",
            advanced=True,
            label="Fused LoRA",
        ),
    ] = True
    loss_chunk: Annotated[
        Annotated[int, Meta(ge=16)] | None,
        about(
            "Trained positions whose logits are in memory at once; null keeps all.",
            unit="positions",
            advanced=True,
        ),
    ] = 512
    compile: Annotated[
        Literal["auto", "always", "never"],
        about(
            "Compiles each decoder layer: half a minute or more at first, faster steps after; auto "
            "where the run is long enough to gain by it.",
            advanced=True,
        ),
    ] = "auto"
    seed: Annotated[
        int, Meta(ge=0, lt=2**32), about("Seed of everything random.", advanced=True, adjust="one")
    ] = 42


class EvaluateConfig(Group, frozen=True):
    """When the evaluation loss and the samples are taken."""

    every_steps: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        about(
            "Steps between evaluations; null evaluates at the end only.",
            unit="steps",
            adjust="decimal",
        ),
    ] = 50
    at_start: Annotated[bool, about("Also evaluate before the first step.", advanced=True)] = True
    samples: Annotated[
        int,
        Meta(ge=0, le=64),
        about(
            "Prompts answered before the first step and at the end.",
            unit="prompts",
            advanced=True,
            adjust="one",
        ),
    ] = 4
    sample_max_tokens: Annotated[
        int, Meta(ge=1, le=4096), about("Longest sampled answer.", unit="tokens", advanced=True)
    ] = 64


class SaveConfig(Group, frozen=True):
    """When checkpoints are written."""

    every_steps: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        about(
            "Steps between checkpoints; null saves at the end only.", unit="steps", adjust="decimal"
        ),
    ] = 100
    keep: Annotated[
        int,
        Meta(ge=1),
        about("Newest checkpoints that are kept.", unit="checkpoints", adjust="one"),
    ] = 3
    keep_best: Annotated[
        bool,
        about("Also keeps the checkpoint of the lowest evaluation loss.", advanced=True),
    ] = True


class TrackConfig(Group, frozen=True):
    """Where else the run's events are shown."""

    kind: Annotated[
        Literal["none", "wandb", "tensorboard", "trackio", "mlflow"],
        about(
            "Tracker that gets the same numbers; it can never stop a run.",
            advanced=True,
            label="Tracker",
        ),
    ] = "none"
    project: Annotated[
        str | None,
        about("Project or experiment there; null is sft-tui.", advanced=True),
    ] = None


class LaunchConfig(Group, frozen=True):
    """Where the run computes."""

    accelerator: Annotated[
        Literal["auto", "cpu", "cuda", "mps"],
        about("Device; auto takes a GPU where torch sees one.", advanced=True),
    ] = "auto"
    devices: Annotated[
        int,
        Meta(ge=1, le=64),
        about(
            "GPUs, or processes on a CPU, that share each step; free GPUs are chosen.",
            adjust="one",
            advanced=True,
        ),
    ] = 1
    device_ids: Annotated[
        list[Annotated[int, Meta(ge=0)]],
        about("Numbers of the GPUs to use instead of free ones.", advanced=True),
    ] = []
    strategy: Annotated[
        Literal["ddp", "fsdp"],
        about(
            "Several devices each hold the whole model (ddp), or a share of it (fsdp).",
            advanced=True,
        ),
    ] = "ddp"

    @property
    def ranks(self) -> int:
        """How many processes share each step."""
        return len(self.device_ids) or self.devices
