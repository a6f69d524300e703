"""What a configuration is said to do is what PEFT and the trainer make of it."""

import msgspec
import pytest

from sft_tui.core import config_file
from sft_tui.core.effects import effects_of
from sft_tui.core.errors import SftError
from sft_tui.core.sidecar.effect_calls import Rows, Wanted
from sft_tui.core.training.method import attach_lora, count_parameters, unfreeze
from sft_tui.core.training.model import load_base


@pytest.mark.parametrize("kind", ["untied", "tied", "gpt2"])
@pytest.mark.parametrize("rank", [1, 8, 32])
def test_the_trainable_parameters_of_a_rank_are_pefts(kind, rank, request):
    folder = str(request.getfixturevalue(kind))
    targets = "[c_attn, c_fc]" if kind == "gpt2" else "['*_proj']"
    sets = [f"model.name={folder}", f"method.rank={rank}", f"method.target_modules={targets}"]
    config = config_file.build(sets)

    found = effects_of(Wanted(config=config)).adapter

    model = attach_lora(load_base(folder, config.model, "fp32"), config.method)
    trainable, everything = model.get_nb_trainable_parameters()
    with_adapters = [name for name, _ in model.named_modules() if name.endswith(".lora_A")]
    assert found.trainable == trainable
    assert found.layers == len(with_adapters)
    assert found.share == pytest.approx(trainable / (everything - trainable))


@pytest.mark.parametrize(
    ("kind", "freeze"),
    [
        ("tied", "[]"),
        ("untied", "[lm_head, 'model.layers.0']"),
        ("gpt2", "[wte, 'transformer.h.1']"),
    ],
)
def test_the_trained_parameters_of_a_full_run_are_the_trainers(kind, freeze, request):
    folder = str(request.getfixturevalue(kind))
    sets = [f"model.name={folder}", "method.kind=full", f"method.freeze={freeze}"]
    config = config_file.build(sets)

    found = effects_of(Wanted(config=config))

    model = unfreeze(load_base(folder, config.model, "fp32"), config.method.freeze)
    trained, total = count_parameters(model)
    assert found.adapter.trainable == trained
    assert found.adapter.share == pytest.approx(trained / total)
    assert found.disk.checkpoint == 12 * trained and found.disk.result == 4 * total
    wrong = config_file.build([*sets[:2], "method.freeze=[wrong]"])
    failure = effects_of(Wanted(config=wrong)).adapter_failure
    with pytest.raises(SftError) as caught:
        unfreeze(model, wrong.method.freeze)
    assert failure.what == caught.value.what and "method.freeze" in failure.what


def test_steps_disk_and_time_are_those_of_a_run(untied, ragged, configure, train):
    sets = ("train.epochs=3", "train.micro_batch_size=2", "train.gradient_accumulation=2")
    config = configure(untied, ragged(21), *sets, "save.every_steps=4", "save.keep=2")
    done = train(config)
    done.run.config.write_text(config_file.to_yaml(config))
    epoch = sum(step.tokens for step in done.steps) // 3
    seconds = sum(step.step_s for step in done.steps)

    asked = Wanted(
        config=config,
        rows=Rows(train=21, tokens=epoch, longest=20),
        runs_folder=str(done.run.path.parent),
    )
    found = effects_of(asked)

    assert (found.rows_per_step, found.steps, found.steps_per_epoch) == (4, done.last_step, 6)
    kept = [folder for _, folder in done.run.complete_checkpoints()]
    assert found.disk.kept == len(kept)
    on_disk = sum(path.stat().st_size for path in kept[0].iterdir())
    # A small model's checkpoint has as much of names and settings as of numbers.
    numbers = sum(4 * tensor.numel() for tensor in done.adapter.values())
    assert found.disk.checkpoint == 3 * numbers and found.disk.result == numbers
    assert found.disk.checkpoint < on_disk < found.disk.checkpoint + 40_000
    assert found.speed.run == done.run.id
    assert found.total_s == pytest.approx(seconds, rel=0.01)
    slower = msgspec.structs.replace(config.train, precision="bf16")
    other = msgspec.structs.replace(config, train=slower)
    assert effects_of(msgspec.structs.replace(asked, config=other)).speed is None
