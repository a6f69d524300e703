"""The settings of the application: a small file beside the runs, written whole or not at all."""

import threading
from pathlib import Path
from typing import Literal

import msgspec

from ...core.errors import SftError
from ...core.regular import read_small
from ...core.rundir import home, put_aside, write_own


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the user chose."""

    theme: Literal["auto", "dark", "light", "16"] = "auto"
    glyphs: Literal["auto", "braille", "ascii"] = "auto"
    keys: dict[str, str] = {}
    """Keys in place of the declared ones, by the id of the action: `{"runs.open": "o"}`."""


class SettingsFile:
    """The settings and their file.

    Attributes:
        value: The settings as they are now.
        told: What is to be said about the file as it was found, or "".
    """

    def __init__(self) -> None:
        self.value, self.told = _load()
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


def _load() -> tuple[Settings, str]:
    """Reads the settings, and says what became of a file that cannot be read."""
    path = path_of()
    try:
        return msgspec.json.decode(read_small(path), type=Settings), ""
    except FileNotFoundError:
        return Settings(), ""
    except OSError as error:  # not ours to read, or no file at all: left where it is
        why = error.strerror or str(error)
        return Settings(), f"The settings cannot be read ({why}): the defaults are used."
    except ValueError as error:
        return Settings(), put_aside(path, "The settings", error)
