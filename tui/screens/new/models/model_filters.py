"""What the Hub's list is asked for besides words: order, licence, size, gated."""

from typing import Any, cast

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from .....core.hub.search import Filters

_ORDERS = {
    "downloads": "downloads", "likes": "likes", "trendingScore": "trending",
    "lastModified": "changed last", "createdAt": "newest",
}  # fmt: skip
_LICENCES = (
    None, "apache-2.0", "mit", "bsd-3-clause", "llama3.1", "llama3.2", "llama3.3", "gemma",
    "cc-by-4.0", "cc-by-nc-4.0", "other",
)  # fmt: skip
_SIZES = {None: "any", **{size * 10**9: f"up to {size}B" for size in (1, 2, 4, 8, 15, 35, 75)}}
_ANY = {None: "any", False: "no", True: "only"}
_FIELDS: dict[str, tuple[str, dict[Any, str]]] = {
    "sort": ("Order", _ORDERS),
    "licence": ("Licence", {name: name or "any" for name in _LICENCES}),
    "largest": ("Parameters", _SIZES),
    "gated": ("Gated", _ANY),
    "every_kind": ("Kinds", {False: "text generation with safetensors", True: "every kind"}),
}
"""By field: its label, and its values with their words."""
_HINT = (
    "← → change   d defaults   Enter take them   Esc cancel\nModels of this machine stay listed."
)


def in_words(filters: Filters) -> str:
    """Returns the filters that are not the defaults, in a few words."""
    default = Filters()
    said: list[str] = []
    for name, (label, values) in _FIELDS.items():
        value = getattr(filters, name)
        if value != getattr(default, name):
            word = values.get(value, str(value))
            said.append(word if name == "every_kind" else f"{label.lower()} {word}")
    return ", ".join(said)


def next_order(filters: Filters) -> Filters:
    """Returns the filters with the next order."""
    return _moved(filters, "sort", 1)


def _moved(filters: Filters, name: str, by: int) -> Filters:
    values = list(_FIELDS[name][1])
    place = values.index(getattr(filters, name))
    return msgspec.structs.replace(filters, **{name: values[(place + by) % len(values)]})


class FilterDialog(ModalScreen[Filters | None]):
    """Changes filters; None where they are left as they were."""

    BINDINGS = [
        Binding("escape,q,f", "cancel", "Cancel"),
        Binding("right,l,space", "change(1)", "Next value"),
        Binding("left,h", "change(-1)", "Value before"),
        Binding("j", "move(1)", "Down"),
        Binding("k", "move(-1)", "Up"),
        Binding("d", "default", "Defaults"),
    ]

    def __init__(self, filters: Filters) -> None:
        super().__init__()
        self._filters = filters

    def compose(self) -> ComposeResult:
        """Lists the filters with their values."""
        with Vertical(classes="dialog"):
            yield Static("Filters of the Hub's list", classes="question", markup=False)
            yield OptionList(*(Option(self._line(n), id=n) for n in _FIELDS), markup=False)
            yield Static(
                cast(Any, self).app.look.keys(_HINT),
                classes="hint",
                markup=False,
            )

    def _line(self, name: str) -> str:
        label, values = _FIELDS[name]
        value = getattr(self._filters, name)
        return f"{label:<12}‹ {values.get(value, value)} ›"

    def _draw(self) -> None:
        options = self.query_one(OptionList)
        for name in _FIELDS:
            options.replace_option_prompt(name, self._line(name))

    def action_change(self, by: int) -> None:
        """Takes the next or the previous value of the filter under the cursor."""
        options = self.query_one(OptionList)
        if options.highlighted is not None:
            name = options.get_option_at_index(options.highlighted).id or ""
            self._filters = _moved(self._filters, name, by)
            self._draw()

    def action_move(self, by: int) -> None:
        """Goes to another filter."""
        options = self.query_one(OptionList)
        _ = options.action_cursor_down() if by > 0 else options.action_cursor_up()

    def action_default(self) -> None:
        """Takes all back."""
        self._filters = Filters()
        self._draw()

    def on_option_list_option_selected(self) -> None:
        """Enter takes the filters."""
        self.dismiss(self._filters)

    def action_cancel(self) -> None:
        """Leaves them as they were."""
        self.dismiss(None)
