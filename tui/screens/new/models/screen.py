"""Models: find one, see whether it fits, and use it."""

from collections.abc import Iterable
from functools import partial

from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, TextArea

from .....core.hub.search import Filters
from .....core.text import one_line
from ....keys import bindings
from ....services.hub_list import HubList
from ....services.model_sheets import ModelSheets
from ..step import StepScreen
from . import model_filters, model_words, models_panel
from .listing import SOURCES, Entry, ModelList, OnThisMachine, look_through
from .models_panel import TALL, ModelDetails, ModelsPanel
from .moves import TableMoves
from .use import ModelUse

LOOK_S = 0.25
"""Seconds that the cursor rests before models are looked at."""


class ModelsScreen(TableMoves, StepScreen):
    """The list of models, with what is known of the one under the cursor."""

    AUTO_FOCUS = "#models"  # never the search box, which would take what is typed ahead
    BINDINGS = bindings("models")
    scope = "models"

    class Scanned(Message):
        """This machine was looked through."""

        def __init__(self, found: OnThisMachine) -> None:
            super().__init__()
            self.found = found

    def __init__(self) -> None:
        super().__init__()
        self.list = ModelList()
        self._scanned = False
        self._timer: Timer | None = None

    def step_body(self) -> Iterable[Widget]:
        """The search box above the table, and the details."""
        yield ModelsPanel(self._cells)
        yield ModelDetails()

    def on_mount(self) -> None:
        """Looks through this machine, and asks the Hub."""
        self.hub = HubList(self.sft.hub, partial(self.call_later, self._answered))
        # In the screen's turn: nobody would see an error in the task that tells.
        found = partial(self.call_later, self._draw_found)
        self.sheets = ModelSheets(self.sft.hub, self.sft.sidecar, found)
        self.use = ModelUse(self)
        self.sft.downloads.changed.subscribe(self, self._download_changed)
        self.table.focus()
        self.scan()
        self.hub.ask("")
        self.watch(self.table, "scroll_y", self.look_soon, init=False)
        self.set_interval(1.0, self._tick)

    # What is listed

    def scan(self) -> None:
        """Looks through the cache and the folder in a thread."""
        folder = self.list.own.folder

        def work() -> None:
            self.deliver(self.Scanned(look_through(folder)))

        self.beside(work)

    def on_models_screen_scanned(self, message: Scanned) -> None:
        """Takes what this machine has."""
        if message.found.folder != self.list.own.folder:
            return  # another one is looked at by now
        self.list.own, self._scanned = message.found, True
        self.show_list()

    @property
    def awaits(self) -> bool:
        """Whether this machine is still looked through."""
        return not self._scanned

    def _answered(self) -> None:
        """Takes the Hub's list, or says why there is none."""
        if self.hub.error is None:
            self.list.take(self.hub.rows)
            self.sheets.forget_passing()
        self.show_list()

    def show_list(self, at: str | None = None) -> None:
        """Lists what there is now; the cursor stays at its model, or goes to the one named.

        Until it was moved it is at the draft's model, else at the first.
        """
        if not self._scanned:
            return
        if at is None and not self.table.touched:
            chosen = self.draft.chosen("model.name")
            at = str(self.draft.value("model.name")) if chosen else ""
        self.table.show(self.list.entries(), at)
        self._draw_state()
        self.draw_details()
        self.refresh_footer()
        self.look_soon()

    def _cells(self, entry: Entry) -> dict[str, str]:
        return model_words.cells(
            entry,
            self.sheets.of(entry.name),
            self.sft.downloads.of(entry.name),
            away=self.sft.hub_offline,
        )

    def draft_changed(self) -> None:
        """Judges models for the run as it is now."""
        config, problems = self.draft.checked()
        self.sheets.judge_for(None if problems else config)
        self._lay_out()
        self._draw_state()
        self.look_soon()

    def _lay_out(self) -> None:
        rank, length = self.draft.value("method.rank"), self.draft.value("data.max_length")
        rows = self.draft.value("train.micro_batch_size")
        kind = "LoRA " if self.size.width >= 120 else ""
        self.table.lay_out(f"{kind}r{rank}, {length:,}, batch {rows}")
        self.table.redraw_sight()

    def on_resize(self) -> None:
        """Drops or brings back columns for the new width."""
        self._lay_out()
        self.draw_details()
        self.look_soon()

    # What is known of models

    def look_soon(self) -> None:
        """Asks for the models in sight once the cursor rests."""
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(LOOK_S, self._look)

    def _look(self) -> None:
        if not self.is_current:
            return
        self.table.redraw_sight()
        away, current = self.sft.hub_offline or self.hub.wait_s > 0, self.table.entry
        seen = [entry for entry in self.table.in_sight() if entry.here or entry.on_hub]
        # One that cannot be trained is looked at only where its details are shown.
        seen = [entry for entry in seen if not entry.refused or entry is current]
        self.sheets.want((entry.name, entry.here) for entry in seen if entry.here or not away)

    def on_screen_suspend(self) -> None:
        """Asks for nothing while other screens are seen."""
        self.sheets.stop()

    def on_unmount(self) -> None:
        """Leaves off what is under way."""
        self.hub.stop()
        self.sheets.stop()

    def _draw_found(self, name: str) -> None:
        self.table.redraw(name)
        if (entry := self.table.entry) is not None and entry.name == name:
            self.draw_details()

    def on_data_table_row_highlighted(self) -> None:
        """Shows the details of the model under the cursor."""
        self.use.forget_question()
        self.draw_details()
        self.refresh_footer()
        self.look_soon()

    def _download_changed(self, id: str) -> None:
        ended = self.sft.downloads.of(id)
        if ended is None or ended.state != "running":
            self.sheets.forget(id)
            self.scan()
        if self.is_current:
            self.table.redraw(id)
            self.draw_details()
            self.refresh_footer()

    def theme_changed(self) -> None:
        """Colours the words of FIT for the other theme."""
        self.table.recolour()

    def draw_details(self) -> None:
        """Draws what is known of the model under the cursor, and how downloads go."""
        entry = self.table.entry
        lines = self._detail_lines(entry) if entry is not None else []
        self.query_one(ModelDetails).show(entry.name if entry is not None else "", lines)

    def _detail_lines(self, entry: Entry) -> list[str]:
        looked, brief = self.sheets.of(entry.name), self.size.height < TALL
        lines = model_words.detail_lines(
            entry, looked, self.hub.endpoint, away=self.sft.hub_offline, brief=brief
        )
        downloads = self.sft.downloads.running()
        own = self.sft.downloads.of(entry.name)
        if own is not None and own.state in ("failed", "stopped"):
            downloads = [own, *downloads]
        return [*(model_words.download_line(one) for one in downloads), *lines]

    # What is said of the list

    def _tick(self) -> None:
        if not self.is_current:
            return
        if self.hub.tick():
            self._draw_state()
            if not self.hub.wait_s:
                self.sheets.forget_passing()
                self.look_soon()

    def _draw_state(self) -> None:
        chosen = self.draft.value("model.name") if self.draft.chosen("model.name") else ""
        self.query_one(ModelsPanel).say(self.list, self.hub, chosen)

    def describe(self) -> str:
        """Returns the list and the model under the cursor in sentences."""
        entry, said = self.table.entry, models_panel.sentence(self.list, self.hub)
        if entry is None:
            return said
        cells = [f"{name.lower()} {cell}" for name, cell in self._cells(entry).items()]
        details = " ".join(self._detail_lines(entry))
        return one_line(f"{said} Under the cursor: {', '.join(cells)}. {details}")

    def describes(self) -> bool:
        """There is always a list."""
        return True

    def copyable(self) -> str | None:
        """Returns the name of the model under the cursor."""
        return entry.name if (entry := self.table.entry) is not None else None

    # The search box

    def edit_keys(self, box: Input | TextArea) -> list[tuple[str, str]]:
        """Returns what keys do while words are typed."""
        return [("Enter", "Take a full name or path"), ("↓", "To the list"), ("Esc", "Leave it")]

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filters what is there at once, and asks the Hub after a pause."""
        self.list.narrow(event.value)
        self.table.touched = False
        if self.list.source == "hub":
            self.hub.ask(event.value)
        self.show_list("")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Takes a path, a full name, or goes to the list."""
        self.use.typed(event.value.strip())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides the keys that lead nowhere now."""
        if not self.is_mounted or not self._scanned:
            return super().check_action(action, parameters)
        entry = self.table.entry
        if action == "end_search":
            return self.box is not None
        if action in ("use", "down", "up", "first", "last", "page_up", "page_down"):
            return entry is not None
        if action in ("filters", "order"):
            return self.list.source == "hub"
        if action == "download":
            return entry is not None and self.use.can_download(entry)
        if action == "stop_download":
            return self.use.to_stop() is not None
        return super().check_action(action, parameters)

    # Actions

    def on_data_table_row_selected(self) -> None:
        """Enter on a row uses it."""
        self.action_use()

    def action_use(self) -> None:
        """Uses the model under the cursor and goes on."""
        if not self._scanned:
            self.did("This machine is still looked through: press Enter once models are listed.")
        elif (entry := self.table.entry) is not None:
            self.use.take(entry)

    def action_search(self) -> None:
        """Goes to the search box; what is typed replaces what was there."""
        words = self.query_one("#models-words", Input)
        words.focus()
        words.select_all()

    def action_end_search(self) -> None:
        """Goes back to the list."""
        self.table.focus()

    def action_source(self) -> None:
        """Shows the next source."""
        self.list.source = SOURCES[(SOURCES.index(self.list.source) + 1) % len(SOURCES)]
        if self.list.source == "hub":
            self.hub.ask(self.list.words)
        else:
            self.hub.stop()
            self.scan()
        self.table.touched = False
        self.show_list()

    def action_filters(self) -> None:
        """Asks for filters of the Hub's list."""
        self.sft.push_screen(model_filters.FilterDialog(self.hub.filters), self._filter)

    def action_order(self) -> None:
        """Lists in the next order."""
        self._filter(model_filters.next_order(self.hub.filters))
        order = model_filters.in_words(Filters(sort=self.hub.filters.sort))
        self.did(f"The Hub's list: {order or 'order downloads'}.")

    def _filter(self, filters: Filters | None) -> None:
        if filters is not None and filters != self.hub.filters:
            self.list.take([])
            self.hub.ask(self.list.words, filters)
            self.show_list()

    def action_token(self) -> None:
        """Asks for a token."""
        from .token_dialog import TokenDialog

        self.sft.push_screen(TokenDialog(), self.use.signed_in)

    def action_retry(self) -> None:
        """Looks again, here and on the Hub."""
        self.scan()
        self.sheets.forget_failures()
        if self.list.source == "hub":
            self.hub.ask(self.list.words)
        self.show_list()

    def action_download(self) -> None:
        """Brings the model here."""
        if (entry := self.table.entry) is not None:
            self.use.download(entry)

    def action_stop_download(self) -> None:
        """Stops the download of the model under the cursor, else the newest."""
        self.use.stop_download()

    def on_model_table_end_reached(self) -> None:
        """Behind the last row there may be more of the Hub's."""
        if self.list.source == "hub" and self.hub.more:
            self.hub.next_page()
            self._draw_state()
