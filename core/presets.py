"""Named starting points for a configuration: each states only what differs from the defaults."""

import copy
from typing import Any

from .errors import UsageError
from .fields import as_map, declared, nearest

_PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "recommended": ("the defaults", {}),
    "demo": (
        "the embedded model and data: 26 steps on a CPU in a few minutes",
        {
            "model": {"name": "demo"},
            "data": {
                "sources": [{"source": "demo", "template": "alpaca"}],
                "eval_source": "demo:heldout",
                "max_length": 512,
                "ignore_problems": ["template_differs"],  # alpaca is what it shows
                "empty_answers": "text",
                "empty_answer_text": "The passage does not say.",
            },
            "method": {"rank": 8},
            "optim": {"learning_rate": 5e-4},
            "train": {
                "max_steps": 26,
                "micro_batch_size": 8,
                "gradient_accumulation": 1,
            },
            "evaluate": {"every_steps": 13, "samples": 5, "sample_max_tokens": 32},
            "save": {"every_steps": 13, "keep": 2},
        },
    ),
    "smoke": (
        "does this model train on this data at all: 10 short steps, no checkpoint before the end",
        {
            "data": {"max_length": 256},
            "method": {"rank": 4, "alpha": 8.0},
            "train": {"max_steps": 10, "micro_batch_size": 1, "gradient_accumulation": 4},
            "evaluate": {"every_steps": None, "at_start": False, "samples": 1},
            "save": {"every_steps": None},
        },
    ),
    "lora-light": (
        "LoRA on queries and values alone: least memory, for style and form",
        {
            "model": {"quantisation": "none"},
            "method": {
                "kind": "lora",
                "rank": 8,
                "alpha": 16.0,
                "dropout": 0.0,
                "target_modules": ["q_proj", "v_proj"],
                "exclude_modules": [],
            },
            "optim": {"learning_rate": 3e-4, "schedule": "cosine", "warmup_ratio": 0.03},
            "train": {
                "micro_batch_size": 1,
                "gradient_accumulation": 16,
                "gradient_checkpointing": False,
            },
        },
    ),
    "lora-balanced": (
        "LoRA on all projections: suits most jobs",
        {
            "model": {"quantisation": "none"},
            "method": {
                "kind": "lora",
                "rank": 16,
                "alpha": 32.0,
                "dropout": 0.0,
                "target_modules": ["*_proj"],
                "exclude_modules": [],
            },
            "optim": {"learning_rate": 2e-4, "schedule": "cosine", "warmup_ratio": 0.03},
            "train": {
                "micro_batch_size": 4,
                "gradient_accumulation": 4,
                "gradient_checkpointing": False,
            },
        },
    ),
    "qlora": (
        "LoRA beside a base in 4 bits: large models on one GPU; needs bitsandbytes",
        {
            "model": {"quantisation": "nf4"},
            "method": {
                "kind": "lora",
                "rank": 16,
                "alpha": 32.0,
                "dropout": 0.0,
                "target_modules": ["*_proj"],
                "exclude_modules": [],
                "init": "default",
            },
            "optim": {"learning_rate": 2e-4, "schedule": "cosine", "warmup_ratio": 0.03},
            "train": {
                "micro_batch_size": 1,
                "gradient_accumulation": 16,
                "gradient_checkpointing": True,
            },
        },
    ),
    "full": (
        "all weights, kept in fp32: most memory, for much data and far goals",
        {
            "model": {"quantisation": "none"},
            "method": {"kind": "full"},
            "optim": {"learning_rate": 1e-5, "schedule": "cosine", "warmup_ratio": 0.03},
            "train": {
                "precision": "bf16",
                "micro_batch_size": 1,
                "gradient_accumulation": 16,
                "gradient_checkpointing": True,
            },
        },
    ),
    "seed": (
        "NVIDIA's tutorial of SFT with NeMo AutoModel, to the letter, to compare with",
        {
            "model": {"quantisation": "none"},
            "data": {
                "sources": [
                    {
                        "source": "rajpurkar/squad",
                        "split": "train[:100]",
                        "shape": "alpaca",
                        "columns": {
                            "instruction": "context",
                            "input": "question",
                            "output": "answers.text[0]",
                        },
                        "template": "alpaca",
                    }
                ],
                "eval_fraction": 0.0,
                "loss_on": "full",
                "shuffle": False,
                "pack": "never",
                "share_prefixes": "never",
            },
            "method": {
                "kind": "lora",
                "rank": 8,
                "alpha": 32.0,
                "dropout": 0.0,
                "target_modules": ["*_proj"],
                "exclude_modules": [],
            },
            "optim": {
                "name": "adam",
                "learning_rate": 1e-5,
                "schedule": "constant",
                "warmup_ratio": 0.0,
                "weight_decay": 0.01,
                "max_grad_norm": 0.5,
            },
            "train": {
                "max_steps": 100,
                "micro_batch_size": 2,
                "gradient_accumulation": 10,
                "precision": "bf16",
                "loss_normalisation": "micro_batch",
                "fused_lora": False,
                "loss_chunk": None,
                "compile": "never",
            },
            "evaluate": {"every_steps": None, "at_start": False, "samples": 0},
            "save": {"every_steps": None},
        },
    ),
}


def names() -> dict[str, str]:
    """Returns each preset's name with one phrase about it."""
    return {name: phrase for name, (phrase, _) in _PRESETS.items()}


def overrides(name: str | None) -> dict[str, Any]:
    """Returns a fresh copy of what the preset changes; None is the recommended one.

    Raises:
        UsageError: There is no such preset.
    """
    key = name or "recommended"
    if key not in _PRESETS:
        guess = nearest(key, list(_PRESETS))
        raise UsageError(
            f"there is no preset {key!r}",
            f"the presets are {', '.join(_PRESETS)}",
            f"did you mean {guess}?" if guess else "choose one of them",
        )
    return copy.deepcopy(_PRESETS[key][1])


def values(name: str) -> dict[str, Any]:
    """Returns what a preset sets, by path.

    Raises:
        UsageError: There is no such preset.
    """
    changed = overrides(name)
    found: dict[str, Any] = {}
    for field in declared():
        group, _, key = field.path.partition(".")
        if key in as_map(changed.get(group)):
            found[field.path] = changed[group][key]
    return found
