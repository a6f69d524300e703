"""The frame of every screen: mode row, body, notice line, footer."""

import contextvars
import gc
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from textual import events
from textual.app import ComposeResult
from textual.message import Message
from textual.reactive import var
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, TextArea

from ...core.text import one_line
from ..keys import Key, of_scope
from ..services.copied import keep
from .frame_rows import Footer, ModeRow
from .notice import MOST_LINES, Notice

if TYPE_CHECKING:
    from ...core.rundir import RunDir
    from ..app import SftApp

TINY = (60, 18)
"""Up to this size a screen shows what is most important, as text."""
FREEZE_S = 1.0
"""How long after a screen was made it counts as lasting."""


class FrameScreen(Screen[None]):
    """A screen with mode row, body, notice line and footer.

    Subclasses set `scope`, the name of the screen in the key registry, and give the body. A widget
    with the class `panel` has a border that shows the focus, and is what `z` maximises.

    The notice line holds what was said last. What is only news, such as what a key did, is said by
    `did`: it goes with the next key that does something. What was refused or failed, and what still
    lasts, is written to `notice`: it stays until something else is said.
    """

    ALLOW_IN_MAXIMIZED_VIEW = "#modes, #steps, #notice, #footer"

    class Failed(Message):
        """Work beside the event loop ended with an error that nobody foresaw."""

        def __init__(self, error: Exception) -> None:
            super().__init__()
            self.error = error

    class Said(Message):
        """Something for the notice line, from a thread: news, or what went wrong."""

        def __init__(self, text: str, *, wrong: bool = False) -> None:
            super().__init__()
            self.text = text
            self.wrong = wrong

    scope = ""
    mode = ""
    """The mode that the screen belongs to; "" where the scope is its name."""
    shared: tuple[str, ...] = ()
    """More scopes whose keys work here."""
    notice: var[str] = var("")
    deed: object = None
    """Stands for the notice where that is news, which goes with the next key."""
    _panel_before: Widget | None = None

    @property
    def sft(self) -> "SftApp":
        """The application, under its own type."""
        return cast("SftApp", self.app)  # pyright: ignore[reportUnknownMemberType]

    def compose(self) -> ComposeResult:
        """Puts the body into the frame."""
        yield ModeRow(self.mode or self.scope)
        yield from self.body()
        yield Notice()
        yield Footer()

    def body(self) -> Iterable[Widget]:
        """Returns the widgets between mode row and notice line."""
        return ()

    def changed(self, notice: str = "") -> None:
        """Says what a key did; a screen that keeps what it draws draws it anew."""
        self.did(notice)

    def describe(self) -> str:
        """Returns what the focused panel shows, with its main numbers, in plain sentences."""
        return ""

    def describes(self) -> bool:
        """Returns whether there is anything to describe; it is asked often, so it must be quick."""
        return bool(self.describe())

    def copyable(self) -> str | None:
        """Returns what `y` copies, or None where there is nothing; asked often, so quickly."""
        return None

    def copy(self, text: str) -> None:
        """Copies a text, and keeps it in a file."""
        self.sft.copy_to_clipboard(text)

        def work() -> None:
            self.deliver(self.Said(keep(text)))

        self.beside(work)

    def on_frame_screen_said(self, message: Said) -> None:
        """Says it."""
        if message.wrong:
            self.notice = one_line(message.text)
        else:
            self.did(message.text)

    def did(self, text: str) -> None:
        """Says news, such as what a key did; the next key that does something takes it away."""
        self.notice = one_line(text)
        self.deed = object() if self.notice else None

    def forget(self, deed: object) -> None:
        """Takes away what was news before a key, unless something else is said by now."""
        if deed is not None and deed is self.deed:
            self.notice = ""

    @property
    def awaits(self) -> bool:
        """Whether its own keys have nothing to work on yet: for a while they are kept back."""
        return False

    @property
    def owes(self) -> bool:
        """Whether it is yet to do what a key asked for: for a while all later ones are kept."""
        return False

    def edit_keys(self, box: Input | TextArea) -> list[tuple[str, str]]:
        """Returns the keys of a text box and what they do, for the footer while it is typed in."""
        return [("Enter", "Take it"), ("Esc", "Leave the box")]

    @property
    def box(self) -> Input | TextArea | None:
        """The text box that takes letters and digits now, if any."""
        focused = self.focused
        return focused if isinstance(focused, (Input, TextArea)) else None

    def leave_box(self) -> None:
        """Gives the letters back to the screen."""
        before = self._panel_before
        self.set_focus(before if before is not None and before in self.focus_chain else None)

    @property
    def panel(self) -> Widget | None:
        """The panel that has the focus: a widget, or the one of class `panel` around it."""
        focused = self.focused
        if focused is None:
            return None
        around = (node for node in focused.ancestors_with_self if node.has_class("panel"))
        found = next(around, focused)
        return found if isinstance(found, Widget) else focused

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Offers the keys of the panel that got the focus."""
        if self.box is None:
            self._panel_before = self.focused
        self.refresh_footer()

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        """Offers the keys of the screen where no panel has the focus."""
        self.refresh_footer()

    @property
    def run_at_cursor(self) -> "RunDir | None":
        """The run that the cursor is on, where the screen lists runs."""
        return None

    def compare_marked(self) -> bool:
        """Takes the runs that are marked here to Compare; returns whether there are several."""
        return False

    @property
    def is_mounted(self) -> bool:
        """Whether its widgets are there: from when they were composed until they are taken down."""
        # `display` is false while it is pruned; at the very end the application has stopped.
        return super().is_mounted and self.display and self.sft.is_running

    def watch_notice(self, notice: str) -> None:
        """Shows the last event in words."""
        self.deed = None
        if self.is_mounted:
            self._draw_notice()

    def _draw_notice(self) -> None:
        most = 1 if self.has_class("tiny") else MOST_LINES
        self.query_one(Notice).show(self.notice, self.describe_key, most)

    @property
    def describe_key(self) -> str:
        """The key that tells in words what there was no room for."""
        key = self.sft.remapped.get("app.describe")
        return key.shown if key else "i"

    def on_mount(self) -> None:
        """Draws the footer, and what was said before there was a line for it."""
        self.sft.theme_changed_signal.subscribe(self, lambda _: self.theme_changed())
        self.refresh_footer()
        self._draw_notice()
        if self.sft.lasts:
            self.call_after_refresh(gc.freeze)
            self.set_timer(FREEZE_S, gc.freeze)  # with what it was filled with

    def theme_changed(self) -> None:
        """Draws anew what holds colours of the theme itself, not by a style sheet."""

    def on_resize(self) -> None:
        """Marks sizes at which only what is most important is shown."""
        width, height = self.size
        self.set_class(width < TINY[0] or height <= TINY[1], "tiny")
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

    def _compositor_refresh(self) -> None:
        """Draws what is dirty. Of a screen that a dialog covers, Textual would draw all again
        whenever anything reaches it, and the dialog with it: 70 kB/s over a run at work."""
        super()._compositor_refresh()
        if self.sft.screen is not self:
            self._repaint_required = False

    def offered(self) -> list[Key]:
        """Returns the keys of this screen that do something now."""
        every = [key for scope in (self.scope, *self.shared) for key in of_scope(scope)]
        return [
            self.sft.remapped.get(key.id, key)
            for key in every
            if self.check_action(key.name, ()) is True
        ]

    def everywhere(self) -> list[Key]:
        """Returns the keys of the application that do something now."""
        keys = [
            self.sft.remapped.get(key.id, key)
            for key in of_scope("app")
            if self.sft.check_action(key.name, ()) is True
        ]
        if self.scope != "runs":
            return keys
        return [replace(key, label="Leave") if key.name == "leave" else key for key in keys]

    def of_panel(self, key: Key) -> bool:
        """Returns whether a key acts on the panel that has the focus."""
        focused = self.focused
        around = () if focused is None or not key.panel else focused.ancestors_with_self
        return any(node.id == key.panel for node in around)

    def refresh_footer(self) -> None:
        """Draws the footer anew: what is offered may have changed."""
        if not self.is_mounted:
            return
        footer, look = self.query_one("#footer", Footer), self.sft.look
        if (box := self.box) is not None:
            keys = [(look.keys(shown), label) for shown, label in self.edit_keys(box)]
            footer.show(keys, [("F1", "Help"), ("F2", "Cmd")], "EDIT")
            return
        keys = [key for key in self.offered() if key.footer]
        # Keys of other panels come last: they work, but are not what is looked at.
        keys.sort(key=lambda key: bool(key.panel) and not self.of_panel(key))
        tail = [key for key in self.everywhere() if key.footer]
        footer.show(
            [(look.keys(key.shown), key.label) for key in keys],
            [(key.shown, key.label) for key in tail],
        )
        self.refresh_bindings()
