"""Where rows come from: files, folders, splits, slices, and what each format gives."""

import gzip
import json
import os

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from sft_tui.core.data import files
from sft_tui.core.data.row_files import (
    BadRow,
    RawRow,
    locate,
    read_rows,
    total_bytes,
)
from sft_tui.core.errors import DataError

ROWS = [{"text": f"row {number}"} for number in range(1, 8)]


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def source(tmp_path):
    """Writes named files into a folder and returns the folder as a source."""

    def make(files):
        for name, content in files.items():
            path = tmp_path / "data set" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(tmp_path / "data set")

    return make


def texts(source, split="train"):
    return [row.fields["text"] for row in read_rows(source, split)]


def refusal(source, split="train"):
    """The error of a source, as one text."""
    with pytest.raises(DataError) as caught:
        list(read_rows(str(source), split))
    assert caught.value.remedy
    return f"{caught.value}; {caught.value.remedy}"


def test_rows_come_with_number_and_line(write):
    path = write("rows.jsonl", '\n{"a": 1}\n\n{"a": 2}\n')
    assert list(read_rows(str(path))) == [
        RawRow(1, "line 2", {"a": 1}),
        RawRow(2, "line 4", {"a": 2}),
    ]


def test_rows_of_a_list_and_of_csv_come_with_their_lines(write):
    listed = write("rows.json", '[\n {"a": 1},\n {"a":\n 2}, {"a": 3}]')
    table = write("rows.csv", 'a,b\n"x\ny",1\nz,2\n')
    assert [row.place for row in read_rows(str(listed))] == ["line 2", "line 3", "line 4"]
    assert [row.place for row in read_rows(str(table))] == ["line 2", "line 4"]


@pytest.mark.parametrize(
    "content",
    [
        '{"version": "2", "data": [{"text": "a"}, {"text": "b"}], "more": {"x": [1]}}',
        '{"data": [{"text": "a"}, {"text": "b"}]}',
        '[{"text": "a"}, {"text": "b"}]\n',
        '\ufeff [{"text": "a"},\r\n{"text": "b"},]',
    ],
)
def test_a_list_of_rows_may_stand_in_an_object(write, content):
    assert texts(str(write("rows.json", content))) == ["a", "b"]


@pytest.mark.parametrize("count", [1, 400_000])
def test_the_list_in_an_object_is_found_among_other_lists(write, count):
    big = {"languages": ["en"] * count, "data": [{"text": "a"}, {"text": "b"}], "end": 1}
    assert texts(str(write("rows.json", json.dumps(big)))) == ["a", "b"]


def test_a_large_object_with_two_lists_says_that_one_is_not_read(write):
    big = {"data": [{"text": "x" * 2_000_000}], "other": [{"text": "b"}]}
    row, bad = read_rows(str(write("rows.json", json.dumps(big))))
    assert isinstance(row, RawRow) and isinstance(bad, BadRow)
    assert "'other'" in bad.reason and bad.number == 2


def test_articles_of_squad_come_as_one_row_per_question(write):
    asked = {"question": "Where?", "id": "q1", "answers": [{"text": "Paris", "answer_start": 3}]}
    none = {"question": "Who?", "id": "q2", "answers": [], "is_impossible": True}
    article = {"title": "T", "paragraphs": [{"context": "In Paris", "qas": [asked, none]}]}
    broken = {"title": "T", "paragraphs": [{"context": 7, "qas": []}]}
    content = json.dumps({"version": "v2.0", "data": [article, broken]})
    first, second, bad = read_rows(str(write("dev.json", content)))
    assert first.fields == {
        "id": "q1",
        "title": "T",
        "context": "In Paris",
        "question": "Where?",
        "answers": {"text": ["Paris"], "answer_start": [3]},
    }
    assert second.fields["answers"] == {"text": [], "answer_start": []}
    assert isinstance(bad, BadRow) and "paragraph" in bad.reason


def test_nan_is_a_missing_value(write):
    (row,) = read_rows(str(write("rows.jsonl", '{"a": NaN}')))
    (listed,) = read_rows(str(write("rows.json", '[{"a": NaN}]')))
    assert row.fields == listed.fields == {"a": None}


@pytest.mark.parametrize("mark", [";", "|", "\t", ","])
def test_the_line_in_which_excel_names_the_separator_is_no_row(write, mark):
    (row,) = read_rows(str(write("rows.csv", f"sep={mark}\r\na{mark}b\r\n1{mark}2\r\n")))
    assert (row.fields, row.place) == ({"a": "1", "b": "2"}, "line 3")


