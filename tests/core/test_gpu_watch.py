"""Who holds the memory of GPUs, through the real nvidia-ml-py and a driver library of our own."""

import os

import psutil
import pytest

from sft_tui.core.hardware import Sampler

IDLE = "H100 GPU-{n} 0 0 30 60000 0 0 0"


def test_the_runs_own_processes_are_told_from_those_of_others(show_gpus, stranger, tmp_path):
    show_gpus(f"H100 GPU-0 98 60 68 402000 0 0 0 {os.getpid()} 24 {stranger} 31")
    (gpu,) = Sampler(tmp_path).watch(os.getpid())
    ours, other = gpu.holders
    assert (ours.pid, ours.ours, ours.memory_bytes) == (os.getpid(), True, 24 << 30)
    assert (other.pid, other.ours, other.memory_bytes) == (stranger, False, 31 << 30)
    assert (other.name, other.user) == ("sleep", psutil.Process().username())
    assert not any(each.ours for each in Sampler(tmp_path).watch(None)[0].holders)


def test_what_a_container_does_not_show_is_unknown(show_gpus, tmp_path):
    show_gpus("H100 GPU-0 98 60 68 402000 0 0 0 999999999 -1")
    ((holder,),) = (gpu.holders for gpu in Sampler(tmp_path).watch(os.getpid()))
    assert (holder.name, holder.user, holder.memory_bytes, holder.ours) == (None, None, None, False)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("H100 GPU-0 -3 20 68 402000 0 1 0", "MIG"),
        ("H100 GPU-0 -3 20 68 402000 0 0 0", ""),
        ("H100 GPU-0 -3 20 68 402000 0 -3 0", ""),
        ("H100 GPU-0 -4 -4 68 -4 0 -4 0", "no permission"),
        ("H100 GPU-0 98 20 68 402000 0 1 0", ""),
    ],
    ids=["split", "whole", "too old for it", "not permitted", "split and told"],
)
def test_why_the_use_of_a_gpu_is_unknown(show_gpus, tmp_path, line, why):
    show_gpus(line)
    sampler = Sampler(tmp_path)
    (gpu,) = sampler.sample().gpus
    assert (gpu.utilisation is None) == line.startswith("H100 GPU-0 -")
    assert sampler.watch(None)[0].why == why


@pytest.mark.parametrize("count", [1, 4, 8])
def test_every_gpu_is_watched_and_one_that_was_lost_hides_no_other(show_gpus, tmp_path, count):
    show_gpus(*(IDLE.format(n=n) for n in range(count)))
    sampler = Sampler(tmp_path)
    assert [gpu.index for gpu in sampler.watch(None)] == list(range(count))
    assert all(gpu.utilisation == 0.0 for gpu in sampler.sample().gpus), "idle is 0, not unknown"
    show_gpus(*(IDLE.format(n=n) for n in range(count - 1)), "H100 GPU-x 0 0 0 0 0 0 -15")
    *others, last = sampler.sample().gpus
    assert last.utilisation is None and last.memory_total_bytes is None
    assert all(gpu.utilisation == 0.0 for gpu in others)
    assert sampler.watch(None)[-1].holders == ()


def test_a_driver_that_does_not_fit_its_library_says_what_to_do(show_gpus, tmp_path, monkeypatch):
    monkeypatch.setenv("NVML_STUB_INIT", "18")
    sampler = Sampler(tmp_path)
    assert sampler.sample().gpus == [] and sampler.watch(None) == []
    assert "restart the machine" in (sampler.no_gpu_reason or "")
