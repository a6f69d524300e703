"""Help: the keys of the focused panel, the screen, all screens; straight from the registry."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Input, Static

from ...core.text import one_line
from ..keys import SCOPES
from .reading import ReadingScreen

if TYPE_CHECKING:
    from ..keys import Key
    from ..widgets.frame import FrameScreen

WORDS = (
    ("–", "not known"),
    ("EMA", "running average that forgets old steps"),
    ("eval", "loss on rows that are not trained"),
    ("grad", "size of the update before clipping"),
    ("tok/s", "tokens without padding a second, over 20 steps; over all once it ended"),
    ("ETA", "steps, evaluations and saves still to come, at their median times"),
    ("MFU", "share of the processor's arithmetic that training uses"),
    ("LoRA", "small matrices that are trained beside frozen weights; r is their rank"),
    ("trained", "tokens that the loss counts; the others are context"),
)
_NAMES = {
    "question_mark": "?", "colon": ":", "escape": "Esc", "enter": "Enter", "pageup": "PgUp",
    "pagedown": "PgDn", "greater_than_sign": ">", "less_than_sign": "<", "space": "Space",
    "left_square_bracket": "[", "right_square_bracket": "]", "left": "←", "right": "→",
    "up": "↑", "down": "↓", "plus": "+", "minus": "-", "slash": "/", "comma": ",",
    "full_stop": ".", "number_sign": "#", "asterisk": "*", "equals_sign": "=",
}  # fmt: skip

Group = tuple[str, Sequence[tuple[str, str]]]
"""A heading, and (keys, what they do) of each row."""


def groups(screen: "FrameScreen") -> Iterator[Group]:
    """Yields what a screen's keys do now: the focused panel first, what works everywhere last."""
    offered = screen.offered()
    if (box := screen.box) is not None:
        yield "This box", screen.edit_keys(box)
    own = [key for key in offered if screen.of_panel(key)]
    panel = screen.panel
    if own and panel is not None:
        yield _of_panel(str(panel.border_title or "")), [_row(key) for key in own]
    for scope in (screen.scope, *screen.shared):
        rest = [key for key in offered if key.scope == scope and key not in own]
        if rest or scope == screen.scope:
            yield SCOPES[scope], [_row(key) for key in rest]
    yield SCOPES["app"], [_row(key) for key in screen.everywhere()]


def _of_panel(title: str) -> str:
    words = one_line(title, 40)
    return f"This panel: {words}" if words else "This panel"


def _row(key: "Key") -> tuple[str, str]:
    """Returns the keys of an action, the one shown first, and what they do."""
    names = [key.shown, *(shown(each) for each in key.keys)]
    return " ".join(dict.fromkeys(names)), key.help


def shown(key: str) -> str:
    """Returns a key as users write it."""
    *held, last = key.split("+")
    name = _NAMES.get(last, last if len(last) == 1 and not held else last.capitalize())
    return "+".join([*(each.capitalize() for each in held), name])


class HelpScreen(ReadingScreen):
    """Shows the keys of a screen and explains words.

    Args:
        title: What the help is about.
        groups: What is listed.
    """

    BINDINGS = [
        Binding("escape", "close", "Close"),
        Binding("q,question_mark,f1", "leave", "Close"),
        Binding("slash", "search", "Search"),
    ]

    def __init__(self, title: str, groups: Sequence[Group]) -> None:
        super().__init__()
        self._title = title
        self._groups = [*groups, ("Words", WORDS)]

    @classmethod
    def of(cls, screen: "FrameScreen") -> "HelpScreen":
        """Returns the help of a screen as it is now."""
        keys = screen.sft.look.keys
        found = [
            (head, [(keys(k), keys(does)) for k, does in rows]) for head, rows in groups(screen)
        ]
        return cls(f"Help · {SCOPES[screen.scope]}", found)

    def compose(self) -> ComposeResult:
        """Lists the keys, with a box to search them."""
        with Vertical(classes="dialog help") as dialog:
            dialog.border_title = Text(self._title)
            dialog.border_subtitle = Text("/ search   Esc close")
            box = Input(placeholder="a key or a word", id="help-search")
            box.display = False
            yield box
            with VerticalScroll(id="help-keys", can_focus=False):
                yield Static(self._text(""), id="help-text")

    def _text(self, wanted: str) -> Text:
        """Returns the rows that hold all that is wanted, under their headings."""
        words = wanted.lower().split()
        text = Text()
        for heading, rows in self._groups:
            found = [
                row
                for row in rows
                if all(word in f"{heading} {row[0]} {row[1]}".lower() for word in words)
            ]
            if not found:
                continue
            text.append(f"\n{heading}\n" if text else f"{heading}\n", "bold")
            for keys, does in found:
                text.append(f"  {keys:<12} ", "bold")
                text.append(f"{does}\n")
        text.rstrip()
        return text if text else Text(f"Nothing here says “{one_line(wanted, 30)}”.")

    def action_search(self) -> None:
        """Opens the box."""
        box = self.query_one(Input)
        box.display = True
        box.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Lists what fits."""
        self.query_one("#help-text", Static).update(self._text(event.value))
        self.query_one(VerticalScroll).scroll_home(animate=False)

    def on_input_submitted(self) -> None:
        """Keeps what was found, and gives the keys back."""
        self.set_focus(None)

    def action_close(self) -> None:
        """Ends the search first, where there is one."""
        box = self.query_one(Input)
        if box.display:
            box.value, box.display = "", False
            self.set_focus(None)
        else:
            self.dismiss(None)

    def action_leave(self) -> None:
        """Goes back to the screen."""
        self.dismiss(None)
