"""What holds for models of two layers holds for the demo's, a real one of 135 million weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from sft_tui.core.config import ModelConfig
from sft_tui.core.rundir import RunDir
from sft_tui.core.training.locate import locate
from sft_tui.core.training.method import attach_lora
from sft_tui.core.training.model import load_base
from sft_tui.core.training.report import Report
from tests.training.oracles import LOSS, by_hand, by_trainer, fresh

pytestmark = [pytest.mark.soak, pytest.mark.e2e]
STEPS = 4


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    """The folder of the embedded model, converted."""
    home = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SFT_TUI_HOME", str(home))
        with Report(RunDir(home)) as report:
            return Path(locate(ModelConfig(name="demo"), report))


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
