"""What the declaration of a hyperparameter is made of; `fields.py` reads it."""

from typing import Literal

import msgspec
from msgspec import Meta


class Group(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Base of the configuration's groups: keyword-only, immutable, strict about keys."""


def about(
    help: str,
    *,
    unit: str | None = None,
    advanced: bool = False,
    adjust: Literal["double", "decimal", "one"] | None = None,
    follows: tuple[str, float] | None = None,
    label: str | None = None,
) -> Meta:
    """Describes a field.

    Args:
        help: One sentence.
        unit: Of its number.
        advanced: Seldom changed, or chosen in another place: not shown before it is asked for.
        adjust: How a key makes its number larger: twice, to the next of 1, 2, 5, 10, or by one.
            None doubles whole numbers and takes the next of 1, 2, 5, 10 for others.
        follows: A field whose number it is a multiple of, while it is that, and how much of it.
        label: Its name in lists, where the last part of its path does not read as one.
    """
    extra = {
        "unit": unit,
        "advanced": advanced,
        "adjust": adjust,
        "follows": follows,
        "label": label,
    }
    return Meta(description=help, extra=extra)
