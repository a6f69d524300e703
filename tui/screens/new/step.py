"""What the five steps of New share: the step bar, the draft, the keys between steps."""

from collections.abc import Iterable

from rich.text import Text
from textual.widget import Widget
from textual.widgets import Static

from ....core.draft import STEPS, Draft
from ....core.text import one_line
from ... import clocks
from ...keys import Key, bindings
from ...services.drafts import Drafts
from ...widgets.frame import FrameScreen

NAMES = {
    "models": "Model",
    "data": "Data",
    "preview": "Preview",
    "configure": "Configure",
    "review": "Review",
}

_BEFORE_NEXT = 4
"""Keys of the step's own that come before > in the footer."""


class StepBar(Static):
    """Names the steps, the one that is shown in brackets, and what is missing."""

    def __init__(self, step: str) -> None:
        super().__init__(id="steps")
        self._step = step

    def show(self, drafts: Drafts) -> None:
        """Draws the bar for the draft as it is now."""
        text = Text(" ", no_wrap=True)
        for place, step in enumerate(STEPS):
            text.append(" › " if place else "", "dim")
            here = step == self._step
            text.append(f"[{NAMES[step]}]" if here else NAMES[step], "bold" if here else "")
        right = _state(drafts)
        room = self.size.width - text.cell_len - len(right) - 1
        if room < 1:  # what is missing matters more than when it was saved
            right = right.rpartition(" · ")[2]
            room = self.size.width - text.cell_len - len(right) - 1
        self.update(text.append(" " * max(room, 1) + right, "dim"), layout=False)


def _state(drafts: Drafts) -> str:
    missing = f"missing: {', '.join(drafts.draft.missing()) or 'nothing'}"
    if drafts.failure:
        return f"draft NOT saved · {missing}"
    if drafts.saved_at is None:
        return missing
    return f"draft saved {clocks.at(drafts.saved_at)} · {missing}"


class StepScreen(FrameScreen):
    """A step of New. Subclasses set `scope`, the step's name, and give `step_body`."""

    BINDINGS = bindings("step")
    mode = "new"
    shared = ("step",)
    _in_sight = False

    @property
    def drafts(self) -> Drafts:
        """The owner of the draft."""
        return self.sft.drafts

    @property
    def draft(self) -> Draft:
        """The draft; it is changed through `drafts` alone."""
        return self.sft.drafts.draft

    def body(self) -> Iterable[Widget]:
        """The step bar above the step's own widgets."""
        yield StepBar(self.scope)
        yield from self.step_body()

    def step_body(self) -> Iterable[Widget]:
        """Returns the widgets of the step."""
        return ()

    def on_mount(self) -> None:
        """Follows the draft."""
        self.drafts.changed.subscribe(self, lambda _: self._draft_changed())
        self._tell()
        self.set_interval(1.0, self._refresh_bar)  # the save ends in a thread

    def on_resize(self) -> None:
        """Draws the bar for the new width."""
        self._refresh_bar()

    def on_screen_resume(self) -> None:
        """Shows what changed while another screen was seen."""
        if not self._in_sight:  # the first time Textual says it twice
            self._in_sight = self.is_current
            self.drafts.look()
            self._draft_changed()

    def on_screen_suspend(self) -> None:
        """Another screen is seen, or a dialog lies over this one."""
        self._in_sight = False

    def _draft_changed(self) -> None:
        if not self.is_current:
            return  # it is drawn when it is seen again
        self._refresh_bar()
        self.draft_changed()
        self.refresh_footer()
        if self.drafts.told:  # later: the key that changed the draft may show another step
            self.sft.call_after_refresh(self._tell)

    def _tell(self) -> None:
        told, self.drafts.told = self.drafts.told, ""
        if told:
            self.sft.did(told)

    def _refresh_bar(self) -> None:
        if self.drafts.failure:
            self.notice = one_line(self.drafts.failure)
        self.query_one(StepBar).show(self.drafts)

    def theme_changed(self) -> None:
        """Draws its texts in the colours of the other theme; unseen, it does so when shown."""
        if self is self.sft.frame:
            self.draft_changed()

    def draft_changed(self) -> None:
        """Draws what depends on the draft; called when it changed and when the step is shown."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides the keys that lead nowhere."""
        if action == "next_step":
            return self.scope != STEPS[-1]
        if action == "previous_step":
            return self.scope != STEPS[0]
        if action == "undo":
            return self.draft.can_undo
        return True

    def offered(self) -> list[Key]:
        """Returns the keys in the order of the footer: where room is short, > must be there."""
        keys = super().offered()
        onward = [key for key in keys if key.name == "next_step"]
        others = [key for key in keys if key.name != "next_step"]
        return [*others[:_BEFORE_NEXT], *onward, *others[_BEFORE_NEXT:]]

    def action_next_step(self) -> None:
        """Goes to the next step, whatever is missing."""
        self.sft.show_step(STEPS[STEPS.index(self.scope) + 1])

    def action_previous_step(self) -> None:
        """Goes back a step."""
        self.sft.show_step(STEPS[STEPS.index(self.scope) - 1])

    def action_undo(self) -> None:
        """Takes the last change of the draft back, and says what it was."""
        self.undo()

    def undo(self) -> str | None:
        """Takes the last change back; returns the path of a field that it was about."""
        from .configure.changes import Changes

        changes = Changes(self.drafts)
        path = changes.undo()
        self.did(changes.said)
        return path

    def action_open_file(self) -> None:
        """Asks for a YAML file and takes it as the draft."""
        from .open_file import ask_for_file

        ask_for_file(self.sft)

    def action_edit_yaml(self) -> None:
        """Opens the draft as YAML in the user's editor."""
        from .configure.yaml_editor import edit  # with what starts processes

        edit(self.sft)
