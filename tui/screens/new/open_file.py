"""A YAML file in place of the draft."""

from pathlib import Path
from typing import TYPE_CHECKING

from ....core import config_file
from ....core.errors import SftError
from ....core.text import one_line
from ..dialogs import Ask

if TYPE_CHECKING:
    from ....core.config import RunConfig
    from ...app import SftApp


def ask_for_file(app: "SftApp") -> None:
    """Asks for a file, takes what it says as the draft, and shows Review."""

    def take(text: str | None) -> None:
        if text is None:
            return
        try:
            config = _load(text)
        except SftError as error:  # it was right when the box closed, and changed since
            app.tell(f"{error}. {error.remedy}")
            return
        replaced = app.drafts.take(config)
        app.show_step("review")
        back = " u brings the old draft back." if replaced else ""
        app.did(f"The draft is {one_line(text)} now.{back}")

    app.push_screen(
        Ask("Path of the YAML file (relative to where sft-tui was started)", _check), take
    )


def _load(text: str) -> "RunConfig":
    try:
        path = Path(text.strip()).expanduser()
    except RuntimeError as error:
        raise SftError(
            f"{text.strip()} cannot be read", "there is no such user", "write the whole path"
        ) from error
    return config_file.load(path)


def _check(text: str) -> str | None:
    """Returns what is wrong with the file, so that the box stays open until it is right."""
    try:
        _load(text)
    except SftError as error:
        return one_line(f"{error}", 400)
    return None
