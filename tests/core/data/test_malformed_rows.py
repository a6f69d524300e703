"""Malformed files: rows, unreadable rows or one plain error come out, and never anything else.

Good rows are kept wherever the damage is, and the damage is named with line and column.
"""

import csv
import gzip
import io
import json
import random
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sft_tui.core.data.row_files import BadRow, RawRow, read_rows
from sft_tui.core.errors import DataError

GOOD = [{"text": f"row {number}", "turns": [{"role": "user", "at": number}]} for number in range(4)]
LISTED = json.dumps(GOOD, indent=1)
LINES = "".join(json.dumps(row) + "\n" for row in GOOD)
WRAPPED = json.dumps({"version": 1, "data": GOOD}, indent=1)
TABLE = 'a,b\n1,"x, y"\n2,"two\nlines"\n3,"q""q"\n4,z\n'
PLACE = re.compile(r"line \d+, column \d+")


def outcome(path):
    """Reads a file to its end; returns its rows, or the one error, after checking their form."""
    try:
        rows = list(read_rows(str(path)))
    except DataError as error:
        assert error.what and error.why and error.remedy
        return error
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    for row in rows:
        assert type(row) in (RawRow, BadRow)
        if isinstance(row, RawRow):
            assert type(row.fields) is dict
            json.dumps(row.fields, ensure_ascii=False).encode()  # no half of a surrogate pair
        else:
            assert row.reason
            assert re.match(r"(line|row) \d+", row.place)
    return rows


@pytest.fixture
def read(write):
    return lambda name, content: outcome(write(name, content))


def good(rows):
    return [row.fields for row in rows if isinstance(row, RawRow)]


def bad(rows):
    return [row for row in rows if isinstance(row, BadRow)]


# A file cut off at every place.


@pytest.mark.parametrize("length", range(1, len(LISTED) - 1, 2))
def test_a_list_that_is_cut_off_keeps_the_rows_before_the_cut(read, length):
    rows = read("rows.json", LISTED[:length])
    whole = [row for row in GOOD if is_whole(row, LISTED[:length])]
    assert good(rows) == whole
    (last,) = bad(rows)
    assert rows[-1] is last
    assert PLACE.match(last.place)
    assert "ends inside" in last.reason


def is_whole(row, text):
    """Returns whether a cut text still holds all of a row of `GOOD`."""
    return json.dumps([row], indent=1)[2:-2] in text


@pytest.mark.parametrize("length", range(1, len(WRAPPED) - 1, 4))
def test_a_wrapped_list_that_is_cut_off_keeps_the_rows_before_the_cut(read, length):
    rows = read("rows.json", WRAPPED[:length])
    begun = '"data": [\n  {' in WRAPPED[:length]
    if not begun:
        assert isinstance(rows, DataError)
        assert "line" in rows.why
        return
    assert len(good(rows)) == WRAPPED[:length].count("\n  }")
    assert rows[-1] is bad(rows)[-1]
    assert 1 <= len(bad(rows)) <= 2


@pytest.mark.parametrize("length", range(1, len(LINES), 3))
def test_lines_that_are_cut_off_keep_the_rows_before_the_cut(read, length):
    rows = read("rows.jsonl", LINES[:length])
    whole = LINES[:length].count("\n") + LINES[:length].endswith("}]}")
    assert good(rows) == GOOD[:whole]
    torn = len(LINES[:length].split("\n")[-1]) > 0 and not LINES[:length].endswith("}]}")
    assert [row.place.split(",")[0] for row in bad(rows)] == [f"line {whole + 1}"] * torn


@pytest.mark.parametrize("length", range(8, len(TABLE) - 1))
def test_a_table_that_is_cut_off_keeps_the_rows_before_the_cut(read, length):
    rows = read("rows.csv", TABLE[:length])
    expected = list(csv.DictReader(io.StringIO(TABLE)))
    found = good(rows)
    # Only the last row may differ: its last cell may have been cut short.
    assert found[:-1] == expected[: max(len(found) - 1, 0)]
    assert len(bad(rows)) <= 2
    if TABLE[:length].count('"') % 2:
        assert "unexpected end of data" in bad(rows)[0].reason


