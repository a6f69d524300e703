"""From rows to batches: padding, order, and rows that are left out."""

import pytest
import torch

from sft_tui.core.data.plan import BatchPlan
from sft_tui.core.errors import DataError
from sft_tui.core.prompt.tokens import Encoded
from sft_tui.core.training.collate import Layout, collate


def row(ids, trained):
    start = len(ids) - trained
    return Encoded(ids, ((start, len(ids)),) if trained else (), start)


def predictions(batch):
    found = batch.predicted
    return list(zip(found.positions.tolist(), found.targets.tolist(), strict=True))


def test_rows_are_padded_on_the_right_as_the_example_shows():
    batch = collate([row([5, 6, 7], 2), row([5, 8], 1)], Layout(pad_id=0))
    assert batch.input_ids.tolist() == [[5, 6, 7], [5, 8, 0]]
    assert batch.attention_mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert predictions(batch) == [(0, 6), (1, 7), (3, 8)]
    assert (batch.tokens, batch.supervised_tokens) == (5, 3)
    assert batch.input_ids.dtype == batch.predicted.targets.dtype == torch.int64


def test_padding_is_ignored_by_place_and_the_rows_own_end_token_is_trained():
    end = 9
    batch = collate([row([5, 6, 7, end], 2), row([5, end], 1)], Layout(pad_id=end))
    assert predictions(batch) == [(1, 7), (2, 9), (4, 9)]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]


def test_a_first_token_that_nothing_predicts_is_not_counted():
    batch = collate([row([5, 6, 7], 3)], Layout(pad_id=0))
    assert predictions(batch) == [(0, 6), (1, 7)]
    assert batch.supervised_tokens == 2


def epoch(plan, number):
    first = number * plan.steps_per_epoch + 1
    return [plan.micro_batches(step) for step in range(first, first + plan.steps_per_epoch)]


def flat(steps):
    return [index for step in steps for part in step for index in part]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    ("rows", "micro", "accumulation"), [(10, 2, 2), (1, 4, 4), (16, 4, 2), (23, 3, 5)]
)
def test_every_row_is_trained_exactly_once_an_epoch(rows, micro, accumulation, shuffle):
    plan = BatchPlan(rows, micro, accumulation, 42, shuffle)
    for number in range(3):
        steps = epoch(plan, number)
        assert sorted(flat(steps)) == list(range(rows))
        assert all(1 <= len(part) <= micro for step in steps for part in step)
        assert all(1 <= len(step) <= accumulation for step in steps)
        assert all(len(flat([step])) == micro * accumulation for step in steps[:-1])


def test_last_step_of_an_epoch_takes_what_is_left():
    plan = BatchPlan(10, 2, 2, seed=0, shuffle=False)
    assert plan.steps_per_epoch == 3
    assert epoch(plan, 0) == [[[0, 1], [2, 3]], [[4, 5], [6, 7]], [[8, 9]]]
    assert [len(step) for step in epoch(plan, 1)] == [2, 2, 1]
    assert BatchPlan(9, 2, 2, 0, False).micro_batches(3) == [[8]]


def test_order_is_a_function_of_seed_and_step_alone():
    def fresh():
        return BatchPlan(23, 3, 2, seed=7, shuffle=True)

    walked = fresh()
    forward = [walked.micro_batches(step) for step in range(1, 25)]
    backward = [walked.micro_batches(step) for step in range(24, 0, -1)]
    assert forward == backward[::-1]
    assert forward == [fresh().micro_batches(step) for step in range(1, 25)]


def test_shuffling_gives_every_epoch_and_seed_an_order_of_its_own():
    plan = BatchPlan(40, 4, 2, seed=7, shuffle=True)
    orders = [flat(epoch(plan, number)) for number in range(3)]
    orders.append(flat(epoch(BatchPlan(40, 4, 2, seed=8, shuffle=True), 0)))
    orders.append(list(range(40)))
    assert len({tuple(order) for order in orders}) == 5


def test_order_does_not_depend_on_the_micro_batch_size():
    plans = [BatchPlan(24, 4, 2, 3, True), BatchPlan(24, 2, 4, 3, True)]
    assert flat(epoch(plans[0], 1)) == flat(epoch(plans[1], 1))


