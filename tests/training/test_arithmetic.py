"""Precisions, checkpointing, compilation and optimizers, each against what it must equal."""

import math

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch._dynamo.utils import counters
from transformers import get_wsd_schedule

from sft_tui.core.config import OptimConfig
from sft_tui.core.training import optim as ours
from sft_tui.core.training import precision as arithmetic
from tests.training import zoo
from tests.training.oracles import LOSS, by_hand, fresh

FULL = "method.kind=full"


@pytest.mark.parametrize(
    ("base", "sets"),
    [
        ("untied", []),
        ("untied", [FULL, "optim.learning_rate=1e-3"]),
        ("gpt2", ["method.target_modules=[c_attn, c_fc]"]),
        ("untied", ["model.quantisation=nf4"]),
    ],
)
def test_checkpointing_changes_no_number(base, sets, request, ragged, configure, train):
    common = (request.getfixturevalue(base), ragged(12), "train.max_steps=4", *sets)
    kept = train(configure(*common))
    again = train(configure(*common, "train.gradient_checkpointing=true"))
    assert again.losses == pytest.approx(kept.losses, abs=1e-6, rel=0)
    norms = [[step.grad_norm for step in run.steps] for run in (kept, again)]
    assert norms[1] == pytest.approx(norms[0], rel=1e-5)


def test_checkpointing_reaches_fused_experts(tokenizer, ragged, configure, train, tmp_path):
    zoo.build("mixtral", tokenizer).save_pretrained(tmp_path / "moe")
    tokenizer.save_pretrained(tmp_path / "moe")
    experts = "method.target_parameters=[gate_up_proj, down_proj]"
    common = (tmp_path / "moe", ragged(8), "train.max_steps=3", experts)
    kept = train(configure(*common))
    again = train(configure(*common, "train.gradient_checkpointing=true"))
    assert again.losses == pytest.approx(kept.losses, abs=1e-6, rel=0)


@pytest.mark.soak
@pytest.mark.parametrize("sets", [[], [FULL, "optim.learning_rate=1e-3"]])
def test_compiled_layers_equal_eager_ones(sets, untied, ragged, configure, train):
    common = (untied, ragged(8), "train.max_steps=4", *sets)
    eager = train(configure(*common))
    compiled = train(configure(*common, "train.compile=always"))
    assert compiled.losses == pytest.approx(eager.losses, abs=1e-5, rel=0)
    norms = [[step.grad_norm for step in run.steps] for run in (eager, compiled)]
    assert norms[1] == pytest.approx(norms[0], rel=1e-4)
    if not sets:
        assert compiled.adapter.keys() == eager.adapter.keys(), "names stay as they are"


@pytest.mark.soak
@pytest.mark.parametrize("sets", [["method.dropout=0"], [FULL, "optim.learning_rate=1e-3"]])
def test_what_is_checkpointed_is_compiled_too(sets, untied, ragged, configure, train):
    common = (untied, ragged(8), "train.max_steps=4", "train.gradient_checkpointing=true", *sets)
    eager = train(configure(*common))
    counters.clear()
    compiled = train(configure(*common, "train.compile=always"))
    assert counters["stats"]["calls_captured"] > 40, "a layer's, not only those around it"
    assert not counters["graph_break"]
    assert compiled.losses == pytest.approx(eager.losses, abs=1e-5, rel=0)
    norms = [[step.grad_norm for step in run.steps] for run in (eager, compiled)]
    assert norms[1] == pytest.approx(norms[0], rel=1e-4)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("sets", [[], [FULL, "optim.learning_rate=1e-3"]])
def test_narrow_precisions_follow_fp32(precision, sets, untied, ragged, configure, train):
    common = (untied, ragged(12), "train.max_steps=6", *sets)
    wide = train(configure(*common))
    narrow = train(configure(*common, f"train.precision={precision}"))
    assert narrow.losses != wide.losses
    assert narrow.losses == pytest.approx(wide.losses, rel=0.01)
    assert not narrow.warnings("non_finite")


@pytest.fixture
def overflowing(monkeypatch):
    """Begins with a scale of the loss under which every gradient of fp16 overflows at first."""

    class Large(torch.amp.GradScaler):
        def __init__(self, device: str, enabled: bool) -> None:
            super().__init__(device, init_scale=2.0**40, enabled=enabled)

    monkeypatch.setattr(arithmetic.torch.amp, "GradScaler", Large)


def test_steps_that_overflow_are_skipped_and_halve_the_scale(
    overflowing, untied, ragged, configure, train
):
    config = configure(untied, ragged(8), "train.precision=fp16", "train.max_steps=40")
    outcome = train(config)
    norms = [step.grad_norm for step in outcome.steps]
    skipped = next(place for place, norm in enumerate(norms) if math.isfinite(norm))
    assert skipped > 5, "more than would end a run whose numbers are bad"
    assert not outcome.warnings("non_finite")
    # Rows come in order: the same window has the same loss until a step was taken.
    epoch = 4
    assert all(outcome.losses[s] == outcome.losses[s % epoch] for s in range(skipped))
    assert outcome.losses[-1] < outcome.losses[(len(norms) - 1) % epoch]
    state = (outcome.run.checkpoints / "step-40" / "trainer_state.json").read_text()
    halved = sum(not math.isfinite(norm) for norm in norms)
    assert f'"scale":{2.0 ** (40 - halved):.1f}' in state


