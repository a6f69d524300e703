"""Samples of host and GPUs: what cannot be read is unknown, never zero."""

import os
import socket
import subprocess
import sys
import time
from types import ModuleType, SimpleNamespace

import psutil
import pytest

from sft_tui.core import hardware


class NvmlError(Exception):
    """Stands for pynvml.NVMLError."""


@pytest.fixture(autouse=True)
def sft_home(tmp_path, monkeypatch):
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))


@pytest.fixture
def nvml(monkeypatch):
    """A driver with one GPU; a test takes answers away."""
    module = ModuleType("pynvml")

    def answer(name, value):
        setattr(module, name, lambda *arguments: value)

    module.NVMLError = NvmlError
    module.NVML_TEMPERATURE_GPU = 0
    module.nvmlClocksThrottleReasonSwThermalSlowdown = 0x20
    module.nvmlClocksThrottleReasonHwThermalSlowdown = 0x40
    module.nvmlClocksThrottleReasonHwPowerBrakeSlowdown = 0x80
    answer("nvmlInit", None)
    answer("nvmlDeviceGetCount", 1)
    answer("nvmlDeviceGetHandleByIndex", "handle")
    answer("nvmlDeviceGetName", "NVIDIA A100")
    answer("nvmlDeviceGetUtilizationRates", SimpleNamespace(gpu=50))
    answer("nvmlDeviceGetMemoryInfo", SimpleNamespace(used=1, total=2))
    answer("nvmlDeviceGetTemperature", 61)
    answer("nvmlDeviceGetPowerUsage", 250_000)
    answer("nvmlDeviceGetEnforcedPowerLimit", 400_000)
    answer("nvmlDeviceGetCurrentClocksThrottleReasons", 0)
    monkeypatch.setitem(sys.modules, "pynvml", module)
    return module


def refuse(*arguments):
    raise NvmlError("Not Supported")


def test_a_sample_tells_the_host_its_memory_and_the_free_space(tmp_path):
    sample = hardware.Sampler(tmp_path, os.getpid()).sample()

    assert sample.host == socket.gethostname()
    assert sample.cpu is None, "over no time at all there is no share"
    assert 0 < sample.memory_used_bytes < psutil.virtual_memory().total
    assert sample.process_memory_bytes == pytest.approx(psutil.Process().memory_info().rss, rel=0.5)
    facts = os.statvfs(tmp_path)
    assert sample.disk_free_bytes == pytest.approx(facts.f_bavail * facts.f_frsize, rel=0.2)


@pytest.mark.timing
def test_cpu_use_is_measured_since_the_sample_before(tmp_path):
    sampler = hardware.Sampler(tmp_path)
    sampler.sample()
    until = time.perf_counter() + 0.3
    while time.perf_counter() < until:
        pass

    cores = os.cpu_count()
    assert 0.5 / cores < sampler.sample().cpu <= 1


