"""The application: modes, and the trainers that it started. No logic of a screen."""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from textual.events import ScreenResume
from textual.reactive import var
from textual.screen import Screen

from ..core.errors import SftError
from ..core.find import newest_begun
from ..core.rundir import RunDir, list_runs
from ..core.status import status_of
from .keys import bindings
from .services.ringer import LOOK_S, Ringer
from .services.trainers import REAP_S, Trainers
from .shared_app import SharedApp

if TYPE_CHECKING:
    from ..core.launch import Trainer
    from .services.checks import Checks
    from .services.downloads import Download, Downloads
    from .services.drafts import Drafts
    from .services.effects import DraftEffects
    from .services.export_work import ExportWork
    from .services.hub_link import HubLink
    from .services.sidecar import Sidecar

SCREENS = {
    "runs": ("runs", "RunsScreen"),
    "monitor": ("monitor", "MonitorScreen"),
    "compare": ("compare", "CompareScreen"),
    "play": ("play", "PlayScreen"),
    "export": ("export", "ExportScreen"),
    "system": ("system", "SystemScreen"),
    "models": ("new.models.screen", "ModelsScreen"),
    "data": ("new.data.screen", "DataScreen"),
    "preview": ("new.preview.screen", "PreviewScreen"),
    "configure": ("new.configure.screen", "ConfigureScreen"),
    "review": ("new.review", "ReviewScreen"),
}
"""The module and class of each screen. Each is a mode of its own in Textual's sense, so it stays
as it was while others are seen; those of the steps make up New."""


