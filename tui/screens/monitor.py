"""Monitor: one run, living or ended, read from its directory alone."""

import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.text import Text
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from ...core.config import RunConfig
from ...core.rundir import RunDir
from ...core.text import one_line
from ..control_flow import can_resume, may_go_on, of_ended
from ..format import time_left
from ..key import Key
from ..keys import bindings
from ..services.curves import LOSS, WEIGHTS
from ..services.run_feed import Batch, RunFeed
from ..services.run_model import RunModel
from ..theme import with_status
from . import in_words
from . import monitor_charts as charts
from . import monitor_gpu as gpu
from . import monitor_health as health
from . import monitor_lines as lines
from . import monitor_run as choice
from . import monitor_tabs as tabs

if TYPE_CHECKING:
    from textual.timer import Timer

    from ..services.settings import Settings

REFRESH_S = 1.0
"""Between two repaints at once a second; by itself twice as many, which is quiet on the wire."""
COVERED_S = 0.5
"""Least time between two repaints under a dialog: a thin line is to carry its keys first."""
SILENT_S = 3.0
"""From when on it is said that the disk does not answer."""
PATIENCE_S = 1.0
"""How long the reading waits for the screen to take a batch."""
WIDE = 100
LOW = 16
"""With fewer rows the cause of a failure has all that there are."""


