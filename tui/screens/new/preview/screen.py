"""Preview: what the model will see of each row, and what all rows amount to."""

import random
from collections.abc import Callable, Iterable
from typing import Any

from textual import events
from textual.containers import Container
from textual.widget import Widget

from .....core.data.results import PreviewedRow, RawView
from .....core.errors import SftError
from .....core.sidecar.preview_calls import Row
from .....core.text import one_line
from ....format import percent, with_keys
from ....keys import bindings
from ....services.checks import Checks
from ....widgets.pieces import PieceView
from ...piece_moves import PieceMoves
from ..step import StepScreen
from .all_rows import AllRows
from .batch_lines import ShownBatch
from .desk import Desk, where_from
from .row_number import ask_for_row, row_number
from .row_panel import VIEWS, RowPanel
from .token_lines import MASKS
from .walk import ORDERS, Walk, known_range

NARROW, SHORT = 100, 18


class PreviewScreen(PieceMoves, StepScreen):
    """The step: the row on the left, amounts and problems of all rows on the right."""

    BINDINGS = bindings("preview")
    scope = "preview"
    moves_first = "#tokens"

    def __init__(self) -> None:
        super().__init__()
        self._desk = Desk(self)
        self._walk = Walk()
        self._loaded: dict[str, Any] | None = None
        self._view_before = VIEWS[0]
        self._sought, self._said = "", ""

    def step_body(self) -> Iterable[Widget]:
        """The three panels."""
        with Container(id="preview"):
            yield RowPanel(self._desk, self._walk)
            yield AllRows(id="aside")

    def on_mount(self) -> None:
        """Follows the pass over all rows; the base classes' own handlers run too."""
        self.checks.changed.subscribe(self, lambda _: self._checked())
        self._row_panel.tokens.focus()

    @property
    def checks(self) -> Checks:
        """What all rows amount to."""
        return self.sft.checks

    @property
    def _row_panel(self) -> RowPanel:
        return self.query_one(RowPanel)

    @property
    def _all_rows(self) -> AllRows:
        return self.query_one(AllRows)

    def on_resize(self) -> None:
        """Opens one panel at a time where there is no room for three."""
        self.set_class(self.size.width < NARROW, "narrow")
        self.set_class(self.size.height < SHORT, "short")

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Opens the panel that has the focus, and offers its keys."""
        self.set_class(self.moved.id != "tokens", "aside")
        if self.moved is self._all_rows.problems:
            self._say_problem()

    def on_screen_resume(self) -> None:
        """Sees what changed meanwhile, in the files too."""
        self.checks.look()

    def draft_changed(self) -> None:
        """Asks for the row anew where something that it is made of changed."""
        self._desk.look()
        new = self.draft.values
        made_of = {name: new.get(name) for name in ("model", "data")}
        if made_of != self._loaded or self.checks.config is None:
            before, self._loaded, self._said = self._loaded, made_of, ""
            if where_from(before) != where_from(made_of):
                self._desk.walk_to(0, None)  # other data: from its beginning
            self._walk.forget()
            self._load()
        self._checked()

    def _checked(self) -> None:
        """Draws what the pass has found so far."""
        if not self.is_current:
            return
        checks = self.checks
        if self._desk.waits and not checks.tokenizer_is_loading:
            self._load()
        self._all_rows.draw(checks, narrow=self.has_class("narrow"))
        self._row_panel.entitle()
        self.refresh_footer()

    def _load(self) -> None:
        """Asks for the row; only the newest request counts."""
        self.run_worker(self._loading, exclusive=True, group="row", exit_on_error=False)

    async def _loading(self) -> None:
        try:
            await self._desk.load(self.sft.tell)
        except Exception as error:  # the program's own fault, which must not end in silence
            why = f"{type(error).__name__}: {error}"
            self._desk.shown = None
            self._desk.trouble = SftError("the row cannot be shown", why, "press r to try again")
        self._draw(new=True)
        if self._sought:
            self._seek()

    def _draw(self, *, new: bool = False) -> None:
        self._row_panel.draw(new=new)
        if new and "data" not in self.draft.missing():
            self.notice = self._said or self._row_panel.notice()
        self.refresh_footer()

    def on_piece_view_moved(self, message: PieceView.Moved) -> None:
        """Explains the token under the cursor, or says what to do about the problem."""
        if message.view.id == "tokens":
            self._row_panel.explain()
        else:
            self._say_problem()

    def _say_problem(self) -> None:
        if (problem := self._all_rows.problem(self.checks)) is not None:
            words = f"{problem.id} · Do: {with_keys(problem.remedy)} · {problem.message}"
            self.notice = one_line(words)

    def describe(self) -> str:
        """Returns the focused panel in plain sentences."""
        if self.moved.id == "tokens":
            return self._row_panel.describe()
        return self._all_rows.describe(self.checks, self.moved)

    def describes(self) -> bool:
        """Returns whether there is anything to describe."""
        return self._desk.shown is not None or self._desk.trouble is not None

    def copyable(self) -> str | None:
        """Returns the text of the row."""
        shown = self._desk.shown
        return shown.text if isinstance(shown, PreviewedRow | RawView) else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides the keys that do nothing now."""
        offered = self._offered().get(action)
        return super().check_action(action, parameters) if offered is None else offered()

    def _offered(self) -> dict[str, Callable[[], bool]]:
        """Returns for actions that do not always make sense whether they do now."""
        found, row, missing = self.checks.result, self._desk.row is not None, self.draft.missing()
        whole = row and not missing
        return {
            "jump": lambda: self._target() is not None,
            "next_row": lambda: row,
            "previous_row": lambda: row,
            "go_to": lambda: row,
            "view": lambda: whole,
            "mask": lambda: whole,
            "template": lambda: whole and self._desk.has_template(),
            "problems": lambda: found is not None and bool(found.problems),
            "order": lambda: found is not None and row,
            "random": lambda: found is not None and row,
            "batch": lambda: whole and found is not None and found.epoch is not None,
            "edit_template": lambda: self._desk.template_file() is not None,
            "back": lambda: self._leaves() is not None,
            "source": lambda: row and len(self._desk.names()) > 1,
            "end_pass": lambda: self.moved is self._all_rows.statistics and self.checks.running,
            "go_on": lambda: self.checks.cancelled,
            "again": lambda: "data" not in missing and not self.checks.cancelled,
        }

    def _target(self) -> tuple[int, int] | None:
        """Returns the source and row that Enter goes to."""
        shown, found = self._desk.shown, self.checks.result
        if self.moved is self._all_rows.problems and found is not None:
            problem = self._all_rows.problem(self.checks)
            return (found.source_of(problem), problem.rows[0]) if problem is not None else None
        if self.moved.id == "tokens" and isinstance(shown, ShownBatch):
            row = shown.rows[self.moved.cursor]
            return row.source, row.row
        return None

    def _leaves(self) -> Callable[[], None] | None:
        """Returns what Esc ends, the nearest first."""
        if self.moved.id != "tokens":
            return self._leave_aside
        return self._end_walk if self._walk.problem is not None else None

    def _leave_aside(self) -> None:
        self._row_panel.tokens.focus()

    def _end_walk(self) -> None:
        self._walk.forget()
        self._row_panel.entitle()
        self.did("] and [ go through all rows again.")

    def _go(self, source: int, row: int | None, said: str = "") -> None:
        self._said = said
        self._desk.walk_to(source, row)
        self._load()

    def _step(self, by: int) -> None:
        desk, found = self._desk, self.checks.result
        if desk.row is None:
            return
        there = self._walk.step(desk.row, by, found, desk.source)
        if there is None:
            order = self._walk.place(desk.row, found, desk.source).partition(" ")[0]
            which = f"with {order}" if order else "of this source"
            self.did(f"There is no row {which} {'behind' if by > 0 else 'before'} this one.")
            return
        self._go(desk.source, there)

    def action_next_row(self) -> None:
        """Shows the next row."""
        self._step(1)

    def action_previous_row(self) -> None:
        """Shows the row before."""
        self._step(-1)

    def action_jump(self) -> None:
        """Shows the first row that has the problem, or the row of the batch."""
        target = self._target()
        if target is None:
            return
        if self.moved is self._all_rows.problems:
            self._walk.forget()
            self._walk.problem = self._all_rows.problem(self.checks)
            self._row_panel.tokens.focus()
        if self._desk.view == "batch":
            self._desk.view = self._view_before
        self._go(*target)

    def show_problem(self, name: str, said: str) -> None:
        """Leads to the first row that has a problem, and says why it leads there."""
        self._sought, self._said = name, said
        self._load()

    def _seek(self) -> None:
        name, self._sought = self._sought, ""
        found = self.checks.result
        problem = next((p for p in found.problems if p.id == name), None) if found else None
        if found is not None and problem is not None:
            self._walk.forget()
            self._walk.problem = problem
            self._go(found.source_of(problem), problem.row, self._said)

    def action_view(self) -> None:
        """Shows the row in the next form."""
        now = self._desk.view if self._desk.view != "batch" else self._view_before
        self._desk.view = VIEWS[(VIEWS.index(now) + 1) % len(VIEWS)]
        if isinstance(self._desk.shown, PreviewedRow) and self._desk.view != "raw":
            self._draw()
        else:
            self._load()

    def action_batch(self) -> None:
        """Shows the micro-batch of the row, or the row again."""
        if self._desk.view == "batch":
            self._desk.view = self._view_before
        else:
            self._view_before, self._desk.view = self._desk.view, "batch"
        self._load()

    def action_mask(self) -> None:
        """Shows in another way what is trained."""
        panel = self._row_panel
        panel.mask = MASKS[(MASKS.index(panel.mask) + 1) % len(MASKS)]
        self._draw()

    def action_template(self) -> None:
        """Offers the prompt formats."""
        from .template_files import choose_template  # only where it is asked for

        config = self._desk.config
        if config is not None:
            choose_template(self, Row(config, self._desk.source, self._desk.row))

    def action_edit_template(self) -> None:
        """Opens the template file in the editor."""
        from .template_files import edit_template

        path = self._desk.template_file()
        if path is not None:
            edit_template(self, path)
            self.action_again()

    def action_problems(self) -> None:
        """Goes to the problems, or back to the row."""
        (
            self._row_panel.tokens
            if self.moved is self._all_rows.problems
            else self._all_rows.problems
        ).focus()

    def action_order(self) -> None:
        """Goes through the rows in another order, from its first row on."""
        walk, desk, found = self._walk, self._desk, self.checks.result
        now = ORDERS.index(walk.order)
        for step in range(1, len(ORDERS) + 1):
            walk.forget(ORDERS[(now + step) % len(ORDERS)])
            rows = walk.rows(found, desk.source)
            if rows is None or rows:  # an order without rows is passed over
                break
        rows = walk.rows(found, desk.source)
        self._go(desk.source, rows[0] if rows else known_range(found, desk.source)[0])

    def action_random(self) -> None:
        """Shows any row that was looked at."""
        found, desk = self.checks.result, self._desk
        if found is not None and desk.source < len(found.sources):
            known = found.sources[desk.source]
            self._go(desk.source, known.first + random.randrange(max(len(known.sides), 1)))

    def action_go_to(self) -> None:
        """Asks for the number of a row."""
        asked = ask_for_row(*known_range(self.checks.result, self._desk.source))
        self.sft.push_screen(asked, self._take_number)

    def _take_number(self, text: str | None) -> None:
        if text is not None:
            self._go(self._desk.source, row_number(text))

    def action_source(self) -> None:
        """Shows the next source, from its first row on."""
        self._walk.forget()
        self._go((self._desk.source + 1) % len(self._desk.names()), None)

    def action_again(self) -> None:
        """Looks at files and rows anew."""
        self.checks.again()
        self._load()

    def action_go_on(self) -> None:
        """Looks at all rows, from the first one on."""
        self.checks.again()
        self.did("All rows are looked at, from the first one on.")

    def action_end_pass(self) -> None:
        """Ends the pass, where somebody looks at it."""
        share = percent(self.checks.progress.share)
        self.checks.cancel()
        self.did(f"The pass over all rows was ended at {share}: r begins it again.")

    def action_back(self) -> None:
        """Ends what is nearest: another panel, the walk over a problem."""
        ends = self._leaves()
        if ends is not None:
            ends()
            self.refresh_footer()
