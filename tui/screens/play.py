"""Play: what a run's model answers, stored or live, the base beside it."""

from collections.abc import Iterable

from rich.text import Text
from textual.containers import Container, Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Input, Static

from ...core.text import one_line
from ..format import amount
from ..keys import bindings, of_scope
from ..theme import badge
from ..widgets.notice import MOST_LINES, in_lines
from ..widgets.pieces import PieceView
from ..widgets.tab_pane import TabPane
from . import play_lines as lines
from . import sample_text
from .play_live import KEYS
from .play_moves import PlayMoves
from .play_run import PlayRun

REFRESH_S = 0.25
"""Answers grow at most four times a second on the screen."""
WIDE, HIGH = 100, 28
_SAMPLES = ("next_sample", "previous_sample")
_OWN = {key.name for key in of_scope("play")}


class PlayScreen(PlayRun, PlayMoves):
    """Prompts, the answers of base and tuned beside or below each other, a box to ask."""

    AUTO_FOCUS = "#prompts"
    BINDINGS = bindings("play")
    scope = "play"

    def __init__(self) -> None:
        super().__init__()
        self._step: int | None = None
        """The step whose answers are shown; None is the newest."""
        self._live = False
        """Whether the conversation was chosen; it is shown as well where nothing is stored."""
        self._state = ""
        self._drawn_for = (0, 0)
        """The widths of both panels when they were drawn."""

    def body(self) -> Iterable[Widget]:
        """What there is to do without a run; else prompts, both answers, and the box."""
        yield Static(lines.NOTHING, id="nothing", classes="panel", markup=False)
        with Container(id="parts"):
            yield PieceView(id="prompts", classes="panel", pointer=True)
            with Vertical(id="answers"):
                yield Static(id="prompt", markup=False)
                with Horizontal(id="sides"):
                    for side in ("base", "tuned"):
                        pane = TabPane(id=side)
                        pane.add_class("panel")
                        yield pane
        yield Static(id="live", markup=False)
        yield Input(id="ask", placeholder="Type a question; Enter asks", compact=True)

    def on_mount(self) -> None:
        """Begins to repaint."""
        self.set_interval(REFRESH_S, self._repaint)

    def begin_anew(self) -> None:
        """Shows the newest answers of another run."""
        self._step, self._live = None, False

    def on_resize(self) -> None:
        """Chooses the layout for the new size."""
        width, height = self.size
        self.set_class(width >= WIDE and height >= HIGH, "wide")
        self.set_class(width < WIDE, "narrow")
        self._dirty = True
        self.call_after_refresh(self._repaint)

    def talk_changed(self) -> None:
        """Draws the conversation soon, and what is ready to be used at once."""
        self._dirty = True
        if self._talk.state != self._state:
            self._repaint()

    def show_live(self) -> None:
        """Shows the conversation."""
        self._live = True
        self.forget_panes()
        self._dirty = True
        self._repaint()

    @property
    def shown(self) -> sample_text.Shown | None:
        """The stored prompt that is shown; None where there is none, and for live questions."""
        at = self.query_one("#prompts", PieceView).cursor
        return None if self._live else self._stored(max(at, 0))

    @property
    def _seen_live(self) -> bool:
        return self._live or not self._count

    def _stored(self, at: int) -> sample_text.Shown | None:
        return sample_text.Shown.of(self._history.samples, at, self._step)

    @property
    def _count(self) -> int:
        return len({sample.prompt_id for sample in self._history.samples})

    def _repaint(self) -> None:
        """Draws what changed, when this screen is the one that is seen."""
        if not self.is_mounted or self.sft.frame is not self:
            return
        if not self._dirty and self._widths() == self._drawn_for:
            return
        self._dirty, self._drawn_for = False, self._widths()
        self.set_class(self._run is None, "without-run")
        if self._run is None:
            return
        self._follow_the_talk()
        self._paint_prompts()
        self._paint_sides()
        live = self.query_one("#live", Static)
        room = max(live.content_size.width, 8)
        told = in_lines(self._live_line(), room, MOST_LINES, f" {self.describe_key} all")
        live.update(Text("\n".join(told)))

    def _widths(self) -> tuple[int, int]:
        """Returns the columns of base and tuned; of one that is not seen 8, which are enough."""
        base, tuned = (self.query_one(side, TabPane).content_size for side in ("#base", "#tuned"))
        return max(base.width, 8), max(tuned.width, 8)

    def _follow_the_talk(self) -> None:
        """Opens and closes the box as the model comes and goes."""
        state = self._talk.state
        if state == self._state:
            return
        before, self._state = self._state, state
        box = self.query_one("#ask", Input)
        # What is typed in it goes on being text, also where the model was lost meanwhile.
        box.disabled = state == "none" and not box.has_focus
        if state == "none":
            self.drop_what_waits()
        elif state == "loading":
            box.focus()
        elif (before, state) == ("loading", "ready"):
            self.put_what_waits()
        self.call_after_refresh(self.refresh_footer)

    def _paint_prompts(self) -> None:
        view = self.query_one("#prompts", PieceView)
        stored = self._stored(0)
        prompts = list(stored.prompts) if stored else []
        cursor = len(prompts) if self._live else None
        view.show(lambda width: lines.prompt_lines(prompts, width), len(prompts) + 1, cursor=cursor)
        name = one_line(self._run.id if self._run else "")
        view.border_title = Text(f"Prompts ({len(prompts)}) · {badge(self._status.word)}")
        view.border_subtitle = Text(self._waiting() or name)

    def _waiting(self) -> str:
        phase = self._history.phase
        if not self._complete:
            return "reading…"
        if self._status.active and phase is not None and phase.name == "sampling":
            return f"sampling at step {self._history.step}…{amount(phase)}"
        return ""

    def _paint_sides(self) -> None:
        base, tuned = self.query_one("#base", TabPane), self.query_one("#tuned", TabPane)
        prompt = self.query_one("#prompt", Static)
        widths = self._widths()
        if (shown := self.shown) is not None:
            left, right, said = lines.stored(shown, *widths)
            head = sample_text.title("Base", shown.base)
            if self.has_class("tiny"):  # where the list of prompts is not seen
                place = f"Prompt {shown.at + 1} of {len(shown.prompts)} · "
                head = Text.assemble((place, "bold"), head)
            base.border_title = head
            tuned.border_title = sample_text.title("Tuned", shown.tuned)
            told = lines.prompt_text(shown, max(prompt.content_size.width, 8), 6)
            prompt.update(Text("\n").join(told))
        else:
            exchanges = self._talk.exchanges
            left = lines.live(exchanges, "base", widths[0])
            right = lines.live(exchanges, "tuned", widths[1])
            said = lines.differ(exchanges[-1] if exchanges else None)
            base.border_title = Text("Base · live")
            step = f" (step {exchanges[-1].step})" if exchanges else ""
            tuned.border_title = Text(f"Tuned{step} · live")
            prompt.update(Text(self._nothing_stored()))
        base.show(left, follow=self._seen_live)
        tuned.show(right, follow=self._seen_live)
        tuned.border_subtitle, base.border_subtitle = Text(said), Text(base.position())

    def _nothing_stored(self) -> str:
        if self._count or not self._complete:
            return ""
        return (
            "This run has no samples: evaluate.samples says how many prompts are answered, before "
            "step 1 and at evaluations."
        )

    def _live_line(self) -> str:
        found = self._found
        run, base = self._run, self._wanted.base
        assert run is not None  # without one nothing is drawn
        step = found.chosen.step if found and found.chosen else None
        room, why = (found.room, found.why) if found else (None, "")
        training = list(found.training) if found else []
        return lines.live_line(self._talk, run, step, room, why, training, base=base)

    def on_piece_view_moved(self, message: PieceView.Moved) -> None:
        """Shows the prompt that the cursor went to."""
        self._live = message.item >= self._count
        self.forget_panes()
        self._dirty = True
        self._repaint()
        self.refresh_footer()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides what the run does not allow now."""
        if self._run is None or not self.is_mounted:
            return action not in _OWN
        if action in KEYS:
            return self.may_live(action)
        if action in _SAMPLES:
            shown = self.shown
            return shown is not None and len(shown.steps) > 1
        if action in ("next_prompt", "previous_prompt"):
            return self._count > 0
        if action == "pick_run":
            return self._others
        if action == "export":
            return self._saved is not None
        if action == "control":
            return self._status.active
        return True

    def describe(self) -> str:
        """Returns what is shown in sentences."""
        if self._run is None:
            return ""
        return lines.in_words(self.shown, self._talk, self._run, self._status, self._live_line())

    def describes(self) -> bool:
        """Returns whether there is a run."""
        return self._run is not None

    def copyable(self) -> str | None:
        """Returns the tuned model's answer that is shown."""
        if not self.is_mounted:
            return None
        if (shown := self.shown) is not None:
            return shown.tuned.text if shown.tuned else None
        replies = self._talk.exchanges[-1].replies if self._talk.exchanges else {}
        return replies["tuned"].text if "tuned" in replies else None

    def action_next_sample(self) -> None:
        """Shows the answers of the next step."""
        self._move_sample(1)

    def action_previous_sample(self) -> None:
        """Shows the answers of the step before."""
        self._move_sample(-1)

    def _move_sample(self, by: int) -> None:
        shown = self.shown
        if shown is not None and shown.tuned is not None:
            self._step, said = shown.moved(by)
            self.forget_panes()
            self._dirty = True
            self._repaint()
            self.did(said)

    def action_export(self) -> None:
        """Shows what of the run can be exported."""
        if self._run is not None:
            self.sft.export_run(self._run)

    def action_control(self) -> None:
        """Opens the control menu of the run."""
        if self._run is not None:
            steps = self._history.steps
            rate = steps[-1].learning_rate if steps else None
            self._control.menu(self._run, rate, self._status, self._writable)
