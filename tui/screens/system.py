"""System: what this machine has and lacks, and the settings of the application."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rich.text import Text
from textual.events import DescendantFocus
from textual.message import Message
from textual.widget import Widget

from ...core.doctor import Check, looks, report
from ...core.rundir import runs_folder
from ...core.text import one_line
from .. import clocks
from ..format import from_home
from ..keys import bindings
from ..services import settings
from ..widgets.frame import FrameScreen
from ..widgets.pieces import PieceView
from . import system_lines as lines
from .describe import Reading
from .dialogs import Ask
from .piece_moves import PieceMoves

CLOCK_S = 5.0
SHORT = 38
"""With fewer rows only the panel that has the focus is open."""
_SAFE = "y copies the report: no token, user name or prompt is in it."
_OF_SETTINGS = ("edit", "next_value", "previous_value", "default")


class SystemScreen(FrameScreen, PieceMoves):
    """The checks of `sft-tui doctor`, each shown as soon as it is done, and the settings."""

    AUTO_FOCUS = "#doctor"
    BINDINGS = bindings("system")
    scope = "system"
    moves_first = "#doctor"

    class Found(Message):
        """A check is done, or says how it goes."""

        def __init__(self, round: int, name: str, check: Check | str) -> None:
            super().__init__()
            self.round = round
            self.name = name
            self.check = check

    def __init__(self) -> None:
        super().__init__()
        self._looked: dict[str, Check | str] = {}
        self._round = 0
        """Which look is the newest: what an earlier one still finds is not shown."""
        self._every = settings.declared()
        self._clock = ""

    def body(self) -> Iterable[Widget]:
        """The checks, and the settings."""
        yield PieceView(id="doctor", classes="panel", pointer=True)
        yield PieceView(id="settings", classes="panel", pointer=True)

    def on_mount(self) -> None:
        """Begins to look."""
        self.query_one("#settings").border_title = "Settings"
        self.sft.settings_changed.subscribe(self, lambda _: self._show_settings())
        self._show_settings()
        self.set_interval(CLOCK_S, self._tick)
        self.action_again()

    def on_resize(self) -> None:
        """Opens both panels where there is room for them."""
        self.set_class(self.size.height < SHORT, "short")
        self._name_keys()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Opens the panel that got the focus, where there is room for one alone."""
        super().on_descendant_focus(event)
        if self.focused is not None:
            self.set_class(self.focused.id == "settings", "in-settings")
        self._name_keys()

    def _name_keys(self) -> None:
        short, inside = self.has_class("short"), self.has_class("in-settings")
        for view in self.query(PieceView):
            closed = short and inside != (view.id == "settings")
            view.border_subtitle = "Tab opens" if closed else ""

    def action_again(self) -> None:
        """Looks at everything, each thing in a thread of its own."""
        self._round += 1
        number = self._round

        def begin(name: str, look: Callable[[], Check]) -> None:
            def work() -> None:
                self.deliver(self.Found(number, name, look()))

            self.beside(work)

        def tell(said: str) -> None:
            self.deliver(self.Found(number, "hub", said))

        self.notice = ""
        every = looks(self.sft.runs_folder, tell)
        self._looked = dict.fromkeys(every, "looking…")
        for name, look in every.items():
            begin(name, look)
        self._show_checks()

    def on_system_screen_found(self, message: Found) -> None:
        """Shows it in its place."""
        if message.round != self._round:
            return
        self._looked[message.name] = message.check
        self._show_checks()
        if self.complete and not self.notice:
            self.did(f"Looked at all of it, {clocks.at(form='%H:%M:%S')}. {_SAFE}")

    @property
    def complete(self) -> bool:
        """Whether everything was looked at."""
        return all(isinstance(check, Check) for check in self._looked.values())

    def _checks(self) -> list[Check]:
        return [check for check in self._looked.values() if isinstance(check, Check)]

    def _show_checks(self) -> None:
        view, looked = self.query_one("#doctor", PieceView), dict(self._looked)
        title = lines.check_title(looked)
        view.border_title = Text(title)
        view.show(lambda width: lines.check_lines(looked, width), len(looked))
        self.refresh_footer()

    def _tick(self) -> None:
        """Draws the clock of the settings where it shows another minute."""
        if self.is_current and self._clock != clocks.at():
            self._show_settings()

    def _show_settings(self) -> None:
        view = self.query_one("#settings", PieceView)
        chosen = self.sft.settings.value
        here = max(view.cursor, 0)
        self._clock = clocks.at()
        now = {
            "zone": f"now {self._clock}",
            "runs": one_line(from_home(str(runs_folder(self.sft.runs_folder)))),
        }
        view.show(
            lambda width: lines.setting_lines(self._every, chosen, here, now, width),
            len(self._every),
        )
        self.refresh_footer()

    def on_piece_view_moved(self, event: PieceView.Moved) -> None:
        """Says what the setting under the cursor means."""
        if event.view.id == "settings":
            self._show_settings()

    @property
    def _setting(self) -> settings.Setting:
        return self._every[max(self.query_one("#settings", PieceView).cursor, 0)]

    @property
    def _in_settings(self) -> bool:
        return self.has_class("in-settings")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides what does nothing in the panel that has the focus."""
        if not self.is_mounted:
            return True
        if action == "details":
            return not self._in_settings and self._under_cursor is not None
        if action in _OF_SETTINGS and not self._in_settings:
            return False
        if action in ("next_value", "previous_value"):
            return self._setting.words is not None
        if action == "default":
            own = getattr(settings.Settings(), self._setting.name)
            return getattr(self.sft.settings.value, self._setting.name) != own
        return True

    @property
    def _under_cursor(self) -> Check | None:
        at = self.query_one("#doctor", PieceView).cursor
        check = list(self._looked.values())[at] if 0 <= at < len(self._looked) else None
        return check if isinstance(check, Check) else None

    def describe(self) -> str:
        """Returns the panel that has the focus in sentences."""
        if self._in_settings:
            here = self.query_one("#settings", PieceView).cursor
            return lines.settings_in_words(self._every, self.sft.settings.value, here)
        return lines.in_words(self._looked)

    def describes(self) -> bool:
        """Returns whether there is anything to say, which there always is."""
        return True

    def copyable(self) -> str | None:
        """Returns the report, once something was found."""
        return report(checks) if (checks := self._checks()) else None

    def action_details(self) -> None:
        """Shows the whole of the check under the cursor."""
        if (check := self._under_cursor) is not None:
            self.sft.push_screen(Reading(check.name, lines.details(check), self))

    def focus_setting(self, name: str) -> None:
        """Puts the cursor on a setting."""
        view = self.query_one("#settings", PieceView)
        view.focus()
        view.go_to([setting.name for setting in self._every].index(name))

    def action_next_value(self) -> None:
        """Takes the next value of the setting under the cursor."""
        self._turn(1)

    def action_previous_value(self) -> None:
        """Takes the value before."""
        self._turn(-1)

    def _turn(self, by: int) -> None:
        setting = self._setting
        at = setting.choices.index(getattr(self.sft.settings.value, setting.name))
        self._take(setting.choices[(at + by) % len(setting.choices)])

    def action_default(self) -> None:
        """Takes the value that the setting has by itself."""
        self._take(getattr(settings.Settings(), self._setting.name))

    def _take(self, value: Any) -> None:
        setting = self._setting
        self.sft.choose(**{setting.name: value})
        shown = lines.value(setting, self.sft.settings.value)
        holds = " from the next start on" if setting.later else ""
        self.did(f"{setting.label}: {shown}{holds}.")
        if setting.name == "bell" and value != "off":
            self.sft.bell()  # so that it is heard what it will be

    def action_edit(self) -> None:
        """Takes the next value, or asks for one that is typed."""
        setting = self._setting
        if setting.words is not None:
            self._turn(1)
            return

        def wrong(text: str) -> str | None:
            text = text.strip()
            if not text:
                return None
            if setting.name == "zone":
                return settings.no_zone(text) or None
            return _no_folder(text)

        def take(text: str | None) -> None:
            if text is not None:
                text = text.strip()
                folder = setting.name == "runs" and text
                self._take(str(_path(text)) if folder else text)

        now = getattr(self.sft.settings.value, setting.name)
        self.sft.push_screen(Ask(setting.label, wrong, setting.help, now), take)

    def action_key_test(self) -> None:
        """Shows what the terminal sends."""
        from .key_test import KeyTest

        self.sft.push_screen(KeyTest())

    def action_token(self) -> None:
        """Asks for a token of the Hub, and asks the Hub again with it."""
        from .new.models.token_dialog import TokenDialog

        def take(name: str | None) -> None:
            if name is not None:
                self.action_again()
                self.did(f"Signed in as {one_line(name)}.")

        self.sft.push_screen(TokenDialog(), take)


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _no_folder(text: str) -> str | None:
    """Returns why no runs can lie in a folder, or None: one that is not there is made."""
    try:
        path = _path(text)
        if path.exists() and not path.is_dir():
            return "It is a file: type a folder."
        if path.joinpath("config.yaml").exists():
            return f"That is a run. Its folder of runs is {one_line(str(path.parent), 60)}."
    except (OSError, RuntimeError, ValueError) as error:
        return one_line(f"It cannot be used: {getattr(error, 'strerror', None) or error}.")
    return None
