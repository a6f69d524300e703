"""What the application does on every screen: look, keys of the user's choice, help, palette.

It knows the frame that all screens share, and nothing of runs.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from textual.app import App
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.events import Event, Key, Paste
from textual.filter import LineFilter
from textual.message_pump import MessagePump
from textual.signal import Signal
from textual.widgets import Input

from ..core.text import one_line
from .key_gate import KeyGate
from .keys import Key as DeclaredKey
from .look import Look
from .one_reader import OneReader
from .services.settings import Settings, SettingsFile
from .theme import THEMES
from .widgets.frame import FrameScreen

if TYPE_CHECKING:
    from textual.actions import ActionParseResult
    from textual.dom import DOMNode

THRESHOLDS = (700, 10, 100)
"""Of the garbage collector: what lives long is looked through ten times more seldom."""
SETTINGS_S = 1.0
"""How often it is looked whether the settings could not be saved."""


def _on_one_line(text: str) -> str:
    return " ".join(line for line in text.splitlines() if line.strip())


class SharedApp(App[None]):
    """The base of the application."""

    ENABLE_COMMAND_PALETTE = False

    lasts = False
    """Whether it is the only one of its process: its screens are never given up, and looking
    through all of them for garbage again and again would hold up keys by 0.1 s each time."""

    def __init__(self) -> None:
        self.look = Look()
        super().__init__()
        for theme in THEMES:
            self.register_theme(theme)  # here: the style sheets use their variables
        self.settings = SettingsFile()
        self.look.follow(self.settings.value)
        self.settings_changed: Signal[Settings] = Signal(self, "settings")
        """Tells screens of other settings."""
        self._dress()
        self.remapped: dict[str, DeclaredKey] = {}
        self._gate = KeyGate(self, self._give)
        self.owes = False
        """Whether keys that are typed ahead are for a screen that is about to be shown."""
        self.keys_given = 0
        """How many keys were pressed so far, without those that are typed ahead."""
        self._told = self._take_keys() or self.settings.told

    def get_driver_class(self) -> type[Driver]:
        """Returns what reads and writes the terminal; what `TEXTUAL_DRIVER` names stays."""
        driver = super().get_driver_class()
        return OneReader if driver is LinuxDriver else driver

    def on_mount(self) -> None:
        """Says what became of the settings."""
        self.set_interval(SETTINGS_S, self._tell_failure)
        if self._told:
            self.call_after_refresh(self.tell, self._told)

    async def on_unmount(self) -> None:
        """Waits until the last change of the settings is on the disk."""
        self.settings.flush()

    def _tell_failure(self) -> None:
        if failure := self.settings.failure():
            self.tell(failure)

    async def on_event(self, event: Event) -> None:
        """Lets keys through one after the other; all else as it comes."""
        if isinstance(event, Key | Paste) and not event.is_forwarded:
            await self._gate.take(event)
        else:
            await super().on_event(event)

    async def _give(self, event: Event) -> MessagePump:
        self.keys_given += 1
        target = self.focused or self.screen
        if isinstance(event, Paste) and isinstance(target, Input):
            event = Paste(_on_one_line(event.text))  # a box would keep the first line alone
        await super().on_event(event)
        return target

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Returns what every line goes through before it is drawn."""
        return self.look.filters(super().get_line_filters())

    def choose(self, **values: object) -> None:
        """Takes other settings, at once and for later."""
        self.settings.change(**values)
        self.look.follow(self.settings.value)
        self._dress()
        self.settings_changed.publish(self.settings.value)
        for screen in self.screen_stack:
            screen.refresh(layout=True)

    def _dress(self) -> None:
        """Takes the theme, and whether there are colours at all."""
        had, self.no_color = self.no_color, self.look.colourless
        self.theme = self.look.theme.name
        if had != self.no_color and self.is_running:
            self.refresh_css(animate=False)  # some styles stand in for colours

    def _take_keys(self) -> str:
        """Takes the keys of the settings; returns which were refused and why, or ""."""
        if not self.settings.value.keys:
            return ""
        from .remap import remap

        self.remapped, refused = remap(self.settings.value.keys)
        self.set_keymap({key.id: ",".join(key.keys) for key in self.remapped.values()})
        return f"Keys of the settings: {'; '.join(refused)}." if refused else ""

    def tell(self, text: str) -> None:
        """Says what was refused or failed on the screen that is seen, until more is said."""
        screen = self.frame
        if screen is not None:
            screen.notice = one_line(text)

    def did(self, text: str) -> None:
        """Says news, such as what a key did, on the screen that is seen, until the next key."""
        screen = self.frame
        if screen is not None:
            screen.did(text)

    async def run_action(
        self,
        action: "str | ActionParseResult",
        default_namespace: "DOMNode | None" = None,
        namespaces: "Mapping[str, DOMNode] | None" = None,
    ) -> bool:
        """Does what a key asks for; what an earlier key did need not be said any longer."""
        screen = self.frame
        deed = screen.deed if screen is not None and screen is self.screen else None
        done = await super().run_action(action, default_namespace, namespaces)
        if done and screen is not None and self.screen is self.frame:  # no dialog asks now
            screen.forget(deed)
        return done

    @property
    def frame(self) -> FrameScreen | None:
        """The screen that is seen, also where a dialog lies over it."""
        frames = [screen for screen in self.screen_stack if isinstance(screen, FrameScreen)]
        return frames[-1] if frames else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides what the screen that is seen has no use for."""
        screen = self.frame
        if screen is None or not screen.is_mounted:
            return True
        match action:
            case "describe":
                return screen.describes() or bool(screen.notice)
            case "copy":
                return screen.copyable() is not None
            case "maximise":
                return screen.panel is not None
            case "focus_next" | "focus_previous":
                return len(screen.focus_chain) > 1
            case _:
                return True

    def action_help(self) -> None:
        """Shows the keys of this screen."""
        from .screens.help import HelpScreen

        if (screen := self.frame) is not None:
            self.push_screen(HelpScreen.of(screen))

    def action_palette(self) -> None:
        """Asks for any action, run, field or setting by name."""
        from .screens.palette import Palette

        if (screen := self.frame) is not None:
            self.push_screen(Palette(screen), lambda run: run() if run is not None else None)

    def action_describe(self) -> None:
        """Says in words what the focused panel shows."""
        from .screens.describe import Describe

        if (screen := self.frame) is not None:
            self.push_screen(Describe(screen))

    def action_copy(self) -> None:
        """Copies what the screen offers."""
        if (screen := self.frame) is not None and (text := screen.copyable()) is not None:
            screen.copy(text)

    def action_maximise(self) -> None:
        """Shows the focused panel alone, or all panels again."""
        if (screen := self.frame) is not None:
            screen.maximized = None if screen.maximized else screen.panel

    def action_redraw(self) -> None:
        """Draws everything anew, whatever the terminal shows now."""
        self.screen.refresh(layout=True)

    def action_copy_or_tell(self) -> None:
        """Ctrl+C copies a selection and never ends anything."""
        selected = self.screen.get_selected_text()
        if selected:
            self.copy_to_clipboard(selected)
            self.did("Copied.")
        else:
            self.did("q leaves; training goes on.")
