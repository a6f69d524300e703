"""The GPUs of Monitor: one line, or a panel of numbers or of the last two minutes as graphs."""

from typing import TYPE_CHECKING

from textual.widget import Widget
from textual.widgets import Static

from ..widgets import hardware_panel
from ..widgets.frame import FrameScreen
from .monitor_lines import READING

if TYPE_CHECKING:
    from ..services.run_model import RunModel

KEYS = ("gpu_view",)
MANY = 4
"""With more GPUs the panel is higher."""


class GpuKeys(FrameScreen):
    """Paints the hardware; `t` turns numbers into graphs and back, also where the panel hides."""

    _model: "RunModel"
    _graphs = False
    _alone = False
    """Whether the panel is seen only because of the graphs."""

    def hardware_panel(self) -> Widget:
        """Returns the panel."""
        panel = Static(id="hardware", classes="panel", markup=False)
        panel.can_focus = True
        return panel

    def hardware_texts(self) -> tuple[str, str, str]:
        """Returns the one line, and title and text of the panel."""
        model, panel = self._model, self.query_one("#hardware")
        if model.system is None and not model.complete:
            return f" Hardware: {READING.lower()}", "Hardware", READING
        self.set_class(len(model.gpus.gpus) > MANY, "many")
        started, steps = model.history.started, model.history.steps
        on_gpu = started is not None and started.device.startswith("cuda")
        peak = steps[-1].memory_bytes if on_gpu and steps else None
        size = panel.content_size.width, panel.content_size.height
        title, text = hardware_panel.panel(
            model.gpus, model.no_gpu, size, peak=peak or None, history=self._graphs
        )
        return " " + hardware_panel.strip(model.gpus), title, text

    def may_see_gpus(self) -> bool:
        """Returns whether there are GPUs to look at."""
        return bool(self._model.gpus.gpus)

    def action_gpu_view(self) -> None:
        """Shows the last two minutes of the GPUs, or their numbers again."""
        self._graphs = not self._graphs
        panel = self.query_one("#hardware")
        if self._graphs and not panel.region:
            self.maximized, self._alone = panel, True
        elif self._alone:
            self.maximized, self._alone = None, False
        self.call_after_refresh(self.changed)
