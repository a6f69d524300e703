"""The palette: any action, step, run, field or setting, found by name.

It knows what the screen below offers, and nothing of how that is done.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from ...core.errors import SftError
from ...core.rundir import list_runs
from ...core.text import one_line
from ..keys import modes
from ..services.settings import declared as declared_settings

if TYPE_CHECKING:
    from ..app import SftApp
    from ..widgets.frame import FrameScreen

MOST_SHOWN = 60
_HIDDEN = ("palette", "one_up", *(f"mode_{mode}" for _, mode, _ in modes()))
_STEPS = ("models", "data", "preview", "configure", "review")
_MORE = {
    "runs": "home list",
    "new": "start a run",
    "monitor": "watch",
    "compare": "side by side",
    "play": "ask chat samples",
    "system": "doctor check settings preferences options token",
}
"""Other words that find a mode."""


@dataclass(frozen=True)
class Entry:
    """Something that can be done: `run` does it."""

    kind: str
    text: str
    key: str
    run: Callable[[], None]
    more: str = ""
    """Other words that find it."""


def verbs(screen: "FrameScreen") -> Iterator[Entry]:
    """Yields what the screen and the application offer now."""
    keys = screen.sft.look.keys
    for owner, offered in ((screen, screen.offered()), (screen.sft, screen.everywhere())):
        for key in offered:
            if key.name not in _HIDDEN:
                action = key.name if owner is screen else f"app.{key.name}"
                act = partial(_act, screen, action)
                does, shown = keys(key.help), keys(key.shown)
                yield Entry("do", does, shown, act, f"{key.label} {key.name}")


def _act(screen: "FrameScreen", action: str) -> None:
    screen.call_after_refresh(screen.run_action, action)


def places(app: "SftApp") -> Iterator[Entry]:
    """Yields the screens and the steps of New."""
    for key, mode, name in modes():
        yield Entry("go", name, key, getattr(app, f"action_mode_{mode}"), _MORE[mode])
        for step in _STEPS if mode == "new" else ():
            title = "Model" if step == "models" else step.capitalize()
            yield Entry("go", f"New › {title}", "", partial(app.show_step, step), "step")


def settings(app: "SftApp") -> Iterator[Entry]:
    """Yields the values of every setting; one that is typed is found on System."""
    for setting in declared_settings():
        if setting.words is None:
            show = partial(app.show_setting, setting.name)
            yield Entry("set", f"{setting.label}…", "", show, setting.help)
        for value, words in (setting.words or {}).items():
            now = "now" if value == getattr(app.settings.value, setting.name) else ""
            run = partial(app.choose, **{setting.name: value})
            more = f"{setting.name} color {value}"
            yield Entry("set", f"{setting.label}: {words}", now, run, more)


def fields(app: "SftApp") -> Iterator[Entry]:
    """Yields the keys of the configuration."""
    from ...core.fields import declared  # 30 ms, in the thread that reads the runs

    for field in declared():
        label = field.path.rpartition(".")[2].replace("_", " ")
        run = partial(app.show_field, field.path)
        yield Entry("field", f"Set {label}…", field.path, run, field.help)


def score(wanted: str, entry: Entry) -> int:
    """Returns how well an entry answers to what is typed; 0 is not at all.

    Each word must be in it: at the start of a word is best, then anywhere, then in what else finds
    it, then as initials (lr) or with letters left out (lrnrate).
    """
    text = f"{entry.text} {entry.key}" if entry.kind == "field" else entry.text
    text, more = text.lower(), entry.more.lower()
    if entry.key and wanted.strip() == entry.key:
        return 100  # a key is typed to learn what it does
    total = 1
    for word in wanted.lower().split():
        found = _score_word(word, text)
        if found < 2 and word in more:
            found = 2
        if not found:
            return 0
        total += found
    return total


def _score_word(word: str, text: str) -> int:
    if text.startswith(word):
        return 8
    if re.search(rf"\b{re.escape(word)}", text):
        return 6
    if word in text:
        return 4
    initials = "".join(re.findall(r"\b\w", text))
    spread = r"\b" + r"\w{0,2}?".join(map(re.escape, word))
    return 1 if word in initials or (len(word) > 2 and re.search(spread, text)) else 0


class Palette(ModalScreen[Callable[[], None] | None]):
    """Finds an entry as one types; Enter gives what does it to the caller.

    Args:
        screen: The screen below.
        entries: What is offered instead of all that screen and application can do.
        title: What it is for.
    """

    BINDINGS = [
        Binding("escape,f2", "close", "Close"),
        Binding("down", "move('cursor_down')", "Down", priority=True),
        Binding("up", "move('cursor_up')", "Up", priority=True),
        Binding("pagedown", "move('page_down')", "Page down", priority=True),
        Binding("pageup", "move('page_up')", "Page up", priority=True),
    ]

    class Read(Message):
        """What had to be read from the disk is there."""

        def __init__(self, entries: list[Entry], problem: str) -> None:
            super().__init__()
            self.entries = entries
            self.problem = problem

    def __init__(
        self,
        screen: "FrameScreen",
        entries: Sequence[Entry] | None = None,
        title: str = "Commands",
    ) -> None:
        super().__init__()
        self._frame = screen
        self._title = title
        self._alone = entries is not None
        self._entries = [*verbs(screen), *places(screen.sft)] if entries is None else [*entries]
        self._settings = list(settings(screen.sft)) if entries is None else []
        self._shown: list[Entry] = []
        self._marked: int | None = None

    def compose(self) -> ComposeResult:
        """Shows the box, what fits, and the keys."""
        with Vertical(classes="dialog palette") as dialog:
            dialog.border_title = Text(self._title)
            hint = "Enter do it   ↑ ↓ choose   Esc close"
            dialog.border_subtitle = Text(self._frame.sft.look.keys(hint))
            offers = "a part of a name" if self._alone else "an action, a run, a field, a setting"
            yield Input(placeholder=offers)
            yield OptionList(id="found", markup=False)
            yield Static("Nothing fits.", id="nothing", markup=False)

    def on_mount(self) -> None:
        """Reads the names of runs and fields in a thread, where these are offered."""
        self.query_one(OptionList).can_focus = False
        if not self._alone:
            self._frame.beside(self._read)

    def _read(self) -> None:
        app, found, problem = self._frame.sft, list[Entry](), ""
        try:
            for run in list_runs(app.runs_folder):
                watch = partial(app.watch_run, run)
                found.append(Entry("run", f"Open {one_line(run.id)}", "", watch, "watch monitor"))
        except SftError as error:
            problem = f"{error}. {error.remedy}"
        self.post_message(self.Read([*found, *fields(app)], problem))

    def on_palette_read(self, message: Read) -> None:
        """Adds runs and fields."""
        self._entries += message.entries
        if message.problem:
            self._frame.notice = one_line(message.problem)
        self._fill()

    def on_resize(self) -> None:
        """Draws for the new width, once the list has its place."""
        self.call_after_refresh(self._fill)

    def on_input_changed(self) -> None:
        """Shows what fits."""
        self._fill()

    def _fill(self) -> None:
        wanted = self.query_one(Input).value
        every = [(score(wanted, entry), entry) for entry in [*self._entries, *self._settings]]
        ranked = [pair for pair in every if pair[0]]
        ranked.sort(key=lambda pair: -pair[0])  # equal ones stay in their order
        most = len(ranked) if self._alone else MOST_SHOWN
        self._shown = [entry for _, entry in ranked[:most]]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(self._row(at, 0)) for at in range(len(self._shown))])
        options.highlighted = self._marked = 0 if self._shown else None
        options.display = bool(self._shown)
        self.query_one("#nothing").display = not self._shown

    def _row(self, at: int, cursor: int | None) -> Text:
        width = max(self.query_one(OptionList).scrollable_content_region.width - 1, 12)
        return _line(self._shown[at], width, at == cursor)

    def on_option_list_option_highlighted(self) -> None:
        """Moves the mark with the cursor."""
        options = self.query_one(OptionList)
        before, self._marked = self._marked, options.highlighted
        for at in {before, self._marked} - {None}:
            if at is not None and at < len(self._shown):
                options.replace_option_prompt_at_index(at, self._row(at, self._marked))

    def action_move(self, where: str) -> None:
        """Moves the cursor of the list while the box keeps the letters."""
        getattr(self.query_one(OptionList), f"action_{where}")()

    def on_input_submitted(self) -> None:
        """Enter does what is under the cursor."""
        at = self.query_one(OptionList).highlighted
        if at is not None and at < len(self._shown):
            self.dismiss(self._shown[at].run)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """So does the mouse."""
        self.dismiss(self._shown[event.option_index].run)

    def action_close(self) -> None:
        """Does nothing."""
        self.dismiss(None)


def _line(entry: Entry, width: int, here: bool) -> Text:
    """Returns a row: a mark under the cursor, what it does, its key at the right."""
    text = Text(f"{'▸' if here else ' '} {entry.kind:<6}", no_wrap=True, end="")
    key = one_line(entry.key, max(width // 2, 4))
    room = width - text.cell_len - len(key) - 1
    name = one_line(entry.text, max(room, 4))
    return text.append(f"{name:<{max(room, 4)}} ").append(key, "bold")
