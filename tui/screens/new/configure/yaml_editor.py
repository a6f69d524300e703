"""The draft as YAML in the user's own editor; what is wrong keeps the text and the old draft."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from .....core.config import ConfigError
from .....core.draft_text import from_text, to_text
from .....core.errors import SftError, UsageError
from .....core.regular import read_small
from .....core.text import one_line
from ....editor import edit as open_in_editor
from ....format import UNKNOWN

if TYPE_CHECKING:
    from ....app import SftApp

_LIMIT_BYTES = 1 << 17


def edit(app: "SftApp") -> None:
    """Opens the editor with the draft, or with the text that was refused before."""
    text = app.drafts.refused_text or to_text(app.drafts.draft)
    try:
        after = _edited(app, text)
    except SftError as error:
        app.tell(f"{error}. {error.remedy}")
        return
    if after == text and not app.drafts.refused_text:
        app.did("Nothing was changed in the editor.")
        return
    _take(app, after)


def _take(app: "SftApp", text: str) -> None:
    """Takes a text as the draft, or shows what is wrong with it."""
    try:
        config, lacks = from_text(text)
    except SftError as error:
        app.drafts.refused_text = text
        app.push_screen(Wrong(error), lambda answer: _answered(app, answer))
        return
    app.drafts.refused_text = ""
    changed = app.drafts.rewrite(config, lacks)
    app.did(
        "The draft is as the text says. u brings the old draft back."
        if changed
        else "The text says what the draft says."
    )


def _answered(app: "SftApp", answer: str | None) -> None:
    if answer == "again":
        edit(app)
    elif answer == "drop":
        app.drafts.refused_text = ""
        app.did("The text was thrown away; the draft is as it was.")
    else:
        app.did("The draft is as it was. The text is kept: e opens it again.")


def _edited(app: "SftApp", text: str) -> str:
    """Returns what the user made of a text.

    Raises:
        SftError: There is no editor, it failed, or it left no text.
    """
    descriptor, name = tempfile.mkstemp(prefix="sft-tui-", suffix=".yaml")
    path = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        open_in_editor(app, path)
        return read_small(path, _LIMIT_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            "what the editor left cannot be read", "it is not UTF-8 text", "save it as UTF-8"
        ) from error
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError("what the editor left cannot be read", why, "press e again") from error
    finally:
        path.unlink(missing_ok=True)


class Wrong(ModalScreen[str | None]):
    """Lists what is wrong with a text; the draft is as it was."""

    BINDINGS = [
        Binding("enter,e", "answer('again')", "Edit"),
        Binding("D", "answer('drop')", "Throw away"),
        Binding("escape,q", "answer('')", "Later"),
    ]

    def __init__(self, error: SftError) -> None:
        super().__init__()
        self._error = error

    def compose(self) -> ComposeResult:
        """Shows the problems, each with its line, and the keys."""
        count = len(self._error.problems) if isinstance(self._error, ConfigError) else 1
        problems = "1 problem" if count == 1 else f"{count} problems"
        with Vertical(classes="dialog"):
            yield Static(
                f"The text has {problems}; the draft is as it was.",
                classes="question",
                markup=False,
            )
            with VerticalScroll(id="wrong"):
                yield Static("\n".join(_lines(self._error)), markup=False)
            yield Static(
                "Enter edits the text again   Esc keeps it for later   D throws it away",
                classes="hint",
                markup=False,
            )

    def action_answer(self, answer: str) -> None:
        """Answers."""
        self.dismiss(answer or None)


def _lines(error: SftError) -> list[str]:
    if not isinstance(error, ConfigError):
        return [f"✗ {one_line(error.why)}"]
    return [
        f"✗ line {problem.line or UNKNOWN}: {one_line(problem.message)}"
        for problem in error.problems
    ]
