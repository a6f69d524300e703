"""The draft as YAML in the user's own editor; what is wrong keeps the text and the old draft."""

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from textual.app import ComposeResult, SuspendNotSupported
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from ....core.config import ConfigError
from ....core.draft_text import from_text, to_text
from ....core.errors import SftError, UsageError
from ....core.regular import read_small
from ....core.text import one_line
from ...format import UNKNOWN

if TYPE_CHECKING:
    from ...app import SftApp

_USUAL = ("vi", "nano")
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
        app.tell("Nothing was changed in the editor.")
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
    before = app.drafts.draft.values
    app.drafts.take(config, app.drafts.draft.copied_from, lacks=lacks)
    same = app.drafts.draft.values == before
    app.tell(
        "The text says what the draft says."
        if same
        else "The draft is as the text says. Undo (u) on Configure brings the old back."
    )


def _answered(app: "SftApp", answer: str | None) -> None:
    if answer == "again":
        edit(app)
    elif answer == "drop":
        app.drafts.refused_text = ""
        app.tell("The text was thrown away; the draft is as it was.")
    else:
        app.tell("The draft is as it was. The text is kept: e opens it again.")


def _edited(app: "SftApp", text: str) -> str:
    """Returns what the user made of a text.

    Raises:
        SftError: There is no editor, it failed, or it left no text.
    """
    argv = _editor()
    descriptor, name = tempfile.mkstemp(prefix="sft-tui-", suffix=".yaml")
    path = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        _run(app, [*argv, name])
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


def _run(app: "SftApp", argv: list[str]) -> None:
    """Lends the terminal to the editor until it ends."""
    # Ctrl+C in the editor is the editor's: with a handler of ours, the child has its own.
    before = signal.signal(signal.SIGINT, _let_pass)
    try:
        with app.suspend():
            code = subprocess.run(argv).returncode
    except SuspendNotSupported as error:
        raise UsageError(
            "the editor cannot be opened here",
            "this terminal cannot be lent to another program",
            "edit a file, and take it with O",
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
        raise UsageError(
            f"the editor ended with code {code}", "so nothing was taken", "press e to edit again"
        )


def _let_pass(number: int, frame: FrameType | None) -> None:
    """Does nothing about a signal."""


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
