"""Rings the terminal's bell when a run ends, whatever screen is seen, where the settings say so."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...core.errors import SftError
from ...core.status import ACTIVE
from ...core.text import one_line
from ..theme import badge

if TYPE_CHECKING:
    from ...core.run_index import RunIndex
    from ..app import SftApp

LOOK_S = 2.0
_FAILURES = ("failed", "crashed")


class Ringer:
    """Knows which runs were at work when it last looked."""

    def __init__(self, app: "SftApp") -> None:
        self._app = app
        self._index: RunIndex | None = None
        self._at_work: set[str] = set()
        self._looking = False

    def look(self) -> None:
        """Looks in a thread, where the bell is wanted and no look is under way."""
        frame = self._app.frame
        if self._app.settings.value.bell == "off":
            self._index, self._at_work = None, set()  # what ended meanwhile is no news
        elif frame is not None and not self._looking:
            self._looking = True
            frame.beside(self._look)

    def _look(self) -> None:
        from ...core.run_index import RunIndex  # 40 ms with what it reads configurations with

        folder, wanted = self._app.runs_folder, self._app.settings.value.bell
        if self._index is None or self._index.folder != folder:
            self._index, self._at_work = RunIndex(folder), set()
        try:
            status = {summary.id: summary.status for summary in self._index.refresh()}
        except (OSError, SftError):
            return  # the screens that show the runs say so
        finally:
            self._looking = False
        for run in self._at_work:
            word = status.get(run, "unknown")
            if word in _FAILURES or (wanted == "end" and word not in (*ACTIVE, "unknown")):
                say = self._app.tell if word in _FAILURES else self._app.did
                self._app.call_later(self._ring, say, f"{one_line(run)} is {badge(word)}.")
        self._at_work = {run for run, word in status.items() if word in ACTIVE}

    def _ring(self, say: Callable[[str], None], said: str) -> None:
        self._app.bell()
        say(said)