def test_a_folder_that_was_removed_leaves_the_free_space_unknown(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    sampler = hardware.Sampler(folder)
    folder.rmdir()

    assert sampler.sample().disk_free_bytes is None


def test_the_memory_of_a_trainer_that_ended_is_unknown(tmp_path):
    child = subprocess.Popen(["sleep", "60"])
    sampler = hardware.Sampler(tmp_path, child.pid)
    assert sampler.sample().process_memory_bytes > 0
    child.kill()
    child.wait()

    assert sampler.sample().process_memory_bytes is None


def test_without_a_trainer_its_memory_is_unknown(tmp_path):
    assert hardware.Sampler(tmp_path).sample().process_memory_bytes is None


def test_a_machine_without_nvidia_driver_has_no_gpus_and_says_why(tmp_path, nvml):
    nvml.nvmlInit = refuse

    sampler = hardware.Sampler(tmp_path)

    assert sampler.sample().gpus == []
    assert "Not Supported" in sampler.no_gpu_reason


def test_a_gpu_is_told_in_shares_watts_and_bytes(tmp_path, nvml):
    sampler = hardware.Sampler(tmp_path)
    (gpu,) = sampler.sample().gpus

    assert sampler.no_gpu_reason is None
    assert (gpu.index, gpu.name) == (0, "NVIDIA A100")
    assert gpu.utilisation == 0.5
    assert (gpu.memory_used_bytes, gpu.memory_total_bytes) == (1, 2)
    assert gpu.temperature_c == 61
    assert (gpu.power_w, gpu.power_limit_w) == (250.0, 400.0)
    assert gpu.throttled is False


def test_an_idle_gpu_has_zeros_that_are_not_unknown(tmp_path, nvml):
    nvml.nvmlDeviceGetUtilizationRates = lambda handle: SimpleNamespace(gpu=0)
    nvml.nvmlDeviceGetPowerUsage = lambda handle: 0

    (gpu,) = hardware.Sampler(tmp_path).sample().gpus

    assert (gpu.utilisation, gpu.power_w) == (0.0, 0.0)


@pytest.mark.parametrize(("reasons", "throttled"), [(0x1, False), (0x4, False), (0x40, True)])
def test_heat_throttles_and_idling_does_not(tmp_path, nvml, reasons, throttled):
    nvml.nvmlDeviceGetCurrentClocksThrottleReasons = lambda handle: reasons

    assert hardware.Sampler(tmp_path).sample().gpus[0].throttled is throttled


def test_what_a_gpu_does_not_tell_is_unknown_and_the_rest_is_known(tmp_path, nvml):
    for name in (
        "nvmlDeviceGetUtilizationRates",
        "nvmlDeviceGetPowerUsage",
        "nvmlDeviceGetTemperature",
        "nvmlDeviceGetCurrentClocksThrottleReasons",
    ):
        setattr(nvml, name, refuse)

    (gpu,) = hardware.Sampler(tmp_path).sample().gpus

    assert gpu.utilisation is None
    assert gpu.power_w is None
    assert gpu.temperature_c is None
    assert gpu.throttled is None
    assert gpu.memory_total_bytes == 2


def test_a_gpu_that_falls_off_the_bus_stays_listed_as_unknown(tmp_path, nvml):
    sampler = hardware.Sampler(tmp_path)
    nvml.nvmlDeviceGetHandleByIndex = refuse

    (gpu,) = sampler.sample().gpus

    assert gpu.index == 0
    assert gpu.utilisation is None


def test_a_driver_that_stops_answering_gives_no_gpus(tmp_path, nvml):
    sampler = hardware.Sampler(tmp_path)
    nvml.nvmlDeviceGetCount = refuse

    assert sampler.sample().gpus == []


@pytest.fixture
def cgroup(tmp_path, monkeypatch):
    """A control group; a test writes its files."""
    monkeypatch.setattr(hardware, "_CGROUP", tmp_path)

    def write(**files):
        for name, text in files.items():
            (tmp_path / f"memory.{name}").write_text(text)

    return write


def test_the_memory_that_is_left_is_the_control_groups_where_it_has_a_limit(cgroup):
    free = psutil.virtual_memory().available
    assert hardware.memory_available_bytes() == pytest.approx(free, rel=0.2)
    cgroup(max="max\n", current="500\n", stat="inactive_file 10\n")
    assert hardware.memory_available_bytes() == pytest.approx(free, rel=0.2)
    cgroup(max="1000\n")
    assert hardware.memory_available_bytes() == 1000 - 500 + 10
    cgroup(current="9000\n")
    assert hardware.memory_available_bytes() == 0


def test_a_run_on_gpus_has_their_memory_and_one_on_the_cpu_the_hosts(nvml, cgroup):
    (gpu,) = hardware.memories("auto")
    assert (gpu.name, gpu.is_gpu) == ("GPU 0 NVIDIA A100", True)
    assert gpu.capacity_bytes is not None
    for accelerator in ("cpu", "mps"):
        (host,) = hardware.memories(accelerator)
        assert not host.is_gpu
        assert host.capacity_bytes is not None


def test_a_gpu_that_is_asked_for_and_not_seen_has_no_known_memory(monkeypatch):
    monkeypatch.setattr(hardware, "start_nvml", lambda: (None, "no driver"))
    (gpu,) = hardware.memories("cuda")
    assert (gpu.is_gpu, gpu.capacity_bytes) == (True, None)
    (host,) = hardware.memories("auto")
    assert not host.is_gpu
