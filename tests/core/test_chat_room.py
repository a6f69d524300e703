"""Where memory is short for an answer, only what frees enough of it is advised."""

import msgspec
import pytest

from sft_tui.core import chat, process
from sft_tui.core.chat import Room
from sft_tui.core.errors import SftError
from sft_tui.core.rundir import RunDir

SHORT = Room("this host", "", 3 << 30, 0, 1 << 30)  # 2 GiB are missing


@pytest.mark.parametrize(
    ("training", "advice"),
    [
        ({}, "end what holds memory there"),
        ({"small": 100 << 20}, "end what holds memory there"),
        ({"small": 100 << 20, "large": 2 << 30}, "pause large first"),
        ({"unknown": None}, "pause unknown first"),
    ],
)
def test_a_pause_is_advised_only_of_a_run_that_frees_enough(training, advice):
    with pytest.raises(SftError) as caught:
        chat.refuse_without_room(SHORT, base=False, training=training)
    assert caught.value.remedy == f"{advice}; --force loads it all the same"


@pytest.fixture
def run(tmp_path, monkeypatch) -> RunDir:
    """A run whose trainer is this process, on the GPU of id GPU-a."""
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path))
    found = RunDir(tmp_path / "runs" / "20260101-000000-a-0001")
    found.path.mkdir(parents=True)
    record = process.this_process("local", ["x"], {})
    record.devices = ["GPU-a"]
    found.process.write_bytes(msgspec.json.encode(record))
    return found


def test_what_a_trainer_holds_is_told_of_the_memory_that_is_asked_for(run):
    (held,) = chat.at_work(run).values()
    assert held is not None and held > 10 << 20
    assert chat.at_work(run, gpu="GPU-a") == {run.id: None}, "not known, so it may help"
    assert chat.at_work(run, gpu="GPU-b") == {run.id: 0}
