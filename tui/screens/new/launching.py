"""The launch from Review: it waits for what may refuse it, asks about warnings, and starts."""

from typing import TYPE_CHECKING

from ....core.config import RunConfig
from ....core.errors import SftError
from ....core.text import one_line
from ...format import percent
from ...review_text import Check
from ..dialogs import Confirm

if TYPE_CHECKING:
    from .review import ReviewScreen


class Launching:
    """Launches the draft of Review once all is known that the trainer would refuse it for.

    Args:
        screen: Review, which says what is known.

    Attributes:
        waiting: The configuration that is launched as soon as nothing can refuse it, or None.
    """

    def __init__(self, screen: "ReviewScreen") -> None:
        self._screen = screen
        self.waiting: RunConfig | None = None
        self._later = False

    def begin(self, *, later: bool = False) -> None:
        """Launches, now or as soon as all rows were looked at; begins that where it was ended.

        Args:
            later: Lets the run wait in the queue until those before it have ended.
        """
        self._later = later
        checks = self._screen.sft.checks
        if checks.cancelled:
            checks.again()
        else:
            checks.look()  # the files may have changed since
        self.waiting = self._screen.config
        if self.waiting is None:
            self._refuse()
        self.go_on()

    def go_on(self) -> None:
        """Does the next thing for a launch that waits: something became known."""
        screen, config = self._screen, self.waiting
        if config is None:
            return
        if config != screen.config:
            self.withdraw("the draft was changed")
            return
        if self._refuse():
            return
        screen.sft.effects.look()  # what a pass counted changes what the run needs
        awaited = self.awaited_rows()
        if not awaited and screen.sft.effects.waiting:
            awaited = "it is known what the run needs"
        if awaited:
            does = "Queues" if self._later else "Launches"
            screen.notice = f"{does} when {awaited} · Esc not yet"
            return
        self._wait_no_more()
        self._confirm(config)

    def awaited_rows(self) -> str:
        """Returns what is still to be known of the rows, or ""."""
        checks = self._screen.sft.checks
        if checks.settled:
            return ""
        share = f" ({percent(checks.progress.share)})" if checks.progress.rows else ""
        return f"all rows were looked at{share}"

    def withdraw(self, why: str) -> None:
        """Does not launch what waits for it, and says so on the screen that is seen."""
        if self.waiting is None:
            return
        self.waiting = None
        self._screen.notice = f"Not launched: {why}. Enter on Review launches."
        self._screen.sft.tell(self._screen.notice)

    def _wait_no_more(self) -> None:
        self.waiting = None
        self._screen.notice = ""  # which said what is waited for

    def _refuse(self) -> bool:
        """Leads to the first thing that refuses the launch; returns whether there is any."""
        refusing = [check for check in self._screen.checks() if check.severity == "error"]
        if refusing:
            self._wait_no_more()
            self._go_to(refusing[0])
        return bool(refusing)

    def _go_to(self, check: Check) -> None:
        """Shows where a check can be mended, and says why it leads there."""
        app = self._screen.sft
        passing = f" {check.id} (> > a lets it pass):" if check.id else ""
        said = one_line(f"Not launched:{passing} {check.text}.")
        if check.field:
            app.show_field(check.field)
        elif check.step:
            app.show_step(check.step)
        app.tell(said)
        if check.step == "preview":
            app.call_after_refresh(self._show_problem, check.id, said)

    def _show_problem(self, name: str, said: str) -> None:
        """Leads to the rows of a problem, once Preview is put together."""
        show = getattr(self._screen.sft.frame, "show_problem", None)
        if show is not None:
            show(name, said)

    def _confirm(self, config: RunConfig) -> None:
        """Starts the run; where there is something to be warned of, after one more Enter."""
        warnings = [c.line() for c in self._screen.checks() if c.severity == "warning"]
        if not warnings:
            self._start(config)
            return
        many = "a warning" if len(warnings) == 1 else f"{len(warnings)} warnings"
        self._screen.sft.push_screen(
            Confirm(
                f"{'Queue' if self._later else 'Launch'} with {many}?", "\n".join(warnings[:8])
            ),
            lambda yes: self._start(config) if yes else None,
        )

    def _start(self, config: RunConfig) -> None:
        from ....core import launch

        screen = self._screen
        if self._later:
            self._enqueue(config)
            return
        screen.end_measure()  # the two would want the memory at the same time
        screen.sft.start_run(lambda: launch.start(config, screen.sft.runs_folder))

    def _enqueue(self, config: RunConfig) -> None:
        from ....core import run_queue

        app = self._screen.sft
        try:
            entry = run_queue.add(config, app.runs_folder)
        except SftError as error:
            self._screen.notice = one_line(f"{error}. {error.remedy}")
            return
        app.switch_mode("runs")
        app.did(f"{entry.id} waits: it starts when its devices are free. Leaving is safe.")
