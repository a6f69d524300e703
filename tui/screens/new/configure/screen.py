"""Configure: every setting of the run with its meaning, and what it does to the run."""

from collections.abc import Iterable
from typing import Any

from rich.text import Text
from textual.containers import Container, Vertical
from textual.widget import Widget
from textual.widgets import Input, Static, TextArea

from .....core import adjust
from .....core.draft import NEEDED
from .....core.fields import Field, as_list, field_at
from .....core.raw_values import value_at
from .....core.text import one_line
from .....core.typed import shown
from ....keys import bindings, of_scope
from ....theme import colours
from ....widgets.find_box import FindBox
from .. import estimate_lines
from ..step import StepScreen
from . import field_effects, field_help
from .changes import Changes
from .editor import FieldEditor
from .field_list import VALUE_AT, FieldList
from .finder import Finder
from .moves import FieldMoves
from .preset_dialog import PresetDialog
from .rows import changed_fields, is_changed, label_of, rows

_WIDE = 100


class ConfigureScreen(FieldMoves, StepScreen):
    """The list of settings, help for the one under the cursor, and the estimate."""

    BINDINGS = bindings("configure")
    scope = "configure"

    def __init__(self) -> None:
        super().__init__()
        self._advanced = False
        self._finder = Finder()
        self._before_find: tuple[str, bool] = ("", False)
        self._refused = ""
        self._estimate = Text()
        self._changes: Changes

    def step_body(self) -> Iterable[Widget]:
        """What is shown."""
        with Container(id="configure"):
            yield FieldEditor(FieldList(), take=self._take)
            with Vertical(id="side"):
                yield Static(id="field-help", classes="panel")
                yield Static(id="estimate", classes="panel")

    def on_mount(self) -> None:
        """Asks for the effects of the draft; Textual calls the handlers of the base as well."""
        self._changes = Changes(self.drafts)
        self.query_one("#estimate").border_title = "Estimate"
        self.sft.effects.changed.subscribe(self, lambda _: self._effects_changed())
        self.fields.focus()

    @property
    def _editor(self) -> FieldEditor:
        return self.query_one(FieldEditor)

    def on_resize(self) -> None:
        """Puts help and estimate beside the list, or below it."""
        self.set_class(self.size.width < _WIDE, "narrow")
        self.call_after_refresh(self._show_side)

    def draft_changed(self) -> None:
        """Draws the values of the draft."""
        self._show_rows()
        self._show_side()

    def _show_rows(self, also: str = "") -> None:
        here = self.fields.row
        kept = [path for path in (also, here.path if here else "") if path]
        found = rows(self.draft, advanced=self._advanced, also=kept)
        self.fields.show(found, self._effects())
        count = len(changed_fields(self.draft.raw()))
        title = f"Configure   {count} changed" if count else "Configure   all as by default"
        self._editor.border_title = Text(title)

    def _effects_changed(self) -> None:
        if self.is_current:
            self.fields.show_effects(self._effects())
            self._show_side()

    def on_field_list_moved(self) -> None:
        """Shows what belongs to the row under the cursor."""
        self.fields.show_effects(self._effects())
        self._show_side()
        self.refresh_footer()

    @property
    def _seen(self) -> field_effects.Seen:
        effects = self.sft.effects
        return field_effects.Seen(self.draft.raw(), effects.found, effects.statistics)

    def _effects(self) -> dict[str, str]:
        """Returns what stands beside each field: beside the one of the cursor, what is near it."""
        found = field_effects.effects(self._seen)
        field = self._field
        if field is not None:
            near = adjust.around(field, self.draft.value(field.path))
            if near:
                found[field.path] = f"‹ {' '.join(shown(field, v, unit=False) for v in near)} ›"
        return found

    @property
    def _field(self) -> Field | None:
        """The field under the cursor; None on a line that is no field."""
        row = self.fields.row if self.is_mounted else None
        return field_at(row.path) if row is not None and row.kind == "field" else None

    def _show_side(self) -> None:
        effects = self.sft.effects
        narrow = self.has_class("narrow")
        shades = colours(self.sft.theme_variables)
        box, row = self.query_one("#field-help", Static), self.fields.row
        if row is not None and row.kind in ("field", "problem"):
            field = field_at(row.path)
            seen, told = self._seen, self._refused or field_help.problems_of(self.draft, row.path)
            make = field_help.short if narrow else field_help.whole
            text = make(field, seen, told, shades)
            box.border_title = Text(f"{label_of(row.path)}   {row.path}")
            box.update(text, layout=False)
        panel = self.query_one("#estimate", Static)
        panel.set_class(effects.waiting, "waiting")
        if narrow:
            said = Text(estimate_lines.in_one_line(*effects.told))
        else:
            lines = estimate_lines.lines(*effects.told)
            said = estimate_lines.drawn(lines, panel.content_size.width, shades)
        if said != self._estimate:  # it is as high as it has lines: drawing it lays all out anew
            self._estimate = said
            panel.update(said)

    def describe(self) -> str:
        """Returns the field under the cursor and the estimate in sentences."""
        row = self.fields.row
        told = ""
        if row is not None:
            told = field_help.sentences(field_at(row.path), self._seen)
            told += field_help.problems_of(self.draft, row.path)
        effects = self.sft.effects
        return f"{told} Estimate: {estimate_lines.in_one_line(*effects.told)}."

    def _go_to(self, path: str) -> None:
        """Moves to a field, which is shown if it was hidden."""
        if not self.fields.move_to(path):
            self._show_rows(also=path)
            self.fields.move_to(path)

    def focus_field(self, path: str) -> None:
        """Moves to a field, for those who show this screen because of it."""
        self._go_to(path)

    def describes(self) -> bool:
        """There is always something to describe."""
        return True

    def edit_keys(self, box: Input | TextArea) -> list[tuple[str, str]]:
        """Returns what the keys do while something is typed."""
        if isinstance(box, FindBox):
            return [("Enter", "Stay there"), ("Esc", "Go back")]
        return super().edit_keys(box)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides what does nothing for the row under the cursor, and everything while typing."""
        if not self.is_mounted:
            return True
        if self._editor.is_open or self.query(FindBox):
            return False
        if action not in _OWN:
            return super().check_action(action, parameters)
        field, row = self._field, self.fields.row
        value = self.draft.value(field.path) if field is not None else None
        match action:
            case "edit":
                return row is not None
            case "more" | "less":
                return field is not None and any(
                    adjust.neighbour(field, value, way) is not None for way in (1, -1)
                )
            case "switch":
                return field is not None and field.kind == "bool"
            case "default":
                return field is not None and is_changed(field, value)
            case "section_default":
                return row is not None and bool(self._changes.in_section(field_at(row.path).group))
            case "next_found" | "previous_found":
                return self._finder.several
            case _:
                return True

    def action_edit(self) -> None:
        """Opens the value where it stands; on a conflict, goes to the other field."""
        row = self.fields.row
        if row is None:
            return
        if row.kind == "problem" and row.leads_to != row.path:
            self._go_to(row.leads_to)
            return
        field, value = field_at(row.path), self.draft.value(row.path)
        if field.kind == "bool":
            self.action_switch()
            return
        self.fields.move_to(row.path)
        if as_list(value) and isinstance(as_list(value)[0], dict):  # of groups: what was chosen
            value = as_list(value_at(self.draft.values, field.path))
        if field.path in NEEDED.values() and not self.draft.chosen(field.path):
            value = None
        self._editor.open(field, value, self.fields.line_of_cursor, VALUE_AT)
        self.refresh_footer()
        self.notice = f"{field.label} must be {field.expected()}. Enter takes it, Esc leaves it."

    def _take(self, field: Field, value: Any) -> str | None:
        """Takes what was typed; returns why it cannot be, or None."""
        why = self._changes.take(field, value)
        if why is None:
            self.did(self._changes.said)
        return why

    def _choose(self, field: Field, value: Any) -> None:
        problems = self._changes.choose(field, value)
        self.did(problems[0].message if problems else self._changes.said)

    def on_field_editor_refused(self, message: FieldEditor.Refused) -> None:
        """Says why what was typed cannot be."""
        self._refused = message.why
        self.notice = one_line(message.why)
        self._show_side()

    def on_field_editor_ended(self) -> None:
        """Gives the keys back to the list."""
        if self._refused or self.notice.endswith("Esc leaves it."):
            self.notice = ""
        self._refused = ""
        self.fields.focus()
        self._show_side()
        self.refresh_footer()

    def action_switch(self) -> None:
        """Switches a field between yes and no."""
        field = self._field
        if field is not None:
            self._choose(field, not self.draft.value(field.path))

    def action_more(self) -> None:
        """Takes the next larger value, or the next choice."""
        self._adjust(1)

    def action_less(self) -> None:
        """Takes the next smaller value, or the choice before."""
        self._adjust(-1)

    def _adjust(self, way: int) -> None:
        field = self._field
        if field is None:
            return
        value = adjust.neighbour(field, self.draft.value(field.path), way)
        if value is None:
            end = "largest" if way > 0 else "smallest"
            self.did(f"{field.label} is at its {end} step: {self._changes.shown(field)}.")
        else:
            self._choose(field, value)

    def action_default(self) -> None:
        """Sets the field back to its default, and what follows it with it."""
        field = self._field
        if field is not None:
            self._forget([field])

    def action_section_default(self) -> None:
        """Sets all fields of the section back, as one change."""
        row = self.fields.row
        if row is not None:
            self._forget(self._changes.in_section(field_at(row.path).group))

    def _forget(self, fields: list[Field]) -> None:
        self._changes.forget(fields)
        self.did(self._changes.said)

    def action_undo(self) -> None:
        """Takes the last change back, says what it was, and goes to its field."""
        if (path := self.undo()) is not None:
            self._go_to(path)

    def action_advanced(self) -> None:
        """Shows or hides the fields that are seldom changed."""
        self._advanced = not self._advanced
        self._show_rows()
        self.refresh_footer()

    def action_find(self) -> None:
        """Opens the line in which a field is looked for."""
        row = self.fields.row
        self._before_find = (row.path if row else "", self._advanced)
        box = FindBox("name, path or help of a field")
        self._editor.mount(box)
        box.focus()
        self.call_after_refresh(self.refresh_footer)

    def on_find_box_typed(self, message: FindBox.Typed) -> None:
        """Goes to the best match of what was typed so far."""
        path = self._finder.look(message.words)
        if path is not None:
            self._go_to(path)
        self.notice = self._finder.said

    def on_find_box_left(self, message: FindBox.Left) -> None:
        """Closes the line; goes back to where it was, unless what was found is wanted."""
        self.query_one(FindBox).remove()
        if not message.stay:
            path, self._advanced = self._before_find
            self._finder.forget()
            self._go_to(path)
        self.notice = ""  # which said what Enter does
        self.fields.focus()
        self.call_after_refresh(self.refresh_footer)

    def action_next_found(self) -> None:
        """Goes to the next field that was looked for."""
        self._go_to(self._finder.turn(1))

    def action_previous_found(self) -> None:
        """Goes to the one before."""
        self._go_to(self._finder.turn(-1))

    def action_preset(self) -> None:
        """Offers the presets with what each would change."""
        self.sft.push_screen(PresetDialog(self.draft), self._take_preset)

    def _take_preset(self, name: str | None) -> None:
        if name is None:
            return
        problems = self.drafts.take_preset(name)
        if problems:
            self.notice = one_line(problems[0].message)
        else:
            self.did(f"The preset {name} is taken. u takes it back.")


_OWN = {key.name for key in of_scope("configure")}
