"""Steps by columns: nothing that a step tells is lost, and a million of them fit into memory."""

import math
import random

import pytest

from sft_tui.core import events
from sft_tui.core.history import History, decode
from sft_tui.core.steps import FIELDS, Steps

NAN, INF = math.nan, math.inf


def step(number: int, **more) -> events.Step:
    return events.Step(step=number, **{"t": 1.7e9 + number, "loss": 1.5, "tokens": 100} | more)


def test_every_field_of_a_step_is_kept():
    assert {*FIELDS, "v"} == set(events.Step.__struct_fields__)
    whole = events.Step(
        step=7, t=1.7e9 + 0.125, epoch=0.5, loss=1.0840123456789, learning_rate=1.53e-4,
        grad_norm=0.62, clipped=True, supervised_tokens=400, tokens=2**40 + 1, computed_tokens=1024,
        tokens_per_s=900.5, step_s=1.25, data_wait_s=0.5, padding_share=0.125, shared_share=0.25,
        memory_bytes=2**40 + 1, mfu=0.5, elapsed_s=7.1,
    )  # fmt: skip

    assert Steps([whole])[0] == whole


def test_seven_digits_of_times_and_shares_are_kept():
    kept = Steps([step(1, step_s=2.6912345678, tokens_per_s=11_812.345678)])[0]

    assert kept.step_s == pytest.approx(2.6912345678, rel=1e-7)
    assert kept.tokens_per_s == pytest.approx(11_812.345678, rel=1e-7)


def test_unknown_and_not_finite_stay_apart():
    told = [
        step(1, loss=NAN, grad_norm=-INF), step(2, loss=None, mfu=0.25), step(3, loss=INF),
        step(4, step_s=1e9, tokens_per_s=1e99), step(5),
    ]  # fmt: skip
    steps = Steps(told)

    assert math.isnan(steps[0].loss) and steps[0].grad_norm == -INF and steps[0].mfu is None
    assert steps[1].loss is None and steps[1].mfu == 0.25
    assert steps[2].loss == INF
    assert steps[3].tokens_per_s == 1e99, "too large for its column, and kept all the same"
    loss = steps.columns["loss"]
    assert list(loss.bad) == [0, 2]
    assert [y == y for y in loss.values] == [False, False, False, True, True]


def test_words_of_a_line_are_numbers_and_others_are_damage():
    lines = [
        b'{"type":"step","step":1,"loss":"NaN","grad_norm":"Infinity"}',
        b'{"type":"step","step":2,"loss":"good"}',
        b'{"type":"step","step":3,"loss":2.0}',
    ]

    (steps,), unreadable = decode(b"\n".join(lines))

    assert unreadable == 1
    assert [each.step for each in steps] == [1, 3]
    assert math.isnan(steps[0].loss) and steps[0].grad_norm == INF


def test_a_field_that_is_not_told_is_unknown_and_left_out_of_sums():
    lines = [
        b'{"type":"step","step":1,"loss":2.0,"tokens":100,"step_s":0.5,"learning_rate":1e-4}',
        b'{"type":"step","step":2,"loss":2.0,"tokens":100}',
        b'{"type":"step","step":3,"loss":2.0}',
    ]
    history = History()
    history.add_lines(b"\n".join(lines))
    last = history.steps[-1]

    told = [getattr(last, name) for name in FIELDS if name not in ("step", "t", "loss")]
    assert set(told) == {None}
    assert history.tokens_per_s() == history.mean_tokens_per_s() == 200
    assert list(history.steps.tokens_done) == [100, 200, 200]


@pytest.mark.parametrize("loss", [1e308, -1.7e308])
def test_a_step_with_a_loss_too_large_to_calculate_with_counts(loss):
    lines = [events.encode(step(1)), events.encode(step(2, loss=loss)), events.encode(step(3))]

    (steps,), unreadable = decode(b"".join(lines))
    alone = events.decode(lines[1])

    assert not unreadable and [each.step for each in steps] == [1, 2, 3]
    assert steps[1].loss == alone.loss == math.copysign(INF, loss)
    assert list(steps.columns["loss"].bad) == [1]
    assert events.decode(events.encode(events.Eval(step=1, loss=loss))).loss == alone.loss


def test_losses_that_cancel_each_other_are_too_large_all_the_same():
    steps = Steps([step(1, loss=1e308), step(2, loss=-1e308)])

    assert [each.loss for each in steps] == [INF, -INF]


def test_blocks_join_as_if_they_had_come_one_by_one():
    chance = random.Random(3)
    losses = [chance.choice((1.0, 2.5, NAN, None, INF)) for _ in range(200)]
    told = [step(n, loss=loss) for n, loss in enumerate(losses, 1)]
    single, blocks = Steps(), Steps()
    for each in told:
        single.append(each)
    for first in range(0, 200, 37):
        blocks.extend(Steps(told[first : first + 37]))

    for steps in (single, blocks):
        assert [str(each) for each in steps] == [str(each) for each in told]
        assert list(steps.columns["loss"].bad) == [
            row for row, loss in enumerate(losses) if loss in (INF,) or loss != loss
        ]
        assert list(steps.tokens_done) == [100.0 * n for n in range(1, 201)]


def test_rows_are_cut_off_and_given_back():
    steps = Steps([step(n, loss=NAN if n % 4 == 0 else n) for n in range(1, 11)])

    cut = steps.cut(steps.after(6))

    assert [each.step for each in steps] == [1, 2, 3, 4, 5, 6]
    assert [each.step for each in cut] == [7, 8, 9, 10]
    assert list(steps.columns["loss"].bad) == [3] and list(cut.columns["loss"].bad) == [1]
    steps.append(step(7, loss=5.0))
    assert steps.tokens_done[-1] == 700 and steps[-1].loss == 5.0
    steps.keep_last(2)
    assert [each.step for each in steps] == [6, 7] and not steps.columns["loss"].bad


def test_steps_that_begin_again_after_a_lost_line_supersede():
    lines = [events.encode(step(n)).strip() for n in (1, 2, 3, 2, 3, 4)]

    first, again = decode(b"\n".join(lines))[0]

    assert [each.step for each in first] == [1, 2, 3]
    assert [each.step for each in again] == [2, 3, 4]


def test_a_kind_that_is_not_known_hides_nothing_else():
    lines = [events.encode(step(1)).strip(), b'{"type":"from_the_future"}', b"\xff", b"[]"]
    lines += [events.encode(events.Phase(name="training")).strip()]

    told, unreadable = decode(b"\n".join(lines))

    assert unreadable == 2
    assert [type(each) for each in told] == [Steps, events.Phase]
