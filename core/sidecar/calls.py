"""What the helper process can be asked: each call with the module and function that answers it.

A function takes its argument, of the type that it declares, and `tell`, which reports progress.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, get_type_hints

Tell = Callable[[Any], None]
"""Takes a value that says how far a call is."""

CALLS = {
    "hub_model": "sft_tui.core.sidecar.model_calls",
    "own_model": "sft_tui.core.sidecar.model_calls",
    **dict.fromkeys(
        ("row", "gather", "raw", "batch", "templates"), "sft_tui.core.sidecar.preview_calls"
    ),
    "effects": "sft_tui.core.sidecar.effect_calls",
    "measured": "sft_tui.core.sidecar.measure_calls",
    **dict.fromkeys(
        ("sources", "glance", "look", "check_rows", "remember"),
        "sft_tui.core.sidecar.data_calls",
    ),
}
"""The module of each call; the function has the call's name. Imported when first asked."""


def find(call: str) -> tuple[Callable[[Any, Tell], Any], type[Any]]:
    """Returns the function of a call and the type of its argument."""
    function = getattr(import_module(CALLS[call]), call)
    return function, get_type_hints(function)["asked"]
