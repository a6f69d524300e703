"""Checkpoints: going on as if nothing had happened, whole or absent, few, and never pickled."""

import json
import math
import os
import pickle
import re
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sft_tui.core import config_file, events, export
from sft_tui.core.errors import SftError
from sft_tui.core.training import checkpoint
from sft_tui.core.training.loop import Loop

EVERY_TWO = "save.every_steps=2"
LESS = "method.freeze=['model.layers.1.*']"


@pytest.fixture(scope="module")
def rows(ragged):
    return ragged(9)


def rich(configure, model, data, *sets):
    """Everything that could disturb a resume: dropout, shuffling, evaluation and samples."""
    return configure(
        model,
        data,
        "data.shuffle=true",
        f"data.eval_source={data}",
        "data.ignore_problems=[eval_leak]",
        "method.dropout=0.1",
        "optim.schedule=cosine",
        "optim.warmup_ratio=0.2",
        "optim.weight_decay=0.01",
        "train.gradient_accumulation=2",
        "train.epochs=2",
        "evaluate.every_steps=2",
        "evaluate.samples=1",
        "evaluate.sample_max_tokens=4",
        EVERY_TWO,
        *sets,
    )


def folders(run):
    return sorted(path.name for path in run.checkpoints.iterdir())


def tensors(run, step, name):
    return load_file(run.checkpoints / f"step-{step}" / f"{name}.safetensors")


def assert_identical(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert torch.equal(ours[name], value), name


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
    real = getattr(checkpoint, broken)
    calls = 0

    def fails_the_second_time(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OSError(5, "Input/output error")
        return real(*args, **kwargs)

    monkeypatch.setattr(checkpoint, broken, fails_the_second_time)
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


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("method.rank=4", "method.rank=8"),
        ("method.target_modules=[q_proj]", "method.target_modules=[q_proj, v_proj]"),
        ("method.kind=lora", "method.kind=full"),
        ("optim.name=adamw", "optim.name=adamw_8bit"),
    ],
    ids=["rank", "modules", "method", "optimizer"],
)
def test_a_configuration_that_its_weights_do_not_stand_on_is_refused(
    before, after, untied, rows, configure, train
):
    done = train(configure(untied, rows, before, "train.max_steps=2"))
    kept = done.adapter

    key, _, value = after.partition("=")
    with pytest.raises(SftError) as caught:
        train(configure(untied, rows, after, "train.max_steps=4"), run=done.run)

    assert f"checkpoint 2 cannot be resumed with another {key}" in str(caught.value)
    assert value in caught.value.why
    assert_identical(done.adapter, kept)


def unsaid(run, began_with):
    """Makes the newest checkpoint one that does not tell its footing, of a run that began so."""
    path = run.complete_checkpoints()[-1][1] / "trainer_state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "footing": None}))
    run.config.write_text(config_file.to_yaml(began_with))


@pytest.mark.parametrize(
    "after", ["method.alpha=32", "method.rslora=true", "method.init=pissa"], ids=str
)
def test_a_checkpoint_that_tells_no_footing_stands_on_what_its_run_began_with(
    after, untied, rows, configure, train
):
    """All shapes are the same with these, so that nothing else would refuse them."""
    sets = (untied, rows, "optim.weight_decay=0.01")
    config = configure(*sets, "train.max_steps=2")
    run = train(config).run
    unsaid(run, config)
    with pytest.raises(SftError, match=rf"another {re.escape(after.partition('=')[0])}"):
        train(configure(*sets, "train.max_steps=4", after), run=run)
    assert folders(run) == ["step-2"]

    goes_on = train(configure(*sets, "train.max_steps=4"), run=run)
    assert_identical(goes_on.adapter, train(configure(*sets, "train.max_steps=4")).adapter)


def test_a_checkpoint_whose_footing_nothing_tells_is_refused(untied, rows, configure, train):
    config = configure(untied, rows, "train.max_steps=2")
    run = train(config).run
    unsaid(run, config)
    run.config.unlink()
    with pytest.raises(SftError, match="does not tell what its weights stand on") as caught:
        train(configure(untied, rows, "train.max_steps=4"), run=run)
    assert "put config.yaml back" in caught.value.remedy


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (["method.rank=4"], ["method.rank=8"], "size mismatch"),
        (["method.kind=full"], ["method.kind=full", LESS], r"layers\.1.* was trained"),
        (["method.kind=full", LESS], ["method.kind=full"], r"layers\.1.* was frozen"),
        ([], ["optim.name=adamw_8bit"], r"another optim\.name"),
    ],
    ids=["rank", "freeze", "thaw", "optimizer"],
)
def test_a_checkpoint_that_does_not_fit_is_refused_whatever_files_say_of_it(
    before, after, words, untied, rows, configure, train
):
    done = train(configure(untied, rows, *before, "train.max_steps=2"))
    config = configure(untied, rows, *after, "train.max_steps=4")
    unsaid(done.run, config)
    with pytest.raises(SftError, match=rf"step-2.*does not fit.*{words}") as caught:
        train(config, run=done.run)
    assert "configuration" in caught.value.remedy


