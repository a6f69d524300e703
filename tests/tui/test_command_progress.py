"""What commands tell of a child process: silence is named on a terminal, each wait told once."""

import asyncio
import io

import pytest

from sft_tui.core.hub.progress import Event
from sft_tui.tui.commands import progress


class Terminal(io.StringIO):
    """Keeps what is shown."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch) -> Terminal:
    """Is stderr, in front of a user with little patience."""
    monkeypatch.setattr(progress, "PATIENT_S", 0.1)
    return Terminal()


async def told(*events: Event | float):
    for event in events:
        if isinstance(event, float):
            await asyncio.sleep(event)
        else:
            yield event


@pytest.fixture
def shown(terminal, monkeypatch):
    def show(*events: Event | float, **more) -> str:
        monkeypatch.setattr("sys.stderr", terminal)
        terminal.truncate(0)
        asyncio.run(
            progress.follow(told(*events), **{"as_json": False, "asks": "hub.test", **more})
        )
        return terminal.getvalue()

    return show


def test_a_child_that_asks_the_hub_and_tells_nothing_is_noticed(shown):
    """Such as an upload at its commit."""
    line, done = "asking hub.test …\n", Event("done")
    assert shown(Event("progress"), 0.5, done).count(line) == 1
    assert shown(0.3, Event("progress"), 0.3, done).count(line) == 2
    assert "asking" not in shown(done)
    assert "asking" not in shown(0.3, done, asks="")
    assert "asking" not in shown(0.3, done, as_json=True)


def test_each_wait_is_told_once_and_only_waits(shown):
    wait = Event("waiting", wait_s=2, reason="the Hub cannot answer now")
    line = "waiting 2 s: the Hub cannot answer now\n"
    assert shown(wait, wait, wait, Event("done")).count(line) == 1
    short = Event("waiting", wait_s=1, reason="closed")
    assert shown(short, 1.1, wait, Event("done")).count("waiting") == 2
