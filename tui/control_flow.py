"""What Runs and Monitor share: asking a run's trainer for something, resuming, duplicating."""

import re
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

# What only an action needs is imported inside it, so that the first screen is painted sooner.
from ..core import control
from ..core.errors import SftError
from ..core.rundir import RunDir
from ..core.status import Status, newest_checkpoint, refuse_unheard
from ..core.text import one_line
from .off_loop import AfterLook, off_loop

if TYPE_CHECKING:
    from ..core.config import RunConfig
    from ..core.launch import Trainer
    from .app import SftApp
    from .key import Key
    from .widgets.frame import FrameScreen

_RATE_MEANS = (
    "A number > 0 and ≤ 1, such as 1e-4. The schedule goes on from it; while the rate still "
    "warms up, it is the rate to warm up to."
)
_END_MEANS = (
    "More than the run has now. The learning rate goes on from where it is and falls until then."
)
READ_ONLY = "Read-only: this folder is not yours to write."
_STILL = (
    "The run can be neither resumed nor given more steps. E exports it, d starts a new run like it."
)
_OF_ENDED = ("export", "resume", "duplicate", "control")
RESUMABLE = ("stopped", "paused", "failed", "crashed")


class RunControl:
    """Asks on behalf of a screen; everything that happens is said on its notice line."""

    def __init__(self, screen: "FrameScreen") -> None:
        self._screen = screen
        self.after_look = AfterLook(screen)

    @property
    def _app(self) -> "SftApp":
        return self._screen.sft

    def menu(
        self,
        run: RunDir,
        learning_rate: float | None,
        status: Status,
        writable: bool,
        end: int | None = None,
    ) -> None:
        """Opens the control menu of a run: what its state allows, and nothing else.

        Args:
            run: The run.
            learning_rate: Its rate now, where that is known.
            status: Its status when it was last read.
            writable: Whether it takes commands of this user.
            end: The last step of the whole run, where that is known.
        """
        if may_go_on(status) and writable:
            self._menu_of_ended(run, status, end)
            return
        if may_go_on(status):
            self._refuse(f"{READ_ONLY} {_STILL}")
            return
        if not status.active:
            self._refuse(f"{run.id} is {status.word}: no trainer is at work to be asked.")
            return
        if not writable:
            self._refuse("You can watch but not control: the run folder is not yours to write.")
            return
        from .screens.dialogs import Choose

        choices = [
            ("s", "stop and save"),
            ("c", "checkpoint now"),
            ("e", "evaluate now"),
            ("a", "answer the fixed prompts now"),
            ("l", "learning rate"),
            ("m", "more steps"),
            ("p", "pause: save, free memory"),
            ("d", "dump stack traces into the log"),
            ("k", "kill without saving"),
        ]
        if status.word in ("stopping", "pausing"):
            choices = choices[-2:]
        chosen = partial(self._chosen, run, learning_rate, end)
        self._app.push_screen(Choose(f"Control {run.id}", choices), chosen)

    def _menu_of_ended(self, run: RunDir, status: Status, end: int | None) -> None:
        from ..core import footing
        from .screens.dialogs import Choose

        def chosen(letter: str | None) -> None:
            if letter == "r":
                self.resume(run)
            elif letter == "m":
                ask = partial(self._ask_later_end, run, end)
                self.after_look(lambda: footing.lost_checkpoints(run), ask)

        choices = [("m", "more steps: give it a later end, and go on")]
        if can_resume(status):
            choices.insert(0, ("r", "resume from the newest checkpoint, else from step 0"))
        self._app.push_screen(Choose(f"Control {run.id}", choices), chosen)

    def _ask_later_end(self, run: RunDir, end: int | None, lost: str) -> None:
        from .screens.dialogs import Ask

        now = f" (now {end})" if end else ""
        anew = f" It begins anew, at step 0: {one_line(lost)}." if lost else ""
        question = Ask(
            f"New end of the whole run, in steps{now}",
            partial(_later_end, end),
            f"{one_line(run.id)}: {_END_MEANS} It starts at once.{anew}",
        )
        self._app.push_screen(question, partial(self._extend, run))

    def _extend(self, run: RunDir, text: str | None) -> None:
        if text is not None:
            self._app.start_run(partial(_with_end, run, int(text)))

    def _chosen(
        self, run: RunDir, learning_rate: float | None, end: int | None, letter: str | None
    ) -> None:
        from .screens.dialogs import Ask, Confirm

        name = one_line(run.id)
        match letter:
            case "s":
                question = Confirm(
                    "Stop after this step and save?",
                    f"{name}: a checkpoint and the adapter are written.",
                )
                self._app.push_screen(question, partial(self._ask_if, run, "stop"))
            case "p":
                question = Confirm(
                    "Pause after this step?",
                    f"{name}: a checkpoint is written and the device is free. R resumes.",
                )
                self._app.push_screen(question, partial(self._ask_if, run, "pause"))
            case "c" | "e" | "a" | "d":
                commands = {"c": "checkpoint", "e": "evaluate", "a": "sample", "d": "dump"}
                self.ask(run, commands[letter])
            case "m":
                now = f" (now {end})" if end else ""
                question = Ask(
                    f"New end of the whole run, in steps{now}",
                    partial(_later_end, end),
                    f"{name}: {_END_MEANS}",
                )
                self._app.push_screen(question, partial(self._ask_end, run))
            case "l":
                now = f" (now {learning_rate:.3g})" if learning_rate else ""
                question = Ask(f"Learning rate from now on{now}", _rate, f"{name}: {_RATE_MEANS}")
                self._app.push_screen(question, partial(self._ask_rate, run))
            case "k":
                self.after_look(lambda: _lost(run), partial(self._ask_to_kill, run))
            case _:
                pass

    def ask(self, run: RunDir, command: str, **values: float | int) -> None:
        """Appends one command, beside the event loop; the answers come back as events.

        The trainer may have ended while it was asked whether to.
        """
        from .services.asked import in_words

        def append() -> None:
            try:
                refuse_unheard(run, command)
                control.append(run.control, command, **values)
            except SftError as error:
                remedy = remedy_in_keys(run.id, "", error.remedy)
                said = self._screen.Said(f"{error}. {remedy}", wrong=True)
            else:
                said = self._screen.Said(in_words(command, time.time(), control.author()))
            self._screen.deliver(said)

        self._screen.beside(append)

    def _ask_if(self, run: RunDir, command: str, yes: bool | None) -> None:
        if yes:
            self.ask(run, command)

    def _ask_rate(self, run: RunDir, text: str | None) -> None:
        if text is not None:
            self.ask(run, "set", learning_rate=float(text))

    def _ask_end(self, run: RunDir, text: str | None) -> None:
        if text is not None:
            self.ask(run, "extend", max_steps=int(text))

    def _ask_to_kill(self, run: RunDir, lost: str) -> None:
        from .screens.dialogs import Ask

        detail = f"{one_line(run.id)}: {lost}"
        question = Ask("Kill without saving? Type KILL", _kill_word, detail)
        self._app.push_screen(question, partial(self._kill, run))

    def _kill(self, run: RunDir, text: str | None) -> None:
        if text is None:
            return
        from ..core import launch

        def killed(found: tuple[int, int | None]) -> None:
            pid, saved = found
            where = "starts again from step 0" if saved is None else f"resumes from step {saved}"
            self._screen.did(f"Killed pid {pid}. R {where}.")

        def kill() -> tuple[int, int | None]:
            return launch.kill(run), newest_checkpoint(run)

        off_loop(self._screen, kill, killed)

    def resume(self, run: RunDir) -> None:
        """Asks, then starts a trainer on the run again."""
        from ..core import footing

        def read() -> tuple[int | None, str]:
            return newest_checkpoint(run), footing.lost_checkpoints(run)

        self.after_look(read, partial(self._ask_to_resume, run))

    def _ask_to_resume(self, run: RunDir, found: tuple[int | None, str]) -> None:
        from ..core import launch
        from .screens.dialogs import Confirm

        saved, lost = found
        if saved is not None:
            where = f"from step {saved}"
        else:
            where = "anew, at step 0" if lost else "from step 0: there is no checkpoint yet"
        self._app.push_screen(
            Confirm(
                f"Resume {run.id} {where}?",
                one_line(f"{lost[0].upper()}{lost[1:]}.") if lost else "",
            ),
            partial(self._start_if, lambda: launch.resume(run)),
        )

    def duplicate(self, run: RunDir) -> None:
        """Takes the run's configuration as the draft and shows Review."""
        from ..core import config_file

        def read() -> "RunConfig":
            if not (known := run.configs()):
                raise SftError(
                    f"{run.id} cannot be started again", "it has no config.yaml", "set up a new run"
                )
            return config_file.load(known[-1])

        self.after_look(read, partial(self._take_copy, run))

    def _take_copy(self, run: RunDir, config: "RunConfig") -> None:
        replaced = self._app.drafts.take(config, copied_from=run.id)
        self._app.show_step("review")
        back = " u brings the old draft back." if replaced else ""
        self._app.did(f"A copy of {run.id}.{back}")

    def _start_if(self, begin: Callable[[], "Trainer"], yes: bool | None) -> None:
        if yes:
            self._app.start_run(begin)

    def _refuse(self, text: str) -> None:
        self._screen.notice = one_line(text)


