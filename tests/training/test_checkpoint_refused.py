"""Checkpoints that do not fit the configuration, are damaged, or are not what they seem."""

import json
import math
import os
import pickle
import re

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sft_tui.core import config_file
from sft_tui.core.errors import SftError
from tests.training.checkpoints import assert_identical, folders, tensors

LESS = "method.freeze=['model.layers.1.*']"


@pytest.fixture(scope="module")
def rows(ragged):
    return ragged(9)


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


def change_state(run, **changes):
    """Changes what the newest checkpoint tells of itself."""
    path = run.complete_checkpoints()[-1][1] / "trainer_state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def unsaid(run, began_with):
    """Makes the newest checkpoint one that does not tell its footing, of a run that began so."""
    change_state(run, footing=None)
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
    assert "its files as they were" in caught.value.remedy


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "optimizer.safetensors"])
def test_a_damaged_checkpoint_is_refused_by_name(name, untied, rows, configure, train):
    done = train(configure(untied, rows, "train.max_steps=2"))
    path = done.run.checkpoints / "step-2" / name
    whole = path.read_bytes()
    for damaged in (whole[:100], whole[:-1] + bytes([whole[-1] ^ 1])):
        path.write_bytes(damaged)
        with pytest.raises(SftError, match=rf"step-2.*damaged: {name} is not what was written"):
            train(configure(untied, rows, "train.max_steps=4"), run=done.run)
    change_state(done.run, digests={})  # as one that does not tell them
    path.write_bytes(whole[:100])
    with pytest.raises(SftError, match="step-2"):
        train(configure(untied, rows, "train.max_steps=4"), run=done.run)


def test_a_checkpoint_that_lacks_the_moments_of_a_weight_is_refused(untied, rows, configure, train):
    done = train(configure(untied, rows, "train.max_steps=2"))
    path = done.run.checkpoints / "step-2" / "optimizer.safetensors"
    change_state(done.run, digests={})
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


def test_a_damaged_state_is_refused_by_name_and_no_other_damaged_one_advised(
    untied, rows, configure, train
):
    done = train(configure(untied, rows, "train.max_steps=4", "save.every_steps=1", "save.keep=4"))
    (done.run.checkpoints / "step-4" / "trainer_state.json").write_text("{")
    for name, file in (("step-3", "adapter_model.safetensors"), ("step-2", "trainer_state.json")):
        (done.run.checkpoints / name / file).write_bytes(b"{")

    def remedy() -> str:
        with pytest.raises(SftError, match="step-4") as caught:
            train(configure(untied, rows, "train.max_steps=6"), run=done.run)
        return caught.value.remedy

    assert remedy() == "remove that folder and step-3, step-2, damaged too, to go on from step-1"
    (done.run.checkpoints / "step-1" / "optimizer.safetensors").unlink()
    assert remedy().endswith("step-3, step-2, step-1, damaged too, to start again from step 0")


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
