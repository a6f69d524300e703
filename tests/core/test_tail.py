import os

import pytest

from sft_tui.core.tail import Tail, last_lines


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


def append(path, content):
    with path.open("ab") as file:
        file.write(content)


def test_a_file_that_does_not_exist_yet_gives_no_lines_and_then_all(path):
    tail = Tail(path)
    assert tail.read() == []
    append(path, b"one\n")
    assert tail.read() == [b"one"]


def test_each_read_returns_only_what_is_new(path):
    tail = Tail(path)
    append(path, b"one\ntwo\n")
    assert tail.read() == [b"one", b"two"]
    assert tail.read() == []
    append(path, b"three\n")
    assert tail.read() == [b"three"]


def test_a_torn_last_line_is_returned_once_and_only_when_complete(path):
    tail = Tail(path)
    append(path, b'one\n{"type": "st')
    assert tail.read() == [b"one"]
    assert tail.read() == []
    append(path, b'ep"}\n')
    assert tail.read() == [b'{"type": "step"}']
    assert tail.read() == []


def test_a_character_torn_in_its_middle_arrives_whole(path):
    tail = Tail(path)
    letter = "é".encode()
    append(path, letter[:1])
    assert tail.read() == []
    append(path, letter[1:] + b"\n")
    assert tail.read() == [letter]


def test_a_file_that_shrank_is_read_again_from_the_top(path):
    tail = Tail(path)
    append(path, b"one\ntwo\nthree\n")
    tail.read()
    os.truncate(path, 0)
    append(path, b"new\n")
    assert tail.read() == [b"new"]
    assert tail.restarts == 1


def test_a_file_that_was_replaced_is_read_from_the_top_though_it_is_longer(path):
    tail = Tail(path)
    append(path, b"one\n")
    tail.read()
    other = path.with_name("other")
    append(other, b"a longer line\nand another\n")
    other.replace(path)
    assert tail.read() == [b"a longer line", b"and another"]
    assert tail.restarts == 1


def test_growth_is_no_restart(path):
    tail = Tail(path)
    for line in (b"one\n", b"two\n", b"three\n"):
        append(path, line)
        tail.read()
    assert tail.restarts == 0


def test_garbage_in_the_middle_costs_only_its_own_line(path):
    append(path, b"one\n\x00\xff\xfe{{{\n\n  \ntwo\n")
    assert Tail(path).read() == [b"one", b"\x00\xff\xfe{{{", b"two"]


@pytest.mark.parametrize("limit", [1, 7, 64, 1000])
def test_lines_longer_than_the_read_limit_arrive_whole_and_in_order(path, limit):
    lines = [b"a" * 5, b"b" * 700, b"c", b"d" * 64]
    append(path, b"\n".join(lines) + b"\n")
    tail, found = Tail(path), []
    while block := tail.read(limit):
        found += block
    assert found == lines


def test_a_long_torn_line_is_not_lost(path):
    tail = Tail(path)
    append(path, b"x" * 100)
    assert tail.read(10) == []
    append(path, b"y\n")
    assert tail.read(10) == [b"x" * 100 + b"y"]


def test_last_lines_are_the_newest_complete_ones(path):
    append(path, b"first\nsecond\nthird\ntorn")
    assert last_lines(path, 15) == [b"third"]


def test_last_lines_of_a_short_file_are_all_of_it(path):
    append(path, b"first\nsecond\n")
    assert last_lines(path, 1000) == [b"first", b"second"]


def test_last_lines_are_none_where_one_line_fills_the_window(path):
    append(path, b"a very long line\n")
    assert last_lines(path, 5) == []


def test_a_line_that_fills_the_window_exactly_is_among_the_last_lines(path):
    append(path, b"first\nlast\n")
    assert last_lines(path, len(b"last\n")) == [b"last"]
