"""Data: a step of New."""

from collections.abc import Iterable

from textual.widget import Widget
from textual.widgets import Static

from ...keys import bindings
from .step import StepScreen


class DataScreen(StepScreen):
    """The step."""

    BINDINGS = bindings("data")
    scope = "data"

    def step_body(self) -> Iterable[Widget]:
        """What is shown."""
        yield Static("", id="data-body")