def test_each_step_trains_the_rows_of_the_plan(untied, ragged, configure, train):
    sets = ("data.pack=never", "train.gradient_accumulation=2", "train.epochs=2")
    steps = train(configure(untied, ragged(7), *sets)).steps
    assert [step.step for step in steps] == [1, 2, 3, 4]
    assert [step.epoch for step in steps] == [0.5, 1.0, 1.5, 2.0]
    # The same rows in both epochs, the partial step included.
    assert [s.tokens for s in steps[:2]] == [s.tokens for s in steps[2:]]
    assert steps[1].tokens < steps[1].computed_tokens
    assert 0 < steps[1].padding_share < 1


def test_rows_without_an_answer_are_dropped_with_their_numbers(
    untied, write_rows, configure, train
):
    rows = [("one", "a"), ("two", ""), ("three", "b"), ("four", "  ")]
    outcome = train(configure(untied, write_rows(rows), "train.max_steps=1"))
    (warning,) = outcome.warnings("empty_answer")
    assert "1, 3" in warning.message
    assert warning.row == 1
    assert warning.remedy
    assert outcome.steps[0].tokens > 0


LONG = " ".join(["garden"] * 60)


@pytest.fixture
def uneven(write_rows):
    """Row 1 is longer than 24 tokens in its answer, row 3 in its prompt."""
    more = [(f"row {number}", "d") for number in range(5, 9)]
    return write_rows([("one", "a"), ("two", LONG), ("three", "b"), (LONG, "c"), *more])


@pytest.mark.parametrize(
    ("truncate", "expected"),
    [
        ("drop", {"row_dropped": [1, 3]}),
        ("keep_start", {"answer_cut": [1], "prompt_too_long": [3]}),
        ("keep_end", {"answer_cut": [1]}),
    ],
)
def test_long_rows_are_told_by_number(truncate, expected, uneven, untied, configure, train):
    config = configure(
        untied, uneven, "data.max_length=24", f"data.truncate={truncate}", "train.max_steps=1"
    )
    outcome = train(config)
    for code in ("row_dropped", "answer_cut", "prompt_too_long"):
        found = outcome.warnings(code)
        numbers = expected.get(code)
        assert len(found) == (numbers is not None), code
        if numbers:
            many = f"2 of 8 rows are dropped as too long (rows {numbers[0]}, {numbers[-1]})"
            assert (many if len(numbers) > 1 else f"row {numbers[0]} ") in found[0].message
            assert found[0].row == numbers[0]
            assert "max_length" in found[0].remedy


def test_many_rows_that_lose_their_answer_block_the_run(write_rows, untied, configure, train):
    rows = write_rows([("one", "a"), ("two", "b"), (LONG, "c")])
    limits = (untied, rows, "data.max_length=24", "train.max_steps=1")
    with pytest.raises(DataError, match="prompt_too_long") as caught:
        train(configure(*limits))
    assert "data.ignore_problems" in caught.value.remedy
    assert train(configure(*limits, "data.ignore_problems=[prompt_too_long]")).steps


def test_a_warning_that_was_let_pass_is_not_told_again(untied, write_rows, configure, train):
    data = write_rows([("one", "a"), ("two", "b"), ("three", "")])
    assert train(configure(untied, data)).warnings("empty_answer")
    passed = train(configure(untied, data, "data.ignore_problems=[empty_answer]"))
    assert not passed.warnings("empty_answer") and passed.steps


def test_many_rows_are_told_by_count_and_the_first_numbers(untied, write_rows, configure, train):
    data = write_rows([("one", "a")] + [("two", "")] * 7)
    (warning,) = train(configure(untied, data)).warnings("empty_answer")
    assert "7 of 8 rows" in warning.message
    assert "1, 2, 3, 4, 5, …" in warning.message


@pytest.mark.parametrize("truncate", ["drop", "keep_start"])
def test_nothing_to_train_on_is_refused(truncate, untied, write_rows, configure, train, new_run):
    run = new_run()
    config = configure(
        untied,
        write_rows([(LONG, "a"), (LONG, "b")]),
        "data.max_length=16",
        f"data.truncate={truncate}",
    )
    with pytest.raises(DataError, match="nothing to train on") as caught:
        train(config, run=run)
    assert "max_length" in caught.value.remedy
    assert not run.checkpoints.exists()
    assert b'{"type":"step"' not in run.events.read_bytes()


def test_only_empty_answers_are_refused(untied, write_rows, configure, train):
    with pytest.raises(DataError, match="nothing to train on"):
        train(configure(untied, write_rows([("one", ""), ("two", " ")])))
