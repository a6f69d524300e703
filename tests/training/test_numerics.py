"""Our numbers are those of a loop written by hand and of transformers' Trainer."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM

from sft_tui.core import events
from sft_tui.core.prompt.tokens import IGNORED
from sft_tui.core.training.collate import Layout, collate
from sft_tui.core.training.loss import Predicted, SupervisedLoss
from sft_tui.core.training.tokenizer import load_tokenizer
from tests.training import zoo
from tests.training.oracles import LOSS, by_hand, by_trainer, encoded, fresh


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_loop_equals_a_loop_by_hand_and_transformers_trainer(
    schedule, untied, ragged, configure, train, tokenizer, tmp_path
):
    # 35 rows, 10 a step: each epoch ends with a step of 5 rows in micro-batches of 2, 2 and 1.
    config = configure(
        untied,
        ragged(35),
        f"optim.schedule={schedule}",
        "optim.max_grad_norm=0.5",
        "train.gradient_accumulation=5",
        "train.epochs=2",
    )
    ours = train(config)
    model, rows = fresh(config)
    hand = by_hand(model, rows, config, steps=8)
    model, _ = fresh(config)
    oracle = by_trainer(model, rows, config, tokenizer.pad_token_id, tmp_path / "oracle")

    assert [step.step for step in ours.steps] == list(range(1, 9))
    assert len(oracle) == 8
    assert abs(ours.losses[0] - ours.losses[4]) > 0.02, "the model did not move: nothing is shown"
    assert any(step.clipped for step in ours.steps), "clipping was not exercised"
    assert len({len(row.input_ids) for row in rows}) > 10, "the rows are not ragged"
    for step, (loss, norm), logged in zip(ours.steps, hand, oracle, strict=True):
        assert step.loss == pytest.approx(loss, abs=LOSS, rel=0)
        assert step.loss == pytest.approx(logged["loss"], abs=LOSS, rel=0)
        assert step.grad_norm == pytest.approx(norm, rel=1e-5)
        assert step.grad_norm == pytest.approx(logged["grad_norm"], rel=1e-5)
        assert step.learning_rate == pytest.approx(logged["learning_rate"], rel=1e-12)


def test_split_into_micro_batches_changes_nothing(
    untied, ragged, configure, train, first_gradients
):
    data = ragged(18)  # 4 a step: the last step of an epoch has 2

    def run(micro_batch: int, accumulation: int) -> Any:
        return train(
            configure(
                untied,
                data,
                "optim.max_grad_norm=null",
                f"train.micro_batch_size={micro_batch}",
                f"train.gradient_accumulation={accumulation}",
                "train.max_steps=6",
            )
        )

    whole, *splits = [run(4, 1), run(2, 2), run(1, 4)]

    for split, gradients in zip(splits, first_gradients[1:], strict=True):
        assert split.losses == pytest.approx(whole.losses, abs=LOSS, rel=0)
        assert [s.supervised_tokens for s in split.steps] == [
            s.supervised_tokens for s in whole.steps
        ]
        for ours, theirs in zip(gradients, first_gradients[0], strict=True):
            assert (ours - theirs).norm() <= 1e-6 * theirs.norm()
        for name, weight in whole.adapter.items():
            torch.testing.assert_close(split.adapter[name], weight, atol=1e-4, rtol=0)


@pytest.fixture(scope="module")
def batch(untied, ragged, configure):
    """Eight ragged rows, padded with the end token."""
    tokenizer = load_tokenizer(str(untied))
    rows = encoded(configure(untied, ragged(8)), tokenizer)
    made = collate(rows, Layout(tokenizer.pad_token_id))
    labels = torch.full_like(made.input_ids, IGNORED)
    for place, row in enumerate(rows):
        labels[place, : len(row.labels)] = torch.tensor(row.labels)
    return SimpleNamespace(rows=rows, labels=labels, **vars(made))


def loss_of(loss: SupervisedLoss, model: Any, batch: Any) -> torch.Tensor:
    return loss(
        model,
        batch.predicted,
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
    )


def inputs(batch: Any, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    return {
        "input_ids": batch.input_ids,
        "attention_mask": batch.attention_mask,
        "labels": batch.labels if labels is None else labels,
    }


@pytest.fixture(params=["untied", "tied", "gpt2", "gemma2", "mixtral", "gpt_oss", "mamba2", "opt"])
def model(request, tokenizer):
    """Gemma 2 caps its logits and ties its head; the others hold to other shapes of a decoder."""
    if request.param in zoo.KINDS and request.param != "gpt2":
        return zoo.build(request.param, tokenizer)
    return AutoModelForCausalLM.from_pretrained(
        request.getfixturevalue(request.param), dtype=torch.float32
    )


def test_labels_are_not_shifted_before_the_model_shifts_them(model, batch):
    expected = model(**inputs(batch)).loss.item()
    shifted = F.pad(batch.labels[:, 1:], (0, 1), value=IGNORED)
    twice = model(**inputs(batch, shifted)).loss.item()

    ours = loss_of(SupervisedLoss(model), model, batch).item() / batch.supervised_tokens

    assert ours == pytest.approx(expected, abs=LOSS, rel=0)
    assert abs(twice - expected) > 1e-3, "the detector cannot tell the two apart"


def test_loss_told_for_a_step_is_that_of_the_model_given_the_same_labels(
    untied, ragged, configure, train, batch
):
    told = train(
        configure(untied, ragged(8), "train.micro_batch_size=8", "train.max_steps=1")
    ).losses[0]
    base = AutoModelForCausalLM.from_pretrained(untied, dtype=torch.float32)
    shifted = F.pad(batch.labels[:, 1:], (0, 1), value=IGNORED)

    assert told == pytest.approx(base(**inputs(batch)).loss.item(), abs=LOSS, rel=0)
    assert abs(told - base(**inputs(batch, shifted)).loss.item()) > 1e-3


def test_loss_and_gradient_equal_cross_entropy_over_full_logits(model, batch):
    ours = loss_of(SupervisedLoss(model), model, batch)
    ours.backward()
    gradients = {n: p.grad.clone() for n, p in model.named_parameters()}
    model.zero_grad()
    logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
    full = F.cross_entropy(
        logits[:, :-1].flatten(0, 1),
        batch.labels[:, 1:].flatten(),
        ignore_index=IGNORED,
        reduction="sum",
    )
    full.backward()

    assert ours.item() == pytest.approx(full.item(), rel=1e-6)
    for name, parameter in model.named_parameters():
        difference = (gradients[name] - parameter.grad).norm()
        # An absolute floor: a key's bias, for one, has no gradient but rounding.
        assert difference <= 1e-5 * parameter.grad.norm() + 1e-4, name


@pytest.mark.parametrize(("count", "chunk"), [(1, None), (2, None), (3, None), (6, 4)])
def test_few_trained_labels_have_a_gradient_as_exact_as_many(make_llama, count, chunk):
    """Against fp64; a vocabulary as large as a real one's is summed over."""
    model = make_llama(vocab_size=50_000, tie_word_embeddings=False, initializer_range=0.3)
    ids = torch.arange(5, 45)[None]
    predicted = Predicted(torch.arange(count) + 20, ids[0, 21 : 21 + count])
    loss = SupervisedLoss(model, chunk)
    assert loss.chunks == (chunk is not None)
    loss(model, predicted, input_ids=ids).backward()
    wanted = "model.layers.1.mlp.down_proj.weight"
    ours = model.get_parameter(wanted).grad

    exact = model.double()
    exact.zero_grad()
    logits = exact(input_ids=ids).logits[0, predicted.positions]
    F.cross_entropy(logits, predicted.targets, reduction="sum").backward()
    theirs = exact.get_parameter(wanted).grad
    assert (ours - theirs).norm() <= 3e-6 * theirs.norm()


