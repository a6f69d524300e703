"""Rows of parquet and arrow files: their values, and what damage to them costs."""

import datetime
import decimal
import os

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from sft_tui.core.config import DataConfig, SourceConfig
from sft_tui.core.data.row_files import BadRow, RawRow, read_rows
from sft_tui.core.data.sources import Source


def test_values_of_parquet_come_as_json_would_have_them(tmp_path):
    kinds = {
        "day": pa.date32(),
        "time": pa.timestamp("us"),
        "price": pa.decimal128(9, 2),
        "raw": pa.binary(),
        "number": pa.float64(),
        "word": pa.dictionary(pa.int8(), pa.string()),
        "turns": pa.list_(pa.struct([("role", pa.string()), ("at", pa.date32())])),
        "map": pa.map_(pa.string(), pa.int64()),
        "nothing": pa.null(),
    }
    day = datetime.date(2024, 5, 6)
    row = {
        "day": day,
        "time": datetime.datetime(2024, 5, 6, 7, 8),
        "price": decimal.Decimal("1.50"),
        "raw": "é".encode(),
        "number": float("nan"),
        "word": "x",
        "turns": [{"role": "user", "at": day}],
        "map": [("a", 1)],
        "nothing": None,
    }
    table = pa.Table.from_pylist([row], schema=pa.schema(kinds))
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    (read,) = read_rows(str(tmp_path / "a.parquet"))
    assert read.place == "row 1"
    assert read.fields == {
        "day": "2024-05-06",
        "time": "2024-05-06 07:08:00",
        "price": "1.50",
        "raw": "é",
        "number": None,
        "word": "x",
        "turns": [{"role": "user", "at": "2024-05-06"}],
        "map": {"a": 1},
        "nothing": None,
    }


def test_bytes_that_are_no_text_stay_and_cost_nothing_until_they_are_read(tmp_path):
    table = pa.table({"raw": [b"a", b"\xff", b"c"], "text": ["x", "y", "z"]})
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    found = list(read_rows(str(tmp_path / "a.parquet")))
    assert [row.fields["raw"] for row in found] == ["a", b"\xff", "c"]
    source = SourceConfig(source=str(tmp_path / "a.parquet"))
    assert [row.messages[0].content for row in Source(source, DataConfig())] == ["x", "y", "z"]
    read = SourceConfig(source=source.source, columns={"prompt": "text", "completion": "raw"})
    _, bad, _ = Source(read, DataConfig())
    assert bad.id == "wrong_row" and "column raw is not text" in bad.why


def test_invalid_text_and_impossible_dates_of_arrow_cost_their_rows(tmp_path):
    invalid = pa.array([b"a", b"\xff", b"c"]).view(pa.string())
    dates = pa.array([0, 1, 10_000_000], pa.int32()).view(pa.date32())
    table = pa.table({"text": invalid, "day": dates})
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as out:
        out.write_table(table)
    first, text, day = read_rows(str(tmp_path / "a.arrow"))
    assert first.fields == {"text": "a", "day": "1970-01-01"}
    assert "column text" in text.reason and "0xff" in text.reason
    assert isinstance(day, BadRow) and "column day" in day.reason


def test_a_damaged_page_of_parquet_keeps_the_rows_before_it(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table({"text": [os.urandom(500).hex() for _ in range(900)]})
    pa.parquet.write_table(table, path, row_group_size=300, use_dictionary=False)
    content = bytearray(path.read_bytes())
    start = pa.parquet.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    content[start : start + 64] = b"\xff" * 64
    path.write_bytes(content)
    rows = list(read_rows(str(path)))
    assert [row.number for row in rows if isinstance(row, RawRow)] == list(range(1, 301))
    assert isinstance(rows[300], BadRow) and "damaged" in rows[300].reason


@pytest.mark.parametrize("kind", ["stream", "file", "packed"])
def test_arrow_files_of_both_forms_are_read_and_counted(tmp_path, kind):
    path = tmp_path / "rows.arrow"
    table = pa.Table.from_pylist([{"n": number, "text": "x" * 50} for number in range(1000)])
    if kind == "packed":
        pa.feather.write_feather(table, str(path), compression="lz4", chunksize=100)
    else:
        new = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
        with new(path, table.schema) as out:
            out.write_table(table, max_chunksize=100)
    told = []
    rows = list(read_rows(str(path), "train[350:]", told.append))
    assert [row.fields["n"] for row in rows] == list(range(350, 1000))
    assert [row.number for row in rows] == list(range(351, 1001))
    assert rows[0].place == "row 351"
    assert told == sorted(told) and 0.9 * path.stat().st_size < told[-1] <= path.stat().st_size


def test_an_arrow_stream_that_is_cut_off_keeps_the_rows_before_the_cut(tmp_path):
    path = tmp_path / "rows.arrow"
    table = pa.Table.from_pylist([{"n": number, "text": "x" * 50} for number in range(1000)])
    with pa.ipc.new_stream(path, table.schema) as out:
        out.write_table(table, max_chunksize=100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    rows = list(read_rows(str(path)))
    assert [row.fields["n"] for row in rows[:-1]] == list(range(600))
    assert isinstance(rows[-1], BadRow) and "cut off" in rows[-1].reason
