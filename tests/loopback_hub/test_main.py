"""The Hub as a person starts it."""

import signal
import subprocess
import sys
from pathlib import Path

import httpx2


def test_a_person_starts_a_hub_and_is_told_its_address(sample_root):
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.loopback_hub", str(sample_root)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    try:
        line = child.stdout.readline()
        address = line.removeprefix("export HF_ENDPOINT=").split()[0]
        rows = httpx2.get(f"{address}/api/datasets?search=chat").json()
        child.send_signal(signal.SIGINT)
        assert child.wait(10) == 0
    finally:
        child.kill()
        child.wait()
        child.stdout.close()

    assert [row["id"] for row in rows] == ["acme/chat", "acme/gated-chat"]
