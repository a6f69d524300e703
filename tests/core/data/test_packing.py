"""Which rows share a beginning, what is computed for them, and which micro-batch trains them."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sft_tui.core import config_file
from sft_tui.core.data import packing
from sft_tui.core.data.packing import Family, families
from sft_tui.core.data.plan import BatchPlan, evaluation_batches, largest, wanted
from sft_tui.core.data.plan import _filled as filled

ROWS = st.lists(st.lists(st.integers(1, 2), min_size=1, max_size=6), min_size=1, max_size=6)


def test_neighbours_share_what_saves_most():
    rows = [[1, 2, 3], [1, 2, 4], [7, 8]]
    assert families(rows, share=True) == [Family(0, 2, 2), Family(2, 1, 0)]
    assert families(rows, share=False) == [Family(0, 1, 0), Family(1, 1, 0), Family(2, 1, 0)]
    assert (packing.computed(rows, share=True), packing.computed(rows, share=False)) == (6, 8)


def test_a_short_beginning_of_all_does_not_keep_a_long_one_of_some_from_being_shared():
    rows = [[1, 5], [1, 2, 3, 4, 5], [1, 2, 3, 4, 6], [1, 2, 3, 4, 7]]
    assert families(rows, share=True) == [Family(0, 1, 0), Family(1, 3, 4)]


def test_equal_rows_keep_a_token_each():
    assert families([[1, 2, 3], [1, 2, 3]], share=True) == [Family(0, 2, 2)]
    assert families([[1], [1]], share=True) == [Family(0, 1, 0), Family(1, 1, 0)]


def least(rows: list[list[int]]) -> int:
    """The fewest tokens over every division into runs of neighbours, one by one."""
    best = sum(map(len, rows))
    for count in range(len(rows)):
        for cuts in itertools.combinations(range(1, len(rows)), count):
            total = 0
            for a, b in zip((0, *cuts), (*cuts, len(rows)), strict=True):
                some = rows[a:b]
                shared = 0
                if len(some) > 1:
                    while all(len(r) > shared + 1 and r[shared] == some[0][shared] for r in some):
                        shared += 1
                total += sum(map(len, some)) - (len(some) - 1) * shared
            best = min(best, total)
    return best


@settings(max_examples=200, deadline=None)
@given(ROWS)
def test_no_division_computes_fewer_tokens(rows):
    found = families(rows, share=True)
    assert [n for f in found for n in range(f.first, f.first + f.rows)] == list(range(len(rows)))
    for family in found:
        members = rows[family.first : family.first + family.rows]
        beginnings = {tuple(row[: family.shared]) for row in members}
        assert len(beginnings) == 1 and all(len(row) > family.shared for row in members)
    assert packing.computed(rows, share=True) == least(rows)


def test_rows_about_one_text_are_a_group_and_a_template_alone_makes_none():
    head = [9] * 4
    first, second = [*head, *range(20, 40)], [*head, *range(50, 70)]
    rows = [[*first, 1], [*second, 1, 2], [*first, 3, 4], [*head, 6], [*second, 0]]
    assert packing.groups(rows) == [[0, 2], [4, 1], [3]]


def test_what_very_many_rows_have_in_common_makes_no_group():
    rows = [[1], *([2, *range(20), n] for n in range(65))]
    assert packing.groups(rows) == [[n] for n in range(66)]
    assert packing.groups(rows[:-1]) == [[0], list(range(1, 65))]


def test_repeated_rows_are_not_trained_in_the_step_of_their_first():
    one, other = [1, *range(20), 5], [1, *range(20), 6]
    assert packing.groups([one, other, [7], one, one, other]) == [[0, 1], [2], [3, 5], [4]]


@settings(max_examples=100, deadline=None)
@given(ROWS)
def test_every_row_is_in_one_group(rows):
    assert sorted(n for group in packing.groups(rows) for n in group) == list(range(len(rows)))


ASKED = ["data.pack=auto", "data.share_prefixes=auto"]
TEMPLATE = [[*range(8), n, n + 1, n + 2] for n in range(20, 90, 10)]
APART = [[n, *range(9)] for n in range(20, 90, 10)]


@pytest.mark.parametrize(
    ("rows", "sets", "pack", "share"),
    [
        (TEMPLATE, [], True, True),
        (TEMPLATE, ["data.pack=never"], False, False),
        (TEMPLATE, ["data.share_prefixes=never"], True, False),
        (APART, [], True, False),
        (APART, ["data.share_prefixes=always"], True, True),
    ],
)
def test_what_a_configuration_asks_for_follows_from_its_rows_alone(rows, sets, pack, share):
    found = wanted(config_file.build([*ASKED, *sets]), rows)
    assert (found.pack, found.share, bool(found.groups)) == (pack, share, share)
    assert found.saved == pytest.approx(5 * 8 / 77 if rows is TEMPLATE and share else 0)


def packed(rows, *sets, how=None):
    config = config_file.build([*ASKED, "data.share_prefixes=always", *sets])
    return BatchPlan.packed(config, rows, how or wanted(config, rows))


def related(families, seed=0):
    """Rows of families that share 30 to 60 tokens, in a mixed order."""
    chance = random.Random(seed)
    rows = []
    for size in families:
        text = [chance.randint(1, 999) for _ in range(chance.randint(30, 60))]
        rows += [
            [*text, *chance.choices(range(1, 999), k=chance.randint(2, 9))] for _ in range(size)
        ]
    chance.shuffle(rows)
    return rows


SETS = ("train.micro_batch_size=4", "train.gradient_accumulation=3", "train.seed=5")


def test_rows_of_one_text_stay_apart_where_a_step_would_hold_few_texts():
    rows = related([5] * 12)

    def asked(accumulation):
        size = f"train.gradient_accumulation={accumulation}"
        return config_file.build([*ASKED, "train.micro_batch_size=4", size])

    few = wanted(asked(2), rows)
    assert few.texts == pytest.approx(8 / 5) and few.grouped > 0.5 and not few.groups
    plan, plain = BatchPlan.packed(asked(2), rows, few), BatchPlan.of(asked(2), len(rows))
    for step in range(1, plan.steps_per_epoch + 1):
        mine, theirs = (sorted(itertools.chain(*p.micro_batches(step))) for p in (plan, plain))
        assert mine == theirs, "each step trains the rows that it would train without"

    many = wanted(asked(4), rows)
    assert (len(many.groups), many.texts, many.grouped) == (12, 0, 0)
    assert many.share and many.saved == pytest.approx(few.grouped, abs=0.1)


def test_a_step_trains_whole_groups_in_micro_batches_that_compute_alike():
    rows = related([5, 3, 4, 2, 1, 1, 6, 2, 3, 5, 1, 3])
    plan = packed(rows, *SETS)
    every = [plan.micro_batches(step) for step in range(1, plan.steps_per_epoch + 1)]

    assert sorted(n for step in every for some in step for n in some) == list(range(len(rows)))
    assert [sum(map(len, step)) for step in every] == [12, 12, 12]
    place = {n: (s, b) for s, step in enumerate(every) for b, some in enumerate(step) for n in some}
    cut = [group for group in plan.packing.groups if len({place[n] for n in group}) > 1]
    assert len(cut) <= 1
    limit = 4 * max(map(len, rows))
    for step in every:
        costs = [packing.computed([rows[n] for n in some], share=True) for some in step]
        assert max(costs) <= limit and max(costs) < 2 * sum(costs) / 3


def test_a_plan_is_a_function_of_seed_and_step_whatever_was_asked_before():
    rows = related([3, 2, 4, 1, 1, 2, 5])
    plan = packed(rows, *SETS)
    steps = range(1, 3 * plan.steps_per_epoch + 1)
    forward = [plan.micro_batches(step) for step in steps]
    assert [packed(rows, *SETS).micro_batches(step) for step in reversed(steps)] == forward[::-1]
    assert [packed(rows, *SETS, "train.seed=6").micro_batches(step) for step in steps] != forward


def test_a_group_that_computes_more_than_the_longest_rows_is_cut():
    rows = [[*range(40), *range(n, n + 40)] for n in range(41, 81)]
    plan = packed([*rows, [7]], "train.micro_batch_size=2", "train.gradient_accumulation=20")
    assert [len(group) for group in plan.packing.groups] == [40, 1]
    batches = next(step for step in map(plan.micro_batches, (1, 2)) if len(step) > 1)
    assert max(packing.computed([rows[n] for n in some], share=True) for some in batches) <= 160


def test_where_micro_batches_are_means_of_their_own_rows_are_counted_off():
    rows = related([2] * 9)
    plan = packed(rows, *SETS, "train.loss_normalisation=micro_batch")
    assert [len(some) for some in plan.micro_batches(1)] == [4, 4, 4]
    group_of = {n: g for g, group in enumerate(plan.packing.groups) for n in group}
    order = [group_of[n] for step in (1, 2) for some in plan.micro_batches(step) for n in some]
    assert order == [g for g in dict.fromkeys(order) for _ in range(2)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 12))
def test_every_row_is_in_one_step(sizes, size):
    numbers = iter(range(sum(sizes)))
    groups = [[next(numbers) for _ in range(n)] for n in sizes]
    assert sorted(filled(groups, size)) == list(range(sum(sizes)))


def test_steps_are_filled_with_whole_groups_where_some_fit():
    assert list(filled([[0, 1, 2], [3, 4], [5, 6], [7]], 4)) == [0, 1, 2, 7, 3, 4, 5, 6]
    assert list(filled([[0], [1], [2]], 2)) == [0, 1, 2]
    chance = random.Random(0)
    ends = [0, *itertools.accumulate(chance.randint(1, 6) for _ in range(200))]
    groups = [list(range(a, b)) for a, b in itertools.pairwise(ends)]

    def cut(order):
        step = {n: place // 16 for place, n in enumerate(order)}
        return sum(len({step[n] for n in group}) > 1 for group in groups)

    assert cut(filled(groups, 16)) <= 2 < 25 < cut(range(ends[-1]))


@pytest.mark.parametrize("how", [None, packing.Packing(), packing.Packing(pack=True)])
def test_the_largest_micro_batch_is_that_of_the_whole_run_and_of_no_later_step(how):
    rows = related([3, 2, 4, 1, 1, 2, 5, 3])
    plan = packed(rows, *SETS, how=how)

    def computes(some):
        tokens = [rows[n] for n in some]
        if not plan.packing.pack:
            return len(tokens) * max(map(len, tokens))
        return packing.computed(tokens, share=plan.packing.share)

    every = [[*map(computes, plan.micro_batches(step))] for step in range(1, 9)]
    for steps in (1, 2, 8):
        found = largest(plan, rows, steps)
        assert computes(found) == max(max(step) for step in every[:steps])
        assert any(found in plan.micro_batches(step) for step in range(1, steps + 1))


def test_evaluation_batches_fill_what_the_longest_rows_would():
    rows = related([3, 2, 4, 1, 6])
    how = packing.Packing(pack=True, share=True)
    found = evaluation_batches(rows, 2, how)
    assert sorted(n for some in found for n in some) == list(range(16))
    costs = [packing.computed([rows[n] for n in some], share=True) for some in found]
    assert max(costs) <= 2 * max(map(len, rows))
    assert sum(costs) < 0.5 * sum(map(len, rows))
    padded = evaluation_batches(rows, 2, packing.Packing())
    lengths = [len(rows[n]) for some in padded for n in some]
    assert lengths == sorted(lengths) and {len(some) for some in padded} == {2}
