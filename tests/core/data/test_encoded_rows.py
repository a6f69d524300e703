"""Rows in arrays against the same rows as objects."""

import random

import pytest

from sft_tui.core.data.encoded_rows import EncodedRows, Picked
from sft_tui.core.prompt.tokens import Encoded


def made(count, seed=0):
    chance = random.Random(seed)
    rows = []
    for _ in range(count):
        size = chance.randint(1, 12)
        edges = sorted(chance.sample(range(size + 1), 2 * chance.randint(0, (size + 1) // 4)))
        rows.append(
            Encoded(
                [chance.randint(0, 2**31 - 1) for _ in range(size)],
                tuple(zip(edges[::2], edges[1::2], strict=True)),
                chance.randint(0, size),
                *(chance.randint(0, 9) for _ in range(4)),
            )
        )
    return rows


def same(one, other):
    return (list(one.input_ids), one.spans, one.answer_start, one.cut_tokens, one.cut_at,
            one.cut_trained, one.straddling) == (
            list(other.input_ids), other.spans, other.answer_start, other.cut_tokens,
            other.cut_at, other.cut_trained, other.straddling)  # fmt: skip


def kept(rows):
    store = EncodedRows()
    for row in rows:
        store.append(row)
    return store


def test_every_row_comes_back_as_it_was():
    rows = made(200)
    store = kept(rows)
    assert len(store) == 200 and all(map(same, store, rows))
    assert same(store[-1], rows[-1]) and all(map(same, store[3:7], rows[3:7]))
    assert list(map(store.tokens, range(200))) == [len(row.input_ids) for row in rows]
    assert list(map(store.trained, range(200))) == [row.trained for row in rows]
    assert list(map(store.is_cut, range(200))) == [row.cut_tokens > 0 for row in rows]
    assert [row.labels for row in store] == [row.labels for row in rows]
    with pytest.raises(IndexError):
        store[200]


def test_rows_are_picked_in_any_order_and_more_than_once():
    first, second = made(20, 1), made(20, 2)
    places = [(1, 3), (0, 0), (1, 3), (0, 19)]
    picked = Picked([kept(first), kept(second)], places)
    wanted = [(first, second)[source][row] for source, row in places]
    assert len(picked) == 4 and all(map(same, picked, wanted))
    assert same(picked[-1], wanted[-1]) and all(map(same, picked[1:3], wanted[1:3]))
    assert not Picked([kept(first)], [])
