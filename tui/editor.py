"""Opens a file in the user's editor, with the application out of the way."""

import os
import shlex
import shutil
import signal
import subprocess
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from ..core.errors import SftError, UsageError
from ..core.text import one_line

if TYPE_CHECKING:
    from textual.app import App

_USUAL = ("vi", "nano")


def edit(app: "App[None]", path: Path) -> None:
    """Opens a file in $VISUAL or $EDITOR, else vi or nano, and returns when that ends.

    Raises:
        SftError: There is no such editor, it failed, or this terminal cannot be lent.
    """
    argv = command()
    # Ctrl+C in the editor is the editor's: with a handler of ours, the child has its own.
    before = signal.signal(signal.SIGINT, _let_pass)
    try:
        with app.suspend():
            code = subprocess.run([*argv, str(path)], check=False).returncode
    except SuspendNotSupported as error:
        raise SftError(
            "the editor cannot be opened here",
            "this terminal cannot be lent to another program",
            "edit a file in another window; O takes one as the draft",
        ) from error
    except OSError as error:
        raise SftError(
            f"the editor {one_line(argv[0], 60)} cannot be started",
            error.strerror or str(error),
            "set $EDITOR to one that is here",
        ) from error
    finally:
        signal.signal(signal.SIGINT, before)
    if code:
        raise SftError(f"the editor ended with {code}", "so nothing was taken", "open it again")


def command() -> list[str]:
    """Returns the command of the user's editor; a shell never sees it.

    Raises:
        SftError: There is none.
    """
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
