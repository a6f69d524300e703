"""The first row of every screen, which names the modes, and the last, which names its keys."""

import socket
from collections.abc import Sequence
from typing import Any, cast

from rich.text import Text
from textual.widgets import Static

from ...core.text import one_line
from .. import clocks
from ..keys import modes

MOST_KEYS = 9
"""Entries of a footer before those that are always there."""
ROOM_FOR_DIGITS = 36
"""A narrower screen shows only the mode that it is in."""
MODES = modes()


class ModeRow(Static):
    """The first row: the modes, the one that is shown in reverse, host and clock."""

    def __init__(self, mode: str) -> None:
        super().__init__(id="modes")
        self._mode = mode
        self._drawn = ""

    def on_mount(self) -> None:
        """Draws the row and keeps its clock right."""
        self._show()
        self.set_interval(5.0, self._show)
        self.watch(cast(Any, self).app, "hub_offline", self._show, init=False)

    def on_resize(self) -> None:
        """Draws for the new width."""
        self._drawn = ""
        self._show()

    def _show(self) -> None:
        text = Text(" sft-tui ", style="bold", end="", no_wrap=True)
        room = self.size.width - text.cell_len
        named = sum(len(name) + 4 for _, _, name in MODES) <= room
        for digit, mode, name in MODES:
            if mode == self._mode:
                text.append(f"▌{digit} {name}▐", "reverse")
            elif named or self.size.width >= ROOM_FOR_DIGITS:
                text.append(f" {digit} {name} " if named else f" {digit} ")
        facts = "Hub offline · " if cast(Any, self).app.hub_offline else ""
        right = f"{one_line(socket.gethostname(), 24)}  {clocks.at()} "
        for shown in (facts + right, facts.rstrip("· ")):  # a fact matters more than the clock
            room = self.size.width - text.cell_len - len(shown)
            if room > 0:
                text.append(" " * room + shown, "dim")
                break
        if text.plain != self._drawn:
            self._drawn = text.plain
            self.update(text, layout=False)


class Footer(Static):
    """The last row: what the keys of this screen do now. Nothing in it is dead."""

    def __init__(self) -> None:
        super().__init__(id="footer")
        self._keys: Sequence[tuple[str, str]] = ()
        self._tail: Sequence[tuple[str, str]] = ()
        self._mark = ""

    def show(
        self, keys: Sequence[tuple[str, str]], tail: Sequence[tuple[str, str]], mark: str = ""
    ) -> None:
        """Draws keys and what they do in order, as many as there is room for.

        Args:
            keys: (key, what it does) of each.
            tail: The same of those that are always there.
            mark: A word before all, such as EDIT.
        """
        self._keys, self._tail, self._mark = keys, tail, mark
        self.on_resize()

    def on_resize(self) -> None:
        """Draws for the new width."""
        end = Text(no_wrap=True)
        for shown, label in self._tail:
            end.append(f" {shown} ", "bold")
            end.append(label)
        text = Text(no_wrap=True)
        if self._mark:
            text.append(f" {self._mark} ", "bold reverse")
        for shown, label in self._keys[:MOST_KEYS]:
            if text.cell_len + len(shown) + len(label) + 3 + end.cell_len >= self.size.width:
                break
            text.append(f" {shown} ", "bold")
            text.append(f"{label} ")
        text.append(" " * max(self.size.width - text.cell_len - end.cell_len, 1))
        self.update(text + end, layout=False)
