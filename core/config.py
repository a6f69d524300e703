"""The run's configuration: every hyperparameter declared once, with its meaning and bounds.

YAML checks, `--set`, the commented template, the JSON Schema and the forms all derive from the
declarations below (through `fields.py`). This module knows nothing of files or screens.
"""

import difflib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from .data import columns, lints, rows
from .errors import UsageError


def _about(help: str, *, unit: str | None = None) -> Meta:
    """The help sentence of a field and, where it has one, its unit."""
    return Meta(description=help, extra={"unit": unit})


class Group(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Base of the configuration's groups: keyword-only, immutable, strict about keys."""


class ModelConfig(Group, frozen=True):
    """Which model is tuned."""

    name: Annotated[
        str,
        Meta(min_length=1),
        _about("Hub id, local folder, or `demo` for the embedded SmolLM2-135M-Instruct."),
    ] = "demo"
    revision: Annotated[
        str | None, _about("Branch, tag or commit on the Hub; null takes the default branch.")
    ] = None
    attention: Annotated[
        Literal["auto", "eager", "sdpa"],
        _about("Attention implementation; auto lets transformers choose."),
    ] = "auto"


class SourceConfig(Group, frozen=True):
    """One source of training rows and how its rows become prompts."""

    source: Annotated[
        str,
        Meta(min_length=1),
        _about("A json, jsonl, csv or parquet file, a folder of them, a Hub id, or `demo`."),
    ] = "demo"
    config: Annotated[
        str | None, _about("Config of a Hub data set, such as a language; null is its default.")
    ] = None
    split: Annotated[
        str,
        Meta(min_length=1),
        _about("Split and slice of the rows: train, train[:100], train[10%:20%]."),
    ] = "train"
    weight: Annotated[
        float,
        Meta(gt=0, le=1000),
        _about("How often the rows come in an epoch: 2 is twice, 0.5 a fixed random half."),
    ] = 1.0
    shape: Annotated[
        Literal["auto", "alpaca", "squad", "prompt_completion", "messages", "sharegpt", "text"],
        _about("Shape of the rows; auto recognises it by the columns."),
    ] = "auto"
    columns: Annotated[
        dict[str, str],
        _about("Paths of columns by role, such as {prompt: question, completion: a.text[0]}."),
    ] = {}
    roles: Annotated[
        dict[str, str],
        _about("Roles of turns under other names, such as {bot: assistant, client: user}."),
    ] = {}
    template: Annotated[
        Literal["auto", "chat", "alpaca", "chatml", "plain", "file"],
        _about(
            "Prompt format; auto is the tokenizer's chat template, without one alpaca for "
            "questions and chatml for conversations."
        ),
    ] = "auto"
    template_file: Annotated[
        str | None, _about("A Jinja chat template of your own, for `template: file`.")
    ] = None
    system: Annotated[
        str | None, _about("System message put before rows that have none; null adds nothing.")
    ] = None


class DataConfig(Group, frozen=True):
    """What is trained on."""

    sources: Annotated[
        list[SourceConfig],
        Meta(min_length=1),
        _about("Training data, joined in this order; `source: X` is short for one source."),
    ] = msgspec.field(default_factory=lambda: [SourceConfig()])
    eval_source: Annotated[
        str | None,
        _about("Data for evaluation, as `source`; null takes eval_split or eval_fraction."),
    ] = None
    eval_split: Annotated[
        str | None,
        _about(
            "Split for evaluation, such as test[:200]: of eval_source, else of the first source."
        ),
    ] = None
    eval_fraction: Annotated[
        float,
        Meta(ge=0, lt=1),
        _about("Share of the rows kept for evaluation; rows with one context stay together."),
    ] = 0.05
    loss_on: Annotated[
        Literal["completion", "full", "last_turn"],
        _about("Tokens that are trained: all answers, the whole text, or the last answer."),
    ] = "completion"
    max_length: Annotated[
        int, Meta(ge=8, le=1_048_576), _about("Longest row that is kept whole.", unit="tokens")
    ] = 1024
    truncate: Annotated[
        Literal["drop", "keep_start", "keep_end"],
        _about("What happens to longer rows: dropped, or cut at the end or at the start."),
    ] = "keep_start"
    shuffle: Annotated[bool, _about("New random order of the rows in every epoch.")] = True
    empty_answers: Annotated[
        Literal["drop", "text"],
        _about("Rows without an answer are dropped, or answered with `empty_answer_text`."),
    ] = "drop"
    ignore_problems: Annotated[
        list[str], _about("Ids of problems of the data that may not block the launch.")
    ] = []
    empty_answer_text: Annotated[str | None, _about("Answer trained for rows that have none.")] = (
        None
    )


class MethodConfig(Group, frozen=True):
    """LoRA: which modules get an adapter, and how large."""

    rank: Annotated[
        int, Meta(ge=1, le=4096), _about("Size of the update; 8 to 32 suits most jobs.")
    ] = 16
    alpha: Annotated[
        float, Meta(gt=0), _about("Scale of the update: the adapter counts alpha / rank times.")
    ] = 32.0
    dropout: Annotated[
        float, Meta(ge=0, lt=1), _about("Share of the adapter's inputs zeroed while training.")
    ] = 0.0
    target_modules: Annotated[
        list[str],
        Meta(min_length=1),
        _about("Modules that get an adapter: exact names, or full paths with `*`."),
    ] = msgspec.field(default_factory=lambda: ["*_proj"])
    exclude_modules: Annotated[
        list[str], _about("Modules left out again, by the same patterns.")
    ] = []


class OptimConfig(Group, frozen=True):
    """AdamW and its learning rate."""

    learning_rate: Annotated[float, Meta(gt=0, le=1), _about("Peak learning rate.")] = 2e-4
    schedule: Annotated[
        Literal["constant", "linear", "cosine"],
        _about("Course of the learning rate after warm-up; linear and cosine end near zero."),
    ] = "cosine"
    warmup_ratio: Annotated[
        float, Meta(ge=0, lt=1), _about("Share of the steps in which the rate rises to its peak.")
    ] = 0.03
    weight_decay: Annotated[float, Meta(ge=0, lt=1), _about("Decoupled weight decay.")] = 0.0
    betas: Annotated[
        tuple[float, float], _about("Decay of AdamW's two running averages, each in [0, 1).")
    ] = (0.9, 0.999)
    eps: Annotated[float, Meta(gt=0), _about("Added to AdamW's denominator.")] = 1e-8
    max_grad_norm: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        _about("Gradients with a larger norm are scaled down to it; null never clips."),
    ] = 1.0


