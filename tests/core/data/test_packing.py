"""Which rows share a beginning, and how many tokens are computed for them."""

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from sft_tui.core.data import packing
from sft_tui.core.data.packing import Family, families
from sft_tui.core.data.plan import BatchPlan

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
        for cuts in combinations(range(1, len(rows)), count):
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
    rows = [[*first, 1], [*second, 1, 2], [*first, 3, 4], [*head, 6], [*second, 5]]
    assert packing.groups(rows) == [[0, 2], [1, 4], [3]]


def test_what_very_many_rows_have_in_common_makes_no_group():
    rows = [[1], *([2, *range(20), n] for n in range(65))]
    assert packing.groups(rows) == [[n] for n in range(66)]
    assert packing.groups(rows[:-1]) == [[0], list(range(1, 65))]


@settings(max_examples=100, deadline=None)
@given(ROWS)
def test_every_row_is_in_one_group(rows):
    assert sorted(n for group in packing.groups(rows) for n in group) == list(range(len(rows)))


def test_groups_stay_together_in_every_epoch_and_are_shuffled_as_wholes():
    groups = [[0, 3, 5], [1], [2, 4], [6], [7, 8]]

    def order(epoch: int, seed: int = 3) -> list[int]:
        plan = BatchPlan(9, 2, 2, seed=seed, shuffle=True)
        plan.keep_together(groups)
        steps = range(epoch * plan.steps_per_epoch + 1, (epoch + 1) * plan.steps_per_epoch + 1)
        return [n for step in steps for batch in plan.micro_batches(step) for n in batch]

    for epoch in range(3):
        found = order(epoch)
        assert sorted(found) == list(range(9)) and found == order(epoch)
        for group in groups:
            at = found.index(group[0])
            assert found[at : at + len(group)] == group
    assert len({tuple(order(0)), tuple(order(1)), tuple(order(0, seed=4))}) == 3
