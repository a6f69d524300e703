"""Preview: a step of New."""

from collections.abc import Iterable

from textual.widget import Widget
from textual.widgets import Static

from ...keys import bindings
from .step import StepScreen


class PreviewScreen(StepScreen):
    """The step."""

    BINDINGS = bindings("preview")
    scope = "preview"

    def step_body(self) -> Iterable[Widget]:
        """What is shown."""
        yield Static("", id="preview-body")
