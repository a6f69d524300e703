"""Work in a child process: leaving it is quiet, however the child ends meanwhile."""

import asyncio
import logging

import msgspec

from sft_tui.core.hub import child


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
