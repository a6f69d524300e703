"""Asks the disk beside the event loop: one that does not answer must not hold up keys."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from textual.events import Callback

from ..core.errors import SftError

if TYPE_CHECKING:
    from .widgets.frame import FrameScreen

Found = TypeVar("Found")
SOON_S = 0.7
"""How long keys that are typed ahead wait for the disk."""
SLOW_S = 0.7
"""From when on it is said that the disk does not answer."""
_SILENT = "The disk does not answer yet: what the key asks for waits, other keys do not."
_LATE = "The disk answers only now: press the key once more."


def off_loop(
    screen: "FrameScreen",
    ask: Callable[[], Found],
    take: Callable[[Found], None],
    always: Callable[[], None] = lambda: None,
) -> None:
    """Asks in a thread and takes the answer in the event loop; an `SftError` is said.

    Args:
        screen: Whose answer it is.
        ask: Reads the disk.
        take: Takes what was read.
        always: Called before, and also where the disk failed.
    """

    def answered(found: list[Found]) -> None:
        always()
        if found:
            take(found[0])

    def work() -> None:
        found: list[Found] = []
        try:
            found.append(ask())
        except SftError as error:
            screen.deliver(screen.Said(f"{error}. {error.remedy}", wrong=True))
        finally:
            screen.deliver(Callback(lambda: answered(found)))

    screen.beside(work)


class AfterLook:
    """Does what a key asks for once the disk has answered."""

    def __init__(self, screen: "FrameScreen") -> None:
        self._screen = screen
        self._since: float | None = None

    @property
    def soon(self) -> bool:
        """Whether the answer is awaited, and keys are to wait for what it brings."""
        return self._since is not None and time.monotonic() - self._since < SOON_S

    def __call__(self, ask: Callable[[], Found], then: Callable[[Found], None]) -> None:
        """Asks, then does what the key asked for with the answer.

        Once another key was pressed nothing is done: what is typed must not fall into a question
        that opens long after it was asked for.
        """
        if self._since is not None:
            self._screen.notice = _SILENT
            return
        self._since = since = time.monotonic()
        keys = self._screen.sft.keys_given

        def over() -> None:
            self._since = None
            if self._screen.notice == _SILENT:
                self._screen.notice = ""

        def take(found: Found) -> None:
            if self._screen.sft.keys_given == keys:
                then(found)
            else:
                self._screen.did(_LATE)

        def slow() -> None:
            if self._since == since:
                self._screen.notice = _SILENT

        off_loop(self._screen, ask, take, over)
        self._screen.set_timer(SLOW_S, slow)
