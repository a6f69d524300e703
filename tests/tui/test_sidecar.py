"""The helper process: answers in order, goes on after faults and deaths, ends with its asker."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from sft_tui.core import config_file
from sft_tui.core.data.results import PreviewedRow
from sft_tui.core.errors import SftError
from sft_tui.core.sidecar.preview_calls import Row
from sft_tui.tui.services.sidecar import Sidecar
from tests.loopback_hub import samples

CALLS = r"""
import os, time
import msgspec
class Wanted(msgspec.Struct):
    text: str
    seconds: float = 0.0
def echo(asked: Wanted, tell):
    print("a library talks")
    tell({"half": asked.text})
    time.sleep(asked.seconds)
    return asked.text
def fault(asked: Wanted, tell):
    raise ZeroDivisionError(asked.text)
def death(asked: Wanted, tell):
    os.write(2, b"\x1b[31mlast words\n")
    os._exit(3)
"""


@pytest.fixture
def ask(tmp_path, monkeypatch, home):
    """Runs a scenario with a helper process that also knows the calls above."""
    (tmp_path / "own_calls.py").write_text(CALLS)
    (tmp_path / "sitecustomize.py").write_text(
        "from sft_tui.core.sidecar import calls\n"
        "calls.CALLS.update(dict.fromkeys(('echo', 'fault', 'death'), 'own_calls'))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def run(scenario):
        async def main():
            sidecar = Sidecar()
            try:
                await scenario(sidecar)
            finally:
                await sidecar.stop()

        asyncio.run(main())

    return run


@pytest.mark.timing
def test_a_row_is_previewed_and_a_wrong_one_told(ask, tmp_path):
    samples.save_model(tmp_path / "model")
    rows = [{"question": f"q{n}", "answer": "yes"} for n in range(5)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    sets = [f"model.name={tmp_path / 'model'}", f"data.source={tmp_path / 'rows.jsonl'}"]

    async def scenario(sidecar):
        config = config_file.build(sets)
        row = await sidecar.ask("row", Row(config, 0, 3), PreviewedRow)
        with pytest.raises(SftError, match="there is no row 9999"):
            await sidecar.ask("row", Row(config, 0, 9999), PreviewedRow)
        assert row.row == 3 and any(token.trained for token in row.tokens)
        began = time.monotonic()
        again = await sidecar.ask("row", Row(config, 0, 3), PreviewedRow)
        assert again == row and time.monotonic() - began < 1.0

    ask(scenario)


def test_replies_come_in_order_with_progress_and_whatever_libraries_print(ask):
    async def scenario(sidecar):
        told = []
        answers = await asyncio.gather(
            *(sidecar.ask("echo", {"text": f"{n}"}, str, told.append) for n in range(5))
        )
        assert answers == [f"{n}" for n in range(5)]
        assert told == [{"half": f"{n}"} for n in range(5)]

    ask(scenario)


def test_a_fault_is_told_and_the_process_goes_on(ask):
    async def scenario(sidecar):
        assert await sidecar.ask("echo", {"text": "a"}, str) == "a"
        pid = sidecar.pid
        with pytest.raises(SftError, match="ZeroDivisionError: here"):
            await sidecar.ask("fault", {"text": "here"}, str)
        assert await sidecar.ask("echo", {"text": "b"}, str) == "b" and sidecar.pid == pid

    ask(scenario)


def test_a_process_that_dies_is_told_with_its_last_words_and_replaced(ask):
    async def scenario(sidecar):
        with pytest.raises(SftError, match=r"before it answered: .*last words"):
            await sidecar.ask("death", {"text": ""}, str)
        assert await sidecar.ask("echo", {"text": "b"}, str) == "b"
        os.kill(sidecar.pid, signal.SIGKILL)
        answers = await asyncio.gather(
            sidecar.ask("echo", {"text": "c"}, str),
            sidecar.ask("echo", {"text": "d"}, str),
            return_exceptions=True,
        )
        assert "d" in answers  # at the most one call is lost with the process

    ask(scenario)


def test_cancelled_calls_do_not_mix_up_the_answers(ask):
    async def scenario(sidecar):
        slow = asyncio.create_task(sidecar.ask("echo", {"text": "slow", "seconds": 0.5}, str))
        waiting = asyncio.create_task(sidecar.ask("echo", {"text": "never", "seconds": 60}, str))
        await asyncio.sleep(0.3)
        waiting.cancel()
        slow.cancel()
        began = time.monotonic()
        assert await sidecar.ask("echo", {"text": "next"}, str) == "next"
        assert time.monotonic() - began < 10

    ask(scenario)


@pytest.mark.timing
def test_a_long_call_ends_at_once_when_it_is_cancelled_so(ask):
    async def scenario(sidecar):
        assert await sidecar.ask("echo", {"text": "a"}, str) == "a"
        long = asyncio.create_task(
            sidecar.ask("echo", {"text": "x", "seconds": 60}, str, end_when_cancelled=True)
        )
        await asyncio.sleep(0.2)
        pid = sidecar.pid
        long.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await long
        assert time.monotonic() - began < 1 and not psutil.pid_exists(pid)
        assert await sidecar.ask("echo", {"text": "b"}, str) == "b"

    ask(scenario)


def test_it_does_not_outlive_its_asker(ask, tmp_path):
    code = (
        "import asyncio, os\n"
        "from sft_tui.tui.services.sidecar import Sidecar\n"
        "async def main():\n"
        "    s = Sidecar()\n"
        "    await s.ask('echo', {'text': 'a'}, str)\n"
        "    print(s.pid, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    pid = int(done.stdout)
    deadline = time.monotonic() + 5
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid)