def test_the_head_runs_where_labels_are_trained_alone(model, batch):
    loss = SupervisedLoss(model)
    seen: list[torch.Size] = []
    handle = model.get_output_embeddings().register_forward_hook(
        lambda module, given, output: seen.append(output.shape[:-1])
    )
    loss_of(loss, model, batch)
    handle.remove()
    assert loss.selects and seen == [(1, batch.supervised_tokens)]


def test_a_batch_without_trained_labels_gives_zero_loss_and_gradient(model, batch):
    nothing = Predicted.of(torch.full_like(batch.labels, IGNORED))

    loss = loss_of(
        SupervisedLoss(model), model, SimpleNamespace(**{**vars(batch), "predicted": nothing})
    )
    loss.backward()

    assert loss.item() == 0.0
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            assert not parameter.grad.any(), name


def test_a_batch_without_trained_labels_gives_zero_from_full_logits_too():
    logits = torch.randn(2, 5, 7, requires_grad=True)
    nothing = Predicted.of(torch.full((2, 5), IGNORED))
    loss = nothing.loss_sum(logits.flatten(0, 1)[nothing.positions])
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None and not logits.grad.any()


def test_padding_with_the_end_token_does_not_change_the_loss(model, batch, tokenizer):
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    assert not batch.attention_mask.all(), "nothing was padded"
    loss = SupervisedLoss(model)

    padded = loss_of(loss, model, batch).item() / batch.supervised_tokens
    alone = [loss_of(loss, model, collate([row], Layout(0))).item() for row in batch.rows]

    assert padded == pytest.approx(math.fsum(alone) / batch.supervised_tokens, rel=1e-6)
    # Each row ends with its end token, trained exactly once, and padding adds none.
    assert (batch.labels == tokenizer.eos_token_id).sum(dim=1).tolist() == [1] * 8


def test_evaluation_loss_is_the_mean_over_all_supervised_tokens(untied, ragged, configure, train):
    data = ragged(9)
    config = configure(
        untied,
        data,
        f"data.eval_source={data}",
        "data.ignore_problems=[eval_leak]",
        "train.micro_batch_size=4",
        "train.max_steps=1",
        "optim.learning_rate=1e-9",
    )

    told = [event.loss for event in train(config).of(events.Eval)]

    rows = encoded(config, load_tokenizer(str(untied)))
    base = AutoModelForCausalLM.from_pretrained(untied, dtype=torch.float32)
    with torch.no_grad():
        sums = [
            base(
                input_ids=torch.tensor([row.input_ids]), labels=torch.tensor([row.labels])
            ).loss.item()
            * row.trained
            for row in rows
        ]
    mean = math.fsum(sums) / sum(row.trained for row in rows)
    assert told == pytest.approx([mean, mean], abs=LOSS, rel=0)
