"""The optimizer's rate, and steps whose numbers are not finite."""

import math

import pytest
import torch
from safetensors.torch import load_file
from transformers import get_scheduler

from sft_tui.core.config import OptimConfig
from sft_tui.core.errors import SftError
from sft_tui.core.training.optim import build_optimizer, learning_rate


def theirs(schedule, warmup, total, peak):
    """The rates of transformers' schedule for the steps 1 to `total`."""
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    scheduler = get_scheduler(
        schedule if warmup == 0 or schedule != "constant" else "constant_with_warmup",
        optimizer,
        num_warmup_steps=warmup,
        num_training_steps=total,
    )
    rates = []
    for _ in range(total):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
@pytest.mark.parametrize(("ratio", "warmup", "total"), [(0, 0, 7), (0.1, 5, 50), (0.03, 2, 40)])
def test_schedule_equals_transformers_after_warm_up(schedule, ratio, warmup, total):
    optim = OptimConfig(learning_rate=3e-4, schedule=schedule, warmup_ratio=ratio)
    ours = [learning_rate(optim, step, total) for step in range(1, total + 1)]
    expected = theirs(schedule, warmup, total, 3e-4)
    assert ours[warmup:] == pytest.approx(expected[warmup:], rel=1e-12, abs=0)
    assert ours[warmup] == pytest.approx(3e-4)
    assert min(ours) > 0, "no step is lost to a rate of zero"


def test_warm_up_rises_in_equal_parts_from_its_first_step_to_the_peak():
    optim = OptimConfig(learning_rate=1e-3, warmup_ratio=0.1)
    ours = [learning_rate(optim, step, 40) for step in range(1, 6)]
    assert ours == pytest.approx([2.5e-4, 5e-4, 7.5e-4, 1e-3, 1e-3])


def test_a_single_step_trains_at_the_peak():
    for ratio in (0.0, 0.03, 0.5):
        for schedule in ("constant", "linear", "cosine"):
            optim = OptimConfig(learning_rate=1e-3, schedule=schedule, warmup_ratio=ratio)
            assert learning_rate(optim, 1, 1) == pytest.approx(1e-3)


def test_optimizer_holds_what_is_trained_with_the_configured_values():
    trained = torch.nn.Parameter(torch.ones(2))
    frozen = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    optim = OptimConfig(learning_rate=0.5, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.1)

    optimizer = build_optimizer([frozen, trained], optim)

    (group,) = optimizer.param_groups
    assert [id(parameter) for parameter in group["params"]] == [id(trained)]
    assert (group["lr"], group["betas"], group["eps"]) == (0.5, (0.8, 0.9), 1e-6)
    # Decoupled: without a gradient's share, the decay alone takes lr * decay off the weight.
    trained.grad = torch.zeros(2)
    optimizer.step()
    assert trained.tolist() == pytest.approx([0.95, 0.95])


def test_steps_are_trained_at_the_scheduled_rate(untied, ragged, configure, train):
    config = configure(
        untied, ragged(4), "optim.schedule=linear", "optim.warmup_ratio=0.4", "train.max_steps=5"
    )
    rates = [step.learning_rate for step in train(config).steps]
    assert rates == pytest.approx([0.005, 0.01, 0.01, 0.02 / 3, 0.01 / 3])


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_step_that_is_not_finite_leaves_weights_and_moments_alone(
    what, untied, ragged, configure, train, poison
):
    def config(steps):
        return configure(untied, ragged(8), f"train.max_steps={steps}")

    one = train(config(1))
    poison({2}, what)
    two = train(config(2))

    broken = two.steps[1]
    assert math.isnan(broken.grad_norm)
    assert math.isnan(broken.loss) == (what == "loss")
    (warning,) = two.warnings("non_finite")
    assert "step 2" in warning.message
    assert warning.remedy
    for name, weight in one.adapter.items():
        assert torch.equal(weight, two.adapter[name]), name
    moments = [
        load_file(outcome.run.checkpoints / f"step-{step}" / "optimizer.safetensors")
        for step, outcome in ((1, one), (2, two))
    ]
    assert moments[0].keys() == moments[1].keys()
    for name, moment in moments[0].items():
        assert torch.equal(moment, moments[1][name]), name


def test_training_goes_on_after_four_steps_that_are_not_finite(
    untied, ragged, configure, train, poison
):
    poison({2, 3, 4, 5, 7})
    outcome = train(configure(untied, ragged(8), "train.max_steps=8"))
    assert outcome.last_step == 8
    broken = [step.step for step in outcome.steps if math.isnan(step.loss)]
    assert broken == [2, 3, 4, 5, 7]
    assert len(outcome.warnings("non_finite")) == 5
    assert all(weight.isfinite().all() for weight in outcome.adapter.values())


def test_five_steps_in_a_row_that_are_not_finite_fail_the_run(
    untied, ragged, configure, train, poison, new_run
):
    run = new_run()
    poison(set(range(8, 20)))
    config = configure(untied, ragged(8), "train.max_steps=12", "save.every_steps=3")

    with pytest.raises(SftError) as caught:
        train(config, run=run)

    assert "step 8" in str(caught.value)
    named = 6  # what its weights gave was finite, in step 7
    assert "checkpoint 6 is the last good one" in str(caught.value)
    assert caught.value.remedy
    assert not run.adapter.exists()
    for weight in load_file(
        run.checkpoints / f"step-{named}" / "adapter_model.safetensors"
    ).values():
        assert weight.isfinite().all()


def test_failing_before_any_checkpoint_says_so(untied, ragged, configure, train, poison):
    poison(set(range(1, 20)))
    with pytest.raises(SftError, match="no checkpoint before it is good") as caught:
        train(configure(untied, ragged(8), "train.max_steps=12"))
    assert "files of the base" in caught.value.remedy
    assert "learning_rate" not in caught.value.remedy
