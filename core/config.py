"""The run's configuration: every hyperparameter declared once, with its meaning and bounds.

YAML checks, `--set`, the commented template, the JSON Schema and the forms all derive from the
declarations here and in `config_training.py` (through `fields.py`), which holds the groups about
training itself. Neither knows of files or screens.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from .about import Group, about
from .config_training import (
    EvaluateConfig,
    LaunchConfig,
    MethodConfig,
    OptimConfig,
    SaveConfig,
    TrackConfig,
    TrainConfig,
)
from .errors import UsageError


class ModelConfig(Group, frozen=True):
    """Which model is tuned."""

    name: Annotated[
        str,
        Meta(min_length=1),
        about(
            "Hub id, local folder, or `demo` for the embedded SmolLM2-135M-Instruct.", advanced=True
        ),
    ] = "demo"
    revision: Annotated[
        str | None,
        about("Branch, tag or commit on the Hub; null takes the default branch.", advanced=True),
    ] = None
    attention: Annotated[
        Literal["auto", "eager", "sdpa", "segments"],
        about(
            "Attention implementation; auto lets transformers choose, segments packs best.",
            advanced=True,
        ),
    ] = "auto"
    quantisation: Annotated[
        Literal["none", "nf4"],
        about(
            "Frozen weights in 4 bits (QLoRA), a quarter of bf16; needs bitsandbytes.",
            advanced=True,
        ),
    ] = "none"


class SourceConfig(Group, frozen=True):
    """One source of training rows and how its rows become prompts."""

    source: Annotated[
        str,
        Meta(min_length=1),
        about(
            "A json, jsonl, csv or parquet file, a folder of them, a Hub id, or `demo`.",
            advanced=True,
        ),
    ] = "demo"
    config: Annotated[
        str | None,
        about("Config of a Hub data set, such as a language; null is its default.", advanced=True),
    ] = None
    split: Annotated[
        str,
        Meta(min_length=1),
        about("Split and slice of the rows: train, train[:100], train[10%:20%].", advanced=True),
    ] = "train"
    weight: Annotated[
        float,
        Meta(gt=0, le=1000),
        about(
            "How often the rows come in an epoch: 2 is twice, 0.5 a fixed random half.",
            advanced=True,
        ),
    ] = 1.0
    shape: Annotated[
        Literal["auto", "alpaca", "squad", "prompt_completion", "messages", "sharegpt", "text"],
        about("Shape of the rows; auto recognises it by the columns.", advanced=True),
    ] = "auto"
    columns: Annotated[
        dict[str, str],
        about(
            "Paths of columns by role, such as {prompt: question, completion: a.text[0]}.",
            advanced=True,
        ),
    ] = {}
    roles: Annotated[
        dict[str, str],
        about(
            "Roles of turns under other names, such as {bot: assistant, client: user}.",
            advanced=True,
        ),
    ] = {}
    template: Annotated[
        Literal["auto", "chat", "alpaca", "chatml", "plain", "file"],
        about(
            "Prompt format; auto is the tokenizer's chat template, without one alpaca for "
            "questions and chatml for conversations.",
            advanced=True,
        ),
    ] = "auto"
    template_file: Annotated[
        str | None,
        about("A Jinja chat template of your own, for `template: file`.", advanced=True),
    ] = None
    system: Annotated[
        str | None,
        about("System message put before rows that have none; null adds nothing.", advanced=True),
    ] = None


class DataConfig(Group, frozen=True):
    """What is trained on."""

    sources: Annotated[
        list[SourceConfig],
        Meta(min_length=1),
        about(
            "Training data, joined in this order; `source: X` is short for one source.",
            advanced=True,
        ),
    ] = msgspec.field(default_factory=lambda: [SourceConfig()])
    eval_source: Annotated[
        str | None,
        about(
            "Data for evaluation, as `source`; null takes eval_split or eval_fraction.",
            advanced=True,
        ),
    ] = None
    eval_split: Annotated[
        str | None,
        about(
            "Split for evaluation, such as test[:200]: of eval_source, else of the first source.",
            advanced=True,
        ),
    ] = None
    eval_fraction: Annotated[
        float,
        Meta(ge=0, lt=1),
        about("Share of the rows kept for evaluation; rows with one context stay together."),
    ] = 0.05
    loss_on: Annotated[
        Literal["completion", "full", "last_turn"],
        about("Tokens that are trained: all answers, the whole text, or the last answer."),
    ] = "completion"
    max_length: Annotated[
        int, Meta(ge=8, le=1_048_576), about("Longest row that is kept whole.", unit="tokens")
    ] = 1024
    truncate: Annotated[
        Literal["drop", "keep_start", "keep_end"],
        about(
            "What happens to longer rows: dropped, or cut at the end or at the start.",
            advanced=True,
        ),
    ] = "keep_start"
    shuffle: Annotated[
        bool, about("New random order of the rows in every epoch.", advanced=True)
    ] = True
    pack: Annotated[
        Literal["auto", "always", "never"],
        about(
            "Puts the rows of a micro-batch into one sequence, without padding; auto where a trial "
            "shows that the model keeps them apart.",
            advanced=True,
        ),
    ] = "auto"
    share_prefixes: Annotated[
        Literal["auto", "always", "never"],
        about(
            "Computes what rows have in common from their beginning once, and trains such rows "
            "together; auto where they have much in common and a step holds three texts or more. "
            "Needs pack.",
            advanced=True,
        ),
    ] = "auto"
    empty_answers: Annotated[
        Literal["drop", "text"],
        about(
            "Rows without an answer are dropped, or answered with `empty_answer_text`.",
            advanced=True,
        ),
    ] = "drop"
    ignore_problems: Annotated[
        list[str],
        about("Ids of problems of the data that may not block the launch.", advanced=True),
    ] = []
    empty_answer_text: Annotated[
        str | None, about("Answer trained for rows that have none.", advanced=True)
    ] = None


class RunConfig(Group, frozen=True):
    """The whole configuration of a run."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = msgspec.field(default_factory=DataConfig)
    method: MethodConfig = msgspec.field(default_factory=MethodConfig)
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    save: SaveConfig = SaveConfig()
    track: TrackConfig = TrackConfig()
    launch: LaunchConfig = LaunchConfig()

    @property
    def micro_batches(self) -> int:
        """Micro-batches in one optimizer step, over all devices."""
        return self.train.gradient_accumulation * self.launch.ranks

    @property
    def rows_per_step(self) -> int:
        """Rows in one optimizer step, over all devices."""
        return self.train.micro_batch_size * self.micro_batches


class Problem(msgspec.Struct, frozen=True):
    """One thing wrong with a configuration: where, what, and the remedy within the sentence."""

    path: str
    message: str
    line: int | None = None
    others: tuple[str, ...] = ()
    """The other fields, where several are valid alone and not together."""


class ConfigError(UsageError):
    """A configuration with problems; all of them are in `problems`."""

    def __init__(self, problems: list[Problem], origin: str) -> None:
        self.problems = problems
        self.origin = origin
        why = "; ".join((f"line {p.line}: " if p.line else "") + p.message for p in problems)
        super().__init__(
            f"the configuration {origin} cannot be used",
            why,
            "mend it; `sft-tui config` prints every key with its meaning",
        )
