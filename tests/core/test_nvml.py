"""The real nvidia-ml-py against a driver library of our own, in a process of its own."""

import json
import os
import subprocess
import sys

import pytest

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
def driver(nvml_library) -> dict[str, str]:
    """The environment in which the stand-in is the driver."""
    return {"LD_LIBRARY_PATH": str(nvml_library.parent)}


@pytest.fixture(scope="module")
def gpus(driver) -> list[dict]:
    return sampled(driver)[0]


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


def looked(environment: dict[str, str]) -> list[dict]:
    """Returns the GPUs that a run could take, as a fresh process finds them."""
    code = (
        "import msgspec; from sft_tui.core import gpus; "
        "print(msgspec.json.encode(gpus.look()).decode())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_who_computes_on_a_gpu_is_found_with_its_memory(driver):
    first, second = looked(driver)
    assert (first["index"], first["uuid"], first["name"]) == (0, "GPU-aaaa-1", "Stub A")
    (use,) = first["uses"]
    assert (use["pid"], use["memory_bytes"]) == (1, 19 << 30) and use["name"]
    assert second["uses"] == [] and second["used_bytes"] == 1 << 30


@pytest.mark.parametrize("shown", ["1", "GPU-bbbb", "7,1"])
def test_a_hidden_gpu_is_not_taken(driver, shown):
    assert [gpu["index"] for gpu in looked({**driver, "CUDA_VISIBLE_DEVICES": shown})] == [1]
    assert looked({**driver, "CUDA_VISIBLE_DEVICES": ""}) == []
