"""Opens a file in the user's editor, with the application out of the way."""

import os
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from ..core.errors import SftError

if TYPE_CHECKING:
    from textual.app import App


def edit(app: "App[None]", path: Path) -> None:
    """Opens a file in $VISUAL or $EDITOR, else vi, and returns when that ends.

    Raises:
        SftError: There is no such editor, it failed, or this terminal cannot be given away.
    """
    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    remedy = f"edit {path} in another window, then press r; EDITOR names the editor"
    try:
        with app.suspend():
            done = subprocess.run([*command, str(path)], check=False)
    except SuspendNotSupported as error:
        why = "this terminal cannot be given to another program"
        raise SftError("the editor was not opened", why, remedy) from error
    except OSError as error:
        why = f"{command[0]}: {error.strerror}"
        raise SftError("the editor was not opened", why, remedy) from error
    if done.returncode:
        why = f"{command[0]} ended with {done.returncode}"
        raise SftError("the editor failed", why, remedy)
