"""The draft as YAML text and back: what was not chosen yet stands there as an empty text."""

from pathlib import Path
from typing import Any

import msgspec

from . import config_file, yaml12
from .config import RunConfig
from .draft import NEEDED, Draft
from .raw_values import value_at

_HEAD = """\
# The draft. Every key stands here; a line that is taken out goes back to its default.
# Paths are relative to the folder where sft-tui was started.
"""
_LACKING = "# Not chosen yet, and empty below: {}.\n"


def to_text(draft: Draft) -> str:
    """Returns the draft with a comment above each key."""
    config, _ = draft.checked()
    assert config is not None  # a draft refuses values that no field can have
    lacks = draft.missing()
    head = _HEAD
    if lacks:
        head += _LACKING.format(", ".join(NEEDED[name] for name in lacks))
    return f"{head}\n{config_file.to_yaml(_blanked(config, lacks), comments=True)}"


def from_text(text: str) -> tuple[RunConfig, list[str]]:
    """Reads the text back.

    Returns:
        The configuration, and which names of `NEEDED` it says nothing about.

    Raises:
        SftError: It is not YAML, or says what cannot be; a `ConfigError` has lines.
    """
    raw, _ = yaml12.read(text, "in the editor")
    lacks = [name for name, path in NEEDED.items() if _is_blank(raw, path)]
    # Something must stand for what is missing, for everything else to be checked.
    sets = [f"{NEEDED[name]}=demo" for name in lacks]
    return config_file.parse(text, origin="in the editor", folder=Path.cwd(), sets=sets), lacks


def _is_blank(raw: dict[str, Any], path: str) -> bool:
    if value_at(raw, path) not in ("", None):
        return False
    short = value_at(raw, "data.source") if path == NEEDED["data"] else None
    return short in ("", None)


def _blanked(config: RunConfig, lacks: list[str]) -> RunConfig:
    """Returns the configuration with an empty text for what nobody chose."""
    if "model" in lacks:
        model = msgspec.structs.replace(config.model, name="")
        config = msgspec.structs.replace(config, model=model)
    if "data" in lacks:
        first, *rest = config.data.sources
        sources = [msgspec.structs.replace(first, source=""), *rest]
        data = msgspec.structs.replace(config.data, sources=sources)
        config = msgspec.structs.replace(config, data=data)
    return config
