"""Monitor's tabs and their keys: events, the log, samples and the run's configuration."""

from collections.abc import Sequence

from textual.widgets import Input, TextArea

from ...core import config_file
from ...core.config import RunConfig
from ...core.rundir import RunDir
from ...core.text import one_line
from ..format import amount
from ..services.run_model import RunModel
from ..widgets.find_box import FindBox
from ..widgets.frame import FrameScreen
from ..widgets.tab_pane import Line, TabPane
from . import sample_text
from .monitor_lines import READING, no_event_yet

TABS = ("Events", "Log", "Samples", "Config")
KEYS = frozenset(
    (
        "tab", "page_up", "page_down", "search", "next_found", "previous_found", "next_sample",
        "previous_sample", "next_prompt", "previous_prompt",
    )
)  # fmt: skip
"""The keys that act on the tabs."""


class TabKeys(FrameScreen):
    """The tabs of a screen that watches a run; the screen gives the model and says `changed`."""

    _model: RunModel
    _run: RunDir | None
    _config: RunConfig | None
    _config_text: str

    def __init__(self) -> None:
        super().__init__()
        self._tab = 0
        self._pane = TabPane(id="tab")
        self._prompt = 0
        self._sample_step: int | None = None
        """The step whose answers are shown; None is the newest."""
        self._sought = ""

    def set_title(self, selector: str, title: str, subtitle: str = "") -> None:
        """Sets the words on a border."""
        raise NotImplementedError

    def forget_tabs(self) -> None:
        """Begins anew for another run."""
        self._pane.forget()
        self._prompt, self._sample_step, self._sought = 0, None, ""

    @property
    def tab(self) -> str:
        """The name of the tab that is seen."""
        return TABS[self._tab]

    def paint_tab(self) -> None:
        """Draws the tab that is seen."""
        self._pane.show(self.tab_lines(), follow=self.tab in ("Events", "Log"))
        prompts = len({sample.prompt_id for sample in self._model.history.samples})
        names = [f"{name}({prompts})" if name == "Samples" and prompts else name for name in TABS]
        tabs = (f"▌{name}▐" if at == self._tab else name for at, name in enumerate(names))
        self.set_title("#bottom", "   ".join(tabs), self._pane.position())

    def tab_lines(self) -> Sequence[Line]:
        """Returns what the tab shows."""
        match self.tab:
            case "Config" if not self._model.known:
                return [READING]
            case "Config":
                started = self._model.history.started
                chosen = started.for_speed if started is not None else []
                return config_lines(self._config, self._config_text, chosen)
            case "Log":
                return self._model.log or ([] if self._model.complete else [READING])
            case "Samples":
                return self._sample_lines()
            case _:
                return self._model.lines or [no_event_yet(self._model)]

    def _shown(self) -> sample_text.Shown | None:
        return sample_text.Shown.of(self._model.history.samples, self._prompt, self._sample_step)

    def _sample_lines(self) -> Sequence[Line]:
        phase = self._model.history.phase
        waiting = ""
        if self._model.status.active and phase is not None and phase.name == "sampling":
            waiting = f"Sampling at step {self._model.history.step}…{amount(phase)}"
        shown = self._shown()
        if shown is None and not self._model.complete:
            return [READING]
        if shown is None:
            return [waiting] if waiting else self._no_sample()
        return sample_text.lines(shown, self._pane.content_size.width, waiting)

    def _no_sample(self) -> list[Line]:
        if self._config is None or self._config.evaluate.samples:
            return ["No sample yet: the first are taken before step 1 and at evaluations."]
        return [
            "The configuration asks for no samples: evaluate.samples is 0.",
            "With evaluate.samples=4 another run answers four prompts as it trains.",
        ]

    def may_in_tabs(self, action: str) -> bool:
        """Returns whether a key of the tabs does something now."""
        match action:
            case "next_found" | "previous_found":
                return bool(self._sought)
            case "next_sample" | "previous_sample" | "next_prompt" | "previous_prompt":
                return self.in_samples
            case _:
                return True

    @property
    def in_samples(self) -> bool:
        """Whether samples have the focus."""
        focused = self.panel is not None and self.panel.id == "bottom"
        return focused and self.tab == "Samples" and bool(self._model.history.samples)

    def edit_keys(self, box: Input | TextArea) -> list[tuple[str, str]]:
        """Returns what the keys do while something is typed."""
        if isinstance(box, FindBox):
            return [("Enter", "Stay there"), ("Esc", "Go back")]
        return super().edit_keys(box)

    def action_tab(self) -> None:
        """Shows the next tab."""
        self._tab = (self._tab + 1) % len(TABS)
        self._pane.forget()
        self._sought = ""
        self.changed(f"{self.tab}.")
        self.refresh_footer()

    def action_page_up(self) -> None:
        """Shows earlier lines of the tab."""
        self._page(-1)

    def action_page_down(self) -> None:
        """Shows later lines of the tab; at the newest it follows again."""
        self._page(1)

    def _page(self, direction: int) -> None:
        self._pane.page(direction)
        self.paint_tab()

    def action_search(self) -> None:
        """Opens the line in which words are looked for."""
        box = FindBox(f"words in {self.tab}")
        self.query_one("#bottom").mount(box)
        box.focus()
        self.call_after_refresh(self.refresh_footer)

    def on_find_box_typed(self, message: FindBox.Typed) -> None:
        """Goes to the newest line that has what was typed so far."""
        self._sought = message.words
        self._look(0)

    def on_find_box_left(self, message: FindBox.Left) -> None:
        """Closes the line; goes back to where it was, unless what was found is wanted."""
        self.query_one(FindBox).remove()
        if not message.stay:
            self._sought = ""
            self._pane.forget()
            self.changed()
        self._pane.focus()
        self.call_after_refresh(self.refresh_footer)

    def action_next_found(self) -> None:
        """Goes to the next line that has the words."""
        self._look(1)

    def action_previous_found(self) -> None:
        """Goes to the line before that has the words."""
        self._look(-1)

    def _look(self, direction: int) -> None:
        which, count = self._pane.find(self._sought, direction)
        words = one_line(self._sought, 40)
        if not words:
            self.changed()
        elif count:
            self.changed(f"“{words}”: line {which} of {count} that has it. n next, N before.")
        else:
            self.changed(f"No line of {self.tab} has “{words}”.")

    def action_next_sample(self) -> None:
        """Shows the answers of the next step."""
        self._move_sample(1)

    def action_previous_sample(self) -> None:
        """Shows the answers of the step before."""
        self._move_sample(-1)

    def _move_sample(self, by: int) -> None:
        shown = self._shown()
        if shown is not None and shown.tuned is not None:
            self._sample_step, said = shown.moved(by)
            self.changed(said)

    def action_next_prompt(self) -> None:
        """Shows the next prompt."""
        self._move_prompt(1)

    def action_previous_prompt(self) -> None:
        """Shows the prompt before."""
        self._move_prompt(-1)

    def _move_prompt(self, by: int) -> None:
        shown = self._shown()
        if shown is not None:
            self._prompt = (shown.at + by) % len(shown.prompts)
            self._pane.forget()
            self.changed(f"Prompt {self._prompt + 1} of {len(shown.prompts)}.")


def config_lines(
    config: RunConfig | None, text: str, chosen: Sequence[tuple[str, str]] = ()
) -> list[str]:
    """Returns what differs from the defaults, what the trainer chose, then the whole file."""
    found: list[str] = []
    if config is not None:
        differ = config_file.differences(RunConfig(), config)
        found = [
            f"  {key}: {new}" + (f" ({old})" if old not in (None, "", []) else "")
            for key, old, new in differ
        ]
        found = [f"{len(differ)} differ from the defaults:", *found, ""]
        if chosen:
            told = [f"  {name}: {one_line(why)}" for name, why in chosen]
            found += ["Chosen by itself:", *told, ""]
        found.append("All:")
    return [*found, *text.split("\n")]
