"""Play: what a run's model answers, stored or live, the base beside it."""

from collections.abc import Iterable
from functools import partial

from rich.text import Text
from textual.containers import Container, Horizontal, Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Static

from ...core.history import History
from ...core.rundir import RunDir, list_runs
from ...core.status import Status, status_of
from ...core.text import one_line
from ..control_flow import RunControl
from ..format import amount
from ..keys import bindings, of_scope
from ..off_loop import off_loop
from ..services.run_feed import Batch, RunFeed
from ..theme import badge
from ..widgets.notice import MOST_LINES, in_lines
from ..widgets.pieces import PieceView
from ..widgets.tab_pane import TabPane
from . import play_lines as lines
from . import sample_text
from .play_live import KEYS, LiveKeys
from .play_moves import PlayMoves

REFRESH_S = 0.25
"""Answers grow at most four times a second on the screen."""
WIDE, HIGH = 100, 28
_WITH_STATE = 24
"""Of so many runs the state is looked up before they are offered, the newest ones."""
_SAMPLES = ("next_sample", "previous_sample")
_OWN = {key.name for key in of_scope("play")}


class PlayScreen(LiveKeys, PlayMoves):
    """Prompts on the left, the answers of base and tuned beside each other, a box to ask."""

    AUTO_FOCUS = "#prompts"
    BINDINGS = bindings("play")
    scope = "play"

    class Arrived(Message):
        """A batch of the feed of a run."""

        def __init__(self, run: RunDir, batch: Batch) -> None:
            super().__init__()
            self.run, self.batch = run, batch

    def __init__(self) -> None:
        super().__init__()
        self._run: RunDir | None = None
        self._feed: RunFeed | None = None
        self._history = History()
        self._status = Status("unknown")
        self._saved: int | None = None
        self._complete = False
        self._step: int | None = None
        """The step whose answers are shown; None is the newest."""
        self._live = False
        """Whether the conversation was chosen; it is shown as well where nothing is stored."""
        self._others, self._writable = False, True
        self._dirty = True
        self._state = ""
        self._control = RunControl(self)

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

    def on_screen_resume(self) -> None:
        """Shows the run that was chosen, the same one, or at first the newest active one."""
        run = self.sft.watched or self._run
        if run is None:
            off_loop(self, self.sft.newest_run, self._take_newest)
        elif self._run is None or run.path != self._run.path:
            self.show_run(run)
        elif self._talk.state == "none":
            self.look()
        self._dirty = True
        self.call_after_refresh(self._repaint)

    def _take_newest(self, run: RunDir | None) -> None:
        if run is not None and self._run is None:
            self.show_run(self.sft.watched or run)

    @property
    def owes(self) -> bool:
        """Whether a key waits for the disk."""
        return self._control.after_look.soon

    async def on_unmount(self) -> None:
        """Ends the reading thread."""
        if self._feed is not None:
            self._feed.close()

    def show_run(self, run: RunDir) -> None:
        """Shows another run from now on."""
        if self._feed is not None:
            self._feed.close()
        if self._talk.exchanges:  # another run's model gave those answers
            self._talk.clear()
        self._run, self._history, self._status = run, History(), Status("unknown")
        self._step, self._live, self._complete, self._saved = None, False, False, None
        off_loop(self, lambda: len(list_runs(self.sft.runs_folder)) > 1, self._know_others)
        self._want(checkpoint=None)
        self._feed = RunFeed(run, lambda batch: self._deliver(run, batch))
        self.beside(self._feed.read_forever)
        self.look()
        self.notice = ""
        self._dirty = True

    def _know_others(self, any_: bool) -> None:
        self._others = any_
        self.refresh_footer()

    def _deliver(self, run: RunDir, batch: Batch) -> None:
        self.deliver(self.Arrived(run, batch))

    def on_play_screen_arrived(self, message: Arrived) -> None:
        """Takes what is new of the run."""
        batch = message.batch
        if message.run is not self._run:
            return
        if batch.restarted:
            self._history = History()
        for told in batch.found:
            self._history.add(told)
        before = (self._status.word, self._saved, self._complete)
        self._status, self._complete, self._saved = batch.status, batch.complete, batch.saved
        self._writable = batch.writable
        if batch.found or before != (self._status.word, self._saved, self._complete):
            self._dirty = True
        if before[:2] != (self._status.word, self._saved):
            if self._talk.state == "none":
                self.look()
            self.refresh_footer()

    def on_resize(self) -> None:
        """Chooses the layout for the new size."""
        width, height = self.size
        self.set_class(width >= WIDE and height >= HIGH, "wide")
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
        if not self._dirty or not self.is_mounted or self.sft.frame is not self:
            return
        self._dirty = False
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
        width = max(min(base.content_size.width, tuned.content_size.width), 8)
        if (shown := self.shown) is not None:
            left, right, said = lines.stored(shown, width)
            base.border_title = sample_text.title("Base", shown.base)
            tuned.border_title = sample_text.title("Tuned", shown.tuned)
            told = lines.prompt_text(shown, max(prompt.content_size.width, 8), 6)
            prompt.update(Text("\n").join(told))
        else:
            exchanges = self._talk.exchanges
            left, right = (lines.live(exchanges, side, width) for side in ("base", "tuned"))
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
        training = found.training if found else ()
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

    def action_pick_run(self) -> None:
        """Offers all runs, found by any part of their names."""
        from .palette import Entry, Palette  # only where it is asked for

        def entry(at: int, run: RunDir) -> Entry:
            state = badge(status_of(run).word) if at < _WITH_STATE else ""
            return Entry("run", one_line(run.id), state, partial(self._take_run, run))

        entries = [entry(at, run) for at, run in enumerate(self.sft.all_runs())]
        self.sft.push_screen(Palette(self, entries, "Play with"), lambda run: run and run())

    def _take_run(self, run: RunDir) -> None:
        self.sft.watched = run
        self.call_later(self._change_run, run)

    async def _change_run(self, run: RunDir) -> None:
        await self._talk.end()
        self.show_run(run)
