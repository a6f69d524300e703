"""Which GPUs a run takes, of GPUs that are free, busy, named or not there."""

import os

import msgspec
import pytest

from sft_tui.core import gpus, process
from sft_tui.core.config_training import LaunchConfig
from sft_tui.core.errors import UsageError
from sft_tui.core.gpus import Gpu, Use
from sft_tui.core.rundir import RunDir

GIB = 1 << 30


def gpu(index, used=1, *uses, name="A100"):
    return Gpu(index, f"GPU-{index}", name, used * GIB, 80 * GIB, tuple(uses))


@pytest.fixture
def has(monkeypatch):
    """Lets the machine have these GPUs."""

    def give(*found):
        monkeypatch.setattr(gpus, "look", lambda *folders: list(found))
        monkeypatch.setattr(gpus, "has_nvidia_device", lambda: bool(found))

    return give


def taken(**launch):
    return [gpu.index for gpu in gpus.choose(LaunchConfig(**launch)).gpus]


TRAINS = Use(4711, "python", 60 * GIB)


def test_free_gpus_are_taken_in_their_order_and_shown_by_id(has):
    has(gpu(0, 61, TRAINS), gpu(1, 1), gpu(2, 30), gpu(3, 0))
    chosen = gpus.choose(LaunchConfig(devices=2))
    assert [gpu.index for gpu in chosen.gpus] == [1, 3]
    assert (chosen.visible, chosen.busy, chosen.of) == ("GPU-1,GPU-3", [], 4)


def test_a_gpu_that_a_trainer_took_is_busy_before_the_driver_shows_it(
    show_gpus, tmp_path, monkeypatch
):
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(gpus, "has_nvidia_device", lambda: True)
    show_gpus("A GPU-a 0 1 30 9 0 0 0", "B GPU-b 0 1 30 9 0 0 0")
    run = RunDir(tmp_path / "runs" / "20260101-000000-a-0001")
    run.path.mkdir(parents=True)
    record = process.this_process("local", ["x"], {})
    record.devices = ["GPU-a"]
    run.process.write_bytes(msgspec.json.encode(record))
    assert taken() == [0], "a run of a folder that nobody named"
    chosen = gpus.choose(LaunchConfig(), run.path.parent)
    assert [gpu.index for gpu in chosen.gpus] == [1]
    with pytest.raises(UsageError, match=f"GPU 0 A: 1 of .* taken by run {run.id}"):
        gpus.choose(LaunchConfig(devices=2), run.path.parent)


def test_one_rank_takes_the_freest_also_where_all_are_busy(has):
    has(gpu(0, 61, TRAINS), gpu(1, 20), gpu(2, 1))
    assert taken() == [2]
    has(gpu(0, 61, TRAINS), gpu(1, 20))
    chosen = gpus.choose(LaunchConfig())
    assert [gpu.index for gpu in chosen.busy] == [1], "which the run warns of"


def test_several_ranks_take_no_busy_gpu_and_tell_who_is_there(has):
    has(gpu(0, 61, TRAINS), gpu(1, 1), gpu(2, 30))
    with pytest.raises(UsageError) as caught:
        taken(devices=2)
    told = str(caught.value)
    assert "only 1 GPUs are free" in told
    assert "GPU 0 A100: 61 of 80 GiB used, by pid 4711 (python, 60 GiB)" in told
    assert "GPU 2 A100: 30 of 80 GiB used" in told and "GPU 1" not in told
    assert "launch.device_ids" in caught.value.remedy


def test_named_gpus_are_taken_as_named_busy_or_not(has):
    has(gpu(0, 61, TRAINS), gpu(1, 1), gpu(2, 1))
    chosen = gpus.choose(LaunchConfig(device_ids=[2, 0]))
    assert chosen.visible == "GPU-2,GPU-0"
    assert [gpu.index for gpu in chosen.busy] == [0]


@pytest.mark.parametrize("launch", [{"device_ids": [1, 5]}, {"devices": 3}])
def test_gpus_that_are_not_there_are_refused_with_those_that_are(has, launch):
    has(gpu(0), gpu(1, name="T4"))
    with pytest.raises(UsageError) as caught:
        taken(**launch)
    assert "there are 2" in str(caught.value) and "GPU 1 T4" in str(caught.value)
    assert str(caught.value).startswith("launch.device")


def test_gpus_are_refused_where_there_is_none(has):
    has()
    with pytest.raises(UsageError, match="GPU 0, which is not there: there is none"):
        taken(device_ids=[0])


def test_a_cpu_has_as_many_devices_as_cores(has):
    has()
    cores = os.cpu_count()
    assert taken(devices=cores) == []
    with pytest.raises(UsageError, match=f"{cores} cores"):
        taken(devices=cores + 1)


def test_a_run_on_the_cpu_looks_at_no_gpu(has, monkeypatch):
    has(gpu(0, 61, TRAINS))
    monkeypatch.setattr(gpus, "look", lambda *folders: pytest.fail("it looked"))
    assert taken(accelerator="cpu") == []


def test_a_driver_that_tells_nothing_leaves_the_choice_to_torch(has, monkeypatch):
    has(gpu(0))
    monkeypatch.setattr(gpus, "look", lambda *folders: [])
    assert taken(devices=2) == []
