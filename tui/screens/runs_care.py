"""What Runs does with a run that is kept: its note, and its removal. A question comes first."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

# What only an action needs is imported inside it, so that the first screen is painted sooner.
from ...core.errors import SftError
from ...core.rundir import RunDir, runs_folder
from ...core.text import one_line

if TYPE_CHECKING:
    from ...core.removal import Loss
    from ..app import SftApp
    from .runs import RunsScreen


_BOX = 60
"""Characters that the box of a note shows at once."""


class RunCare:
    """Asks on behalf of Runs; what came of it is said on the notice line."""

    def __init__(self, screen: "RunsScreen") -> None:
        self._screen = screen

    def note(self, run: RunDir, shown: str | None) -> None:
        """Asks for the note, which is `shown` so far; it is kept in the run's folder."""
        from ...core.notes import LONGEST, write_note
        from .dialogs import Ask

        def wrong(text: str) -> str | None:
            if len(text) > LONGEST:
                return f"It has {len(text)} characters; at most {LONGEST} fit."
            try:
                write_note(run, text, shown)
            except SftError as error:
                return one_line(f"{error}. {error.remedy}")
            return None

        question = Ask(
            f"Note on {one_line(run.id)}",
            wrong,
            "One line, kept in the run's folder; an empty line takes the note away."
            + (f"\n\nNow: {shown}" if len(shown or "") > _BOX else ""),
            shown or "",
        )
        self._screen.sft.push_screen(question, partial(self._noted, run))

    def _noted(self, run: RunDir, text: str | None) -> None:
        if text is not None:
            kept = "kept" if text.strip() else "gone"
            self._screen.did(f"The note on {run.id} is {kept}.")
            self._screen.scan()

    def delete(self, run: RunDir) -> None:
        """Looks at what goes, in a thread, then asks for the last letters of the id."""

        def look() -> None:
            from ...core.removal import loss_of

            try:
                loss = loss_of(run)
            except SftError as error:
                self._screen.deliver(self._screen.Said(f"{error}. {error.remedy}.", wrong=True))
                return
            self._screen.sft.call_from_thread(self._ask, run, loss)

        self._screen.beside(look)

    def _ask(self, run: RunDir, loss: "Loss") -> None:
        from ...core.removal import letters_of
        from .dialogs import Ask

        letters = letters_of(run)

        def wrong(text: str) -> str | None:
            if text.strip() == letters:
                return None
            return f"Type {letters} to delete the run, or Esc to keep it."

        said = "\n".join([*loss.words(), "What was exported elsewhere stays."])
        question = Ask(f"Delete {one_line(run.id)}? Type its last four letters", wrong, said)
        self._screen.sft.push_screen(question, partial(self._delete, run))

    def _delete(self, run: RunDir, text: str | None) -> None:
        if text is None:
            return

        def remove() -> None:
            from ...core.removal import remove

            try:
                remove(run)
                said = self._screen.Said(f"{run.id} is deleted.")
            except SftError as error:
                said = self._screen.Said(f"{error}. {error.remedy}.", wrong=True)
            self._screen.deliver(said)
            self._screen.scan()

        self._screen.did(f"Deleting {run.id}.")
        self._screen.beside(remove)


def ask_for_folder(app: "SftApp", take: "Callable[[Path], None]") -> None:
    """Asks for a folder of runs, such as one on shared storage."""
    from .dialogs import Ask

    def path_of(text: str) -> Path:
        return Path(text.strip()).expanduser().absolute()

    def wrong(text: str) -> str | None:
        try:
            if not text.strip():
                return "Type the path of a folder."
            path = path_of(text)
            with os.scandir(path):
                pass
        except (OSError, RuntimeError, ValueError) as error:
            return one_line(f"It cannot be read: {getattr(error, 'strerror', None) or error}.")
        if path.joinpath("config.yaml").exists():
            return f"That is a run. Its folder of runs is {one_line(str(path.parent), 60)}."
        return None

    app.push_screen(
        Ask(
            "Runs of which folder?",
            wrong,
            "Also of other hosts and users, on storage that you share with them.",
            str(runs_folder(app.runs_folder)),
        ),
        lambda text: take(path_of(text)) if text is not None else None,
    )