def test_a_nameless_csv_column_is_called_as_pandas_calls_it(write):
    (row,) = read_rows(str(write("rows.csv", ",text\n0,a\n")))
    assert row.fields == {"Unnamed: 0": "0", "text": "a"}


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("x.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-lfs"),
        ("x.parquet", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-lfs"),
        ("x.jsonl", b"\x7fELF" + bytes(range(256)) * 40, "binary"),
        ("x.csv", b"PK\x03\x04" + bytes(200), "office"),
        ("x.json", "\n<!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
        ("x.jsonl", gzip.compress(b"{}", mtime=0), ".gz"),
        ("x.jsonl", '{\n "a": 1\n}\n{\n "a": 2\n}\n', "one object per line"),
        ("x.jsonl", '{"a": 1}\n'.encode("utf-16"), "save it as UTF-8"),
        ("x.jsonl.gz", b"plain text", "not packed"),
        ("x.csv", "a,b,a\n1,2,3\n", "'a' stands twice"),
        ("x.csv", b"a,\xff\n1,2\n", "line 1, column 3"),
        ("x.json", '"text"', "begins with"),
        ("x.json", '{"a": 1}', "no list"),
        ("x.json", '{"a": [1], "b": [2]}', "2 lists"),
        ("x.json", '{"a": [{}], "b": [{}]}', "2 lists (a, b)"),
        ("x.parquet", b"PAR1 nonsense PAR1", "not a sound parquet"),
        ("x.arrow", b"nonsense" * 10, "not a sound arrow"),
        ("x.txt", "a", ".txt"),
        ("x", "a", "(none)"),
        ("x.gz", "a", ".gz"),
        ("x.parquet.gz", "a", ".gz"),
    ],
)
def test_a_file_that_is_not_what_its_ending_says_is_one_error(write, name, content, told):
    path = write(name, content)
    message = refusal(path)
    assert told in message and str(path) in message


def test_a_source_that_is_not_there_is_told_as_such(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "no such file" in refusal("gone.jsonl")
    assert "no such file" in refusal("folder/gone.jsonl")
    os.mkfifo(tmp_path / "pipe.jsonl")
    assert "not a file or folder" in refusal("pipe.jsonl")
    assert "no such file" in refusal("hf://datasets/a/b")


def test_a_data_set_of_the_hub_that_was_never_brought_here_says_how(tmp_path, monkeypatch):
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path))
    assert "sft-tui download --dataset rajpurkar/squad" in refusal("rajpurkar/squad")
    files.check("rajpurkar/squad")  # the trainer brings it


def test_a_name_no_file_can_have_is_refused():
    assert "cannot be found" in refusal("x" * 5000)
    assert "cannot be found" in refusal("a\0b")


def test_the_demo_is_a_source_with_one_split():
    assert sum(1 for _ in read_rows("demo")) == 240
    assert sum(1 for _ in read_rows("demo:heldout", "train[:10]")) == 10
    assert "its splits are train" in refusal("demo", "test")


def test_files_of_a_folder_follow_each_other_and_name_themselves(source):
    folder = source(
        {
            "b.jsonl": '{"text": "b"}\n',
            "a.csv": "text,more\na,1\n",
            "sub/c.json": '[{"text": "c"}]',
            ".hidden.jsonl": '{"text": "no"}\n',
            ".git/d.jsonl": '{"text": "no"}\n',
            "README.md": "words",
            "dataset_info.json": "{}",
            "notes.txt": "words",
        }
    )
    rows = list(read_rows(folder))
    assert [row.fields["text"] for row in rows] == ["a", "b", "c"]
    assert [row.number for row in rows] == [1, 2, 3]
    assert [row.place for row in rows] == ["a.csv, line 2", "b.jsonl, line 1", "sub/c.json, line 1"]


@pytest.mark.parametrize(
    ("names", "split", "taken"),
    [
        (["train.jsonl", "test.jsonl"], "train", ["train.jsonl"]),
        (["train.jsonl", "my-eval.jsonl"], "test", ["my-eval.jsonl"]),
        (["train.jsonl", "dev.jsonl"], "validation", ["dev.jsonl"]),
        (["train.jsonl", "val_2.jsonl"], "val", ["val_2.jsonl"]),
        (["train/a.jsonl", "valid/b.jsonl"], "validation", ["valid/b.jsonl"]),
        (
            ["train-00001-of-00002.jsonl", "train-00000-of-00002.jsonl", "test.jsonl"],
            "train",
            ["train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl"],
        ),
        (
            ["data/dev-00000-of-00001.jsonl", "data/test_sft-00000-of-00001.jsonl"],
            "test_sft",
            ["data/test_sft-00000-of-00001.jsonl"],
        ),
        (["constrain.jsonl", "latest.jsonl"], "train", ["constrain.jsonl", "latest.jsonl"]),
    ],
)
def test_files_named_after_a_split_belong_to_it(source, names, split, taken):
    folder = source({name: lines([{"text": name}]) for name in names})
    assert texts(folder, split) == taken


def test_an_unknown_split_lists_those_there_are(source):
    folder = source({"train.jsonl": lines(ROWS), "test.jsonl": lines(ROWS)})
    assert "its splits are train, test" in refusal(folder, "validation")


