"""Textual's driver for terminals, with one thread that reads keys, whatever signals come."""

import asyncio

from textual.drivers.linux_driver import LinuxDriver


class OneReader(LinuxDriver):
    """Reads keys in the order in which they were typed.

    Textual begins to read anew upon each SIGCONT. Where SIGSTOP came before, as a debugger, a
    freezer of processes or `kill` sends it, the thread that read is still there: two of them took
    keys from each other, and an Enter overtook letters that were meant for the box before it.
    """

    def start_application_mode(self) -> None:
        """Begins to read and to draw."""
        self._loop = asyncio.get_running_loop()
        super().start_application_mode()

    def _sigcont_application(self, *_: object) -> None:
        # Not in the signal's handler: what it interrupts may hold the lock of what is written.
        self._loop.call_soon_threadsafe(self._come_back)

    def _come_back(self) -> None:
        if not self._auto_restart:
            return
        if self._key_thread is not None and self._key_thread.is_alive():
            self.suspend_application_mode()  # also what a shell left of the terminal meanwhile
        self.resume_application_mode()
        self._app.call_later(self._app.refresh, layout=True)  # its first row was left out else
