"""Our numbers are those of two independent loops for every architecture, not for Llama alone."""

from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from sft_tui.core.training.method import attach_lora
from sft_tui.core.training.model import load_base
from tests.training import zoo
from tests.training.oracles import LOSS, by_hand, by_trainer, fresh

OTHERS = [  # than Llama, which test_numerics.py has
    kind if kind in zoo.SIX else pytest.param(kind, marks=pytest.mark.soak)
    for kind in zoo.KINDS
    if kind != "llama"
]
RECURRENT = ("qwen3_next", "mamba2")
STEPS = 4


def targets(kind: str) -> str:
    return f"method.target_modules={zoo.KINDS[kind][2]}"


def compared(ours: Any, hand: list[Any], oracle: list[Any]) -> None:
    assert len(ours.steps) == len(hand) == len(oracle) == STEPS
    assert abs(ours.losses[0] - ours.losses[2]) > 0.01, "the model did not move"
    for step, (loss, norm), logged in zip(ours.steps, hand, oracle, strict=True):
        assert step.loss == pytest.approx(loss, abs=LOSS, rel=0)
        assert step.loss == pytest.approx(logged["loss"], abs=LOSS, rel=0)
        assert step.grad_norm == pytest.approx(norm, rel=1e-5)
        assert step.grad_norm == pytest.approx(logged["grad_norm"], rel=1e-5)


@pytest.mark.parametrize("kind", OTHERS)
def test_recipe_equals_a_loop_by_hand_and_transformers_trainer(
    kind, saved, ragged, configure, train, tokenizer, tmp_path
):
    # 20 rows, 10 a step in five micro-batches of 2: two epochs are four steps.
    sets = ("train.gradient_accumulation=5", "train.epochs=2", "optim.learning_rate=3e-3")
    config = configure(saved(kind), ragged(20), "optim.max_grad_norm=0.5", targets(kind), *sets)
    ours = train(config)
    hand = by_hand(*fresh(config), config, steps=STEPS)
    oracle = by_trainer(*fresh(config), config, tokenizer.pad_token_id, tmp_path / "oracle")
    compared(ours, hand, oracle)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["llama", "gemma3", "mixtral"])
def test_full_training_equals_a_loop_by_hand_and_transformers_trainer(
    kind, saved, ragged, configure, train, tokenizer, tmp_path
):
    sets = ("train.gradient_accumulation=5", "train.epochs=2", "optim.learning_rate=1e-3")
    config = configure(saved(kind), ragged(20), "method.kind=full", *sets)
    ours = train(config)
    hand = by_hand(*fresh(config), config, steps=STEPS)
    oracle = by_trainer(*fresh(config), config, tokenizer.pad_token_id, tmp_path / "oracle")
    compared(ours, hand, oracle)


@pytest.mark.soak
@pytest.mark.parametrize("kind", OTHERS)
def test_split_into_micro_batches_changes_nothing(kind, saved, ragged, configure, train):
    folder, data = saved(kind), ragged(12)

    def run(micro_batch: int, accumulation: int) -> Any:
        sets = (
            f"train.micro_batch_size={micro_batch}",
            f"train.gradient_accumulation={accumulation}",
            "train.max_steps=3",
            "optim.learning_rate=3e-3",
        )
        return train(configure(folder, data, targets(kind), *sets))

    whole, *splits = [run(4, 1), run(2, 2), run(1, 4)]
    # Sums over a row's states round differently where a row is padded to another length.
    tolerance = 1e-3 if kind in RECURRENT else 1e-4
    for split in splits:
        assert split.losses == pytest.approx(whole.losses, abs=LOSS, rel=0)
        for name, weight in whole.adapter.items():
            torch.testing.assert_close(split.adapter[name], weight, atol=tolerance, rtol=0)


def logits(model: Any) -> torch.Tensor:
    ids = torch.tensor([[5, 9, 14, 23, 42, 77, 31, 6]])
    with torch.no_grad():
        return model.eval()(input_ids=ids, use_cache=False).logits


@pytest.mark.soak
@pytest.mark.parametrize("kind", zoo.KINDS)
def test_an_adapter_starts_at_its_base_moves_alone_resumes_exactly_and_loads_in_plain_peft(
    kind, saved, ragged, configure, train, crash_after, adapted
):
    folder = saved(kind)
    # PEFT has no dropout before fused experts.
    dropout = 0 if kind == "qwen3_next" else 0.1
    sets = (targets(kind), f"method.dropout={dropout}", "train.max_steps=6", "save.every_steps=2")
    config = configure(folder, ragged(12), *sets)

    def plain() -> Any:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)

    started = attach_lora(load_base(str(folder), config.model, "fp32"), config.method)
    torch.testing.assert_close(logits(started), logits(plain()), atol=1e-5, rtol=0)

    whole = train(config)
    (model,) = adapted
    trained = logits(model)
    assert (trained - logits(plain())).abs().max() > 1e-3, "training changed nothing"
    for name, value in model.state_dict().items():
        assert ("lora_" in name) or torch.equal(value, model.before[name]), name
    other = PeftModel.from_pretrained(plain(), whole.run.adapter)
    torch.testing.assert_close(logits(other), trained, atol=1e-5, rtol=0)
    torch.testing.assert_close(logits(other.merge_and_unload()), trained, atol=1e-5, rtol=0)

    resumed = train(config, run=crash_after(config, 3))
    assert resumed.adapter.keys() == whole.adapter.keys()
    for name, weight in whole.adapter.items():
        assert torch.equal(resumed.adapter[name], weight), name
