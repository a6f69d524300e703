"""Typing asks once, only the newest answer counts, and the screen stays free meanwhile."""

import asyncio
import os
import subprocess
import sys
import time

import pytest

from sft_tui.core.hub import search
from sft_tui.core.hub.client import HubClient
from sft_tui.tui.services.hub_search import Failed, Found, HubSearch
from tests.loopback_hub import Fault, LoopbackHub, samples


@pytest.fixture
def hub(tmp_path, monkeypatch):
    from huggingface_hub import constants

    with LoopbackHub(tmp_path / "hub") as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        yield running


def fill(hub, count):
    weights = samples.safetensors_bytes({"w": (2, 2)})
    for number in range(count):
        samples.repository(
            hub.root, "models", f"acme/smollm-{number:04}", {"model.safetensors": weights},
            pipeline_tag="text-generation", downloads=count - number,
        )  # fmt: skip


def run(hub, act):
    """Runs `act(looker, told)` with an open connection."""

    async def whole():
        told: list[Found | Failed] = []
        async with HubClient() as client:
            looker = HubSearch(client, search.models, told.append)
            await act(looker, told)
            looker.stop()
        return told

    return asyncio.run(whole())


async def until(condition, limit_s=10.0):
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < limit_s
        await asyncio.sleep(0.005)


def test_typing_a_word_sends_one_request(hub):
    fill(hub, 3)

    async def act(looker, told):
        for end in range(1, 7):
            looker.look_for("smollm"[:end])
            await asyncio.sleep(0.05)
        await until(lambda: told)
        await asyncio.sleep(0.5)

    (found,) = run(hub, act)
    assert (found.words, len(found.rows)) == ("smollm", 3)
    assert len(hub.requests) == 1 and "search=smollm" in hub.requests[0].query


def test_an_older_answer_never_comes_after_a_newer_question(hub):
    fill(hub, 3)
    hub.faults.append(Fault("delay", "/api/models", seconds=1.0))

    async def act(looker, told):
        looker.look_for("smollm")
        await until(lambda: hub.requests)
        looker.look_for("acme")
        await until(lambda: told)
        await asyncio.sleep(1.2)

    assert [answer.words for answer in run(hub, act)] == ["acme"]


def test_a_single_letter_asks_nothing_and_no_letters_ask_for_all(hub):
    fill(hub, 2)

    async def act(looker, told):
        looker.look_for("s")
        await asyncio.sleep(0.5)
        assert not told and not hub.requests
        looker.look_for(" ")
        await until(lambda: told)

    assert len(run(hub, act)[0].rows) == 2


def test_a_failure_is_told_and_the_next_word_works(hub):
    fill(hub, 2)
    hub.faults.append(Fault("status", "/api/models", status=500))

    async def act(looker, told):
        looker.look_for("smollm")
        await until(lambda: told)
        looker.look_for("acme")
        await until(lambda: len(told) > 1)

    failed, found = run(hub, act)
    assert isinstance(failed, Failed) and "answered 500" in failed.error.why
    assert isinstance(found, Found) and len(found.rows) == 2


@pytest.mark.timing
def test_a_thousand_results_page_while_the_loop_stays_free(hub):
    """Between two ticks of a clock of 5 ms the loop's own thread may work 50 ms at most.

    The processor's time is counted: what the server and other processes take is not the loop's.
    """
    fill(hub, 1000)

    async def act(looker, told):
        busy = [0.0]

        async def tick():
            while True:
                before = time.thread_time()
                await asyncio.sleep(0.005)
                busy.append(time.thread_time() - before)

        ticking = asyncio.create_task(tick())
        looker.look_for("smollm")
        await until(lambda: told, 60)
        while told[-1].more:
            seen = len(told)
            looker.more()
            looker.more()  # a second press while the answer is awaited asks nothing
            await until(lambda seen=seen: len(told) > seen, 60)
        ticking.cancel()
        assert len(busy) > 100 and max(busy) < 0.05

    found = run(hub, act)[-1]
    assert [row.id for row in found.rows] == [f"acme/smollm-{n:04}" for n in range(1000)]
    assert len(hub.requests) == 40


@pytest.mark.timing
def test_opening_a_connection_leaves_the_loop_free(hub):
    """In a process of its own, where nothing of the client is imported yet."""
    script = """
import asyncio, time
from sft_tui.core.hub.client import HubClient

async def main():
    async def tick():
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.005)
            busy.append(time.thread_time() - before)
    busy = [0.0]
    ticking = asyncio.create_task(tick())
    async with HubClient() as client:
        await client.json("/api/models")
    ticking.cancel()
    print(max(busy))

asyncio.run(main())
"""
    environment = {**os.environ, "HF_ENDPOINT": hub.url}
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.05
