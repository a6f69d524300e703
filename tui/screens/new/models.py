"""Models: a step of New."""

from collections.abc import Iterable

from textual.widget import Widget
from textual.widgets import Static

from ...keys import bindings
from .step import StepScreen


class ModelsScreen(StepScreen):
    """The step."""

    BINDINGS = bindings("models")
    scope = "models"

    def step_body(self) -> Iterable[Widget]:
        """What is shown."""
        yield Static("", id="models-body")
