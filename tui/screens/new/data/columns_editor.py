"""The columns editor: which place in the rows each role is read from, with a row re-rendered."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from .....core.config import SourceConfig
from .....core.data.columns import parse
from .....core.data.looked import Column, Looked
from .....core.data.rows import ROLES
from .....core.data.shapes import READ_TOO, ROLES_OF
from .....core.errors import SftError
from .....core.text import one_line
from ..cursor_table import GLYPH, CursorTable
from ..pick import Pick
from . import data_lines
from .mapping_panel import MappingPanel

_ROLES_HINT = "Enter choose   d detected   s shape   [ ] row   u all as detected   Esc done"
_PATHS_HINT = "type to filter   ↑ ↓ move   Enter takes it for {}   Esc back to the roles"
_USELESS = "✗ No row can be used so.   Esc leaves it so   d detected   u all as detected"
_TURN = "turn role "
_UNLIKE = "prompt_completion"
"""The shape whose roles are offered where none is recognised."""


class Filter(Input):
    """The box that filters; ↑ ↓ move in the list below it."""

    BINDINGS = [
        Binding("escape", "screen.roles", "Back", show=False),
        Binding("down", "screen.move(1)", "Down", show=False),
        Binding("up", "screen.move(-1)", "Up", show=False),
    ]


class ColumnsEditor(ModalScreen[SourceConfig]):
    """Places in the rows at the left, roles at the right, below them a row as it comes out.

    Args:
        source: What is edited; the changed one is the answer.
        looked: Its first rows.
        look: Gives them with other settings.
        row: The row that is shown.
    """

    BINDINGS = [
        Binding("escape,q", "done", "Done"),
        Binding("d", "default", "Detected"),
        Binding("s", "shape", "Shape"),
        Binding("u", "reset", "All as detected"),
        Binding("right_square_bracket,J", "row(1)", "Next row"),
        Binding("left_square_bracket,K", "row(-1)", "Row before"),
        Binding("j", "role(1)", "Down"),
        Binding("k", "role(-1)", "Up"),
        Binding("tab,shift+tab", "paths", "Paths"),
    ]

    def __init__(
        self,
        source: SourceConfig,
        looked: Looked,
        look: Callable[[SourceConfig], Awaitable[Looked]],
        row: int = 0,
    ) -> None:
        super().__init__()
        self.source = source
        self._looked = looked
        self._look = look
        self._row = row
        self._shown: list[str] = []
        self._trouble = ""
        self._looking = self._leaving = False  # leaving: Esc was pressed during a look
        self._warned: SourceConfig | None = None

    def compose(self) -> ComposeResult:
        """The box above the paths, the roles, the row."""
        with Vertical(id="columns"):
            with Horizontal(id="columns-top"):
                with Vertical(id="columns-left", classes="panel"):
                    yield Filter(id="columns-filter", placeholder="type to filter the paths")
                    yield CursorTable(id="columns-paths")
                yield CursorTable(id="columns-roles", classes="panel")
            yield MappingPanel("columns-result")
            yield Static(_ROLES_HINT, id="columns-hint", classes="hint", markup=False)

    def on_mount(self) -> None:
        """Begins among the roles."""
        self.query_one("#columns-left").border_title = "Paths in the rows"
        self.query_one("#columns-result").border_title = "Result"
        self._draw()
        self._roles_table.focus()

    def on_resize(self) -> None:
        """Gives the samples the room that there is."""
        self.set_class(self.size.width < 100, "narrow")
        self.call_after_refresh(self._draw)

    @property
    def _roles_table(self) -> CursorTable:
        return self.query_one("#columns-roles", CursorTable)

    @property
    def _paths_table(self) -> CursorTable:
        return self.query_one("#columns-paths", CursorTable)

    @property
    def shape(self) -> str:
        """The shape whose roles are shown."""
        return self._looked.shape or _UNLIKE

    @property
    def roles(self) -> list[str]:
        """What can be mapped: the roles of the shape, and names of turns that are not usual."""
        names = [name for name in self._looked.turn_roles if name not in ROLES]
        own = [*ROLES_OF[self.shape], *READ_TOO[self.shape]]
        return [*own, *(_TURN + name for name in names)]

    @property
    def _role(self) -> str:
        at = self._roles_table.cursor_row
        roles = self.roles
        return roles[at] if 0 <= at < len(roles) else roles[0]

    # Drawing

    def _draw(self) -> None:
        self._draw_roles()
        self._draw_paths()
        self._draw_row()

    def _draw_roles(self) -> None:
        table = self._roles_table
        room = table.content_size.width - GLYPH
        names = 17 if room > 42 else 14
        wide = max(room - names, 8)
        rows: list[list[Text]] = []
        for role in self.roles:
            name = role.removeprefix(_TURN)
            if role.startswith(_TURN):
                said = self._looked.turn_roles[name] or "✗ unknown"
                name = f"turn “{one_line(name, names - 8)}”"
            else:
                lacking = "✗ none" if role in ROLES_OF[self.shape] else data_lines.UNKNOWN
                path = self._looked.columns.get(role)
                said = one_line(path, wide) if path is not None else lacking
                own = role in self.source.columns or path is None
                said += "" if own or len(said) > wide - 12 else "  (detected)"
            rows.append([Text(one_line(name, names - 1)), Text(said)])
        table.fill([("ROLE", names), ("← PATH", wide)], rows)
        table.border_title = Text(f"Roles   {self.shape}")
        table.border_subtitle = "" if self._looked.shape else "no shape recognised"

    def _draw_paths(self) -> None:
        table = self._paths_table
        words = self.query_one(Filter).value.strip().lower()
        found = [column for column in self._looked.paths if _fits(column, words)]
        self._shown = [column.path for column in found]
        room = table.content_size.width - GLYPH
        longest = max((len(column.path) for column in found), default=8)
        wide = min(max(longest + 2, 10), max(room // 2, 10))
        sample = max(room - wide - 7, 8)
        rows: list[list[Text]] = []
        for column in found:
            fill = f"{column.fill:.0%}".replace("%", " %")
            cells = one_line(column.path, wide - 1), f"{fill:>5}", one_line(column.sample, sample)
            rows.append(list(map(Text, cells)))
        own = self.query_one(Filter).value.strip()
        if own and own not in self._shown and _is_path(own):
            self._shown.append(own)
            rows.append([Text(one_line(own, wide - 1)), Text("    –"), Text("as typed")])
        columns = [("PATH", wide), ("FILL", 7), ("SAMPLE", sample)]
        table.fill(columns, rows, 0 if words else None)

    def _draw_row(self) -> None:
        panel = self.query_one("#columns-result", MappingPanel)
        looked = self._looked
        lines: list[data_lines.Line] = []
        if self._trouble:
            lines.append(data_lines.marked("✗", self._trouble))
        if looked.trouble is not None:
            lines.append(data_lines.marked("✗", data_lines.reason(looked.trouble)))
        if looked.rows:
            row = looked.rows[min(self._row, len(looked.rows) - 1)]
            lines += data_lines.turns(row)
            usable = f"row {row.number} · {looked.usable} of {len(looked.rows)} rows can be used"
            panel.border_title = Text(f"Result of {usable}")
        panel.show(lines, top=True)

    # Keys

    def on_data_table_row_selected(self) -> None:
        """Enter on a role goes to the paths, on a path takes it."""
        if self.focused is self._paths_table:
            self._take()
        elif self._role.startswith(_TURN):
            self._ask_turn_role(self._role.removeprefix(_TURN))
        else:
            self._to_paths()

    def _to_paths(self) -> None:
        box = self.query_one(Filter)
        box.value = ""
        box.focus()
        path = self._looked.columns.get(self._role)
        if path in self._shown:
            self._paths_table.go(self._shown.index(path))
        self._hint(_PATHS_HINT.format(self._role))

    def on_input_changed(self) -> None:
        """Filters as one types."""
        self._draw_paths()

    def on_input_submitted(self) -> None:
        """Enter in the box takes the path under the cursor."""
        self._take()

    def _take(self) -> None:
        at = self._paths_table.cursor_row
        if not 0 <= at < len(self._shown):
            self._hint("No path is like that. Esc goes back to the roles.", wrong=True)
            return
        role = self._role
        columns = {**self.source.columns, role: self._shown[at]}
        # Where no shape is recognised, the roles that are shown are those of one that is chosen.
        shape = self.source.shape if self._looked.shape else _UNLIKE
        self._set(columns=columns, shape=shape)
        self.action_roles()
        lacking = [r for r in ROLES_OF[self.shape] if r not in {**self._looked.columns, **columns}]
        if lacking:
            self._roles_table.go(self.roles.index(lacking[0]))

    def action_roles(self) -> None:
        """Back to the roles."""
        self.query_one(Filter).value = ""
        self._roles_table.focus()
        self._hint(_ROLES_HINT)

    def action_paths(self) -> None:
        """From the roles to the paths and back."""
        if self.focused is self._roles_table and not self._role.startswith(_TURN):
            self._to_paths()
        else:
            self.action_roles()

    def action_move(self, by: int) -> None:
        """Moves in the list of paths while the box has the keys."""
        table = self._paths_table
        table.action_cursor_down() if by > 0 else table.action_cursor_up()

    def action_role(self, by: int) -> None:
        """Moves among the roles."""
        table = self._roles_table
        table.action_cursor_down() if by > 0 else table.action_cursor_up()

    def action_row(self, by: int) -> None:
        """Shows another row."""
        self._row = min(max(self._row + by, 0), max(len(self._looked.rows) - 1, 0))
        self._draw_row()

    def action_default(self) -> None:
        """Takes for the role under the cursor what is detected."""
        name = self._role.removeprefix(_TURN)
        if self._role.startswith(_TURN):
            self._set(roles={k: v for k, v in self.source.roles.items() if k != name})
        else:
            self._set(columns={k: v for k, v in self.source.columns.items() if k != name})

    def action_reset(self) -> None:
        """Takes everything as it is detected."""
        self._set(columns={}, roles={}, shape="auto")

    def action_shape(self) -> None:
        """Asks for the shape."""
        names = ["auto", *ROLES_OF]
        lines = ["auto: as the columns tell"]
        lines += [f"{name}: {', '.join([*ROLES_OF[name], *READ_TOO[name]])}" for name in names[1:]]

        def take(place: int | None) -> None:
            if place is None:
                return
            name = names[place]
            reads = set(self.roles if name == "auto" else [*ROLES_OF[name], *READ_TOO[name]])
            kept = {role: path for role, path in self.source.columns.items() if role in reads}
            self._set(shape=name, columns=kept)

        at = names.index(self.source.shape)
        hint = "Enter takes it   Esc cancels"
        cast(Any, self).app.push_screen(Pick("Shape of the rows", lines, hint, at), take)

    def _ask_turn_role(self, name: str) -> None:
        def take(place: int | None) -> None:
            if place is not None:
                self._set(roles={**self.source.roles, name: ROLES[place]})

        title = f"Turns of “{one_line(name, 40)}” are the …"
        cast(Any, self).app.push_screen(Pick(title, ROLES, "Enter takes it   Esc cancels"), take)

    def action_done(self) -> None:
        """Closes; what was chosen stays. Where no row can be used so, a second Esc does it."""
        useless = bool(self._looked.rows) and not self._looked.usable
        if self._looking:
            self._leaving = True
        elif (useless or self._trouble) and self._warned != self.source:
            self._warned = self.source
            self._hint(_USELESS, wrong=True)
        else:
            self.dismiss(self.source)

    def _hint(self, text: str, *, wrong: bool = False) -> None:
        hint = self.query_one("#columns-hint", Static)
        hint.update(Content(cast(Any, self).app.look.keys(text)))
        hint.set_class(wrong, "wrong")

    def _set(self, **changes: object) -> None:
        changed = msgspec.structs.replace(self.source, **changes)
        if changed != self.source:
            self.source, self._looking = changed, True
            self._hint(_ROLES_HINT)
            self.run_worker(self._look_again, exclusive=True, exit_on_error=False)

    async def _look_again(self) -> None:
        try:
            self._looked, self._trouble = await self._look(self.source), ""
        except SftError as error:
            self._trouble = f"{error}. {error.remedy}"
        self._row = min(self._row, max(len(self._looked.rows) - 1, 0))
        self._looking, leaving, self._leaving = False, self._leaving, False
        self._draw()
        if leaving:
            self.action_done()


def _fits(column: Column, words: str) -> bool:
    return words in column.path.lower() or words in column.sample.lower()


def _is_path(text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True
