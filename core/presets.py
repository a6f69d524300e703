"""Named starting points for a configuration: each states only what differs from the defaults."""

import copy
from typing import Any

from .errors import UsageError
from .fields import nearest

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