class TrainConfig(Group, frozen=True):
    """Length and size of the training steps."""

    epochs: Annotated[int, Meta(ge=1, le=1_000_000), _about("Passes over the training rows.")] = 1
    max_steps: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000_000)] | None,
        _about("Trains exactly this many optimizer steps; null trains all epochs.", unit="steps"),
    ] = None
    micro_batch_size: Annotated[
        int, Meta(ge=1), _about("Rows that go through the model at once.", unit="rows")
    ] = 4
    gradient_accumulation: Annotated[
        int, Meta(ge=1), _about("Micro-batches in one optimizer step.", unit="micro-batches")
    ] = 4
    precision: Annotated[
        Literal["bf16", "fp32"],
        _about("Precision of the frozen weights; adapters are always fp32."),
    ] = "bf16"
    seed: Annotated[int, Meta(ge=0, lt=2**32), _about("Seed of everything random.")] = 42


class EvaluateConfig(Group, frozen=True):
    """When the evaluation loss and the samples are taken."""

    every_steps: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        _about("Steps between evaluations; null evaluates at the end only.", unit="steps"),
    ] = 50
    at_start: Annotated[bool, _about("Also evaluate before the first step.")] = True
    samples: Annotated[
        int,
        Meta(ge=0, le=64),
        _about("Prompts answered before the first step and at the end.", unit="prompts"),
    ] = 4
    sample_max_tokens: Annotated[
        int, Meta(ge=1, le=4096), _about("Longest sampled answer.", unit="tokens")
    ] = 64


