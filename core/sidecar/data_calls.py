"""Data as it is chosen: what there is, what its first rows are, how many of all can be used.

Light, for those who ask: what reads files is imported by those who answer.
"""

from pathlib import Path
from typing import Any

import msgspec

from ..config import DataConfig, SourceConfig
from ..data.found import Choice
from ..data.looked import Glanced, Looked, RowsChecked
from .calls import Tell

_GLANCE_S = 0.4


class Sources(msgspec.Struct, frozen=True):
    """Asks what there is, in a folder and elsewhere."""

    folder: str


def sources(asked: Sources, tell: Tell) -> Choice:
    """Lists what can be chosen."""
    from ..data import found

    return found.choice(Path(asked.folder))


class Glance(msgspec.Struct, frozen=True):
    """Asks for rows and shape of a source."""

    source: SourceConfig


def glance(asked: Glance, tell: Tell) -> Glanced:
    """Says what can be said in a moment."""
    from ..data import look as looking

    return looking.glance(asked.source, _GLANCE_S)


class Look(msgspec.Struct, frozen=True):
    """Asks for the first rows of a source; `given` are rows that came another way."""

    source: SourceConfig
    data: DataConfig
    given: list[dict[str, Any]] | None = None


def look(asked: Look, tell: Tell) -> Looked:
    """Looks at the first rows."""
    from ..data import look as looking

    return looking.look(asked.source, asked.data, asked.given)


class CheckRows(msgspec.Struct, frozen=True):
    """Asks for all rows of a source."""

    source: SourceConfig
    data: DataConfig


def check_rows(asked: CheckRows, tell: Tell) -> RowsChecked:
    """Goes through all rows; tells how far it is."""
    from ..data import look as looking

    return looking.check_rows(asked.source, asked.data, tell)


class Remember(msgspec.Struct, frozen=True):
    """A path that was used."""

    source: str


def remember(asked: Remember, tell: Tell) -> bool:
    """Keeps the path among those used lately."""
    from ..data import found

    found.remember(asked.source)
    return True
