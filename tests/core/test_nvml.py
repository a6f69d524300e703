"""The real nvidia-ml-py against a driver library of our own, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

STUB = Path(__file__).parent.parent / "native" / "nvml_stub.c"
SAMPLE = """
import sys, msgspec
from pathlib import Path
from sft_tui.core.hardware import Sampler
sampler = Sampler(Path("/"))
print(msgspec.json.encode([sampler.sample(), sampler.no_gpu_reason]).decode())
"""


def sampled(environment: dict[str, str]) -> tuple[list[dict], str | None]:
    """Returns the GPUs that a fresh process sees, and its reason for seeing none."""
    done = subprocess.run(
        [sys.executable, "-c", SAMPLE],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    sample, reason = json.loads(done.stdout)
    return sample["gpus"], reason


@pytest.fixture(scope="module")
def gpus(tmp_path_factory) -> list[dict]:
    folder = tmp_path_factory.mktemp("nvml")
    library = folder / "libnvidia-ml.so.1"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, STUB], check=True)
    return sampled({"LD_LIBRARY_PATH": str(folder)})[0]


def test_every_gpu_is_sampled_in_the_units_of_the_event(gpus):
    assert [gpu["name"] for gpu in gpus] == ["Stub A", "Stub B"]
    assert gpus[0]["utilisation"] == 0.97
    assert gpus[0]["memory_used_bytes"] == 20 << 30
    assert gpus[0]["memory_total_bytes"] == 80 << 30
    assert gpus[0]["temperature_c"] == 68
    assert gpus[0]["power_w"] == 402.5
    assert gpus[0]["power_limit_w"] == 700
    assert gpus[0]["throttled"] is True


def test_what_a_gpu_does_not_tell_is_unknown_and_hides_nothing_else(gpus):
    assert gpus[1]["utilisation"] is None
    assert gpus[1]["power_w"] is None
    assert gpus[1]["temperature_c"] == 31
    assert gpus[1]["throttled"] is False


def test_without_a_driver_the_reason_is_given():
    found, reason = sampled({"LD_LIBRARY_PATH": "/nonexistent"})
    assert found == []
    assert "no NVIDIA GPU visible" in (reason or "")
