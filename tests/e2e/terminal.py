"""A real terminal for tests: a tmux server with one shell."""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import psutil

CLI = Path(sys.executable).with_name("sft-tui")


class Terminal:
    """A tmux server of its own with one shell in it."""

    def __init__(self, folder: Path, home: Path, width: int = 120, height: int = 36) -> None:
        self.socket = folder / f"tmux-{time.monotonic_ns()}"
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("TMUX")
        } | {"SFT_TUI_HOME": str(home), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
        environment.pop("SFT_TUI_PLAIN", None)
        self._environment = environment
        size = ("-x", str(width), "-y", str(height))
        self.tmux("-f", "/dev/null", "new-session", "-d", *size, "bash --norc --noprofile")

    def tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-u", "-S", str(self.socket), *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p")

    def flow(self) -> str:
        """Returns the screen as one line without borders."""
        return " ".join(self.screen().replace("│", " ").split())

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.tmux("send-keys", key)
            time.sleep(0.1)

    def types(self, text: str) -> None:
        self.tmux("send-keys", "-l", text)

    def begin(self, *command: object) -> None:
        """Runs a command in the shell, once there is a prompt."""
        self.until(lambda: set("$#") & set(self.screen()), "a prompt")
        self.types("clear; " + shlex.join(map(str, command)))
        self.tmux("send-keys", "Enter")

    def until(self, holds, why: str, within_s: float = 15.0) -> float:
        began = time.monotonic()
        while not holds():
            waited = time.monotonic() - began
            assert waited < within_s, f"{why} did not come in {within_s} s:\n{self.screen()}"
            time.sleep(0.05)
        return time.monotonic() - began

    def sees(self, *texts: str, within_s: float = 15.0) -> float:
        def seen() -> bool:
            flow = self.flow()
            return all(text in flow for text in texts)

        return self.until(seen, " and ".join(texts), within_s)

    def children(self) -> list[psutil.Process]:
        shell = int(self.tmux("display-message", "-p", "#{pane_pid}"))
        return psutil.Process(shell).children()

    def close(self) -> None:
        self.tmux("kill-server")
