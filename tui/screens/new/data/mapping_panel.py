"""The mapping: what a source is taken for, which rows are trained, and a row as it comes out."""

from collections.abc import Iterable

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from .data_lines import Line, drawn


class MappingPanel(VerticalScroll):
    """Lines that can be scrolled, drawn for the width that there is."""

    def __init__(self, id: str = "data-mapping") -> None:
        super().__init__(id=id, classes="panel")
        self._lines: list[Line] = []

    def compose(self) -> ComposeResult:
        """The text."""
        yield Static(markup=False)

    def show(self, lines: Iterable[Line], *, top: bool = False) -> None:
        """Takes other lines; with `top`, reading begins anew."""
        self._lines = list(lines)
        self._draw()
        if top:
            self.scroll_home(animate=False)

    def on_resize(self) -> None:
        """Wraps for the new width."""
        self._draw()

    def _draw(self) -> None:
        width = self.scrollable_content_region.width
        if width > 0:
            self.query_one(Static).update(drawn(self._lines, width))
