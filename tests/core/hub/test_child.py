"""Work in a child process: leaving it is quiet, however the child ends meanwhile."""

import asyncio
import logging

import msgspec

from sft_tui.core.hub import child
from sft_tui.core.hub.progress import Event


def test_of_what_the_client_logs_only_waits_are_told():
    told: list[Event] = []
    logger = logging.Logger("huggingface_hub")
    logger.addHandler(child._Waits(told.append))
    for line in (
        "No files have been modified since last commit. Skipping to prevent empty commit.",
        "HTTP Error 503 thrown while requesting HEAD http://hub/acme/m/resolve/main/config.json",
        "Retrying in 2s [Retry 2/5].",
        "'[Errno 104] reset' thrown while requesting PUT http://hub/lfs",
        "Retrying in 1s [Retry 1/5].",
        "HTTP Error 429 thrown while requesting GET http://hub/x",
        "Rate limited. Waiting 3.0s before retry [Retry 1/5].",
    ):
        logger.warning(line)
    assert [(event.wait_s, event.reason) for event in told] == [
        (2, "the Hub cannot answer now"),
        (1, "the connection was closed early"),
        (3, "the Hub asks to wait 3 s"),
    ]


class Nothing(msgspec.Struct):
    """A request that asks for nothing."""


def test_a_child_that_ends_while_it_is_left_is_not_called_unknown(tmp_path, monkeypatch, caplog):
    """The event loop waits for it in a thread: whoever ends it must not take its end away.

    Which of both comes first is chance, so it is tried many times.
    """
    (tmp_path / "brief.py").write_text(
        """import os; os.write(1, b'{"event":"done"}\\n'); os._exit(0)"""
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    async def often() -> None:
        for _ in range(150):
            async for _ in child.events("brief", Nothing(), "the test", "try again"):
                pass

    with caplog.at_level(logging.WARNING, logger="asyncio"):
        asyncio.run(often())
    assert caplog.messages == []