class MonitorScreen(
    charts.ChartKeys, tabs.TabKeys, health.HealthKeys, gpu.GpuKeys, choice.RunChoice
):
    """Status, figures, chart, hardware and log of the run that is watched."""

    AUTO_FOCUS = "#chart"
    BINDINGS = bindings("monitor")
    scope = "monitor"
    _run: RunDir | None

    class Arrived(Message):
        """A batch of the feed, with the run it belongs to."""

        def __init__(self, run: RunDir, batch: Batch) -> None:
            super().__init__()
            self.run = run
            self.batch = batch
            self.taken = threading.Event()

    def __init__(self) -> None:
        super().__init__()
        self._config: RunConfig | None = None
        self._config_text = ""
        self._feed: RunFeed | None = None
        self._model = RunModel()
        self._repainted = 0.0
        self._timer: Timer | None = None
        self._zone = ""
        self._last_state = ("", False)
        self._painted: dict[str, str] = {}

    def body(self) -> Iterable[Widget]:
        """Figures on top, chart and hardware, the tabs below."""
        yield Static(id="run-line", markup=False)
        yield Static(id="figures", markup=False)
        yield Static(id="progress", markup=False)
        yield Static(id="why", markup=False)
        chart, small = self.chart_panels()
        with Horizontal(id="middle"):
            yield chart
            with Vertical(id="side"):
                yield self.hardware_panel()
                yield self.health_panel()
        yield from small
        yield Static(id="strip", markup=False)
        yield self.health_line()
        with Vertical(id="bottom", classes="panel"):
            yield self._pane

    def on_mount(self) -> None:
        """Begins to watch and to repaint."""
        self.sft.settings_changed.subscribe(self, self._follow)
        self._pace(self.sft.settings.value)
        self.on_screen_resume()

    def _pace(self, settings: "Settings") -> None:
        """Repaints as often as the settings say."""
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_interval(REFRESH_S / settings.refresh, self._repaint)
        self._zone = settings.zone

    def _follow(self, settings: "Settings") -> None:
        """Follows other settings: lines with times of another zone are read anew."""
        if self._run is not None and settings.zone != self._zone:
            self.watch_run(self._run)
        self._pace(settings)

    def on_screen_resume(self) -> None:
        """Watches the run that was chosen, the same one, or at first the newest active one."""
        run = self.sft.watched or self._run
        if run is None:
            self.seek_newest()
        elif self._run is None or run.path != self._run.path:
            self.watch_run(run)
        self.call_after_refresh(self._repaint)

    def on_unmount(self) -> None:
        """Ends the reading thread."""
        if self._feed is not None:
            self._feed.close()

    def watch_run(self, run: RunDir) -> None:
        """Watches another run from now on."""
        if self._feed is not None:
            self._feed.close()
        self._run = run
        self._model = RunModel()
        self.forget_view()
        self._last_state = ("", False)
        self.count_runs()
        self.forget_tabs()
        self.forget_health()
        self._config, self._config_text = None, ""
        self._feed = RunFeed(run, lambda batch: self._deliver(run, batch))
        self.beside(self._feed.read_forever)
        self._dirty = True
        self.notice = ""
        self._repaint()  # at once: nothing of the run before may stand under another's name
        self.refresh_footer()

    def _deliver(self, run: RunDir, batch: Batch) -> None:
        """Posts a batch from the reading thread, and lets it wait until the screen took it.

        A large file is read faster than it is drawn: keys would wait behind all of its batches.
        """
        message = self.Arrived(run, batch)
        if self.deliver(message):
            message.taken.wait(PATIENCE_S)

    def on_monitor_screen_arrived(self, message: Arrived) -> None:
        """Takes a batch into the model; what it changes is painted at the next refresh."""
        message.taken.set()
        if self._run is None or message.run.path != self._run.path:
            return
        batch = message.batch
        self._model.apply(batch)
        if (news := self._model.news) is not None and self._model.complete:
            self._model.news = None
            if self._model.news_wrong:
                self.notice = news
            elif self._view.cross is None:  # else its readout stays; Events has the news
                self.did(news)
        self._dirty = True
        if (configured := batch.configured) is not None:
            self._config, self._config_text = configured.config, configured.text
            if configured.problem is not None:
                self.notice = one_line(f"The configuration cannot be used: {configured.problem}")
        if batch.again:
            if batch.gone:
                self.notice = one_line(f"The folder is still gone: {self._run.path}")
            else:
                self.did("The folder is back.")
        state = (self._model.status.word, self._model.gone)
        if state != self._last_state or configured is not None:
            self._last_state = state
            self._repaint()
            self.refresh_footer()

    def action_again(self) -> None:
        """Looks once more for a folder that is gone."""
        if self._feed is not None:
            self._feed.look_again()
            self.changed("Looking for the folder…")

    def _look_at_the_disk(self) -> None:
        """Says so where the disk does not answer: else what is shown would pass for news."""
        silent = 0 if self._feed is None else self._feed.silent_s()
        shown = int(silent) if silent >= SILENT_S else 0
        if shown != self._model.silent_s:
            self._model.silent_s, self._dirty = shown, True

    def _say_what_waits(self) -> None:
        """Says of a command that the trainer does not read for long why that may be."""
        model = self._model
        if said := model.asked.overdue(model.status, model.history, model.halted, time.time()):
            self.notice = said

    def on_resize(self) -> None:
        """Chooses the layout for the new size."""
        width, height = self.size
        self.set_class(width >= WIDE and height >= 28, "wide")
        self.set_class(height < LOW, "low")
        self.set_class(height >= 34, "tall")
        self.set_class(height >= 44, "high")
        self._painted, self._dirty = {}, True
        self.call_after_refresh(self._repaint)

    def _repaint(self) -> None:
        """Draws what changed while this screen is seen, be it behind a dialog."""
        if not self.is_mounted:
            return
        self._look_at_the_disk()
        self._say_what_waits()
        if not (self._dirty and self.is_current and self.is_mounted):
            return
        now = time.monotonic()
        if self.sft.screen is not self and now - self._repainted < COVERED_S:
            return
        self._dirty, self._repainted = False, now
        if self._run is None:
            self.add_class("without-run")
            self._paint("run-line", lines.SEEKS if self._seeks else lines.NO_RUN)
            return
        self.remove_class("without-run")
        model, width = self._model, self.size.width
        line = lines.run_line(self._run, model, self._config, width)
        self._paint("run-line", with_status(line, model.status.word, self.sft.theme_variables))
        self._paint("figures", lines.figures(model, self._average(), width))
        self._paint("progress", lines.progress(model, width))
        why = lines.why(self._run, model)
        self.set_class(bool(why), "with-why")
        self._paint("why", why)
        if not self.has_class("tiny"):
            self.paint_charts()
        strip, title, text = self.hardware_texts()
        self._paint("strip", strip)
        self.set_title("#hardware", title)
        self._paint("hardware", text)
        self.paint_health()
        self.paint_tab()

    def _paint(self, id: str, text: str | Text) -> None:
        """Updates a line only when its text changed: quiet on the wire."""
        plain = text.plain if isinstance(text, Text) else text
        if self._painted.get(id) != plain:
            self._painted[id] = plain
            grows = id == "why" or (id in ("run-line", "strip") and self.has_class("tiny"))
            drawn = text if isinstance(text, Text) else Text(text, no_wrap=not grows)
            self.query_one(f"#{id}", Static).update(drawn, layout=grows)

    def theme_changed(self) -> None:
        """Draws all lines in the colours of the other theme."""
        self._painted, self._dirty = {}, True
        self._repaint()

    def _average(self) -> float | None:
        smoothed = self._model.curves.average(LOSS, WEIGHTS[self._weight] or 0.9)
        return smoothed.last() if smoothed is not None else None

    def set_title(self, selector: str, title: str, subtitle: str = "") -> None:
        """Sets the words on a border where they changed; never as markup."""
        box = self.query_one(selector)
        if (str(box.border_title or ""), str(box.border_subtitle or "")) != (title, subtitle):
            box.border_title, box.border_subtitle = Text(title), Text(subtitle)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides what the run does not allow now."""
        status = self._model.status
        if action == "control":
            told = not self._model.writable and may_go_on(status)  # why nothing can be done
            return self._run is not None and (status.active or self._may_go_on or told)
        if action == "resume":
            return self._run is not None and self._may_go_on and can_resume(status)
        if action == "again":
            return self._run is not None and self._model.gone
        if action in ("duplicate", "export"):
            return self._config is not None and not status.may_speak and not self._model.gone
        if action in ("next_run", "previous_run"):
            return self._others and not self.in_samples
        if action in gpu.KEYS:
            return self._run is not None and self.may_see_gpus()
        if action in health.KEYS:
            return self._run is not None and self.may_in_health(action)
        if action in tabs.KEYS:
            return self._run is not None and self.may_in_tabs(action)
        if action in charts.KEYS:
            return self._run is not None and self.may(action)
        return True

    def offered(self) -> list[Key]:
        """Returns the keys that do something now; of a run that ended, to export it first."""
        keys = super().offered()
        return keys if self._model.status.active else of_ended(keys)

    @property
    def _may_go_on(self) -> bool:
        """Whether the run ended, and can be resumed or extended."""
        model = self._model
        known = self._config is not None and not model.gone and model.writable
        return known and may_go_on(model.status)

    def describe(self) -> str:
        """Returns the panel that has the focus and the run in sentences."""
        if self._run is None:
            return ""
        model = self._model
        said = {
            "hardware": lambda: in_words.hardware(model),
            "health": self.health_in_words,
            "bottom": lambda: in_words.tab(self.tab, self.tab_lines()),
        }.get(str(self.panel.id if self.panel else ""), self._chart_in_words)()
        left = time_left(model.status, model.history, self._config)
        return f"{said}\n\n{in_words.watched_run(self._run, model, left)}"

    def _chart_in_words(self) -> str:
        empty = lines.no_point_yet(self._model)
        metric = self.focused_metric() or self._metric
        return in_words.chart(self._model, metric, WEIGHTS[self._weight], empty)

    def describes(self) -> bool:
        """Returns whether a run is watched."""
        return self._run is not None

    def copyable(self) -> str | None:
        """Returns what the crosshair tells, else the folder of the run."""
        if self._run is None:
            return None
        return str(self._run.path) if self._view.cross is None else self._readout()

    def action_control(self) -> None:
        """Opens the control menu."""
        if self._run is not None:
            model, steps = self._model, self._model.history.steps
            rate = steps[-1].learning_rate if steps else None
            end = model.history.total_steps
            self._control.menu(self._run, rate, model.status, model.writable, end)

    def changed(self, notice: str = "") -> None:
        """Says what a key did, and draws it."""
        super().changed(notice)
        self._dirty = True
        self._repaint()
