"""Review: everything that will happen on one page, the checks, and the launch."""

import asyncio
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.table import Table
from rich.text import Text
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from ....core import config_file
from ....core.config import RunConfig
from ....core.errors import SftError
from ....core.rundir import home, runs_folder, write_own
from ....core.summary import newest_config
from ....core.text import one_line
from ...keys import bindings
from ...review_text import Check, changes, checks_of, page
from ...theme import colours
from ..dialogs import Ask, write_asked
from .launching import Launching
from .step import StepScreen

if TYPE_CHECKING:
    from ....core.measurement import Measured
    from ....core.rundir import RunDir

_BESIDE_CHECKS = 16
"""Columns that labels, borders and the scroll bar take beside the checks."""
_CHANGES = 9
"""Changes since the last run that are named."""
_COLOURS = {"error": "error", "warning": "warning", "ok": "success"}


class ReviewScreen(StepScreen):
    """One page with all that a run will do; Enter starts it, unless a check refuses."""

    BINDINGS = bindings("review")
    scope = "review"

    class Prepared(Message):
        """What came from the disk: the file of the draft, and the run to compare with."""

        def __init__(
            self, config: RunConfig, written: bool, run: str, before: RunConfig | None
        ) -> None:
            super().__init__()
            self.config = config
            self.written = written
            self.run = run
            self.before = before

    def __init__(self) -> None:
        super().__init__()
        self._prepared: ReviewScreen.Prepared | None = None
        self._preparing: RunConfig | None = None
        self._measured: tuple[RunConfig, Measured] | None = None
        self._measuring = False
        self._launching = Launching(self)

    def step_body(self) -> Iterable[Widget]:
        """The page."""
        with VerticalScroll(id="review", classes="panel", can_focus=True):
            yield Static(id="review-page", markup=False)

    def on_mount(self) -> None:
        """Follows what all rows amount to."""
        self.query_one("#review").border_title = Text("Review")
        for service in (self.sft.checks, self.sft.effects):
            service.changed.subscribe(self, lambda _: self._draft_changed())

    def on_screen_resume(self) -> None:
        """Looks at the rows where that was ended, failed, or the files changed."""
        self.sft.checks.go_on()

    def on_screen_suspend(self) -> None:
        """Nothing starts behind another screen."""
        self._launching.withdraw("Review was left")

    @property
    def config(self) -> RunConfig | None:
        """The configuration of the run, None where something is missing or wrong."""
        config, problems = self.draft.checked()
        return None if problems or self.draft.missing() else config

    def checks(self) -> list[Check]:
        """What was looked at, what refuses the launch first."""
        draft = self.draft
        found = self.sft.effects.found
        return checks_of(self.config, draft.missing(), draft.problems(), self.sft.checks, found)

    def draft_changed(self) -> None:
        """Draws the page for the draft as it is now."""
        config = self.config
        if config is not None and config != self._preparing:
            self._preparing = config
            self.beside(lambda: self._prepare(config))
        self._launching.go_on()
        self._draw()

    def _draw(self) -> None:
        checks = self.checks()
        self.query_one("#review", VerticalScroll).border_title = Text(self._title(checks))
        self.query_one("#review-page", Static).update(self._text(checks))

    def _title(self, checks: list[Check]) -> str:
        wrong = [check for check in checks if check.severity == "error"]
        if wrong:
            return f"Not ready: {len(wrong)} to mend"
        if awaited := self._launching.awaited_rows():
            return f"{'Launches' if self._launching.waiting else 'Ready'} when {awaited}"
        return "Ready to launch"

    def _redraw(self) -> None:
        if self.is_current:
            self._draw()
            self.refresh_footer()

    def _text(self, checks: list[Check]) -> Table:
        rows = Table.grid(padding=(0, 1, 0, 0))  # so that long words break within their column
        rows.add_column(width=8, no_wrap=True, style="dim")
        rows.add_column(ratio=1)
        config = self.config
        if config is not None:
            folder = str(runs_folder(self.sft.runs_folder))
            found, measured = self.sft.effects.found, self._measure_of(config)
            for label, words in page(config, self.sft.checks, found, measured, folder):
                rows.add_row(label, Text(words))
            rows.add_row()
        for place, line in enumerate(self._check_lines(checks)):
            rows.add_row("" if place else "Checks", line)
        prepared = self._prepared
        if config is not None and prepared is not None and prepared.config == config:
            rows.add_row()
            if prepared.before is not None:
                differ = changes(config, prepared.before)
                more = f" · {len(differ) - _CHANGES} more" if len(differ) > _CHANGES else ""
                told = " · ".join(differ[:_CHANGES]) or "nothing"
                rows.add_row("Changed", Text(f"{told}{more}, since {prepared.run}"))
            if prepared.written:
                rows.add_row("Same as", Text(self.command()))
        return rows

    def _check_lines(self, checks: list[Check]) -> list[Text]:
        """Returns a line for each check; of those that are well as many share one as fit it."""
        well = [check for check in checks if check.severity == "ok"]
        lines = [Text(c.line(), self._colour(c)) for c in checks if c.severity != "ok"]
        joined: list[str] = []
        for line in (check.line() for check in well):
            together = f"{joined[-1]}  {line}" if joined else line
            if joined and len(together) <= self.size.width - _BESIDE_CHECKS:
                joined[-1] = together
            else:
                joined.append(line)
        return [*lines, *(Text(line, self._colour(well[0])) for line in joined)]

    def _colour(self, check: Check) -> str:
        return colours(self.sft.theme_variables).get(_COLOURS.get(check.severity, ""), "")

    def command(self) -> str:
        """The command that does the same without a screen."""
        return f"sft-tui train {shlex.quote(str(_draft_file()))}"

    def describe(self) -> str:
        """The run, the checks and the command in sentences."""
        config = self.config
        found = self.checks()
        checks = ". ".join(check.line() for check in found)
        if config is None:
            return f"Not ready: {checks}."
        folder = str(runs_folder(self.sft.runs_folder))
        rows = page(
            config, self.sft.checks, self.sft.effects.found, self._measure_of(config), folder
        )
        said = ". ".join(f"{label}: {words}" for label, words in rows)
        said = f"{self._title(found)}. {said}"
        return f"{said}. Checks: {checks}. The same without a screen: {self.command()}."

    def _measure_of(self, config: RunConfig) -> "Measured | None":
        """Returns what was measured of just this configuration."""
        known = self._measured
        return known[1] if known is not None and known[0] == config else None

    def copyable(self) -> str | None:
        """What `y` copies."""
        prepared = self._prepared
        return self.command() if prepared is not None and prepared.written else None

    def _prepare(self, config: RunConfig) -> None:
        """Writes the draft as a file for the command, and finds the run to compare with."""
        written = True
        try:
            write_own(_draft_file(), config_file.to_yaml(config).encode())
        except SftError as error:
            written = False
            self.sft.call_from_thread(self.sft.tell, f"{error}. {error.remedy}")
        run = self._other_run()
        before = newest_config(run)[0] if run is not None else None
        self.deliver(self.Prepared(config, written, run.id if run is not None else "", before))

    def _other_run(self) -> "RunDir | None":
        runs = self.sft.all_runs()
        copied = [run for run in runs if run.id == self.draft.copied_from]
        return next(iter([*copied, *runs]), None)

    def on_review_screen_prepared(self, message: Prepared) -> None:
        """Shows what came from the disk."""
        self._prepared = message
        self._draw()
        self.refresh_footer()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides what the draft does not allow yet."""
        if not self.is_mounted:
            return True
        if action in ("measure", "save"):
            return self.config is not None
        if action in ("launch", "queue", "withdraw"):
            return (self._launching.waiting is None) == (action != "withdraw")
        if action == "accept":
            return bool(self._can_pass())
        return super().check_action(action, parameters)

    def action_launch(self) -> None:
        """Starts the run once all is known; what refuses it is shown where it can be mended."""
        self._launching.begin()
        self._redraw()

    def action_queue(self) -> None:
        """Lets the run wait for those before it, once all is known that could refuse it."""
        self._launching.begin(later=True)
        self._redraw()

    def action_withdraw(self) -> None:
        """Does not launch yet."""
        self._launching.withdraw("Esc was pressed")
        self._redraw()

    def action_edit_yaml(self) -> None:
        """Edits the draft; nothing starts meanwhile."""
        self._launching.withdraw("the draft was edited")
        super().action_edit_yaml()

    def _can_pass(self) -> list[str]:
        return [c.id for c in self.checks() if c.severity == "error" and c.id]

    def action_accept(self) -> None:
        """Lets problems of the data pass, by their names; the run records them."""
        ids = self._can_pass()

        def wrong(text: str) -> str | None:
            names = _names(text)
            unknown = [name for name in names if name not in ids]
            if names and not unknown:
                return None
            typed = one_line(unknown[0] if unknown else text, 40)
            return f"Type one or more of: {', '.join(ids)}; you typed {typed!r}."

        def take(text: str | None) -> None:
            if text is not None:
                known = self.draft.value("data.ignore_problems")
                self.drafts.set("data.ignore_problems", [*known, *_names(text)])

        self.sft.push_screen(
            Ask(
                "Type the names of the problems that may not refuse the launch",
                wrong,
                f"{', '.join(ids)}\nIt is written to the configuration of the run.",
            ),
            take,
        )

    def action_measure(self) -> None:
        """Takes two real steps on the largest micro-batch; a second press ends them."""
        config = self.config
        if config is None:
            return
        if self._measuring:
            self.end_measure()
            return
        self._measuring = True
        self.notice = "Measuring two steps on the largest micro-batch. M ends it."
        self.run_worker(self._measure(config), group="measure", exit_on_error=False)

    def end_measure(self) -> None:
        """Ends the two steps that are measured, if any."""
        cast(Any, self.workers).cancel_group(self, "measure")

    async def _measure(self, config: RunConfig) -> None:
        from ....core.measurement import Measured
        from ....core.sidecar.measure_calls import ToMeasure

        try:
            found = await self.sft.passes.ask(
                "measured", ToMeasure(config), Measured, end_when_cancelled=True
            )
        except SftError as error:
            self.notice = one_line(f"{error}. {error.remedy}")
        except asyncio.CancelledError:
            self.did("Measuring was ended.")
            raise
        else:
            self._measured = config, found
            self.did(f"Measured on {found.device}.")
            self._draw()
        finally:
            self._measuring = False

    def action_save(self) -> None:
        """Asks for a path and writes the configuration there."""
        config = self.config
        if config is None:
            return

        def take(text: str | None) -> None:
            if text is not None:
                self.did(f"Saved. The same without a screen: sft-tui train {text}")

        def save(text: str) -> str | None:
            content = config_file.to_yaml(config, comments=True).encode()
            return write_asked(text, lambda: content, "run.yaml")

        self.sft.push_screen(Ask("Path of the YAML file to write", save), take)


def _draft_file() -> Path:
    return home() / "draft.yaml"


def _names(text: str) -> list[str]:
    """Returns the names that were typed, once each; commas or spaces part them."""
    return list(dict.fromkeys(text.replace(",", " ").split()))
