"""Two real steps of a configuration on its largest micro-batch."""

import msgspec

from ..config import RunConfig
from ..measurement import Measured, measure
from .calls import Tell


class ToMeasure(msgspec.Struct, frozen=True):
    """Asks what the largest step of a configuration takes."""

    config: RunConfig


def measured(asked: ToMeasure, tell: Tell) -> Measured:
    """Takes the steps in a process of the trainer's own kind."""
    return measure(asked.config)
