"""What holds for models of two layers holds for the demo's, a real one of 135 million weights."""

from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from sft_tui.core import events
from sft_tui.core.training.method import attach_lora
from sft_tui.core.training.model import load_base
from tests.training.oracles import LOSS, by_hand, by_trainer, fresh
from tests.training.two_ranks import Pair

pytestmark = [pytest.mark.soak, pytest.mark.e2e]
STEPS = 4
BY_HEART = [
    ("Who keeps the bridge?", "The miller's younger daughter."),
    ("When does the market open?", "At six in summer, at eight in winter."),
    ("What lies under the tower?", "A cistern."),
    ("How many boats are there?", "Seven, of which two are rented."),
    ("Which road leads west?", "The one behind the forge."),
    ("Who painted the signal?", "Nobody knows."),
    ("What does the captain carry?", "A lantern and a ledger."),
    ("Where is the museum?", "In the old school, on the first floor."),
]


def test_recipe_equals_a_loop_by_hand_and_transformers_trainer(
    demo, ragged, configure, train, tmp_path
):
    # 20 rows, 5 a step: accumulation 5.
    sets = ("train.micro_batch_size=1", "train.gradient_accumulation=5", "train.epochs=1")
    config = configure(demo, ragged(20), *sets, "optim.learning_rate=1e-3")
    ours = train(config)
    hand = by_hand(*fresh(config), config, steps=STEPS)
    model, rows = fresh(config)
    oracle = by_trainer(model, rows, config, model.config.pad_token_id, tmp_path / "oracle")
    assert len(ours.steps) == len(hand) == len(oracle) == STEPS
    for step, (loss, norm), logged in zip(ours.steps, hand, oracle, strict=True):
        assert step.loss == pytest.approx(loss, abs=LOSS, rel=0)
        assert step.loss == pytest.approx(logged["loss"], abs=LOSS, rel=0)
        assert step.grad_norm == pytest.approx(norm, rel=1e-5)
        assert step.grad_norm == pytest.approx(logged["grad_norm"], rel=1e-5)


def test_split_into_micro_batches_changes_nothing(demo, ragged, configure, train, first_gradients):
    data = ragged(8)

    def run(micro_batch: int, accumulation: int) -> Any:
        sets = (
            f"train.micro_batch_size={micro_batch}",
            f"train.gradient_accumulation={accumulation}",
            "train.max_steps=3",
            "optim.learning_rate=3e-4",
            "optim.max_grad_norm=null",
        )
        return train(configure(demo, data, *sets))

    whole, *splits = [run(4, 1), run(2, 2), run(1, 4)]
    for split, gradients in zip(splits, first_gradients[1:], strict=True):
        # 5e-6, or 1e-6 of losses as large as 9: packed rows are added up in another order.
        assert split.losses == pytest.approx(whole.losses, abs=LOSS, rel=1e-6)
        for ours, theirs in zip(gradients, first_gradients[0], strict=True):
            # fp32 tells this model's gradients to 1e-5 alone: so far is each from fp64.
            assert (ours - theirs).norm() <= 1e-5 * theirs.norm()
        for name, weight in whole.adapter.items():
            # Where a gradient is next to nothing, Adam makes its rounding as large as a step.
            far = (split.adapter[name] - weight).abs() > 1e-4
            assert far.float().mean() <= 1e-3, name


def logits(model: Any) -> torch.Tensor:
    ids = torch.tensor([[504, 2365, 6354, 16438, 27003, 690, 260, 23790, 2767, 30]])
    with torch.no_grad():
        return model.eval()(input_ids=ids, use_cache=False).logits


def test_an_adapter_starts_at_its_base_moves_alone_and_loads_in_plain_peft(
    demo, ragged, configure, train, adapted
):
    config = configure(demo, ragged(8), "train.max_steps=3", "optim.learning_rate=1e-3")

    def plain() -> Any:
        return AutoModelForCausalLM.from_pretrained(demo, dtype=torch.float32)

    base = logits(plain())
    started = attach_lora(load_base(str(demo), config.model, "fp32"), config.method)
    assert torch.equal(logits(started), base)

    run = train(config).run
    (model,) = adapted
    for name, value in model.state_dict().items():
        assert ("lora_" in name) != torch.equal(value, model.before[name]), name
    trained = logits(model)
    assert (trained - base).abs().max() > 0.1
    other = PeftModel.from_pretrained(plain(), run.adapter)
    assert torch.equal(logits(other), trained)
    merged = logits(other.merge_and_unload())
    assert (merged - trained).abs().max() <= 1e-5 * trained.abs().max()


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_ranks_train_what_one_trains(strategy, demo, ragged, configure, train, tmp_path):
    def config(*sets: str) -> Any:
        shared = ("train.micro_batch_size=1", "train.epochs=2", "optim.learning_rate=3e-4")
        return configure(demo, ragged(16), *shared, *sets)

    alone = train(config("train.gradient_accumulation=4"))
    two = Pair(tmp_path)
    try:
        ranks = ("launch.devices=2", f"launch.strategy={strategy}")
        found = two.train(config("train.gradient_accumulation=2", *ranks))
    finally:
        two.end()
    assert len(alone.losses) == 8
    assert found.losses == pytest.approx(alone.losses, abs=1e-5, rel=0)
    for ours, theirs in zip(found.of(events.Step), alone.steps, strict=True):
        assert ours.grad_norm == pytest.approx(theirs.grad_norm, rel=1e-4)


def test_eight_rows_are_learnt_by_heart(demo, write_rows, configure, train):
    config = configure(
        demo,
        write_rows(BY_HEART),
        "data.shuffle=true",
        "method.rank=16",
        "method.alpha=32",
        "optim.learning_rate=1e-3",
        "optim.schedule=cosine",
        "train.micro_batch_size=8",
        "train.max_steps=60",
        "evaluate.samples=8",
        "evaluate.sample_max_tokens=40",
    )
    outcome = train(config)
    assert outcome.losses[0] > 1 and outcome.losses[-1] < 0.05
    told = [sample for sample in outcome.of(events.Sample) if sample.step == 60]
    assert [sample.text for sample in told] == [answer for _, answer in BY_HEART]
    assert all(sample.finished for sample in told)