def test_a_resumed_fp16_run_goes_on_with_its_scale(
    overflowing, untied, ragged, configure, train, crash_after
):
    sets = ("train.precision=fp16", "train.max_steps=30", "save.every_steps=10")
    config = configure(untied, ragged(8), *sets)
    whole = train(config).adapter
    resumed = train(config, run=crash_after(config, 13)).adapter
    for name, weight in whole.items():
        assert torch.equal(weight, resumed[name]), name


@pytest.mark.parametrize(("name", "oracle"), [("adam", "Adam"), ("adamw", "AdamW")])
def test_decay_is_coupled_in_adam_and_apart_in_adamw(
    name, oracle, untied, ragged, configure, train
):
    sets = (f"optim.name={name}", "optim.weight_decay=0.3", "train.epochs=2")
    config = configure(untied, ragged(8), *sets)
    told = train(config)
    model, rows = fresh(config)
    hand = by_hand(model, rows, config, steps=8)
    assert told.losses == pytest.approx([loss for loss, _ in hand], abs=LOSS, rel=0)
    for key, weight in told.adapter.items():
        mine = model.get_parameter(key.replace(".weight", ".default.weight"))
        torch.testing.assert_close(weight, mine.data, atol=1e-4, rtol=0)
    values = OptimConfig(name=name, learning_rate=0.1, weight_decay=0.5)
    pair = [torch.nn.Parameter(torch.tensor([2.0, -3.0])) for _ in range(2)]
    theirs = getattr(torch.optim, oracle)([pair[1]], lr=0.1, weight_decay=0.5)
    optimizer = ours.build_optimizer([pair[0]], values)
    for _ in range(3):
        for parameter in pair:
            parameter.grad = torch.tensor([0.01, 0.02])
        optimizer.step()
        theirs.step()
    assert torch.equal(*pair)


def test_moments_in_8_bits_follow_adamw_and_resume(untied, ragged, configure, train, crash_after):
    sets = ("method.rank=64", "train.max_steps=6", "save.every_steps=3", "optim.weight_decay=0.1")
    exact = train(configure(untied, ragged(12), *sets))
    config = configure(untied, ragged(12), "optim.name=adamw_8bit", *sets)
    narrow = train(config)
    assert narrow.losses[1:] != exact.losses[1:]
    assert narrow.losses == pytest.approx(exact.losses, rel=0.02)
    kept = load_file(narrow.run.checkpoints / "step-6" / "optimizer.safetensors")
    kinds = {tensor.dtype for key, tensor in kept.items() if key.startswith("state1.")}
    assert torch.uint8 in kinds
    resumed = train(config, run=crash_after(config, 4)).adapter
    for name, weight in narrow.adapter.items():
        assert torch.equal(weight, resumed[name]), name


@pytest.mark.parametrize(("total", "warmup", "decay"), [(20, 0.1, 0.25), (10, 0.0, 1.0)])
def test_wsd_equals_transformers(total, warmup, decay):
    values = OptimConfig(learning_rate=1e-3, schedule="wsd", warmup_ratio=warmup, decay_ratio=decay)
    rising, falling = math.ceil(warmup * total), math.ceil(decay * total)
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    scheduler = get_wsd_schedule(
        optimizer,
        num_warmup_steps=rising,
        num_stable_steps=total - rising - falling,
        num_decay_steps=falling,
        decay_type="linear",
    )
    theirs = []
    for _ in range(total):
        theirs.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    rates = [ours.learning_rate(values, step, total) for step in range(1, total + 1)]
    assert rates[rising:] == pytest.approx(theirs[rising:], rel=1e-9)


def test_wsd_by_hand():
    values = OptimConfig(learning_rate=1.0, schedule="wsd", warmup_ratio=0.2, decay_ratio=0.4)
    rates = [ours.learning_rate(values, step, 10) for step in range(1, 11)]
    assert rates == pytest.approx([0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25])


def test_a_mean_of_micro_batches_weighs_each_the_same(untied, ragged, configure, train):
    sets = ("train.gradient_accumulation=3", "train.max_steps=1", "optim.max_grad_norm=null")
    config = configure(untied, ragged(6), "train.loss_normalisation=micro_batch", *sets)
    (told,) = train(config).steps
    model, rows = fresh(config)
    trained = [p for p in model.parameters() if p.requires_grad]
    means = []
    for start in (0, 2, 4):
        sums, count = 0.0, 0
        for row in rows[start : start + 2]:
            logits = model(input_ids=torch.tensor([row.input_ids])).logits[0, :-1]
            sums = sums + F.cross_entropy(logits, torch.tensor(row.labels[1:]), reduction="sum")
            count += row.trained
        means.append(sums / count)
    mean = sum(means) / 3
    mean.backward()
    norm = torch.cat([p.grad.flatten() for p in trained]).norm().item()
    assert told.loss == pytest.approx(mean.item(), abs=LOSS, rel=0)
    assert told.grad_norm == pytest.approx(norm, rel=1e-5)
    tokens = train(configure(untied, ragged(6), *sets)).losses[0]
    assert abs(tokens - told.loss) > 1e-3, "the rows cannot tell the two apart"
