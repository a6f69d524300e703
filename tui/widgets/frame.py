"""The frame of every screen: mode row, body, notice line, footer."""

import contextvars
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.message import Message
from textual.reactive import var
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from ...core.text import one_line
from ..keys import Key, of_scope

if TYPE_CHECKING:
    from ..app import SftApp

MODES = (("1", "runs", "Runs"), ("2", "new", "New"), ("3", "monitor", "Monitor"))


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
        for digit, mode, name in MODES:
            here = mode == self._mode
            text.append(
                f"▌{digit} {name}▐" if here else f" {digit} {name} ", "reverse" if here else ""
            )
        facts = "Hub offline · " if cast(Any, self).app.hub_offline else ""
        right = f"{one_line(socket.gethostname(), 24)}  {time.strftime('%H:%M')} "
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
        self._keys: list[Key] = []
        self._tail: list[Key] = []

    def show(self, keys: list[Key], tail: list[Key]) -> None:
        """Draws keys in order, as many as there is room for; `tail` is always there."""
        self._keys, self._tail = keys, tail
        self.on_resize()

    def on_resize(self) -> None:
        """Draws for the new width."""
        end = Text(no_wrap=True)
        for key in self._tail:
            end.append(f" {key.shown} ", "bold")
            end.append(key.label)
        text = Text(no_wrap=True)
        for key in self._keys:
            part = f" {key.shown} {key.label} "
            if text.cell_len + len(part) + end.cell_len > self.size.width:
                break
            text.append(f" {key.shown} ", "bold")
            text.append(f"{key.label} ")
        text.append(" " * max(self.size.width - text.cell_len - end.cell_len, 1))
        self.update(text + end, layout=False)


class FrameScreen(Screen[None]):
    """A screen with mode row, body, notice line and footer.

    Subclasses set `scope`, the name of the screen in the key registry, and give the body. `notice`
    is the last event in words; it stays until the next one.
    """

    class Failed(Message):
        """Work beside the event loop ended with an error that nobody foresaw."""

        def __init__(self, error: Exception) -> None:
            super().__init__()
            self.error = error

    scope = ""
    mode = ""
    """The mode that the screen belongs to; "" where the scope is its name."""
    shared: tuple[str, ...] = ()
    """More scopes whose keys work here."""
    notice: var[str] = var("")

    @property
    def sft(self) -> "SftApp":
        """The application, under its own type."""
        return cast("SftApp", self.app)  # pyright: ignore[reportUnknownMemberType]

    def compose(self) -> ComposeResult:
        """Puts the body into the frame."""
        yield ModeRow(self.mode or self.scope)
        yield from self.body()
        yield Static(id="notice", markup=False)
        yield Footer()

    def body(self) -> Iterable[Widget]:
        """Returns the widgets between mode row and notice line."""
        return ()

    def describe(self) -> str:
        """Returns what the focused panel shows, with its main numbers, in plain sentences."""
        return ""

    def watch_notice(self, notice: str) -> None:
        """Shows the last event in words."""
        if self.is_mounted:
            self._draw_notice()

    def _draw_notice(self) -> None:
        text = Text(f" » {self.notice}" if self.notice else "")
        self.query_one("#notice", Static).update(text, layout=False)

    def on_mount(self) -> None:
        """Draws the footer, and what was said before there was a line for it."""
        self.refresh_footer()
        self._draw_notice()

    def beside(self, work: Callable[[], None]) -> None:
        """Runs `work` in a thread that ends with the process, wherever it stands.

        Textual's own workers are waited for at the end: one that reads a disk which does not
        answer would keep the application from leaving.
        """

        def guarded() -> None:
            try:
                work()
            except Exception as error:
                self.deliver(self.Failed(error))

        context = contextvars.copy_context()  # through it Textual knows the application
        threading.Thread(target=context.run, args=(guarded,), daemon=True).start()

    def deliver(self, message: Message) -> bool:
        """Posts a message from a thread; returns whether there is anyone left to take it."""
        try:
            return self.post_message(message)
        except RuntimeError:  # the application ended meanwhile
            return False

    def on_frame_screen_failed(self, message: Failed) -> None:
        """Says what failed: a screen that only stops changing would hide it."""
        error = message.error
        self.notice = one_line(f"Reading failed: {type(error).__name__}: {error}")

    def offered(self) -> list[Key]:
        """Returns the keys of this screen that do something now."""
        every = [key for scope in (self.scope, *self.shared) for key in of_scope(scope)]
        return [key for key in every if self.check_action(key.name, ()) is True]

    def refresh_footer(self) -> None:
        """Draws the footer anew: what is offered may have changed."""
        keys = [key for key in self.offered() if key.footer]
        tail = [key for key in of_scope("app") if key.footer]
        if self.scope == "runs":
            tail = [replace(key, label="Leave") if key.name == "leave" else key for key in tail]
        self.query_one("#footer", Footer).show(keys, tail)
        self.refresh_bindings()
