"""What others call the metrics and keys that this project has, and what of it they tell."""

import math
from typing import Any, cast

from ..subject import Curve

_METRICS = {
    "loss": (
        "loss", "train/loss", "train_loss", "training_loss", "loss/train", "reduced_train_loss",
    ),
    "eval_loss": (
        "eval_loss", "eval/loss", "val_loss", "val/loss", "validation_loss", "loss/val",
        "loss/eval",
    ),
    "learning_rate": ("learning_rate", "train/learning_rate", "lr", "train/lr"),
    "grad_norm": ("grad_norm", "train/grad_norm"),
    "tokens_per_s": ("train/tokens_per_s", "tokens_per_second_per_gpu", "train/tokens_per_second"),
}  # fmt: skip
METRIC_OF = {name: metric for metric, names in _METRICS.items() for name in names}
"""By the name that transformers, TRL, Lightning, torchtune, NeMo or this project's tracker gives,
in lower case."""
_TOKENS = ("num_input_tokens_seen", "train/num_input_tokens_seen")

_KEYS = {
    "model.name": ("model_name_or_path", "base_model_name_or_path", "_name_or_path"),
    "data.max_length": ("max_length", "max_seq_length"),
    "method.rank": ("r", "lora_r"),
    "method.alpha": ("lora_alpha",),
    "method.dropout": ("lora_dropout",),
    "method.target_modules": ("target_modules",),
    "method.rslora": ("use_rslora",),
    "method.dora": ("use_dora",),
    "optim.learning_rate": ("learning_rate",),
    "optim.schedule": ("lr_scheduler_type",),
    "optim.warmup_ratio": ("warmup_ratio",),
    "optim.weight_decay": ("weight_decay",),
    "optim.eps": ("adam_epsilon",),
    "optim.max_grad_norm": ("max_grad_norm",),
    "train.epochs": ("num_train_epochs",),
    "train.micro_batch_size": ("per_device_train_batch_size", "train_batch_size"),
    "train.gradient_accumulation": ("gradient_accumulation_steps",),
    "train.gradient_checkpointing": ("gradient_checkpointing",),
    "train.seed": ("seed",),
}
_KEY_OF = {name: key for key, names in _KEYS.items() for name in names}


def add(
    curves: dict[str, Curve], row: dict[str, Any], step: int, seconds: float | None = None
) -> None:
    """Adds to curves what one row of a log tells."""
    tokens = next((told for name in _TOKENS if (told := number(row.get(name))) is not None), None)
    for name, told in row.items():
        metric, value = METRIC_OF.get(name.lower()), number(told)
        if metric is not None and value is not None:
            curves.setdefault(metric, Curve()).add(step, value, tokens, seconds)


def number(value: Any) -> float | None:
    """Returns a value as a number; a word for one that is not finite is that. None for others."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    try:
        return float(value) if isinstance(value, (int, float)) else None
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf


def settings(told: dict[str, Any]) -> dict[str, Any]:
    """Returns a configuration by dotted keys, those of this project where they mean the same.

    What is null says nothing: most programs write every key that they know.
    """
    found: dict[str, Any] = {}
    for path, value in _leaves(told, ""):
        prefix, _, name = path.rpartition(".")
        if value is None:
            continue
        known = _KEY_OF.get(name) if not prefix or "peft_config" in prefix else None
        value = sorted(cast(list[Any], value), key=str) if isinstance(value, list) else value
        found[known or path] = value
    return found


def _leaves(value: Any, path: str) -> list[tuple[str, Any]]:
    if not isinstance(value, dict) or not value:
        return [(path, value)]
    return [
        leaf
        for key, inner in cast(dict[str, Any], value).items()
        for leaf in _leaves(inner, f"{path}.{key}" if path else str(key))
    ]
