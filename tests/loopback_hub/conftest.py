"""A Hub full of examples, and genuine clients in processes of their own.

`HF_ENDPOINT` is read when a client is imported, so only plain HTTP is spoken from this process.
"""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from . import LoopbackHub, samples

ACCOUNTS = {"hf_alice": "alice", "hf_bob": "bob", "hf_reader": "alice"}

Client = Callable[..., Any]
"""Runs a script that sets `answer`, against a Hub, with a token; returns the answer."""


@pytest.fixture(scope="session")
def sample_root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("samples")
    samples.fill(root)
    return root


@pytest.fixture(scope="session")
def _samples_hub(sample_root) -> Iterator[LoopbackHub]:
    with LoopbackHub(sample_root, ACCOUNTS, page_rows=4) as hub:
        yield hub


@pytest.fixture
def hub(_samples_hub) -> LoopbackHub:
    """A Hub full of examples, without faults and with an empty log; nothing may be pushed to it."""
    _samples_hub.faults.clear()
    _samples_hub.requests.clear()
    return _samples_hub


@pytest.fixture
def own_hub(tmp_path) -> Iterator[LoopbackHub]:
    """An empty Hub of one test, where it may push and edit."""
    with LoopbackHub(
        tmp_path / "root", ACCOUNTS, read_only={"hf_reader"}, lfs_bytes=5000, part_bytes=20_000
    ) as hub:
        yield hub


@pytest.fixture
def http(hub) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=hub.url, timeout=20) as client:
        yield client


@pytest.fixture
def client(tmp_path) -> Client:
    def run(hub: LoopbackHub, script: str, token: str | None = None, **variables: str) -> Any:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("HF_")
        }
        environment |= {
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            **({"HF_TOKEN": token} if token else {}),
            **variables,
        }
        body = f"{textwrap.dedent(script)}\nimport json\nprint(); print(json.dumps(answer))"
        done = subprocess.run(
            [sys.executable, "-P", "-c", body],
            env=environment,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run
