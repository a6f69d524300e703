"""What is told of a model before it is chosen: a plain record, without what fills it in."""

from typing import Literal

import msgspec

Word = Literal["fits", "tight", "over", "unknown"]


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """A model in facts, None where its files do not tell; memory in bytes."""

    params: int | None = None
    dtype: str | None = None
    architecture: str | None = None
    layers: int | None = None
    context: int | None = None
    chat_template: bool | None = None
    refused: str = ""
    """Why it cannot be trained, as a clause; "" where nothing speaks against it."""
    word: Word = "unknown"
    why: str = ""
    """Why the word is `unknown`, or why nothing else fits where it is `over`."""
    total: int | None = None
    spread: float = 0.0
    """Half the width of the estimate's range, as a share of it."""
    capacity: int | None = None
    parts: dict[str, int] = {}
    instead: str = ""
    """What would fit where this does not, as a clause."""
    overrides: dict[str, str] = {}
    """The same as values of the configuration."""
    instead_total: int | None = None
