"""What a terminal shows while the Hub takes long: who is asked, and each wait once."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.loopback_hub import Fault, samples


@pytest.fixture(scope="module")
def hub_root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    samples.fill(folder)
    return folder


@pytest.fixture
def on_terminal(cli) -> Callable[..., str]:
    """Runs `sft-tui` with a terminal as its stderr until a text stands there, or to its end."""

    def run(*arguments: str, until: str = "\0", seconds: float = 30.0) -> str:
        ours, theirs = pty.openpty()
        child = subprocess.Popen(
            [cli.path, *arguments], stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs
        )
        os.close(theirs)
        shown, end = b"", time.monotonic() + seconds
        while until.encode() not in shown and time.monotonic() < end:
            if select.select([ours], [], [], 0.05)[0]:
                try:
                    shown += os.read(ours, 65536)
                except OSError:  # it has ended
                    break
        child.kill()
        child.wait()
        os.close(ours)
        return shown.decode()

    return run


@pytest.mark.timing
@pytest.mark.parametrize(
    "command",
    [
        ("models", "llama"),
        ("datasets",),
        ("datasets", "acme/chat"),
        ("fit", "acme/tiny-llama"),
        ("download", "acme/tiny-llama"),
        ("download", "--dataset", "acme/chat"),
    ],
    ids=" ".join,
)
def test_a_hub_that_is_silent_is_named_on_a_terminal_at_once(hub, on_terminal, command):
    hub.faults.append(Fault("hang", times=None))
    line = f"asking {hub.url.removeprefix('http://')} …"
    began = time.monotonic()
    shown = on_terminal(*command, until=line)
    assert shown.count(line) == 1
    assert time.monotonic() - began < 6  # 3 s on a machine with nothing else to do


def test_without_a_terminal_or_a_wait_nobody_is_named(hub, cli, on_terminal):
    assert "asking" not in on_terminal("models", "llama")
    hub.faults.append(Fault("delay", "/api/models", seconds=3))
    assert cli.sft("models", "llama").stderr == ""