class SftApp(SharedApp):
    """Runs, New, Monitor, Compare, Play, Export and System.

    Args:
        runs_folder: Folder of the runs; None is the platform's.
        watched: The run that Monitor shows; None is the newest active one.
        mode: The mode that is shown first.
        start: Starts a trainer once the application is up, which Monitor then shows.
    """

    TITLE = "sft-tui"
    # One sheet for all: a screen with a sheet of its own has everything parsed anew.
    CSS_PATH = [
        "app.tcss",
        "screens/runs.tcss",
        "screens/monitor.tcss",
        "screens/compare.tcss",
        "screens/play.tcss",
        "screens/export.tcss",
        "screens/system.tcss",
        "screens/new/step.tcss",
        "screens/new/models/screen.tcss",
        "screens/new/data/screen.tcss",
        "screens/new/preview/screen.tcss",
        "screens/new/configure/screen.tcss",
        "screens/new/review.tcss",
    ]
    BINDINGS = bindings("app")

    hub_offline: var[bool] = var(False)
    """Whether the Hub did not answer when it was last asked; the first row says so."""

    def __init__(
        self,
        runs_folder: Path | None = None,
        watched: RunDir | None = None,
        mode: str = "runs",
        start: Callable[[], "Trainer"] | None = None,
    ) -> None:
        # Its screen takes the place of Textual's empty first one, which would cost 50 ms.
        first = self.drafts.draft.step if mode == "new" else mode
        cast(Any, self).DEFAULT_MODE = first
        super().__init__()
        self.runs_folder = runs_folder
        self.watched = watched
        self.compared: list[Path] = []
        """The folders of the runs that Compare shows, the baseline first."""
        self.exported: RunDir | None = None
        """The run that Export shows."""
        self._start = start
        self.trainers = Trainers(self)

    def on_mount(self) -> None:
        """Adds the modes."""
        for name in SCREENS:
            cast(Any, self).add_mode(name, partial(_make, name))
        self.set_interval(REAP_S, self.trainers.reap)
        self.set_interval(LOOK_S, Ringer(self).look)
        if self._start is not None:
            self.call_after_refresh(self.start_run, self._start)

    def get_default_screen(self) -> Screen[None]:
        """Returns the screen that is painted first."""
        return _make(self.DEFAULT_MODE)

    @cached_property
    def drafts(self) -> "Drafts":
        """The owner of the draft; read from the disk when New is first shown."""
        from .services.drafts import Drafts  # 40 ms with what reads configurations

        return Drafts(self)

    @cached_property
    def sidecar(self) -> "Sidecar":
        """The helper process for what is quick, such as a row."""
        from .services.sidecar import Sidecar

        return Sidecar()

    @cached_property
    def passes(self) -> "Sidecar":
        """The helper process for what takes long, such as statistics of all rows."""
        from .services.sidecar import Sidecar

        return Sidecar()

    @cached_property
    def hub(self) -> "HubLink":
        """The connection to the Hub."""
        from .services.hub_link import HubLink

        return HubLink(lambda away: setattr(self, "hub_offline", away))

    @cached_property
    def downloads(self) -> "Downloads":
        """Downloads from the Hub, which go on whatever screen is seen."""
        from .services.downloads import Downloads

        return Downloads(self, self._download_ended)

    def _download_ended(self, ended: "Download") -> None:
        if ended.failure is not None:
            self.tell(f"{ended.failure}. {ended.failure.remedy}.")
        else:
            self.did(f"{ended.request.id} is on this machine now.")

    @cached_property
    def exports(self) -> "ExportWork":
        """The export that is under way, which goes on whatever screen is seen."""
        from .services.export_work import ExportWork

        return ExportWork(self)

    @cached_property
    def checks(self) -> "Checks":
        """What all rows of the draft amount to; a pass begins once a screen looks."""
        from .services.checks import Checks

        return Checks(self)

    @cached_property
    def effects(self) -> "DraftEffects":
        """What the draft's configuration does: size, memory, steps, disk, time."""
        from .services.effects import DraftEffects

        return DraftEffects(self)

    def on_app_focus(self) -> None:
        """Shows what another window made of the draft, once the user comes back from it."""
        typing = self.frame is not None and self.frame.box is not None
        if "drafts" in self.__dict__ and not typing:  # what is typed stands in its row
            self.drafts.look()

    async def on_unmount(self) -> None:
        """Saves the draft's last change, and ends helper processes, downloads and connection."""
        made = self.__dict__
        if "effects" in made:
            self.effects.stop()
        if "drafts" in made:
            self.drafts.flush()
        for name in ("checks", "sidecar", "passes"):
            if name in made:
                await made[name].stop()
        for name in ("downloads", "exports", "hub"):
            if name in made:
                await made[name].close()

    def import_new(self) -> None:
        """Imports New, in a thread: it takes 0.1 s, for which the key that opens it would wait."""
        for module in (".services.drafts", f".screens.{SCREENS['models'][0]}"):
            import_module(module, __package__)

    def show_step(self, step: str) -> None:
        """Shows a step of New."""
        self.drafts.show(step)
        self.switch_mode(step)

    def show_field(self, path: str) -> None:
        """Shows the step Configure with the cursor on a field."""
        self.show_step("configure")

        def focus() -> None:
            focus_field = getattr(self.frame, "focus_field", None)
            if focus_field is not None:
                focus_field(path)

        self.call_after_refresh(focus)  # it may only now be put together

    def choose(self, **values: object) -> None:
        """Takes other settings; another folder of runs is shown from now on."""
        super().choose(**values)
        if "runs" in values:
            self.runs_folder = self.settings.value.runs_folder

    def show_setting(self, name: str) -> None:
        """Shows System with the cursor on a setting."""
        self.switch_mode("system")
        self.call_after_refresh(lambda: getattr(self.frame, "focus_setting", str)(name))

    def all_runs(self) -> list[RunDir]:
        """Returns the runs, newest first; none where the folder cannot be read."""
        try:
            return list_runs(self.runs_folder)
        except SftError as error:
            self.tell(f"{error}. {error.remedy}")
            return []

    def newest_run(self) -> RunDir | None:
        """Returns the newest active run, or the newest; it reads the disk.

        Raises:
            SftError: The folder cannot be read.
        """
        runs = list_runs(self.runs_folder)
        return next((run for run in runs if status_of(run).active), newest_begun(runs))

    def watch_run(self, run: RunDir) -> None:
        """Shows a run in Monitor."""
        self.watched = run
        if self.current_mode == "monitor":
            self.screen.post_message(ScreenResume())  # it is seen already: takes the run
        self.switch_mode("monitor")

    def compare_runs(self, folders: Sequence[Path]) -> None:
        """Shows runs side by side in Compare, the first of them as the baseline."""
        self.compared = list(folders)
        if self.current_mode == "compare":
            self.screen.post_message(ScreenResume())  # it is seen already: takes the runs
        self.switch_mode("compare")

    def export_run(self, run: RunDir) -> None:
        """Shows what of a run can be exported."""
        self.exported = run
        self.switch_mode("export")

    def compare_too(self, folder: Path) -> int:
        """Adds a run to those in Compare, and shows them where there are two.

        Returns:
            How many there are.
        """
        from ..core.compare import MOST  # with what it reads runs with

        if folder not in self.compared:
            if len(self.compared) == MOST:
                self.tell(f"Compare holds {MOST} runs: D takes one away there.")
                return MOST
            self.compared = [*self.compared, folder]
        if len(self.compared) > 1:
            self.compare_runs(self.compared)
        return len(self.compared)

    def review_demo(self) -> None:
        """Takes the embedded model and data as the draft and shows Review."""
        replaced = self.drafts.take_demo()
        self.show_step("review")
        if replaced:
            self.did("The demo took the place of the draft. u brings the old draft back.")

    def start_run(self, begin: Callable[[], "Trainer"]) -> None:
        """Starts a trainer and shows it in Monitor; a failure is said on the notice line."""
        self.trainers.start(begin)

    def action_mode_runs(self) -> None:
        """Shows Runs."""
        self.switch_mode("runs")

    def action_mode_new(self) -> None:
        """Shows the step of New that was seen last."""
        self.switch_mode(self.drafts.draft.step)

    def action_mode_monitor(self) -> None:
        """Shows Monitor, of the run at the cursor where there is one."""
        self._take_selected()
        self.switch_mode("monitor")

    def action_mode_compare(self) -> None:
        """Shows Compare; where nothing is compared yet, of the runs that are marked."""
        if self.compared or self.frame is None or not self.frame.compare_marked():
            self.switch_mode("compare")

    def action_mode_play(self) -> None:
        """Shows Play, of the run at the cursor where there is one."""
        self._take_selected()
        self.switch_mode("play")

    def _take_selected(self) -> None:
        if self.frame is not None and (run := self.frame.run_at_cursor) is not None:
            self.watched = run

    def action_mode_system(self) -> None:
        """Shows System."""
        self.switch_mode("system")

    def action_leave(self) -> None:
        """One level up; on Runs, leaves: nothing is lost."""
        if self.current_mode == "runs":
            self.exit()
        else:
            self.switch_mode("runs")

    def action_one_up(self) -> None:
        """One level up; on Runs it only says which key leaves: Esc is pressed once too often."""
        screen = self.frame
        if screen is not None and screen.box is not None:
            screen.leave_box()
        elif self.current_mode == "runs":
            self.did("q leaves; training goes on.")
        else:
            self.switch_mode("runs")


def _make(name: str) -> Screen[None]:
    """Imports and makes a screen: what is not shown costs no time at the start."""
    module, class_name = SCREENS[name]
    return getattr(import_module(f".screens.{module}", __package__), class_name)()
