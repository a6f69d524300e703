"""Two ranks train what one trains: the same losses, the same weights, the same files."""

import json
import shutil

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from sft_tui.core import events
from sft_tui.core.rundir import RunDir
from tests.training import zoo
from tests.training.checkpoints import assert_identical
from tests.training.two_ranks import Pair

STRATEGIES = ("ddp", "fsdp")
KINDS = ("lora", "full")
QUICK = (("mixtral", "full"),)
"""What is not left to soak: experts in one tensor, divided over ranks."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    pair = Pair(tmp_path_factory.mktemp("pair"))
    yield pair
    pair.end()


@pytest.fixture(scope="module")
def rows(ragged):
    """Thirteen: the last step of an epoch has one row, so that one rank has nothing to do."""
    return ragged(13)


@pytest.fixture
def both(configure, tied, rows):
    """Returns the configuration of one rank and of two, whose steps hold the same rows."""

    def build(*sets, model=tied):
        common = (
            "data.shuffle=true",
            "train.epochs=2",
            "optim.schedule=cosine",
            "optim.warmup_ratio=0.2",
            "optim.weight_decay=0.01",
            "optim.learning_rate=0.001",
            "optim.max_grad_norm=0.5",
            *sets,
        )
        one = configure(model, rows, *common, "train.gradient_accumulation=4")
        two = configure(model, rows, *common, "train.gradient_accumulation=2", "launch.devices=2")
        return one, two

    return build


def result(run):
    """Returns the weights of what a run leaves to others."""
    folder = run.adapter if run.adapter.exists() else run.model
    (file,) = folder.glob("*.safetensors")
    return load_file(file)


def assert_close(ours, theirs, tolerance=1e-5):
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, atol=tolerance, rtol=tolerance, msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_two_ranks_train_what_one_trains(kind, pair, both, train, ragged):
    sets = (
        f"method.kind={kind}",
        "train.epochs=4",
        "train.micro_batch_size=1",
        f"data.eval_source={ragged(5)}",
        "data.ignore_problems=[eval_leak]",
        "evaluate.every_steps=4",
        "evaluate.samples=1",
        "evaluate.sample_max_tokens=6",
    )
    alone = train(both(*sets)[0])
    steps = alone.steps
    assert [step.supervised_tokens for step in steps][3] < steps[0].supervised_tokens

    for strategy in STRATEGIES:
        two = pair.train(both(*sets, f"launch.strategy={strategy}")[1])
        assert two.losses == pytest.approx(alone.losses, abs=1e-5)
        for ours, theirs in zip(two.of(events.Step), steps, strict=True):
            assert ours.grad_norm == pytest.approx(theirs.grad_norm, rel=1e-4)
            for name in ("learning_rate", "supervised_tokens", "tokens", "computed_tokens"):
                assert getattr(ours, name) == getattr(theirs, name), name
        evaluated = [event.loss for event in two.of(events.Eval)]
        assert evaluated == pytest.approx([e.loss for e in alone.of(events.Eval)], abs=1e-5)
        assert [s.text for s in two.of(events.Sample)] == [s.text for s in alone.of(events.Sample)]
        assert_close(result(two.run), result(alone.run))
        (started,) = two.of(events.RunStarted)
        assert (started.world_size, started.device) == (2, f"cpu × 2 ({strategy})")
        (one_started,) = alone.of(events.RunStarted)
        assert started.trainable_params == one_started.trainable_params
        assert_same_files(two.run, alone.run)
        assert_loads_alike(two.run, alone.run, both(*sets)[0].model.name)


@pytest.mark.parametrize("kind", KINDS)
def test_two_ranks_make_the_logits_piece_by_piece(kind, pair, both, train):
    sets = (f"method.kind={kind}", "data.loss_on=full", "train.micro_batch_size=2")
    alone = train(both(*sets, "train.loss_chunk=null")[0])
    assert min(step.supervised_tokens for step in alone.steps[:-1]) > 3 * 2 * 16

    two = pair.train(both(*sets, "train.loss_chunk=16", "launch.strategy=ddp")[1])
    assert two.losses == pytest.approx(alone.losses, abs=1e-5)
    for ours, theirs in zip(two.of(events.Step), alone.steps, strict=True):
        assert ours.grad_norm == pytest.approx(theirs.grad_norm, rel=1e-4)
    assert_close(result(two.run), result(alone.run))


@pytest.mark.parametrize(
    ("name", "method"),
    [
        (name, method)
        if (name, method) in QUICK
        else pytest.param(name, method, marks=pytest.mark.soak)
        for name in zoo.SIX
        for method in KINDS
    ],
)
def test_two_ranks_train_what_one_trains_of_every_architecture(
    name, method, pair, both, train, saved
):
    sets = [f"method.kind={method}", "train.epochs=2", "train.micro_batch_size=1"]
    if method == "lora":
        sets.append(f"method.target_modules={zoo.KINDS[name][2]}")
    model = saved(name)
    alone = train(both(*sets, model=model)[0])
    assert len(alone.losses) == 8 and abs(alone.losses[0] - alone.losses[-2]) > 0.01
    for strategy in STRATEGIES:
        two = pair.train(both(*sets, f"launch.strategy={strategy}", model=model)[1])
        assert two.losses == pytest.approx(alone.losses, abs=1e-5, rel=0)
        for ours, theirs in zip(two.of(events.Step), alone.steps, strict=True):
            assert ours.grad_norm == pytest.approx(theirs.grad_norm, rel=1e-4)
        assert_close(*(without_key_biases(result(run)) for run in (two.run, alone.run)))


def without_key_biases(weights):
    """Leaves out weights whose gradient is rounding alone, which Adam makes whole steps of.

    Attention adds the same to all scores of a query by a key's bias, the middle third of GPT-2's.
    """
    found = dict(weights)
    for name in [name for name in found if name.endswith("c_attn.bias")]:
        query, _, value = found[name].chunk(3)
        found[name] = torch.cat([query, value])
    return found


def assert_same_files(ours, theirs):
    """Names, shapes and types of all tensors are those of one rank, beside a random state."""
    folders = [
        run.checkpoints / f"step-{run.complete_checkpoints()[-1][0]}" for run in (ours, theirs)
    ]
    assert {p.name for p in folders[0].iterdir()} == {p.name for p in folders[1].iterdir()}
    for path in folders[1].glob("*.safetensors"):
        mine, others = load_file(folders[0] / path.name), load_file(path)
        mine.pop("random.torch.1", None)
        assert {k: (t.shape, t.dtype) for k, t in mine.items()} == {
            k: (t.shape, t.dtype) for k, t in others.items()
        }
    for name in ("adapter", "model"):
        mine, others = ours.path / name, theirs.path / name
        assert mine.exists() == others.exists()
        if mine.exists():
            assert {p.name for p in mine.iterdir()} == {p.name for p in others.iterdir()}


def assert_loads_alike(ours, theirs, base):
    ids = torch.arange(5, 25).reshape(2, 10)
    logits = []
    for run in (ours, theirs):
        if run.adapter.exists():
            model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
            model = PeftModel.from_pretrained(model, str(run.adapter))
        else:
            model = AutoModelForCausalLM.from_pretrained(run.model, dtype=torch.float32)
            config = json.loads((run.model / "config.json").read_text())
            assert config["architectures"] == ["LlamaForCausalLM"]
        with torch.no_grad():
            logits.append(model(input_ids=ids).logits)
    torch.testing.assert_close(*logits, atol=1e-4, rtol=1e-4)


def test_every_row_of_a_step_is_trained_by_one_rank(pair, both):
    two = pair.train(both("train.max_steps=4", "train.micro_batch_size=1")[1])
    lines = [line.split() for line in two.log.splitlines() if line.startswith("step ")]
    for step in range(1, 5):
        counts = [int(line[2]) for line in lines if line[1] == f"{step}:"]
        digests = {line[-1] for line in lines if line[1] == f"{step}:"}
        assert sorted(counts) == ([2, 2] if step < 4 else [0, 1])
        assert len(digests) == 2, "both ranks trained the same rows"


@pytest.mark.parametrize(("kind", "strategy"), [("lora", "ddp"), ("full", "fsdp")])
def test_a_resumed_run_of_two_ranks_ends_bit_identical(kind, strategy, pair, both, tmp_path):
    sets = [f"method.kind={kind}", f"launch.strategy={strategy}", "save.every_steps=2"]
    if kind == "lora":
        sets.append("method.dropout=0.2")  # each rank has a random state of its own
    _, config = both(*sets)
    whole = pair.train(config)
    steps = [step for step, _ in whole.run.complete_checkpoints()]
    assert steps[0] == 2 and steps[-1] == len(whole.losses)

    half = RunDir(tmp_path / "half")
    half.checkpoints.mkdir(parents=True)
    shutil.copytree(whole.run.checkpoints / "step-2", half.checkpoints / "step-2")
    resumed = pair.train(config, half)

    assert resumed.losses == whole.losses[2:]
    assert_identical(result(half), result(whole.run))
    last = f"step-{steps[-1]}"
    for run in (half, whole.run):
        assert (run.checkpoints / last).exists()
    assert_identical(
        load_file(half.checkpoints / last / "optimizer.safetensors"),
        load_file(whole.run.checkpoints / last / "optimizer.safetensors"),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_another_number_of_ranks_goes_on(kind, pair, both, train, tmp_path):
    """Two ranks, then one, then two again, the first with shares and the last without."""
    sets = (f"method.kind={kind}", "save.every_steps=1", "save.keep=9")
    one, two = both(*sets)
    alone = train(one)
    _, sharded = both(*sets, "launch.strategy=fsdp")
    began = pair.train(sharded)
    run = RunDir(tmp_path / "changing")
    run.checkpoints.mkdir(parents=True)
    shutil.copytree(began.run.checkpoints / "step-1", run.checkpoints / "step-1")

    middle = train(one, run=run)
    assert not middle.warnings("step_size_changed")
    assert middle.losses == pytest.approx(alone.losses[1:], abs=1e-5)
    for _, folder in run.complete_checkpoints()[2:]:
        shutil.rmtree(folder)
    end = pair.train(two, run)
    assert end.losses == pytest.approx(alone.losses[2:], abs=1e-5)
    assert_close(result(run), result(alone.run))


def test_a_step_of_another_size_is_told(pair, both, configure, tied, rows, train):
    _, two = both("train.max_steps=2")
    began = pair.train(two)
    other = configure(tied, rows, "train.max_steps=3", "train.gradient_accumulation=2")
    resumed = train(other, run=began.run)
    (warning,) = resumed.warnings("step_size_changed")
    assert "gradient_accumulation" in warning.remedy


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    "sets",
    [
        ["train.loss_normalisation=micro_batch"],
        ["train.gradient_checkpointing=true", "method.kind=full"],
        ["train.gradient_checkpointing=true"],
        ["method.kind=full", "method.freeze=['*layers.0*']"],
        ["method.rslora=true", "method.dora=true"],
    ],
    ids=" ".join,
)
def test_choices_of_a_step_mean_the_same_on_two_ranks(sets, strategy, pair, both, train):
    short = [*sets, "train.max_steps=4"]
    alone = train(both(*short)[0])
    two = pair.train(both(*short, f"launch.strategy={strategy}")[1])
    assert two.losses == pytest.approx(alone.losses, abs=1e-5)
    assert_close(result(two.run), result(alone.run))


def test_bf16_over_shares_stays_near_bf16_on_one(pair, both, train):
    sets = ("method.kind=full", "train.precision=bf16", "train.max_steps=4")
    alone = train(both(*sets)[0])
    two = pair.train(both(*sets, "launch.strategy=fsdp")[1])
    assert two.losses == pytest.approx(alone.losses, rel=0.01)
    assert two.losses != alone.losses