def of_ended(keys: "list[Key]") -> "list[Key]":
    """Returns keys in their order for a run that ended: what it gave comes before what it takes."""
    own = [key for name in _OF_ENDED for key in keys if key.name == name]
    first = min(map(keys.index, own), default=0)
    others = [key for key in keys if key not in own]
    return [*others[:first], *own, *others[first:]]


def may_go_on(status: Status) -> bool:
    """Returns whether a run that ended so can be resumed, or extended."""
    return status.word == "finished" or can_resume(status)


def can_resume(status: Status) -> bool:
    """Returns whether a run that ended so can go on."""
    return status.word in RESUMABLE


def remedy_in_keys(run_id: str, status: str, remedy: str | None, *, writable: bool = True) -> str:
    """Returns what to do about a run that ended or stands still, or "".

    A command of the shell that the remedy names becomes the key that does the same here, unless
    the run is not `writable`. Where the remedy resumes with other settings, resuming as it was is
    no remedy.
    """
    text = one_line(remedy or "")
    if not writable:
        return f"Do: {text}" if text else ""
    text = text.replace(f"`sft-tui resume {run_id}`", "R").replace(
        f"`sft-tui kill {run_id}`", "x k"
    )
    text = text.replace(f"`sft-tui delete {run_id}`", "D on Runs")
    if can_resume(Status(status)) and not re.search(r"\bR\b|sft-tui resume|\bD\b", text):
        text += f"{' · ' if text else ''}R resumes"
    return f"Do: {text}" if text else ""


