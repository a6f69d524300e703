"""The queue on Runs: what waits, in order, and why nothing starts where nothing does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from ...core.errors import SftError
from ...core.rundir import home
from ...core.text import one_line
from .runs_lines import name_of

if TYPE_CHECKING:
    from .runs import RunsScreen


@dataclass(frozen=True)
class Queued:
    """What was found in the queue: (id, words) of each that waits."""

    rows: tuple[tuple[str, str], ...] = ()
    held: bool = False
    """Whether nothing will start what could be started."""

    def without(self, other: "Queued") -> set[str]:
        """Returns the ids of what waits here and not there."""
        return {entry_id for entry_id, _ in self.rows} - {entry_id for entry_id, _ in other.rows}


def read_queue() -> Queued:
    """Returns what waits; an empty queue costs a look at its folder.

    Raises:
        SftError: The queue cannot be read.
    """
    if not any((home() / "queue").glob("*.json")):
        return Queued()
    from ...core.run_queue import waiting  # with what it starts runs with
    from ..queue_text import held, line

    entries = waiting()
    return Queued(tuple((entry.id, line(entry)) for entry in entries), held(entries))


class QueuePanel(OptionList):
    """The runs that wait, the next one first; it is not seen where none does."""

    def __init__(self) -> None:
        super().__init__(id="queue", classes="panel", markup=False)
        self.found = Queued()
        self.pointing = False
        """Whether the glyph of the cursor is here, and not on the list of runs."""
        self.display = self.can_focus = False  # empty, it would take Enter

    @property
    def chosen(self) -> str | None:
        """The id of what is under the cursor."""
        at = self.highlighted
        return None if at is None or at >= len(self.found.rows) else self.found.rows[at][0]

    def show(self, found: Queued) -> None:
        """Shows what waits; the cursor stays on its run."""
        if found == self.found:
            return
        chosen, self.found = self.chosen, found
        self.display = self.can_focus = bool(found.rows)
        ready = "held: s goes on" if found.held else "each starts when its devices are free"
        self.border_title = Text(f"Queue · {len(found.rows)}   {ready}")
        self.clear_options()
        self.add_options([Option(Text(f"  {line}", no_wrap=True)) for line in lines(found.rows)])
        ids = [entry_id for entry_id, _ in found.rows]
        self.highlighted = ids.index(chosen) if chosen in ids else 0 if ids else None

    def on_option_list_option_highlighted(self) -> None:
        """Points at what is under the cursor now."""
        self.point()

    def point(self) -> None:
        """Marks what is under the cursor, so that it is found without colour."""
        for at, line in enumerate(lines(self.found.rows)):
            glyph = "▸" if at == self.highlighted and self.pointing else " "
            self.replace_option_prompt_at_index(at, Text(f"{glyph} {line}", no_wrap=True))


def lines(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Returns a line for each run that waits."""
    return [
        f"{place}  {one_line(name_of(entry_id), 34)}  {words}"
        for place, (entry_id, words) in enumerate(rows, 1)
    ]


def take_out(screen: "RunsScreen", entry_id: str) -> None:
    """Asks, then takes a run out of the queue."""
    from .dialogs import Confirm

    def take(yes: bool | None) -> None:
        from ...core.run_queue import remove

        if not yes:
            return
        try:
            remove(entry_id)
            screen.did(f"{entry_id} waits no more.")
        except SftError as error:
            screen.notice = one_line(f"{error}. {error.remedy}")
        screen.scan()

    detail = "Its configuration goes with it; nothing was trained."
    screen.sft.push_screen(Confirm(f"Take {one_line(entry_id)} out of the queue?", detail), take)


def go_on(screen: "RunsScreen") -> None:
    """Starts a scheduler where there is none, as after a restart of the machine."""
    from ...core.run_queue import start_scheduler

    try:
        start_scheduler()
        screen.did("The queue goes on: each run starts when its devices are free.")
    except SftError as error:
        screen.notice = one_line(f"{error}. {error.remedy}")
