"""Export: what of a run is written for others, where to, and whether it came out right."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from ...core.errors import SftError, UsageError
from ...core.export import check_target
from ...core.export_choices import Offer, offer
from ...core.hub.push import checked_target
from ...core.rundir import RunDir
from ...core.text import one_line
from ..format import sentences
from ..keys import bindings
from ..services.export_work import Outcome
from ..widgets.frame import FrameScreen
from ..widgets.pieces import PieceView
from . import export_lines as lines
from .dialogs import Ask, Confirm
from .piece_moves import PieceMoves

if TYPE_CHECKING:
    from ...core.hub.push import Plan


class ExportScreen(FrameScreen, PieceMoves):
    """The choices of an export, and below them how it goes and what came of it."""

    AUTO_FOCUS = "#choices"
    BINDINGS = bindings("export")
    scope = "export"
    mode = "play"
    moves_first = "#choices"

    class Looked(Message):
        """What a run has to export, or why nothing."""

        def __init__(self, run: RunDir, offer: Offer | None, problem: str) -> None:
            super().__init__()
            self.run = run
            self.offer = offer
            self.problem = problem

    def __init__(self) -> None:
        super().__init__()
        self._run: RunDir | None = None
        self._offer: Offer | None = None
        self._problem = ""
        self._form = lines.Form()
        self._asked: Plan | None = None

    def body(self) -> Iterable[Widget]:
        """What stands in the way of any export, else the choices and the outcome."""
        yield Static(lines.NOTHING, id="nothing", classes="panel", markup=False)
        yield PieceView(id="choices", classes="panel", pointer=True)
        yield PieceView(id="outcome", classes="panel")

    def on_mount(self) -> None:
        """Follows the export that is under way."""
        self.query_one("#nothing").border_title = "Export"
        self.sft.exports.changed.subscribe(self, lambda _: self._changed())
        self.on_screen_resume()

    def on_screen_resume(self) -> None:
        """Takes the run that the application holds now, and looks at it anew."""
        run = self.sft.exported
        if run is not None and (self._run is None or run.path != self._run.path):
            self._run, self._offer, self._form = run, None, lines.Form()
        if run is not None:
            self.beside(lambda: self._look(run))
        self.paint()

    def _look(self, run: RunDir) -> None:
        try:
            self.deliver(self.Looked(run, offer(run), ""))
        except SftError as error:
            said = sentences(lines.sentence(error.what), lines.sentence(error.why), error.remedy)
            self.deliver(self.Looked(run, None, said))

    def on_export_screen_looked(self, message: Looked) -> None:
        """Shows what there is; of a run that trains the checkpoints change."""
        if self._run is None or message.run.path != self._run.path:
            return
        before = self._offer.choices[self._form.at] if self._offer else None
        self._offer, self._problem = message.offer, message.problem
        if message.offer is not None:
            same = [i for i, choice in enumerate(message.offer.choices) if choice == before]
            self._form.at = same[0] if same else 0
        self.paint()

    @property
    def outcome(self) -> Outcome | None:
        """How far the export of this run came, None where another was exported last."""
        found = self.sft.exports.outcome
        mine = (
            found is not None and self._run is not None and found.order.run.path == self._run.path
        )
        return found if mine else None

    @property
    def awaits(self) -> bool:
        """Whether it is not known yet what there is to export."""
        return self._run is not None and self._offer is None and not self._problem

    def _changed(self) -> None:
        if not self.is_mounted:
            return
        outcome = self.sft.exports.outcome
        if outcome is not None and outcome.plan is not None and not self.sft.exports.busy:
            self._ask_to_push(outcome.plan)
        self.paint()

    def on_resize(self) -> None:
        """Draws for the new size."""
        self.call_after_refresh(self.paint)

    def paint(self) -> None:
        """Draws everything."""
        if not self.is_mounted or not self.is_current:
            return
        found = self._offer
        self.set_class(found is None, "without-offer")
        if found is None:
            wait = f"Looking at {self._run.id}…" if self._run is not None else lines.NOTHING
            self.query_one("#nothing", Static).update(one_line(self._problem) or wait)
            self.refresh_footer()
            return
        form, outcome = self._form, self.outcome
        choices = self.query_one("#choices", PieceView)
        choices.border_title = Text(f"Export   {one_line(found.run.id)}")
        free = lines.room(form, found)
        choices.show(lambda _: lines.form_lines(found, form, free), form.rows)
        view = self.query_one("#outcome", PieceView)
        if outcome is None:
            view.border_title = "What is written"
            view.show(lambda width: lines.idle_lines(form.order(found), width))
        else:
            view.border_title = "Outcome"
            code = lines.code_of(found, outcome.order)
            view.show(lambda width: lines.outcome_lines(outcome, code, width))
        self.refresh_footer()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides what cannot be done now."""
        busy, outcome = self.sft.exports.busy, self.outcome
        if action == "cancel":
            return busy
        if action == "again":
            return self._run is not None and not busy
        if action in ("export", "change", "token"):
            return self._offer is not None and not busy
        if action == "verify":
            return not busy and outcome is not None and outcome.folder is not None
        if action in ("down", "up", "first", "last", "page_down", "page_up"):
            return self._offer is not None
        return True

    def describe(self) -> str:
        """Returns the choices and the outcome in sentences."""
        if (found := self._offer) is None:
            return self._problem or lines.NOTHING
        return lines.in_words(found, self._form, lines.room(self._form, found), self.outcome)

    def describes(self) -> bool:
        """Returns whether there is anything to say, which there always is."""
        return True

    def copyable(self) -> str | None:
        """Returns the lines that load what was written, else the command."""
        if (found := self._offer) is None:
            return None
        outcome = self.outcome
        if outcome is not None and outcome.folder is not None:
            return lines.code_of(found, outcome.order)
        return lines.command(self._form.order(found))

    def action_change(self) -> None:
        """Takes the next value of the row under the cursor, or asks for it."""
        found, form = self._offer, self._form
        if found is None:
            return
        match self.query_one("#choices", PieceView).cursor:
            case lines.CHECKPOINT:
                form.at = (form.at + 1) % len(found.choices)
                self._follow()
            case lines.FORM:
                form.merge = not form.merge
                self._follow()
                if found.full:
                    self.did("All weights were trained: there is no adapter to choose.")
            case lines.FOLDER:
                self._ask_for_folder(found)
            case lines.HUB:
                self._ask_for_repository()
            case _:
                form.public = not form.public
        self.paint()

    def _follow(self) -> None:
        """Takes another free folder for other weights, unless one was typed."""
        if not self._form.typed:
            self._form.folder = None

    def _ask_for_folder(self, found: Offer) -> None:
        def wrong(text: str) -> str | None:
            try:
                if not text.strip():
                    return "Type the path of a folder that does not exist yet."
                check_target(_path(text))
            except SftError as error:
                return one_line(sentences(lines.sentence(str(error)), error.remedy))
            except (OSError, RuntimeError, ValueError) as error:
                return one_line(f"It cannot be used: {getattr(error, 'strerror', None) or error}.")
            return None

        def take(text: str | None) -> None:
            if text is not None:
                self._form.folder, self._form.typed = _path(text), True
                self.paint()

        shown = str(self._form.order(found).folder)
        self.sft.push_screen(Ask("Folder to write into", wrong, "It is made.", shown), take)

    def _ask_for_repository(self) -> None:
        def wrong(text: str) -> str | None:
            try:
                checked_target(text.strip()) if text.strip() else None
            except UsageError as error:
                return one_line(sentences(lines.sentence(str(error)), error.remedy))
            return None

        def take(text: str | None) -> None:
            if text is not None:
                self._form.repo = text.strip()
                self.paint()

        about = "OWNER/NAME on the Hub; nothing pushes nowhere. It is asked again before the push."
        self.sft.push_screen(Ask("Repository to push to", wrong, about, self._form.repo), take)

    def action_export(self) -> None:
        """Begins, where there is room and the folder is free."""
        if (found := self._offer) is None:
            return
        order = self._form.order(found)
        try:
            check_target(order.folder)
            problem = lines.short_of_space(found, order, lines.room(self._form, found))
            if problem is not None:
                raise problem
        except SftError as error:
            self.did(sentences(lines.sentence(str(error)), error.remedy))
            return
        self._form.folder = order.folder  # from now on there is something in it
        self.sft.exports.start(order)

    def _ask_to_push(self, plan: "Plan") -> None:
        """Repeats target, visibility and size before anything is uploaded."""
        if self._asked is plan:
            return
        self._asked = plan
        seen = "those it is shared with" if plan.to.private else "EVERYBODY"
        detail = [
            f"{plan.to.url} as {plan.to.account}, {'there' if plan.to.exists else 'made'} for it.",
            f"{len(plan.files)} files, {lines.amount(plan.bytes)}. Seen by {seen}.",
            "README.md shows the prompts and answers that the run sampled.",
        ]
        if plan.overwritten:
            detail.append(f"Overwritten: {', '.join(plan.overwritten)}.")
        question = Confirm(f"Push to {one_line(plan.to.id)}?", "\n".join(map(one_line, detail)))

        def answer(yes: bool | None) -> None:
            if yes:
                self.sft.exports.push()
            else:
                self.sft.exports.withhold()

        self.sft.push_screen(question, answer)

    def action_cancel(self) -> None:
        """Ends what is under way."""
        self.sft.exports.cancel()

    def action_verify(self) -> None:
        """Loads what was written as others do, and compares it with what was trained."""
        self.sft.exports.verify(self.sft.runs_folder)

    def action_again(self) -> None:
        """Looks at the run anew."""
        self.on_screen_resume()

    def action_token(self) -> None:
        """Asks for a token of the Hub; it is shown to nobody."""
        from .new.models.token_dialog import TokenDialog

        def take(name: str | None) -> None:
            if name is not None:
                self.did(f"Signed in as {name}.")

        self.sft.push_screen(TokenDialog(), take)


def _path(text: str) -> Path:
    return Path(text.strip()).expanduser().absolute()
