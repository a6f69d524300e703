"""The user's editor, with the application out of the way while it is open."""

import os
import shlex
import shutil
import signal
import subprocess
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from ..core.errors import UsageError
from ..core.text import one_line

if TYPE_CHECKING:
    from textual.app import App

_USUAL = ("vi", "nano")


def open_in_editor(app: "App[None]", path: Path) -> None:
    """Lends the terminal to the user's editor until it ends.

    Raises:
        SftError: There is no editor, it failed, or this terminal cannot be lent.
    """
    argv = [*_editor(), str(path)]
    # Ctrl+C in the editor is the editor's: with a handler of ours, the child has its own.
    before = signal.signal(signal.SIGINT, _let_pass)
    try:
        with app.suspend():
            code = subprocess.run(argv, check=False).returncode
    except SuspendNotSupported as error:
        raise UsageError(
            "the editor cannot be opened here",
            "this terminal cannot be lent to another program",
            "use another window: EDITOR names the editor",
        ) from error
    except OSError as error:
        raise UsageError(
            f"the editor {one_line(argv[0], 60)} cannot be started",
            error.strerror or str(error),
            "set $EDITOR to one that is here",
        ) from error
    finally:
        signal.signal(signal.SIGINT, before)
    if code:
        raise UsageError(f"the editor ended with code {code}", "so nothing was taken", "try again")


def _editor() -> list[str]:
    """Returns the command of the user's editor."""
    for variable in ("VISUAL", "EDITOR"):
        said = os.environ.get(variable, "").strip()
        if said:
            try:
                return shlex.split(said)
            except ValueError as error:
                raise UsageError(
                    f"${variable} is no command", f"{one_line(said, 60)}: {error}", "set it right"
                ) from error
    found = next((name for name in _USUAL if shutil.which(name)), None)
    if found is None:
        raise UsageError(
            "there is no editor", "neither vi nor nano is here", "set $EDITOR to one that is"
        )
    return [found]


def _let_pass(number: int, frame: FrameType | None) -> None:
    """Does nothing about a signal."""
