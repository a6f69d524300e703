"""The search box and the table of models, and what is said of the list as a whole."""

from collections.abc import Callable, Iterable

import msgspec
from rich.text import Text
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Input, Static

from .....core.hub.search import Filters
from .....core.text import one_line
from ....format import counted, span
from ....services.hub_list import HubList
from . import model_filters
from .listing import NAMES, Entry, ModelList
from .model_words import limited, state_words, title
from .table import ModelTable

TALL = 30
"""Rows of the screen from which details are told at length."""
_NOTHING = "No model is listed: / takes other words, t another source."
_PLACEHOLDER = "/ to type: words, a full owner/name, or a path"


class ModelsPanel(Vertical):
    """Shows what is looked for, what there is, and why it is not as one may expect."""

    def __init__(self, cells: Callable[[Entry], dict[str, str]]) -> None:
        super().__init__(id="models-panel", classes="panel")
        self._cells = cells

    def compose(self) -> Iterable[Widget]:
        """The search box, a line of state, the table."""
        with Horizontal(id="models-search"):
            yield Static("Search ", id="models-label", markup=False)
            yield Input(id="models-words", compact=True, placeholder=_PLACEHOLDER)
        yield Static(id="models-state", markup=False)
        yield ModelTable(self._cells)

    def say(self, models: ModelList, hub: HubList, chosen: str) -> None:
        """Draws the state and the titles; `chosen` is the draft's model."""
        line, text = self.query_one("#models-state", Static), state(models, hub)
        line.update(text)
        line.display = bool(text)
        self.border_title = title(["Models", *counts(models, hub)])
        filters = model_filters.in_words(hub.filters) if models.source == "hub" else ""
        self.border_subtitle = title(
            [f"filters: {filters}" if filters else "", f"in the draft: {chosen}" if chosen else ""]
        )


class ModelDetails(Static):
    """Shows what is known of one model; on a low screen in three lines."""

    def __init__(self) -> None:
        super().__init__(id="models-details", markup=False)

    def show(self, name: str, lines: list[str]) -> None:
        """Draws the lines under the model's name."""
        brief = self.screen.size.height < TALL
        self.styles.height = 5 if brief else 8
        if brief:  # lists of facts have a line each, so that more of them are seen
            room = max(self.screen.size.width - 4, 1)
            lines = [one_line(line, room) if _only_facts(line) else line for line in lines]
        self.border_title = title([name or "Details"])
        lines = lines if name else [*lines, _NOTHING]
        self.update(Text("\n".join(lines)))


def counts(models: ModelList, hub: HubList) -> list[str]:
    """Returns the source and how much it has."""
    source = NAMES[models.source]
    if models.source == "local":
        return [source, str(models.own.folder)]
    if models.source == "cache":
        return [source, f"{len(models.own.cached)} on this machine"]
    if hub.asking:
        return [source, "asking…"]
    if hub.error is not None or hub.answered is None:
        return [source]
    took = "" if hub.elapsed_s is None else f"answered in {span(hub.elapsed_s)}"
    more = ", PgDn at the end for more" if hub.more else ""
    count = len(hub.rows)
    return [source, f"{counted(count, 'model')}{more}", took]


def _only_facts(line: str) -> bool:
    """Returns whether a line lists facts: what is wrong and how far a download is are not cut."""
    return " · " in line and not line.startswith(("✗", "↓"))


def state(models: ModelList, hub: HubList) -> str:
    """Returns why the list is not what one may expect, and what to do; "" where it is."""
    told = _state(models, hub)
    if models.entries() or (hub.asking and not told):
        return told
    return " ".join(filter(None, [told, *_emptied_by(models, hub)]))


def _emptied_by(models: ModelList, hub: HubList) -> Iterable[str]:
    """Yields what leaves nothing to list, each with the keys that take it away."""
    if models.words.strip():
        yield f"Only '{one_line(models.words, 60)}' is looked for: / and Backspace lists all."
    order = msgspec.structs.replace(hub.filters, sort=Filters().sort)  # which empties nothing
    filters = model_filters.in_words(order) if models.source == "hub" else ""
    if filters and hub.error is None:
        yield f"Only {filters} is listed: f changes that."


def _state(models: ModelList, hub: HubList) -> str:
    words = one_line(models.words, 60)
    if models.source == "local" and not models.own.near:
        return f"No models in {one_line(str(models.own.folder))}. Press / and type another folder."
    if models.source == "cache" and not models.own.cached:
        return "The Hub's cache on this machine holds no models. Press t for other sources."
    if models.source != "hub":
        named = models.entries() or not words
        return "" if named else f"No model here is named '{words}'. Press / for other words."
    if hub.error is None and hub.wait_s:  # it said so when a single model was asked for
        return limited(hub.wait_s)
    if hub.error is not None:
        usable = sum(Entry(model.name, model).here for model in models.own.cached)
        return state_words(hub.error, usable, hub.wait_s)
    if words and hub.answered == models.words.strip() and not models.entries():
        near = models.nearest()
        nearest = f" Nearest: {near}." if near else ""
        return (
            f"No model named '{words}'.{nearest} Press Enter on a full owner/name to try it anyway."
        )
    return ""


def sentence(models: ModelList, hub: HubList) -> str:
    """Returns what is listed, for those who do not see it."""
    count = len(models.entries())
    return f"{NAMES[models.source]}: {count} models. {state(models, hub)}"