@pytest.mark.parametrize("method", ["lora", "full"])
def test_another_base_of_the_same_shapes_is_refused(
    method, make_llama, tokenizer, rows, configure, train, tmp_path
):
    model = make_llama()
    folder = tmp_path / "base"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    sets = f"method.kind={method}", "train.max_steps=2"
    done = train(configure(folder, rows, *sets))
    folder = folder.rename(tmp_path / "moved")  # the same model in another place is the same
    train(configure(folder, rows, *sets[:1], "train.max_steps=4"), run=done.run)

    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight.mul_(1.01)
    model.save_pretrained(folder)
    with pytest.raises(SftError, match=r"checkpoint 4 cannot be resumed on this base") as caught:
        train(configure(folder, rows, *sets[:1], "train.max_steps=6"), run=done.run)
    assert "put the base's files back" in caught.value.remedy


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "optimizer.safetensors"])
def test_a_damaged_checkpoint_is_refused_by_name(name, untied, rows, configure, train):
    done = train(configure(untied, rows, "train.max_steps=2"))
    path = done.run.checkpoints / "step-2" / name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(SftError, match="step-2"):
        train(configure(untied, rows, "train.max_steps=4"), run=done.run)


def test_a_checkpoint_that_lacks_the_moments_of_a_weight_is_refused(untied, rows, configure, train):
    done = train(configure(untied, rows, "train.max_steps=2"))
    path = done.run.checkpoints / "step-2" / "optimizer.safetensors"
    with safe_open(path, "pt") as file:
        said = file.metadata()
    kept = load_file(path)
    weight = next(name.removeprefix("exp_avg.") for name in kept if "exp_avg." in name)

    for lost in (f"exp_avg_sq.{weight}", weight):  # a part of them, and all
        save_file({k: t for k, t in kept.items() if not k.endswith(lost)}, path, said)
        with pytest.raises(SftError, match=r"step-2.*damaged") as caught:
            train(configure(untied, rows, "train.max_steps=4"), run=done.run)
        assert caught.value.why.endswith(f"it lacks the moments of {weight}")
        assert "start again from step 0" in caught.value.remedy


def test_a_checkpoint_of_steps_that_moved_nothing_has_no_moments_and_goes_on(
    untied, rows, configure, train, poison
):
    poison({1, 2})
    done = train(configure(untied, rows, "train.max_steps=2"))
    assert tensors(done.run, 2, "optimizer").keys() == {"random.torch"}
    assert train(configure(untied, rows, "train.max_steps=4"), run=done.run).last_step == 4


def test_a_damaged_state_is_refused_by_name(untied, rows, configure, train):
    done = train(configure(untied, rows, "train.max_steps=2"))
    (done.run.checkpoints / "step-2" / "trainer_state.json").write_text("{")
    with pytest.raises(SftError, match="step-2"):
        train(configure(untied, rows, "train.max_steps=4"), run=done.run)


def test_other_data_after_a_resume_is_told(untied, rows, ragged, configure, train):
    done = train(configure(untied, rows, "train.max_steps=2"))
    other = ragged(12)
    resumed = train(configure(untied, other, "train.max_steps=3"), run=done.run)
    (warning,) = resumed.warnings("data_changed")
    assert warning.remedy
    assert math.isfinite(resumed.losses[0])


@pytest.mark.parametrize(
    "what",
    [
        "checkpoints",
        "step-2",
        "step-2/optimizer.safetensors",
        "step-2/trainer_state.json",
        "step-2/adapter_model.safetensors",
    ],
)
def test_a_link_in_the_place_of_a_checkpoint_is_refused(
    what, untied, rows, configure, train, tmp_path
):
    done = train(configure(untied, rows, "train.max_steps=2"))
    path = done.run.path / what if what == "checkpoints" else done.run.checkpoints / what
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    with pytest.raises(SftError) as caught:
        train(configure(untied, rows, "train.max_steps=4"), run=done.run)
    assert str(path) in caught.value.what and "it is a link" in caught.value.why
    assert caught.value.remedy
    path.unlink()
    elsewhere.rename(path)
    assert train(configure(untied, rows, "train.max_steps=4"), run=done.run).last_step == 4


def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(
    untied, rows, configure, train
):
    done = train(configure(untied, rows, "train.max_steps=2"))
    path = done.run.checkpoints / "step-2" / "optimizer.safetensors"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(SftError, match="no file"):
        train(configure(untied, rows, "train.max_steps=4"), run=done.run)


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def test_pickles_are_never_read_whatever_they_are_called(untied, rows, configure, train, tmp_path):
    done = train(configure(untied, rows, "train.max_steps=2"))
    folder, mark = done.run.checkpoints / "step-2", tmp_path / "exploded"
    names = (
        "adapter_model.bin",
        "optimizer.pt",
        "training_args.bin",
        "pytorch_model.bin",
        "rng.pth",
    )
    for name in names:
        (folder / name).write_bytes(pickle.dumps(Bomb(mark)))
    assert train(configure(untied, rows, "train.max_steps=4"), run=done.run).last_step == 4
    folder = done.run.checkpoints / "step-4"
    (folder / "optimizer.safetensors").write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(SftError, match="damaged"):
        train(configure(untied, rows, "train.max_steps=6"), run=done.run)
    assert not mark.exists()


