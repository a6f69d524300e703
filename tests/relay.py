"""A terminal at the end of a line of some speed: a program on a pty, and the screen that it draws.

Between the two stands a relay, as slow as it is asked to be; nothing of it is a socket. What the
program sends is counted where it leaves the pty.
"""

import os
import queue
import re
import subprocess
import termios
import threading
import time
from pathlib import Path

import psutil

_BLOCK = 1024
_ASKS_FOR_UPDATES = b"\x1b[?2026$p"
_PARTS = re.compile(
    r"\x1b\[(?P<arguments>[0-?]*)[ -/]*(?P<final>[@-~])"
    r"|\x1b[\]P].*?(?:\x07|\x1b\\)"
    r"|\x1b[^\[\]P]"
    r"|(?P<control>[\x00-\x1a\x1c-\x1f])"
    r"|(?P<text>[^\x00-\x1f]+)",
    re.DOTALL,
)


class Screen:
    """What a terminal shows, of the few things that Textual sends; every character has one cell."""

    def __init__(self, width: int, height: int) -> None:
        self._size = width, height
        self._rows = [[" "] * width for _ in range(height)]
        self._x = self._y = 0
        self._rest = ""

    def feed(self, data: str) -> None:
        """Takes what arrived; a sequence that is not complete waits for its end."""
        data, at = self._rest + data, 0
        while (part := _PARTS.match(data, at)) is not None:
            at = part.end()
            if (text := part["text"]) is not None:
                self._write(text)
            elif (control := part["control"]) is not None:
                self._x = 0 if control in "\r\n" else self._x
                self._y += control == "\n"
            elif part["final"] == "H":
                row, _, column = part["arguments"].partition(";")
                self._y, self._x = int(row or 1) - 1, int(column or 1) - 1
            elif part["final"] == "J":
                self._rows = [[" "] * self._size[0] for _ in self._rows]
        self._rest = data[at:]

    def _write(self, text: str) -> None:
        width, height = self._size
        if 0 <= self._y < height:
            text = text[: max(width - self._x, 0)]
            self._rows[self._y][self._x : self._x + len(text)] = text
        self._x += len(text)

    def text(self) -> str:
        """Returns all rows."""
        return "\n".join(map("".join, self._rows))


class Relay:
    """Runs a command on a pty.

    Args:
        command: The command.
        home: The folder of its runs.
        size: Columns and rows.
        rate: Bytes that the line carries in a second; None for all that come.
        delay_s: How long each direction takes.
    """

    def __init__(
        self,
        command: list[object],
        home: Path,
        size: tuple[int, int] = (80, 24),
        rate: float | None = None,
        delay_s: float = 0.0,
    ) -> None:
        self._leader, follower = os.openpty()
        termios.tcsetwinsize(follower, (size[1], size[0]))
        environment = {**os.environ, "SFT_TUI_HOME": str(home), "TERM": "xterm-256color"}
        environment |= {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "COLUMNS": "", "LINES": ""}
        for name in ("NO_COLOR", "COLORTERM", "SFT_TUI_PLAIN"):
            environment.pop(name, None)
        self.began = time.monotonic()
        self.child = subprocess.Popen(
            ["setsid", "--ctty", *map(str, command)],  # its terminal, as if it were opened there
            stdin=follower, stdout=follower, stderr=follower, env=environment,
        )  # fmt: skip
        os.close(follower)
        self.process = psutil.Process(self.child.pid)
        self.screen = Screen(*size)
        self.sent = 0
        """Bytes that left the program so far."""
        self._rate, self._delay_s = rate, delay_s
        self._under_way: queue.Queue[tuple[float, bytes] | None] = queue.Queue()
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=each) for each in (self._carry, self._arrive)]
        for thread in self._threads:
            thread.start()

    def _carry(self) -> None:
        """Takes what the program sends, no faster than the line carries it."""
        free_at = 0.0
        while True:
            try:
                data = os.read(self._leader, _BLOCK)
            except OSError:  # how a pty says that its other end is closed
                break
            self.sent += len(data)
            if _ASKS_FOR_UPDATES in data:  # a terminal of today shows an update as a whole
                os.write(self._leader, b"\x1b[?2026;2$y")
            free_at = max(free_at, time.monotonic()) + (len(data) / self._rate if self._rate else 0)
            if self._rate:
                time.sleep(max(free_at - time.monotonic(), 0))
            self._under_way.put((time.monotonic() + self._delay_s, data))
        self._under_way.put(None)

    def _arrive(self) -> None:
        """Draws what the line carried, when it is due."""
        import codecs

        text = codecs.getincrementaldecoder("utf-8")()
        while (arriving := self._under_way.get()) is not None:
            due, data = arriving
            time.sleep(max(due - time.monotonic(), 0))
            with self._changed:
                self.screen.feed(text.decode(data))
                self._changed.notify_all()

    def press(self, keys: str) -> float:
        """Types keys; returns when, by the monotonic clock. They arrive after the line's delay."""
        at = time.monotonic()
        threading.Timer(self._delay_s, os.write, (self._leader, keys.encode())).start()
        return at

    def sees(self, *texts: str, within_s: float = 15.0, since: float | None = None) -> float:
        """Waits until every text is on the screen; returns the seconds it took since `since`."""
        return self.until(lambda seen: all(text in seen for text in texts),
                          " and ".join(texts), within_s, since)  # fmt: skip

    def loses(self, text: str, within_s: float = 15.0, since: float | None = None) -> float:
        """Waits until a text is no longer on the screen; returns the seconds since `since`."""
        return self.until(lambda seen: text not in seen, f"{text} going", within_s, since)

    def until(self, holds, why: str, within_s: float = 15.0, since: float | None = None) -> float:
        """Waits until what is shown satisfies `holds`; returns the seconds since `since`."""
        began = time.monotonic() if since is None else since
        with self._changed:
            while not holds(self.screen.text()):
                left = within_s - (time.monotonic() - began)
                shown = self.screen.text()
                assert left > 0, f"{why} did not come in {within_s} s:\n{shown}"
                self._changed.wait(min(left, 0.5))
        return time.monotonic() - began

    def cpu_s(self) -> float:
        """Returns the processor's seconds that the program took so far."""
        times = self.process.cpu_times()
        return times.user + times.system

    def close(self) -> None:
        """Ends the program."""
        self.child.kill()
        self.child.wait()
        for thread in self._threads:
            thread.join(5)
        os.close(self._leader)
