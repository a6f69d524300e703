"""No key waits for what is under way: a search, a download, a pass over all rows.

What holds up keys is the event loop, so what is measured is the processor's time of its thread
between a key and the screen that was drawn after it: other processes of the machine, and the Hub
of the test in a thread of this one, do not change that.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from tests.loopback_hub import Fault, LoopbackHub, samples

MOST_S = 0.050
"""What the slowest key of a hundred may take of the event loop."""
MOST_WALL_S = 0.5
"""The same by the clock, on a machine with much else to do."""
SLACK = 1.5
"""What a machine that tests may be slower by than an idle desktop."""
OPENS_S = 0.150
TRIES = 3
"""What others do on the machine only makes a run slower: one that holds is enough."""

pytestmark = pytest.mark.timing

SCRIPT = Path(__file__).with_name("timed_keys.py")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub with sixty models and one whose download takes as long as the test."""
    from huggingface_hub import constants, hf_api

    root, weights = tmp_path / "hub", samples.safetensors_bytes({"w": (2, 2)})
    for number in range(60):
        samples.repository(
            root, "models", f"acme/small-{number:02}", {"model.safetensors": weights},
            pipeline_tag="text-generation", downloads=number,
        )  # fmt: skip
    samples.repository(
        root, "models", "acme/slow", {"config.json": "{}", "model.safetensors": bytes(1 << 22)}
    )
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    with LoopbackHub(root) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(hf_api.api, "endpoint", running.url)
        running.faults.append(Fault("slow", "/cdn/", times=None, rate=30_000))
        yield running


def timed(*arguments: object) -> list[tuple[str, float, float]]:
    """Presses keys in a process of its own: what the tests import would slow this one down."""
    done = subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def slowest(times: list[float]) -> float:
    """Returns what one of a hundred takes longer than."""
    return statistics.quantiles(times, n=100, method="inclusive")[98]


def test_no_key_waits_while_a_search_a_download_and_a_pass_run(model, hub, tmp_path):
    path = tmp_path / "rows.jsonl"
    pairs = ((f"Where is city {n}? " * 3, f"In land {n}.") for n in range(20_000))
    path.write_text("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in pairs))

    for _ in range(TRIES):
        found = timed("keys", model, path)
        busy, wall = slowest([each[1] for each in found]), slowest([each[2] for each in found])
        worst = sorted(found, key=lambda each: -each[1])[:8]
        told = ", ".join(f"{key} {cpu * 1000:.0f} ms" for key, cpu, _ in worst)
        print(f"{len(found)} keys: p99 {busy * 1000:.0f} ms, by clock {wall * 1000:.0f} ms; {told}")
        if busy < MOST_S and wall < MOST_WALL_S:
            break
    assert len(found) > 250
    assert busy < MOST_S, told
    assert wall < MOST_WALL_S, told


def test_new_opens_at_once(home, hub):
    found = [timed("opens")[0] for _ in range(5)]

    busy, wall = sorted(each[1] for each in found), sorted(each[2] for each in found)
    print(f"New opens in {busy[2] * 1000:.0f} ms, by clock {wall[2] * 1000:.0f} ms")
    assert busy[1] < SLACK * OPENS_S, "the median, but for what others do on the machine"
    assert wall[0] < 3 * OPENS_S
