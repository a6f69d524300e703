"""The presets, each with the list of what it would change."""

from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from .....core import presets
from .....core.draft import NEEDED, Draft
from .....core.fields import Field, as_list, as_map, field_at
from .....core.raw_values import value_at
from .....core.text import one_line
from .....core.typed import shown
from .rows import UNCHOSEN, label_of


class PresetDialog(ModalScreen[str | None]):
    """Offers the presets; Enter takes the one whose changes are shown."""

    BINDINGS = [
        Binding("escape,q,p", "cancel", "Cancel"),
        Binding("j", "move(1)", "Down"),
        Binding("k", "move(-1)", "Up"),
        Binding("pagedown,ctrl+d", "page(1)", "Down", priority=True),
        Binding("pageup,ctrl+u", "page(-1)", "Up", priority=True),
    ]

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self._draft = draft
        self._names = [name for name in presets.names() if presets.values(name)]

    def compose(self) -> ComposeResult:
        """Shows the names, what they are, and the changes."""
        with Vertical(classes="dialog"):
            yield Static("Start from a preset", classes="question", markup=False)
            yield OptionList(*(Option(name, id=name) for name in self._names), markup=False)
            with VerticalScroll(id="preset-changes", can_focus=False):
                yield Static(id="preset-about", markup=False)
            hint = "Enter takes it   j k moves   PgDn more   Esc cancels"
            yield Static(hint, classes="hint", markup=False)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Shows what the preset would change."""
        name = event.option_id or ""
        about = Text(f"{presets.names()[name]}\n\n")
        changes = in_words(self._draft, name)
        about.append("\n".join(changes) if changes else "Everything is so already.")
        self.query_one("#preset-about", Static).update(about)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Takes the preset."""
        self.dismiss(event.option_id)

    def action_move(self, by: int) -> None:
        """Moves to another preset."""
        names = self.query_one(OptionList)
        names.action_cursor_down() if by > 0 else names.action_cursor_up()

    def action_page(self, way: int) -> None:
        """Moves over the changes, where they are many."""
        changes = self.query_one("#preset-changes", VerticalScroll)
        changes.scroll_relative(y=way * max(changes.size.height - 1, 1), animate=False)

    def action_cancel(self) -> None:
        """Changes nothing."""
        self.dismiss(None)


def in_words(draft: Draft, name: str) -> list[str]:
    """Returns what a preset would change, a line for each field."""
    raw = draft.raw()
    lines: list[str] = []
    for path, after in presets.values(name).items():
        field = field_at(path)
        needed = any(each == path or each.startswith(f"{path}.") for each in NEEDED.values())
        lacks = needed and not draft.chosen(path)
        old = UNCHOSEN if lacks else _words(field, value_at(raw, path))
        new = _words(field, after)
        if old != new:
            lines.append(f"{label_of(path)}: {old} → {new}")
    return lines


def _words(field: Field, value: Any) -> str:
    """Returns a value in words; of a list of groups the first key of each."""
    items = [as_map(item) for item in as_list(value)]
    if any(items):
        return one_line(", ".join(str(next(iter(item.values()))) for item in items if item), 40)
    return one_line(shown(field, value), 40) or "empty"