@pytest.mark.parametrize("length", range(0, 1000, 25))
def test_gzip_that_is_cut_off_keeps_rows_and_ends_with_one_that_says_so(read, length):
    numbers = random.Random(1)
    rows = [{"n": numbers.getrandbits(64)} for _ in range(4000)]
    packed = gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
    cut = packed[: len(packed) * length // 1000]
    found = read("rows.jsonl.gz", cut)
    if length == 0:
        assert found == []
        return
    assert good(found) == rows[: len(good(found))]
    assert len(good(found)) >= len(rows) * (length - 250) // 1000
    (last,) = bad(found)
    assert found[-1] is last
    assert last.reason == "the gzip file is cut off"


def test_a_packed_list_that_is_cut_off_says_so_and_not_where_its_text_ends(read):
    packed = gzip.compress(json.dumps(GOOD * 3000, indent=1).encode())
    rows = read("rows.json.gz", packed[: len(packed) // 2])
    assert len(good(rows)) > 1000
    assert [row.reason for row in bad(rows)] == ["the gzip file is cut off"]


def test_a_packed_list_that_is_cut_off_between_elements_says_so(read):
    rows = read("rows.json.gz", gzip.compress(b'[{"n": 1},', mtime=0)[:-8])
    assert [row.reason for row in bad(rows)] == ["the gzip file is cut off"]


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.json.gz", "rows.csv.gz"])
def test_damage_inside_gzip_is_one_bad_row_at_the_end(read, name):
    content = {"jsonl": LINES * 3000, "json": json.dumps(GOOD * 3000), "csv": TABLE[:4]}
    content["csv"] += "".join(f"{number},b\n" for number in range(90_000))
    packed = bytearray(gzip.compress(content[name.split(".")[1]].encode(), 1))
    middle = len(packed) * 3 // 4
    packed[middle : middle + 40] = bytes(byte ^ 85 for byte in packed[middle : middle + 40])
    rows = read(name, bytes(packed))
    assert len(good(rows)) > 1000
    assert "gzip file is damaged" in rows[-1].reason


# One damaged row among good ones.

BROKEN = {
    "no value": ('{"text": }', 10),
    "bad literal": ('{"text": tru}', 10),
    "no comma": ('{"text": "a" "b": 1}', 14),
    "no colon": ('{"text" "a"}', 9),
    "no quotes": ("{text: 1}", 2),
    "single quotes": ("{'text': 1}", 2),
    "stray quote": ('{"text": "x"y"}', 13),
    "two objects": ('{"a": 1} {"b": 2}', 10),
    "bad escape": ('{"text": "\\x41"}', 11),
    "bad unicode escape": ('{"text": "\\u12"}', 12),
    "raw control": ('{"text": "a\x01b"}', 12),
    "raw nul": ('{"text": "a\x00b"}', 12),
    "raw tab": ('{"text": "a\tb"}', 12),
    "escape sequence": ('{"text": "\x1b[31m"}', 11),
    "half pair": ('{"text": "ab\\ud800"}', 13),
    "other half": ('{"text": "ab\\udc00\\ud800"}', 13),
    "half after whole": ('{"text": "\\ud83d\\ude00\\uD83D"}', 23),
    "half before text": ('{"text": "\\\\\\ud83dx"}', 13),
    "half before a pair": ('{"text": "\\ud83d\\ud83d\\ude00"}', 11),
    "half pair in a name": ('{"\\uDFFF": 1}', 3),
    "infinity": ('{"text": Infinity}', 1),
    "huge number": ('{"text": ' + "9" * 5000 + "}", 10),
    "deep": ('{"text": ' + "[" * 100_000 + "]" * 100_000 + "}", 1),
    "deep objects": ('{"a":' * 100_000 + "1" + "}" * 100_000, 1),
    "list": ("[1, 2]", 1),
    "empty list": ("[]", 1),
    "number": ("7", 1),
    "text": ('"text"', 1),
    "null": ("null", 1),
    "true": ("true", 1),
    "leading zero": ('{"text": 01}', 11),
    "comment": ('{"text": 1 /* no */}', 12),
}
NOT_UTF8 = [b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\x80", b"\xf5\x80\x80\x80", b"\xe2\x82"]


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_broken_line_is_named_and_all_others_are_kept(read, broken, place):
    content, column = BROKEN[broken]
    lines = LINES.splitlines()
    lines.insert(place, content)
    rows = read("rows.jsonl", "\n".join(lines))
    assert good(rows) == GOOD
    (found,) = bad(rows)
    assert rows[place] is found
    assert found.place == f"line {place + 1}, column {column}"


@pytest.mark.parametrize("broken", [name for name in BROKEN if name != "two objects"])
@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_broken_element_is_named_and_all_others_are_kept(read, broken, place):
    content, column = BROKEN[broken]
    elements = LINES.splitlines()
    elements.insert(place, content)
    rows = read("rows.json", "[\n" + ",\n".join(elements) + "\n]")
    assert good(rows) == GOOD
    (found,) = bad(rows)
    assert rows[place] is found
    assert found.place == f"line {place + 2}, column {column}"


@pytest.mark.parametrize("broken", ["no value", "half pair", "huge number", "deep", "null"])
def test_a_broken_element_on_one_long_line_is_named_by_its_column(read, broken):
    content, column = BROKEN[broken]
    before = json.dumps([*GOOD, {"long": "é" * 3_000_000}])[:-1] + ", "
    rows = read("rows.json", before + content + ", " + json.dumps(GOOD)[1:])
    assert good(rows)[:4] == good(rows)[5:] == GOOD
    (found,) = bad(rows)
    assert found.place == f"line 1, column {len(before) + column}"


@pytest.mark.parametrize("wrong", NOT_UTF8)
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv"])
def test_text_that_is_not_utf8_costs_its_own_row_only(read, name, wrong):
    if name == "rows.csv":
        content = b"text,n\n" + "é".encode() + b",1\na" + wrong + b"b,2\nc,3\n"
        place, kept = "line 3, column 2", [{"text": "é", "n": "1"}, {"text": "c", "n": "3"}]
    else:
        lines = [json.dumps(GOOD[0]).encode(), b'{"text": "' + wrong + b'"}', b'{"n": "\xc3\xa9"}']
        content = b"\n".join(lines) if name == "rows.jsonl" else b"[" + b",\n".join(lines) + b"]"
        place, kept = "line 2, column 11", [GOOD[0], {"n": "é"}]
    rows = read(name, content)
    assert good(rows) == kept
    (found,) = bad(rows)
    assert found.place == place
    assert f"0x{wrong[0]:02x}" in found.reason


@pytest.mark.parametrize(
    ("content", "kept", "told"),
    [
        ('[{"n": 1} {"n": 2}]', [1, 2], "a comma is missing"),
        ('[{"n": 1}} , {"n": 2}]', [1, 2], "a comma is missing"),
        ('[{"n": 1} x {"n": 9}, {"n": 2}]', [1, 2], "a comma is missing"),
        ('[{"n": 1}, x, {"n": 2}]', [1, 2], "Expecting value"),
        ('[{"n": 1}, {"n": 2}] trailing', [1, 2], "after the end"),
        ('[{"n": 1}, {"n": 2}][{"n": 3}]', [1, 2], "after the end"),
        ('[{"n": 1}, {"n": {"a": 1}, {"n": 2}]', [1], "ends inside this row"),
        ('[{"n": 1}, {"n": 2}', [1, 2], "ends inside the list"),
        ('[{"n": 1}, {"n": 2},', [1, 2], "ends inside the list"),
        ('{"a": [{"n": 1}, {"n": 2}', [1, 2], "ends inside the list"),
        ('{"a": [{"n": 1}, {"n": 2}], "b"', [1, 2], "object around"),
        ('{"a": [{"n": 1}, {"n": 2}], "b": tru}', [1, 2], "object around"),
        ('{"a": [{"n": 1}, {"n": x}, {"n": 2}]} {}', [1, 2], "more follows"),
        ('{"a": [{"n": 1}, {"n": x}, {"n": 2}]}', [1, 2], "Expecting value"),
        ('[{"n": 1}, {"n": "a\nb"},\n {"n": 2}]', [1, 2], "Invalid control character"),
        ('[{"n": 1},\n {"n": "a"b"},\n {"n": 2}]', [1, 2], "Expecting ',' delimiter"),
        ('[{"n": 1},\n {"n": "a},\n {"n": 2}]', [1, 2], "Invalid control character"),
    ],
)
def test_damage_between_elements_is_told_and_reading_goes_on(read, content, kept, told):
    rows = read("rows.json", content)
    assert [fields["n"] for fields in good(rows)] == kept
    assert any(told in row.reason for row in bad(rows))
    assert all(PLACE.match(row.place) for row in bad(rows))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("1,2,3", "3 cells under 2 column names"),
        ("1", "1 cells under 2 column names"),
        ('"a"b,2', "',' expected after '\"'"),
        ('1,"never closed', "unexpected end of data"),
        ('"x""', "unexpected end of data"),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 3])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_broken_csv_line_is_named_and_all_others_are_kept(read, line, told, place, end):
    lines = ["a,b", "x,1", "y,2", "z,3"]
    lines.insert(place + 1, line)
    rows = read("rows.csv", end.join(lines) + end)
    assert [fields["a"] for fields in good(rows)] == ["x", "y", "z"]
    (found,) = bad(rows)
    assert rows[place] is found
    assert found.place == f"line {place + 2}"
    assert told in found.reason


def test_lines_are_counted_right_behind_quotes_that_never_close(read):
    rows = read("rows.csv", 'a,b\n"x,1\ny,2\n"z,3\nw,4\n1\n')
    assert [fields["a"] for fields in good(rows)] == ["y", "w"]
    assert [row.place for row in rows] == [f"line {number}" for number in range(2, 7)]


# What is odd and still right.


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", "\r\n \t\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_empty_lines_and_a_byte_order_mark_change_nothing(read, end, mark):
    lines = mark + end.join(LINES.splitlines()) + end
    assert good(read("rows.jsonl", lines)) == GOOD
    listed = mark + end.join(LISTED.splitlines()) + end
    assert good(read("rows.json", listed)) == GOOD
    if end.strip(" \t") == end:
        table = mark + "a,b" + end + "1,2" + end
        assert good(read("rows.csv", table)) == [{"a": "1", "b": "2"}]


ODD = [
    "\x00",
    "\x1b[2J\x1b]0;title\x07",
    "\u202e\u2028\x85\x7f",
    "\ud7ff\ue000\uffff\U0010ffff",
    '"\\/\b\f\n\r\t',
    "}],[{",
    '\\"',
    "\\",
    "x" * 10_000_000,
    "é" * 5_000_000,
    '"},{"' * 100_000,
    "\\ud800",
    "",
]


@pytest.mark.parametrize("text", ODD, ids=[repr(text[:12]) for text in ODD])
@pytest.mark.parametrize("ascii", [True, False])
def test_odd_text_comes_as_it_was_written(read, text, ascii):
    written = [{"text": text, text[:9]: [text[:9]]}, *GOOD]
    lines = "".join(json.dumps(row, ensure_ascii=ascii) + "\n" for row in written)
    assert good(read("rows.jsonl", lines)) == written
    assert good(read("rows.json", json.dumps(written, ensure_ascii=ascii))) == written
    table = io.StringIO(newline="")
    csv.writer(table, lineterminator="\n").writerows([["a", "b"], [text, text[:5]], ["c", "d"]])
    assert good(read("rows.csv", table.getvalue()))[:1] == [{"a": text, "b": text[:5]}]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"": 1},
        {"a": None},
        {"a": []},
        {"a": [[], {}, None]},
        {"a": {"b": {"c": {"d": [1, "2", None, True, 1.5]}}}},
        {"a": 10**400},
        {"a": -(10**18)},
        {"a": 1e300},
        {"messages": 7},
        {"messages": [None, 7, "x", []]},
        {"a" * 100_000: "b"},
        {f"column {number}": number for number in range(2000)},
    ],
)
def test_rows_of_any_shape_are_rows(read, fields):
    rows = [GOOD[0], fields, {"other": "columns"}]
    assert good(read("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))) == rows
    assert good(read("rows.json", json.dumps(rows))) == rows


# Whatever else: random changes of good files, and random bytes.

FILES = {
    "rows.jsonl": LINES.encode(),
    "rows.json": LISTED.encode(),
    "whole.json": WRAPPED.encode(),
    "rows.csv": TABLE.encode(),
    "rows.jsonl.gz": gzip.compress(LINES.encode(), mtime=0),
}
PIECES = st.one_of(
    st.binary(max_size=6),
    st.sampled_from(
        [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\r", b"\x00", b"\\ud800"]
    ),
)


def random_outcome(name, content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        return outcome(path)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_changed_file_gives_rows_and_unreadable_rows_and_nothing_else(name, data):
    content = FILES[name]
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        cut = data.draw(st.integers(0, 4))
        content = content[:start] + data.draw(PIECES) + content[start + cut :]
    random_outcome(name, content)


@pytest.mark.parametrize("name", [*FILES, "rows.parquet", "rows.arrow"])
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.one_of(st.binary(max_size=300), st.text(max_size=200).map(str.encode)))
def test_random_bytes_give_rows_and_unreadable_rows_and_nothing_else(name, content):
    random_outcome(name, content)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(start=st.integers(0, len(LINES) - 1), piece=PIECES.filter(lambda piece: b"\n" not in piece))
def test_a_change_inside_one_line_never_touches_another_row(start, piece):
    content = LINES.encode()
    start -= content[start : start + 1] == b"\n"
    changed = content[:start] + piece + content[start + 1 :]
    outcome = random_outcome("rows.jsonl", changed)
    if start == 0 and isinstance(outcome, DataError):
        return  # the first bytes are another format's: the whole file is refused by its name
    rows = outcome
    line = content[:start].count(b"\n")
    others = [row.fields for row in rows if row.number != line + 1 and isinstance(row, RawRow)]
    if piece.strip() or content[start : start + 1] != b" ":
        assert len(rows) == len(GOOD)
        assert others == GOOD[:line] + GOOD[line + 1 :]


@pytest.mark.parametrize("size", [65_536, 131_072, 1 << 20])
@pytest.mark.parametrize("shift", range(-3, 4))
def test_a_row_that_straddles_the_edge_of_a_piece_is_whole(read, size, shift):
    """The text of a list is read in pieces of these sizes."""
    ending = '\\ud83d\\ude00é", "n": -12.5e3, "t": true}'
    head = '[{"text": "'
    for back in range(0, len(ending) + 4, 5):
        filler = "x" * (size - len(head) - back + shift)
        content = head + filler + ending + "," + LISTED[1:]
        rows = read("rows.json", content)
        first, *rest = good(rows)
        assert first == {"text": filler + "\U0001f600é", "n": -12500.0, "t": True}
        assert rest == GOOD and not bad(rows)


@pytest.mark.parametrize("shift", range(-2, 8))
def test_a_number_that_straddles_the_edge_of_a_piece_is_one_element(read, shift):
    head = '[{"text": "'
    filler = "x" * (131_072 - len(head) - 3 - shift)
    rows = read("rows.json", head + filler + '"}, 12345, {"n": 1}]')
    assert [type(row) for row in rows] == [RawRow, BadRow, RawRow]
