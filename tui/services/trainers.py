"""The trainers that this application starts beside its event loop, shows in Monitor, and reaps."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...core.last_words import last_words
from ..off_loop import off_loop

if TYPE_CHECKING:
    from ...core.launch import Trainer
    from ..app import SftApp

REAP_S = 0.5
"""How often it is looked for trainers that ended."""


class Trainers:
    """Starts trainers, one at a time; they go on where the application ends.

    Args:
        app: The application.
    """

    def __init__(self, app: "SftApp") -> None:
        self._app = app
        self._living: list[Trainer] = []

    def start(self, begin: Callable[[], "Trainer"]) -> None:
        """Starts a trainer and shows it in Monitor; a failure is said on the notice line.

        Args:
            begin: Looks at files and starts a process: a disk that is slow must not hold up keys.
        """
        app, frame = self._app, self._app.frame
        if app.owes or frame is None:
            app.did("A run is being started already: wait until it is shown.")
            return

        def over() -> None:
            app.owes = False

        app.owes = True
        off_loop(frame, begin, self._show, over)

    def _show(self, trainer: "Trainer") -> None:
        from ..screens.monitor import MonitorScreen

        app = self._app
        self._living.append(trainer)
        app.watched = trainer.run
        app.switch_mode("monitor")
        screen = app.screen
        if isinstance(screen, MonitorScreen) and screen.is_mounted:  # a new one takes it by itself
            screen.watch_run(trainer.run)  # anew, also where it was watched before it went on
        app.did("The run belongs to this machine, not to this window: closing it is safe.")

    def reap(self) -> None:
        """Reaps trainers that have ended, and tells of one that never began."""
        living: list[Trainer] = []
        for trainer in self._living:
            code = trainer.poll()
            if code is None:
                living.append(trainer)
            elif (full := trainer.no_room) is not None:
                self._app.tell(f"{full}. {full.remedy}")
            elif code and not trainer.run.events.exists():
                self._app.tell(
                    f"The trainer ended (code {code}) before its first event. "
                    f"Last line of its log: {last_words(trainer.run)}"
                )
        self._living = living