def test_a_folder_without_data_is_told(source, tmp_path):
    assert "holds no data" in refusal(source({"README.md": "", ".a.jsonl": "{}"}))
    with pytest.raises(DataError, match="holds no data"):
        files.check(str(tmp_path))


def test_a_file_of_a_folder_that_cannot_be_read_costs_only_itself(source):
    pointer = "version https://git-lfs.github.com/spec/v1\n"
    folder = source({"a.jsonl": lines(ROWS[:2]), "b.jsonl": pointer, "c.jsonl": lines(ROWS[:1])})
    first, second, bad, last = read_rows(folder)
    assert bad == BadRow(3, "b.jsonl", "this is a git-lfs pointer, not the data")
    assert (first.number, second.number, last.number) == (1, 2, 4)


@pytest.mark.parametrize(
    ("part", "numbers"),
    [
        ("", range(1, 8)),
        ("[:]", range(1, 8)),
        ("[:3]", range(1, 4)),
        ("[2:4]", range(3, 5)),
        ("[-2:]", range(6, 8)),
        ("[:-2]", range(1, 6)),
        ("[5:100]", range(6, 8)),
        ("[:0]", ()),
        ("[4:2]", ()),
        ("[50%:]", range(5, 8)),
        ("[-50%:]", range(4, 8)),
        ("[10%:20]", range(2, 2)),
    ],
)
@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "parquet"])
def test_a_slice_keeps_the_numbers_of_the_whole(tmp_path, part, numbers, ending):
    path = tmp_path / f"rows.{ending}"
    if ending == "parquet":
        pa.parquet.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=3)
    elif ending == "csv":
        path.write_text("text\n" + "".join(row["text"] + "\n" for row in ROWS))
    else:
        path.write_text(json.dumps(ROWS) if ending == "json" else lines(ROWS))
    rows = list(read_rows(str(path), f"train{part}"))
    assert [row.number for row in rows] == list(numbers)
    assert [row.fields["text"] for row in rows] == [f"row {number}" for number in numbers]


def test_a_slice_counts_rows_that_cannot_be_read(write):
    path = write("rows.jsonl", lines(ROWS[:2]) + "{\n" + lines(ROWS[3:]))
    assert [row.number for row in read_rows(str(path), "train[-5:-3]")] == [3, 4]
    assert [type(row) for row in read_rows(str(path), "train[2:4]")] == [BadRow, RawRow]


def test_a_slice_runs_over_the_files_of_a_folder(tmp_path):
    for place in range(3):
        table = pa.Table.from_pylist([{"n": place * 10 + row} for row in range(10)])
        pa.parquet.write_table(table, tmp_path / f"part-{place}.parquet", row_group_size=4)
    rows = list(read_rows(str(tmp_path), "train[8:23]"))
    assert [row.fields["n"] for row in rows] == list(range(8, 23))
    assert [row.number for row in rows] == list(range(9, 24))
    assert rows[2].place == "part-1.parquet, row 1"


@pytest.mark.parametrize(
    "split",
    ["", "train[", "train[1]", "train[1:2:3]", "train[a:]", "train[:101%]", "train[:1.5%]", "a b",
     "train[:5]+test", "train[_:]", "train[:10%](closest)", "../train"],
)  # fmt: skip
def test_a_broken_split_expression_is_refused(write, split):
    assert "cannot be understood" in refusal(write("rows.jsonl", lines(ROWS)), split)


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "jsonl.gz", "parquet"])
def test_progress_rises_to_the_bytes_of_the_files(tmp_path, ending):
    rows = [{"text": f"{number} " + os.urandom(300).hex()} for number in range(5000)]
    path = tmp_path / f"rows.{ending}"
    if ending == "parquet":
        pa.parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=1000)
    elif ending == "csv":
        path.write_text("text\n" + "".join(row["text"] + "\n" for row in rows))
    elif ending == "json":
        path.write_text(json.dumps(rows))
    else:
        content = lines(rows).encode()
        path.write_bytes(gzip.compress(content, mtime=0) if ending.endswith("gz") else content)
    told = []
    assert sum(1 for _ in read_rows(str(path), on_bytes=told.append)) == 5000
    total = total_bytes(str(path))
    assert total == path.stat().st_size
    assert told == sorted(told) and len(told) > 3
    assert told[0] < total / 2 and 0.99 * total <= told[-1] <= total


def test_a_file_that_only_its_owner_may_read_is_named(write, monkeypatch):
    path = write("rows.jsonl", lines(ROWS))

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)
    assert "Permission denied" in refusal(path)


def test_locate_names_the_files_and_the_part(source):
    folder = source({"train.jsonl": lines(ROWS), "README.md": ""})
    files = locate(folder, "train[1:3]")
    assert [path.name for path in files.paths] == ["train.jsonl"]
    assert (files.split, files.slice.start, files.slice.stop) == ("train", 1, 3)
