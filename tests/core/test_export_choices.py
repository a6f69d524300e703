"""What there is to export, how large it becomes, and a folder with nothing in it."""

import pytest

from sft_tui.core import config_file, events
from sft_tui.core.errors import SftError
from sft_tui.core.export_choices import free_bytes, free_folder, offer
from sft_tui.core.rundir import RunDir


@pytest.fixture
def run(tmp_path) -> RunDir:
    run = RunDir(tmp_path / "runs" / "20260101-000000-tiny-0001")
    run.path.mkdir(parents=True)
    return run


def trained(run: RunDir, model: str) -> None:
    """Leaves two checkpoints; the first one evaluated better."""
    run.config.write_text(config_file.to_yaml(config_file.build([f"model.name={model}"])))
    told: list[events.Event] = [events.RunStarted(run_id="r", total_params=1000)]
    for step, loss in ((2, 1.0), (4, 2.0)):
        folder = run.checkpoints / f"step-{step}"
        folder.mkdir(parents=True)
        (folder / "adapter_model.safetensors").write_bytes(b"x" * 100)
        (folder / "adapter_config.json").write_bytes(b"x" * 10)
        told += [events.Step(step=step), events.Eval(step=step, loss=loss)]
    told.append(events.RunFinished(status="stopped", step=4))
    run.events.write_bytes(b"".join(map(events.encode, told)))


def test_every_checkpoint_is_offered_with_its_evaluation(run, tmp_path):
    trained(run, str(tmp_path / "base"))
    found = offer(run)
    known = [(choice.name, choice.chosen.step, choice.loss) for choice in found.choices]
    assert known == [("best", 2, 1.0), ("last", 4, 2.0), ("step", 4, 2.0), ("step", 2, 1.0)]


def test_a_merged_model_is_as_large_as_its_base_or_about_two_bytes_a_weight(run, tmp_path):
    trained(run, str(tmp_path / "base"))
    found = offer(run)
    choice = found.choices[0]
    assert found.size_bytes(choice, merge=False) == (110, True)
    assert found.size_bytes(choice, merge=True) == (2000, False)
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model.safetensors").write_bytes(b"x" * 777)
    assert found.size_bytes(choice, merge=True) == (777, True)


@pytest.mark.parametrize(
    ("ended", "remedy"),
    [("stopped", "resume it"), ("finished", "train anew with its config.yaml")],
)
def test_a_run_without_weights_offers_nothing_and_says_why(run, ended, remedy):
    run.config.write_text(config_file.to_yaml(config_file.build()))
    run.events.write_bytes(events.encode(events.RunFinished(status=ended, step=0)))
    with pytest.raises(SftError) as caught:
        offer(run)
    assert "has no result" in caught.value.what and caught.value.remedy == remedy


def test_a_folder_that_is_there_is_never_proposed(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    first = free_folder("r", merge=False)
    assert first == tmp_path / "exports" / "r" and free_bytes(first)
    first.mkdir(parents=True)
    assert free_folder("r", merge=False).name == "r-2"
    assert free_folder("r", merge=True).name == "r-merged"
