"""The settings of the application: a small file beside the runs, written whole or not at all.

Each is declared once, in `Settings`: the screen System and the palette list what stands there.
"""

import functools
import threading
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from ...core.errors import SftError
from ...core.regular import read_small
from ...core.rundir import home, moved_aside, put_aside, write_own
from ...core.text import one_line


@dataclass(frozen=True)
class About:
    """What a setting is called and means; `words` says what each of its values does.

    Without `words` its value is typed, and nothing typed is the `usual` one. What holds from the
    next start on is `later`.
    """

    label: str
    help: str
    words: Mapping[Any, str] | None = None
    later: bool = False
    usual: str = ""


@dataclass(frozen=True)
class Setting(About):
    """A declared setting: `name` is its key in the file."""

    name: str = ""

    @property
    def choices(self) -> tuple[Any, ...]:
        """Its values in their order; none where it is typed."""
        return tuple(self.words or ())


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the user chose."""

    theme: Annotated[
        Literal["auto", "dark", "light"],
        About(
            "Theme",
            "Where the terminal has more than 16 colours.",
            {
                "auto": "as the terminal's background is, where COLORFGBG says so",
                "dark": "dark",
                "light": "light",
            },
        ),
    ] = "auto"
    colour: Annotated[
        Literal["auto", "16", "none"],
        About(
            "Colour",
            "Every state has a word and a glyph as well.",
            {
                "auto": "what TERM, COLORTERM and NO_COLOR promise",
                "16": "the terminal's own 16 colours",
                "none": "no colours: bold, reverse and words",
            },
        ),
    ] = "auto"
    glyphs: Annotated[
        Literal["auto", "braille", "blocks", "ascii"],
        About(
            "Glyphs",
            "What curves and boxes are drawn with.",
            {
                "auto": "what the terminal can draw",
                "braille": "fine curves and boxes",
                "blocks": "curves of quarter cells, for fonts without braille",
                "ascii": "ASCII only",
            },
        ),
    ] = "auto"
    refresh: Annotated[
        Literal[1, 2, 4],
        About(
            "Refresh",
            "How often Monitor is drawn anew while a run goes on, at most.",
            {1: "once a second", 2: "twice a second", 4: "4 times a second"},
        ),
    ] = 2
    zone: Annotated[
        str,
        About(
            "Clock zone",
            "The zone of all times on screens, such as UTC or Europe/Berlin; nothing is that of "
            "this machine.",
            usual="local",
        ),
    ] = ""
    runs: Annotated[
        str,
        About(
            "Runs folder",
            "Where runs lie and new ones are written, for commands too; nothing is "
            "$SFT_TUI_HOME/runs. --runs goes before it.",
            usual="usual",
        ),
    ] = ""
    start: Annotated[
        Literal["home", "monitor"],
        About(
            "Start screen",
            "What `sft-tui` opens.",
            {"home": "Runs", "monitor": "Monitor, on the newest active run"},
            later=True,
        ),
    ] = "home"
    bell: Annotated[
        Literal["off", "failure", "end"],
        About(
            "Bell",
            "Rings while the application is open; tmux marks the window.",
            {
                "off": "never",
                "failure": "when a run fails or crashes",
                "end": "when a run ends, however it does",
            },
        ),
    ] = "off"
    mouse: Annotated[
        bool,
        About(
            "Mouse",
            "Nothing needs it. Off leaves selecting text to the terminal.",
            {True: "on", False: "off"},
            later=True,
        ),
    ] = True
    keys: dict[str, str] = {}
    """Keys in place of the declared ones, by the id of the action: `{"runs.open": "o"}`."""

    @property
    def runs_folder(self) -> Path | None:
        """The folder of the runs, None for the usual one."""
        return Path(self.runs) if self.runs else None

    def __post_init__(self) -> None:
        """Refuses a zone that nobody knows.

        Raises:
            ValueError: No zone has that name.
        """
        if self.zone and (wrong := no_zone(self.zone)):
            raise ValueError(wrong)


def no_zone(name: str) -> str:
    """Returns why a name is that of no zone, or ""."""
    import zoneinfo  # 10 ms, only where a zone is chosen

    try:
        zoneinfo.ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # not found; or no name that a file can have
        return f"No zone is called {name!r}: it is one such as UTC or Europe/Berlin"
    return ""


@functools.cache
def declared() -> tuple[Setting, ...]:
    """Returns every setting that has a value to choose or type, in the order of declaration."""
    found: list[Setting] = []
    for name, hint in typing.get_type_hints(Settings, include_extras=True).items():
        for about in getattr(hint, "__metadata__", ()):
            if isinstance(about, About):
                found.append(Setting(**vars(about), name=name))
    return tuple(found)


class SettingsFile:
    """The settings and their file.

    Attributes:
        value: The settings as they are now.
        told: What is to be said about the file as it was found, or "".
    """

    def __init__(self) -> None:
        found = load()
        self.value, self.told = found.value, _told(found)
        self._lock = threading.Lock()
        self._saver: threading.Thread | None = None
        self._failure = ""

    def change(self, **values: object) -> None:
        """Takes other values; a thread writes them, so that a slow disk holds up no key."""
        self.value = msgspec.structs.replace(self.value, **values)
        self._saver = threading.Thread(target=self._save, daemon=True)
        self._saver.start()

    def _save(self) -> None:
        with self._lock:  # each writes what is newest, in whatever order they come
            try:
                save(self.value)
            except SftError as error:
                self._failure = f"{error}. {error.remedy}"

    def failure(self) -> str:
        """Returns why a save failed, once."""
        failure, self._failure = self._failure, ""
        return failure

    def flush(self) -> None:
        """Waits until the last change is on the disk."""
        if self._saver is not None:
            self._saver.join(timeout=5.0)


def path_of() -> Path:
    """Returns the file of the settings."""
    return home() / "settings.json"


def save(settings: Settings) -> None:
    """Writes the file.

    Raises:
        SftError: The folder cannot be written.
    """
    write_own(path_of(), msgspec.json.format(msgspec.json.encode(settings), indent=2) + b"\n")


class Found(NamedTuple):
    """What the file holds: the settings that can be used, and why others cannot, by name."""

    value: Settings
    wrong: Mapping[str, str]
    error: Exception | None = None
    """Why the file cannot be used at all."""


def load() -> Found:
    """Reads the settings: each by itself, so that one which is wrong costs no other."""
    try:
        raw = msgspec.json.decode(read_small(path_of()), type=dict[str, Any])
    except FileNotFoundError:
        return Found(Settings(), {})
    except (OSError, ValueError) as error:
        return Found(Settings(), {}, error)
    wrong = {name: why for name in raw if (why := _wrong(name, raw[name]))}
    good = {name: value for name, value in raw.items() if name not in wrong}
    return Found(msgspec.convert(good, Settings), wrong)


def _wrong(name: str, value: object) -> str:
    """Returns why a setting cannot be used, or ""."""
    if name not in Settings.__struct_fields__:
        return "no setting is called so"
    try:
        msgspec.convert({name: value}, Settings)
    except msgspec.ValidationError as error:
        return str(error).partition(" - at ")[0]
    return ""


def unread(found: Found) -> str:
    """Returns what is to be said of a file that was left as it is, or "" where nothing is wrong."""
    if found.error is None:
        return _said(found.wrong)
    why = found.error.strerror if isinstance(found.error, OSError) else None
    return f"The settings cannot be read ({why or found.error}): the defaults are used."


def _said(wrong: Mapping[str, str]) -> str:
    """Returns which settings do not hold, and why."""
    if not wrong:
        return ""
    each = "; ".join(one_line(f"{name} ({why})", 120) for name, why in wrong.items())
    return f"Of the settings these do not hold: {each}. All others do."


def _told(found: Found) -> str:
    """Puts what is damaged aside; returns what is to be said, or "" where nothing is wrong.

    The file of settings of which some are wrong is kept, and one of the good ones written.
    """
    if isinstance(found.error, OSError):  # not ours to read, or no file at all: left where it is
        return unread(found)
    if found.error is not None:
        return put_aside(path_of(), "The settings", found.error)
    if not found.wrong:
        return ""
    said = _said(found.wrong)
    try:
        aside = moved_aside(path_of())
        save(found.value)
    except OSError as error:
        return f"{said} Their file cannot be put aside: {error.strerror}."
    except SftError as error:
        return f"{said} {error}."
    return f"{said} The file as it was is kept as {aside}."