def _lost(run: RunDir) -> str:
    """Returns what killing a run loses."""
    if saved := run.complete_checkpoints():
        return f"what was trained since checkpoint {saved[-1][0]} is lost."
    return "it has no checkpoint, so all that was trained is lost."


def _rate(text: str) -> str | None:
    try:
        value = float(text)
    except ValueError:
        return f"It must be a number > 0 and ≤ 1; you typed {one_line(text, 20)!r}."
    return None if 0 < value <= 1 else f"It must be > 0 and ≤ 1; you typed {one_line(text, 20)}."


def _steps(text: str) -> str | None:
    if text.isascii() and text.isdigit() and 0 < int(text) <= 1_000_000_000:
        return None
    return f"It must be a whole number above 0; you typed {one_line(text, 20)!r}."


def _later_end(end: int | None, text: str) -> str | None:
    if (wrong := _steps(text)) is not None or end is None or int(text) > end:
        return wrong
    return f"The run has {end} steps already: give more."


def _with_end(run: RunDir, end: int) -> "Trainer":
    """Resumes a run that ended, with a later end."""
    from ..core import going_on, launch

    sets = [f"train.max_steps={end}"]
    going_on.refuse_shorter(run, sets)  # another window may have moved the end meanwhile
    plan = going_on.planned(run, sets)
    return launch.resume(run, plan.config, max_steps=plan.max_steps)


def _kill_word(text: str) -> str | None:
    return None if text == "KILL" else "Type KILL in capitals, or Esc."
