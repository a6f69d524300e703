"""Data: what is trained on, what its rows are taken for, and how the first of them come out."""

from collections.abc import Callable
from typing import Any

import msgspec
from textual.events import DescendantFocus
from textual.widgets import Input

from .....core.config import SourceConfig
from .....core.data.found import Found
from .....core.data.looked import Looked, ShownRow
from .....core.text import one_line
from ....keys import bindings
from ..pick import Pick
from . import data_lines, typed
from .sources_panel import PATH, Words
from .view import DataView, key_of
from .weight import ask_for_weight


class DataScreen(DataView):
    """The step."""

    BINDINGS = bindings("data")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides what leads nowhere now."""
        if not self.is_mounted:
            return super().check_action(action, parameters)
        looked = self.looked
        coming = self.looks.choice is None or self.looks.waiting
        ready = self.looks.ready or coming
        offered = {
            "columns": lambda: coming or (ready and bool(looked and looked.paths)),
            "splits": lambda: ready,
            "add": lambda: ready,
            "weight": lambda: self.mixed,
            "problems": lambda: bool(self._bad()),
            "next_row": lambda: looked is not None and self._row < len(looked.rows) - 1,
            "previous_row": lambda: looked is not None and self._row > 0,
            # Elsewhere both panels are seen, and Tab is the application's.
            "panel": lambda: self.has_class("narrow"),
            "cancel": lambda: self.hub.bringing is not None,
        }
        return offered[action]() if action in offered else super().check_action(action, parameters)

    def on_sources_panel_chosen(self) -> None:
        """Enter on a row."""
        self.action_use()

    def use(self) -> None:
        """Enter was pressed before there was a list."""
        self.action_use()

    def action_use(self) -> None:
        """Trains on what is under the cursor and goes on; stays where something is wrong."""
        found = self.current
        if found is PATH:
            self.action_search()
        elif found is not None and found.problem:
            self.notice = one_line(f"{found.name} cannot be used: {found.problem}.")
        elif found is not None and self.hub.on and self.hub.searching:
            self.did("The list is still of other words: the Hub has not answered yet.")
        elif found is not None and self.hub.on and not self.hub.is_here(found):
            self.hub.bring(found.source)
        else:
            self._when_ready(self._take)

    def _when_ready(self, then: Callable[[Found, Looked], None]) -> None:
        """Does something with the source under the cursor once its first rows are known."""
        found, looked = self.current, self.looked
        if found is not None and looked is not None and self.looks.ready:
            then(found, looked)
            return
        if found is not None and not self.looks.waiting:
            self.look()  # it was left, or failed
        self._then = lambda: self._when_ready(then)
        self._told = self.notice = "Looking at the first rows…"

    def _take(self, found: Found, looked: Looked) -> None:
        if looked.trouble is not None:
            wrong = data_lines.words(looked.trouble)
        elif looked.evaluation is not None:
            wrong = f"Evaluation: {data_lines.reason(looked.evaluation)}. Press s to choose."
        elif not looked.usable:
            why = looked.bad[0].sentence() if looked.bad else "it holds no rows"
            wrong = f"None of the rows can be used: {why}. Press c to choose columns."
        elif self.choose(self.candidate(found)):
            self.looks.remember(found)
            self.sft.show_step("preview")
            return
        else:
            return
        self.notice = wrong
        if self.has_class("narrow"):  # where the whole of it can be read
            self.show_panel(mapping=True)

    def choose(self, source: SourceConfig, more: dict[str, Any] | None = None) -> bool:
        """Makes a source the draft's, or changes it there; returns whether that could be.

        Args:
            source: With all its settings. In a mix it takes its own place, else that of all.
            more: Other settings of the data, such as eval_split, and what goes with them.
        """
        mix, data = self.mix, self.data
        inside = key_of(source) in [key_of(each) for each in mix]
        new = [source if key_of(each) == key_of(source) else each for each in mix]
        changes = dict(more or {})
        if not inside:
            new = [source]
            # What the evaluation was taken from belongs to the data before.
            for key in ("eval_source", "eval_split"):
                if getattr(data, key) is not None:
                    changes.setdefault(f"data.{key}", None)
        return self._change(new, changes)

    def _change(self, mix: list[SourceConfig], changes: dict[str, Any]) -> bool:
        if mix != self.mix:
            changes["data.sources"] = [_sparse(source) for source in mix]
        problems = self.drafts.change(changes) if changes else []
        if problems:
            self.notice = one_line("; ".join(problem.message for problem in problems))
        return not problems

    def action_add(self) -> None:
        """Puts the source into the mix, or takes it out."""
        self._when_ready(self._add)

    def _add(self, found: Found, looked: Looked) -> None:
        mine, mix = self.candidate(found), self.mix
        new = [each for each in mix if key_of(each) != key_of(mine)]
        if len(new) == len(mix):
            new.append(mine)
        if self._change(new, {}):
            names = " + ".join(each.source.rpartition("/")[2] for each in new)
            self.did(f"The data is {names} now.")

    def action_weight(self) -> None:
        """Asks how often the rows of the source come in the mix."""
        if (found := self.current) is not None:
            ask_for_weight(self, found)

    def action_columns(self) -> None:
        """Opens the columns editor."""
        self._when_ready(self._edit_columns)

    def _edit_columns(self, found: Found, looked: Looked) -> None:
        from .columns_editor import ColumnsEditor

        if not looked.paths:  # it cannot be read, which the mapping says
            return

        def take(changed: SourceConfig | None) -> None:
            if changed is not None and changed != source and self.choose(changed):
                self.did("The columns are as chosen now. Enter goes on.")

        source = self.candidate(found)
        self.sft.push_screen(ColumnsEditor(source, looked, self.looks.ask, self._row), take)

    def action_splits(self) -> None:
        """Asks which rows are trained, and which are kept for evaluation."""
        self._when_ready(self._ask_splits)

    def _ask_splits(self, found: Found, looked: Looked) -> None:
        from .splits_dialog import SplitsDialog

        def take(answer: tuple[str, dict[str, Any]] | None) -> None:
            if answer is not None:
                split, changes = answer
                self.choose(msgspec.structs.replace(source, split=split), changes)

        source = self.candidate(found)
        self.sft.push_screen(SplitsDialog(source, self.data, looked.splits, self.looks.rows), take)

    def action_problems(self) -> None:
        """Lists the rows that have a problem; Enter shows one."""
        bad = self._bad()
        more = sum(self.looks.checked.problems.values()) - len(bad) if self.looks.checked else 0
        title = f"Rows with a problem: {len(bad)}" + (f" of {len(bad) + more}" * (more > 0))

        def show(place: int | None) -> None:
            looked = self.looked
            if place is None or looked is None:
                return
            numbers = [row.number for row in looked.rows]
            if bad[place].number in numbers:
                self._show_row(numbers.index(bad[place].number))
            self.did(bad[place].sentence())

        lines = [f"{'✗' if row.is_error else '!'} {row.sentence()}" for row in bad]
        self.sft.push_screen(Pick(title, lines, "Enter shows it   Esc closes"), show)

    def _bad(self) -> list[ShownRow]:
        checked = self.looks.checked
        if checked is not None and checked.bad:
            return checked.bad
        return self.looked.bad if self.looked is not None else []

    def action_next_row(self) -> None:
        """Shows the next row as it comes out."""
        self._show_row(self._row + 1)

    def action_previous_row(self) -> None:
        """Shows the row before."""
        self._show_row(self._row - 1)

    def _show_row(self, row: int) -> None:
        if self.looked is not None:
            self._row = min(max(row, 0), max(len(self.looked.rows) - 1, 0))
            self.draw()
            self.refresh_footer()

    def action_origin(self) -> None:
        """Changes between files and the Hub."""
        self.hub.switch()

    def action_search(self) -> None:
        """Opens the box: words for the Hub, or a path."""
        self.show_panel(mapping=False)
        box = self.sources.words
        box.placeholder = "words of a data set's name" if self.hub.on else "path or owner/name"
        box.display = True
        box.focus()

    def on_words_closed(self) -> None:
        """Esc in the box."""
        self._leave_box()

    def _leave_box(self) -> None:
        box = self.sources.words
        if not self.hub.on:
            box.value = ""
        box.display = bool(box.value)
        self.sources.table.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Searches as one types."""
        if self.hub.on and isinstance(event.input, Words):
            self.hub.look_for(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Takes a path or an id; words that found something lead into the list."""
        text = event.value.strip()
        if self.hub.on and "/" not in text:
            self._leave_box()
            return
        if not text:
            self._leave_box()
        elif typed.is_of_hub(text):
            self._leave_box()
            here = [found for found in self.looks.listed if found.source == text]
            self.show_source(here[0]) if here else self.hub.bring(text)
        else:
            self._leave_box()
            self.show_source(typed.source_of(text))

    def show_source(self, found: Found) -> None:
        """Puts the cursor on a source, which is listed if it was not."""
        if self.hub.on:
            self.hub.switch()
        self.looks.add(found)
        self.fill(self.place_of(found))
        self.look()

    def use_brought(self, found: Found) -> None:
        """Takes a data set that was just downloaded, and goes on where it is waited for."""
        source = msgspec.structs.replace(self.candidate(found), split=found.split)
        if not self.choose(source):
            return
        if self.is_current:
            self.show_source(found)
            self.action_use()
        else:
            self.sft.did(f"{found.name} is here, and the draft's data now.")

    def action_refresh(self) -> None:
        """Lists anew, looks anew, or asks the Hub again."""
        if self.hub.on:
            self.hub.retry()
        self.begin(self._list, "list")
        self.look(anew=True)

    def action_cancel(self) -> None:
        """Ends the download."""
        self.hub.cancel()

    def action_panel(self) -> None:
        """The other panel."""
        self.show_panel(mapping=not self.has_class("mapping"))

    def show_panel(self, *, mapping: bool) -> None:
        """Goes into a panel; on a narrow screen it is the one that is seen."""
        self.set_class(mapping, "mapping")
        self.query_one("#data-mapping" if mapping else "#data-list").focus()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """The mouse may go into a panel too."""
        self.set_class(self.focused is self.mapping, "mapping")

    def action_down(self) -> None:
        """The next source, or further down in the mapping."""
        self._in_focus("cursor_down", "scroll_down")

    def action_up(self) -> None:
        """The source before, or further up in the mapping."""
        self._in_focus("cursor_up", "scroll_up")

    def action_first(self) -> None:
        """The first source, or the top of the mapping."""
        self._in_focus("scroll_top", "scroll_home")

    def action_last(self) -> None:
        """The last source, or the end of the mapping."""
        self._in_focus("scroll_bottom", "scroll_end")

    def _in_focus(self, of_list: str, of_mapping: str) -> None:
        if self.focused is self.mapping:
            getattr(self.mapping, f"action_{of_mapping}")()
        else:
            getattr(self.sources.table, f"action_{of_list}")()

    def describe(self) -> str:
        """Says what the source under the cursor is."""
        found, looked = self.current, self.looked
        if found is None or found is PATH:
            return "No source is under the cursor."
        said = [f"The source under the cursor is {found.name}, {data_lines.size(found.size)}"]
        if looked is not None:
            lines = [*data_lines.mapping(looked), *data_lines.problems(looked, self.looks.checked)]
            said += [f"{head.plain.strip()} {body.plain}" for head, body in lines]
        return one_line(". ".join(said) + ".")


def _sparse(source: SourceConfig) -> dict[str, Any]:
    """Returns a source as a file of a configuration would say it."""
    default = msgspec.to_builtins(SourceConfig())
    values = msgspec.to_builtins(source)
    kept = {key: value for key, value in values.items() if value != default[key]}
    return {"source": source.source, **kept}