class SaveConfig(Group, frozen=True):
    """When checkpoints are written."""

    every_steps: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        _about("Steps between checkpoints; null saves at the end only.", unit="steps"),
    ] = 100
    keep: Annotated[
        int, Meta(ge=1), _about("Newest checkpoints that are kept.", unit="checkpoints")
    ] = 3


class LaunchConfig(Group, frozen=True):
    """Where the run computes."""

    accelerator: Annotated[
        Literal["auto", "cpu", "cuda", "mps"],
        _about("Device; auto takes a GPU where torch sees one."),
    ] = "auto"


class RunConfig(Group, frozen=True):
    """The whole configuration of a run."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = msgspec.field(default_factory=DataConfig)
    method: MethodConfig = msgspec.field(default_factory=MethodConfig)
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    save: SaveConfig = SaveConfig()
    launch: LaunchConfig = LaunchConfig()


class Problem(msgspec.Struct, frozen=True):
    """One thing wrong with a configuration: where, what, and the remedy within the sentence."""

    path: str
    message: str
    line: int | None = None


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


def _check_source(path: str, source: SourceConfig) -> list[Problem]:
    """Returns names in a source that mean nothing: roles of columns and of turns, paths."""
    problems: list[Problem] = []
    for role, column in source.columns.items():
        if role not in columns.ROLES:
            known = ", ".join(columns.ROLES)
            problems.append(
                Problem(
                    f"{path}.columns", f"{path}.columns: {role!r} is no role; there are {known}"
                )
            )
        try:
            columns.parse(column)
        except ValueError as error:
            problems.append(Problem(f"{path}.columns", f"{path}.columns.{role}: {error}"))
    for name, role in source.roles.items():
        if role not in rows.ROLES:
            known = ", ".join(rows.ROLES)
            problems.append(
                Problem(
                    f"{path}.roles", f"{path}.roles.{name} must be one of {known}; got {role!r}"
                )
            )
    return problems


def cross_check(config: RunConfig) -> list[Problem]:
    """Returns what is wrong between fields that are each valid alone."""
    problems: list[Problem] = []
    for name in config.data.ignore_problems:
        if name not in lints.LINTS:
            close = difflib.get_close_matches(name, lints.LINTS, n=1)
            hint = f"; the nearest is {close[0]}" if close else ""
            problems.append(
                Problem(
                    "data.ignore_problems",
                    f"data.ignore_problems: there is no problem {name!r}{hint}",
                )
            )
    if config.data.empty_answers == "text" and not config.data.empty_answer_text:
        problems.append(
            Problem(
                "data.empty_answer_text",
                "data.empty_answers is `text`, but data.empty_answer_text is empty: "
                "set the text, or set data.empty_answers to `drop`",
            )
        )
    for beta in config.optim.betas:
        if not 0 <= beta < 1:
            problems.append(
                Problem("optim.betas", f"optim.betas must each be in [0, 1); got {beta:g}")
            )
    for index, source in enumerate(config.data.sources):
        problems += _check_source(f"data.sources.{index}", source)
        if (source.template == "file") != (source.template_file is not None):
            path = f"data.sources.{index}.template_file"
            problems.append(
                Problem(path, f"{path} and `template: file` belong together: set both, or neither")
            )
    if (
        config.data.eval_source is None
        and config.data.eval_split is None
        and config.data.eval_fraction == 0
    ):
        asked = config.evaluate.every_steps
        if asked is not None:
            problems.append(
                Problem(
                    "data.eval_fraction",
                    f"evaluate.every_steps is {asked}, but data.eval_fraction is 0 and "
                    "data.eval_source is null: set one of them, or evaluate.every_steps to null",
                )
            )
    return problems
