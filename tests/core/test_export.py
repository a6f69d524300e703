"""Which weights of a run are meant, and what is said where there are none."""

from functools import partial

import pytest

from sft_tui.core import config_file, events, export
from sft_tui.core.errors import SftError, UsageError
from sft_tui.core.report import report
from sft_tui.core.rundir import RunDir


@pytest.fixture
def run(tmp_path) -> RunDir:
    found = RunDir(tmp_path / "run")
    found.path.mkdir()
    found.config.write_text(config_file.to_yaml(config_file.build(["model.name=acme/tiny"])))
    found.log.touch()
    return found


@pytest.fixture
def saved(run):
    """Writes an adapter of a step, as a checkpoint or as the result."""

    def make(step: int, *, result: bool = False) -> None:
        place = run.adapter if result else run.checkpoints / f"step-{step}"
        place.mkdir(parents=True)
        (place / export.WEIGHTS).write_text(str(step))
        (place / export.ADAPTER_CONFIG).write_text("{}")

    return make


@pytest.fixture
def told(run):
    def write(*every: events.Event) -> None:
        run.events.write_bytes(b"".join(map(events.encode, every)))

    return write


END = events.RunFinished(status="finished", step=4)


def test_the_result_is_meant_where_no_checkpoint_is_named(run, saved, told):
    saved(4)
    saved(4, result=True)
    told(events.Step(step=4), END)
    assert export.choose(run, None) == export.Chosen(str(run.adapter), 4)
    assert export.choose(run, "last").folder.endswith("step-4")


def test_a_folder_that_is_no_run_is_not_told_to_be_resumed(run):
    run.log.unlink()
    for take in (report, partial(export.choose, checkpoint=None)):
        with pytest.raises(UsageError, match="run is no run") as caught:
            take(run)
        assert "resume" not in caught.value.remedy and "latest" in caught.value.remedy


def test_a_result_that_is_older_than_the_newest_checkpoint_is_refused(run, saved, told):
    saved(8)
    saved(4, result=True)
    told(events.Step(step=8), events.RunFinished(status="failed", step=8))
    with pytest.raises(SftError) as caught:
        export.choose(run, None)
    assert "not its newest state" in caught.value.what and "step 8" in caught.value.remedy


def test_a_run_without_a_result_says_what_there_is(run, saved, told):
    told(events.Step(step=2), events.RunFinished(status="stopped", step=2))
    with pytest.raises(SftError):
        export.choose(run, "last")
    saved(2)
    with pytest.raises(SftError) as caught:
        export.choose(run, None)
    assert "--checkpoint last" in caught.value.remedy


def test_the_best_is_that_of_the_lowest_loss_if_it_is_kept(run, saved, told):
    evals = [events.Eval(step=step, loss=loss) for step, loss in ((2, 1.0), (4, 2.0))]
    told(*evals, END)
    saved(4)
    with pytest.raises(SftError) as caught:
        export.choose(run, "best")
    assert "step 2, of which no checkpoint is kept" in caught.value.why
    saved(2)
    assert export.choose(run, "best").step == 2 == export.choose(run, "2").step


@pytest.mark.parametrize("name", ["newest", "-1", "²", ""])
def test_other_names_of_checkpoints_are_bad_usage(run, saved, name):
    saved(4)
    with pytest.raises(UsageError):
        export.choose(run, name)


def test_a_checkpoint_that_is_not_whole_is_refused(run, saved, told):
    saved(4)
    told(END)
    (run.checkpoints / "step-4" / export.WEIGHTS).unlink()
    with pytest.raises(SftError) as caught:
        export.choose(run, "last")
    assert export.WEIGHTS in caught.value.why


def test_the_base_is_named_as_others_know_it(run):
    model = config_file.load(run.config).model
    assert export.base_of(model, None) == export.Base("acme/tiny", True, None)
    started = events.RunStarted(run_id="r", choices={"revision": "c" * 40})
    assert export.base_of(model, started).revision == "c" * 40
    for name, shown in (("demo", "HuggingFaceTB/SmolLM2-135M-Instruct"), ("/home/eve/m", "m")):
        assert export.base_of(config_file.build([f"model.name={name}"]).model, None).name == shown


def test_a_target_among_runs_is_refused_as_it_would_be_taken_for_one(run, tmp_path, monkeypatch):
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "runs").mkdir(parents=True)
    with pytest.raises(UsageError, match="x1 cannot be written") as refused:
        export.check_target(tmp_path / "home" / "runs" / "x1")
    assert "taken for one" in refused.value.why and "elsewhere" in refused.value.remedy
    with pytest.raises(UsageError, match="x2 cannot be written"):
        export.check_target(tmp_path / "x2", run.path.parent)
    export.check_target(tmp_path / "x2")
