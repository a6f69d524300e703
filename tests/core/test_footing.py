"""What may not change when a checkpoint is resumed, judged without loading anything."""

import re

import msgspec
import pytest

from sft_tui.core import config_file, footing, launch
from sft_tui.core.errors import UsageError
from sft_tui.core.footing import Footing
from sft_tui.core.rundir import RunDir

QUANTISED = "model.quantisation=nf4"
CHANGES = [
    ((), "method.rank=8"),
    ((), "method.alpha=64"),
    ((), "method.rslora=true"),
    ((), "method.dora=true"),
    ((), "method.init=pissa"),
    ((), "method.target_modules=[q_proj]"),
    ((), "method.exclude_modules=[q_proj]"),
    ((), "method.kind=full"),
    ((), QUANTISED),
    (("method.kind=full",), "method.kind=lora"),
    (("method.kind=full",), "method.freeze=[lm_head]"),
    ((), "optim.name=adamw_8bit"),
    (("optim.name=adamw_8bit",), "optim.name=adam"),
]
HARMLESS = [
    ((), "method.dropout=0.1"),
    ((), "optim.name=adam"),
    ((), "optim.learning_rate=0.5"),
    ((), "train.max_steps=999"),
    (("method.kind=full",), "method.rank=8"),
]


def checked(old, new):
    before, after = config_file.build(old), config_file.build([*old, new])
    Footing.of(before).check(Footing.of(after), 7)


@pytest.mark.parametrize(("old", "new"), CHANGES, ids=str)
def test_what_weights_or_moments_stand_on_may_not_change(old, new):
    key, _, value = new.partition("=")
    with pytest.raises(UsageError) as caught:
        checked(old, new)
    assert str(caught.value).startswith(f"checkpoint 7 cannot be resumed with another {key}: ")
    assert value in caught.value.why
    assert caught.value.remedy.startswith(f"leave {key} at ")


@pytest.mark.parametrize(("old", "new"), HARMLESS, ids=str)
def test_what_they_do_not_stand_on_may_change(old, new):
    checked(old, new)


def test_a_change_of_the_method_names_the_method_and_not_what_follows_from_it():
    with pytest.raises(UsageError, match=r"another method\.kind"):
        checked(("method.rank=3",), "method.kind=full")


def stands(precision, base, model="demo"):
    sets = [f"train.precision={precision}", f"model.name={model}"]
    return Footing.of(config_file.build(sets), base)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_another_base_is_noticed_in_another_precision_too(precision):
    before = stands("fp32", "bf16:a")
    with pytest.raises(UsageError, match="this base model"):
        before.check(stands(precision, "bf16:b"), 7)
    before.check(stands(precision, "bf16:a", model="/moved/demo"), 7)
    before.check(stands(precision, None), 7)
    stands("fp32", "made otherwise").check(stands(precision, "bf16:b"), 7)


def test_where_bases_cannot_be_compared_their_names_are():
    before = stands("fp32", "bf16:a")
    before.check(stands("fp16", "bf16:b"), 7)  # the same weights are rounded otherwise
    with pytest.raises(UsageError, match="cannot be compared") as caught:
        before.check(stands("fp16", "bf16:a", model="other"), 7)
    assert "demo in fp32" in caught.value.why and "other in fp16" in caught.value.why


@pytest.fixture
def run(tmp_path):
    """A run that ended at step 7, with its checkpoint's state and nothing else of it."""
    run = RunDir(tmp_path / "20260101-000000-x-0001")
    folder = run.checkpoints / "step-7"
    folder.mkdir(parents=True)
    config = config_file.build()
    run.config.write_text(config_file.to_yaml(config))
    state = {"step": 7, "footing": Footing.of(config)}
    (folder / footing.STATE).write_bytes(msgspec.json.encode(state))
    return run


@pytest.mark.parametrize("said", [True, False], ids=["said", "unsaid"])
def test_a_resume_is_refused_before_anything_is_written(run, said):
    if not said:  # then what the run began with counts
        (run.checkpoints / "step-7" / footing.STATE).write_text('{"step": 7}')
    with pytest.raises(UsageError, match=re.escape("method.alpha: 32.0")):
        launch.resume(run, config_file.build(["method.alpha=64"]))
    assert [path.name for path in run.configs()] == ["config.yaml"]
    assert not run.log.exists()


def test_what_nothing_tells_is_refused(run):
    (run.checkpoints / "step-7" / footing.STATE).write_text('{"step": 7}')
    run.config.rename(run.path / "config-1.yaml")
    with pytest.raises(UsageError, match="does not tell what its weights stand on"):
        launch.resume(run)


def test_the_newest_checkpoint_counts_and_a_damaged_one_is_left_to_the_trainer(run):
    changed = config_file.build(["method.rank=4"])
    newer = run.checkpoints / "step-9"
    newer.mkdir()
    (newer / footing.STATE).write_bytes(
        msgspec.json.encode({"step": 9, "footing": Footing.of(changed)})
    )
    footing.check(run, changed)
    (newer / footing.STATE).write_text("{")
    footing.check(run, config_file.build())
