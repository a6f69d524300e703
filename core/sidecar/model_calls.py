"""Models as they are listed: what they are, and whether they fit.

Light, for those who ask: what reads and judges models is imported by the one who answers.
"""

from typing import Any

import msgspec

from ..config import RunConfig
from ..sheet import Sheet
from .calls import Tell


class HubModel(msgspec.Struct, frozen=True):
    """Asks for the sheet of a Hub model whose small files the screen has read."""

    name: str
    model_config: dict[str, Any]
    headers: list[dict[str, Any]]
    config: RunConfig


class OwnModel(msgspec.Struct, frozen=True):
    """Asks for the sheet of the model of a run, which is on this machine."""

    config: RunConfig


def hub_model(asked: HubModel, tell: Tell) -> Sheet:
    """Judges a model of the Hub."""
    from ..model_sheet import of_headers

    return of_headers(asked.name, asked.model_config, asked.headers, asked.config)


def own_model(asked: OwnModel, tell: Tell) -> Sheet:
    """Judges a model of this machine."""
    from ..model_sheet import of_this_machine

    return of_this_machine(asked.config)
