"""Checkpoints: going on as if nothing had happened, whole or absent, few, and never pickled."""

import shutil
import zipfile

import pytest
import torch

from sft_tui.core import events
from sft_tui.core.errors import SftError
from sft_tui.core.training import checkpoint, saving
from tests.training.checkpoints import EVERY_TWO, assert_identical, folders, rich, tensors


@pytest.fixture(scope="module")
def rows(ragged):
    return ragged(9)


@pytest.mark.parametrize("died_after", [1, 3, 4, 5])
def test_a_resumed_run_ends_bit_identical_to_one_that_was_not_interrupted(
    died_after, untied, rows, configure, train, crash_after
):
    config = rich(configure, untied, rows)
    whole = train(config)
    assert whole.last_step == 6

    run = crash_after(config, died_after)
    torch.manual_seed(died_after)  # the new process knows nothing of the old one's random state
    resumed = train(config, run=run)

    saved = (died_after - 1) // 2 * 2  # the crash came before the checkpoint of its own step
    assert [step.step for step in resumed.steps] == list(range(saved + 1, 7))
    (started,) = resumed.of(events.RunStarted)
    assert started.resumed_from_step == (saved or None)
    for ours, theirs in zip(resumed.steps, whole.steps[saved:], strict=True):
        assert (ours.loss, ours.grad_norm) == (theirs.loss, theirs.grad_norm)
        assert ours.learning_rate == theirs.learning_rate
    assert_identical(resumed.adapter, whole.adapter)
    assert_identical(tensors(run, 6, "optimizer"), tensors(whole.run, 6, "optimizer"))
    assert [e.loss for e in resumed.of(events.Eval)][-1] == whole.of(events.Eval)[-1].loss
    assert not resumed.warnings("data_changed")


def test_a_run_that_dies_twice_ends_bit_identical_too(tied, rows, configure, train, crash_after):
    config = rich(configure, tied, rows)
    whole = train(config)
    run = crash_after(config, 3)
    crash_after(config, 5, run)
    assert_identical(train(config, run=run).adapter, whole.adapter)


def test_the_random_state_of_a_checkpoint_matters(
    untied, rows, configure, train, crash_after, monkeypatch
):
    """Shows that the comparisons above can fail: without it the resumed run ends elsewhere."""
    config = rich(configure, untied, rows)
    whole = train(config)
    run = crash_after(config, 3)
    monkeypatch.setattr(torch, "set_rng_state", lambda state: None)
    resumed = train(config, run=run)
    assert any(not torch.equal(resumed.adapter[n], w) for n, w in whole.adapter.items())


def test_resuming_a_finished_run_trains_nothing_and_keeps_the_adapter(
    untied, rows, configure, train
):
    config = configure(untied, rows, "train.max_steps=2")
    done = train(config)
    before = done.adapter
    again = train(config, run=done.run)
    assert again.last_step == 2
    assert again.steps == []
    assert_identical(again.adapter, before)


def test_a_finished_run_can_be_trained_further(untied, rows, configure, train):
    short = train(configure(untied, rows, "train.max_steps=2"))
    longer = train(configure(untied, rows, "train.max_steps=4"), run=short.run)
    assert [step.step for step in longer.steps] == [3, 4]
    whole = train(configure(untied, rows, "train.max_steps=4"))
    assert_identical(longer.adapter, whole.adapter)


def test_elapsed_time_goes_on_after_a_resume(untied, rows, configure, train, crash_after):
    config = configure(untied, rows, EVERY_TWO, "train.max_steps=4")
    run = crash_after(config, 3)
    saved, _ = checkpoint.newest(run)
    resumed = train(config, run=run)
    assert saved.step == 2
    assert saved.elapsed_s > 0
    assert resumed.steps[0].elapsed_s > saved.elapsed_s


def test_leftovers_of_an_interrupted_save_are_removed_and_never_resumed(
    untied, rows, configure, train, crash_after
):
    config = configure(untied, rows, EVERY_TWO, "train.max_steps=5")
    whole = train(config)
    run = crash_after(config, 3)
    good = run.checkpoints / "step-2"
    shutil.copytree(good, run.checkpoints / ".step-4.writing")
    (run.checkpoints / ".step-4.writing" / "optimizer.safetensors").unlink()
    shutil.copytree(good, run.checkpoints / ".step-1.removed")
    (run.path / ".adapter.writing").mkdir()

    resumed = train(config, run=run)

    assert resumed.steps[0].step == 3
    assert folders(run) == ["step-2", "step-4", "step-5"]
    assert not [path for path in run.path.iterdir() if path.name.startswith(".adapter")]
    assert_identical(resumed.adapter, whole.adapter)


@pytest.mark.parametrize("broken", ["save_file", "save_adapter"])
def test_a_save_that_fails_leaves_no_folder_and_the_older_checkpoint_stays(
    broken, untied, rows, configure, train, new_run, monkeypatch
):
    config = configure(untied, rows, EVERY_TWO, "train.max_steps=6")
    run = new_run()
    real = getattr(saving, broken)
    calls = 0

    def fails_the_second_time(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OSError(5, "Input/output error")
        return real(*args, **kwargs)

    monkeypatch.setattr(saving, broken, fails_the_second_time)
    with pytest.raises(SftError, match="step 4"):
        train(config, run=run)
    monkeypatch.undo()

    assert folders(run) == ["step-2"]
    resumed = train(config, run=run)
    assert [step.step for step in resumed.steps] == [3, 4, 5, 6]
    assert_identical(resumed.adapter, train(config).adapter)


def test_every_folder_under_its_own_name_is_complete_at_every_event(untied, rows, configure, train):
    complete = {"adapter_model.safetensors", "adapter_config.json"}
    complete |= {"optimizer.safetensors", "trainer_state.json"}

    def seen(run, event):
        for _, folder in run.complete_checkpoints():
            assert complete <= {path.name for path in folder.iterdir()}

    outcome = train(
        configure(untied, rows, "save.every_steps=1", "save.keep=2", "train.max_steps=4"),
        seen=seen,
    )
    assert [event.step for event in outcome.of(events.Checkpoint)] == [1, 2, 3, 4]


def test_the_newest_two_are_kept(untied, rows, configure, train):
    outcome = train(
        configure(untied, rows, "save.every_steps=3", "save.keep=2", "train.max_steps=11")
    )
    # step-11 sorts before step-9 as text: the newest is the one with the highest number.
    assert folders(outcome.run) == ["step-11", "step-9"]
    told = outcome.of(events.Checkpoint)
    assert [event.step for event in told] == [3, 6, 9, 11]
    newest = outcome.run.path / told[-1].path
    # Its state is written again after the last evaluation, with numbers of other lengths.
    assert abs(told[-1].bytes - sum(path.stat().st_size for path in newest.iterdir())) < 100
    state, folder = checkpoint.newest(outcome.run)
    assert (state.step, folder) == (11, newest)


def test_nothing_in_a_checkpoint_is_pickled(untied, rows, configure, train):
    run = train(configure(untied, rows, "train.max_steps=2")).run
    files = [*(run.checkpoints / "step-2").iterdir(), *run.adapter.iterdir()]
    assert len(files) > 6
    for path in files:
        assert path.suffix in (".safetensors", ".json", ".md", ".jinja"), path.name
        assert not zipfile.is_zipfile(path), path.name
        assert path.read_bytes()[:1] != b"\x80", path.name
        assert path.stat().st_mode & 0o077 == 0, "others can read it"