@pytest.fixture
def losses(monkeypatch):
    """Gives evaluations these losses by step in place of their own, so that the best is known."""

    def give(by_step):
        real = Loop.evaluate

        def evaluate(self, step):
            tokens = sum(row.trained for row in self.data.evaluation)
            sums = iter([by_step[step] * tokens, *[0.0] * len(self.data.evaluation)])
            with monkeypatch.context() as patch:
                patch.setattr(self, "_loss_sum", lambda *batch: torch.tensor(next(sums)))
                return real(self, step)

        monkeypatch.setattr(Loop, "evaluate", evaluate)

    return give


BEST = {0: 0.1, 2: 3.0, 4: 1.0, 6: 2.0, 8: 2.5, 9: 2.7, 10: 0.5}


def best_config(configure, untied, rows, *sets):
    return configure(
        untied, rows, f"data.eval_source={rows}", "data.ignore_problems=[eval_leak]",
        "train.max_steps=10", "evaluate.every_steps=2", "save.every_steps=1", "save.keep=2", *sets,
    )  # fmt: skip


def test_the_best_stays_beside_the_newest_and_is_what_export_takes(
    untied, rows, configure, train, crash_after, losses
):
    losses(BEST)
    kept = []

    def seen(run, event):
        if isinstance(event, events.Step):
            kept.append([step for step, _ in run.complete_checkpoints()])

    config = best_config(configure, untied, rows)
    whole = train(config, seen=seen)
    assert kept[4] == [3, 4] and kept[7] == [4, 6, 7] and kept[9] == [4, 8, 9]
    assert export.choose(whole.run, "best").step == 10

    # Also after a resume, which knows only what the checkpoint and the events say.
    run = crash_after(config, 8)
    assert export.choose(run, "best").step == 4
    best = (run.checkpoints / "step-4" / "adapter_model.safetensors").read_bytes()
    longer = best_config(configure, untied, rows, "train.max_steps=9")
    resumed = train(longer, run=run)
    assert resumed.steps[0].step == 8
    assert folders(run) == ["step-4", "step-8", "step-9"]
    chosen = export.choose(run, "best")
    assert chosen.step == 4
    assert (Path(chosen.folder) / "adapter_model.safetensors").read_bytes() == best


def test_without_keep_best_only_the_newest_stay(untied, rows, configure, train, losses):
    losses(BEST)
    config = best_config(configure, untied, rows, "save.keep_best=false", "train.max_steps=8")
    run = train(config).run
    assert folders(run) == ["step-7", "step-8"]
    with pytest.raises(SftError, match="step 4, of which no checkpoint is kept"):
        export.choose(run, "best")


def test_a_best_step_between_saves_gets_a_checkpoint_of_its_own(
    untied, rows, configure, train, losses
):
    losses(BEST)
    config = best_config(configure, untied, rows, "save.every_steps=5", "train.max_steps=8")
    outcome = train(config)
    assert [event.step for event in outcome.of(events.Checkpoint)] == [2, 4, 5, 8]
    assert folders(outcome.run) == ["step-4", "step-5", "step-8"]


def test_a_run_that_died_before_its_last_evaluation_makes_it_after_a_resume(
    untied, rows, configure, train, new_run
):
    config = rich(configure, untied, rows, "evaluate.every_steps=4")
    whole = train(config)
    run = new_run()

    class Died(Exception):
        pass

    def seen(run, event):
        if isinstance(event, events.Checkpoint) and event.step == 6:
            raise Died

    with pytest.raises(Died):
        train(config, run=run, seen=seen)
    resumed = train(config, run=run)
    assert resumed.steps == []
    (last,) = resumed.of(events.Eval)
    assert (last.step, last.loss) == (6, whole.of(events.Eval)[-1].loss)
    assert [sample.step for sample in resumed.of(events.Sample)] == [6]
    assert train(config, run=run).of(events.Eval) == [], "once"


def test_samples_say_whether_they_stopped_by_themselves(untied, rows, configure, train):
    """At step 0 it is the base that answers; prompts, and what was expected, stay the same."""
    outcome = train(rich(configure, untied, rows))
    taken = {sample.step: sample for sample in outcome.of(events.Sample)}
    assert list(taken) == [0, 2, 4, 6]
    assert len({(sample.prompt, sample.expected) for sample in taken.values()}) == 1
    assert not taken[0].finished, "a base of chance does not end within 4 tokens"
