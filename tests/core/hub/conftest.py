"""A Hub on the loopback interface for the clients of the core, in this process and in children."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sft_tui.core.hub import client as hub_client
from sft_tui.core.hub.client import HubClient
from tests.loopback_hub import LoopbackHub, samples

TOKENS = {"hf_alicetoken123": "alice"}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty Hub of one test; this process and its children know no other."""
    from huggingface_hub import constants

    root = tmp_path / "hub"
    root.mkdir()
    with LoopbackHub(root, TOKENS) as running:
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE"):
            monkeypatch.delenv(name, raising=False)
        home = tmp_path / "hf"
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("HF_HOME", str(home))
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
        yield running


@pytest.fixture
def impatient(monkeypatch):
    """Waits a second where a user waits ten."""
    monkeypatch.setattr(hub_client, "READ_S", 1.0)
    monkeypatch.setattr(hub_client, "CONNECT_S", 1.0)
    monkeypatch.setattr(hub_client, "WHOLE_S", 2.0)


@pytest.fixture
def ask():
    """Runs one coroutine with an open connection and returns what it gives."""

    def run(question: Callable[[HubClient], Awaitable[Any]]) -> Any:
        async def whole():
            async with HubClient() as client:
                return await question(client)

        return asyncio.run(whole())

    return run


@pytest.fixture
def many(hub):
    """Puts a number of small models on the Hub."""

    def make(count: int, name: str = "acme/smollm-{:04}") -> None:
        weights = samples.safetensors_bytes({"w": (2, 2)})
        for number in range(count):
            samples.repository(
                hub.root, "models", name.format(number), {"model.safetensors": weights},
                pipeline_tag="text-generation", downloads=count - number,
                tags=["license:mit"],
            )  # fmt: skip

    return make
