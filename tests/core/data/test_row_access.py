"""Any row by its number is the row that reading from the start gives, and comes soon."""

import gzip
import json
import random
import time

import pytest

from sft_tui.core.data.row_access import RowAccess
from sft_tui.core.data.row_files import read_rows
from sft_tui.core.errors import UsageError

ROWS = [{"question": f"q{n}\n\u2028\U0001f600", "answer": "a" * (n % 7)} for n in range(300)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def parquet(path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=70)


@pytest.fixture(params=["lines", "odd", "bom", "json", "list", "gz", "csv", "parquet", "folder"])
def source(request, tmp_path):
    """A source of each kind; `odd` has empty and broken lines."""
    made = {
        "lines": ("rows.jsonl", LINES.encode()),
        "odd": ("rows.jsonl", LINES.replace("\n", "\n\n \n{broken\n").encode()),
        "bom": ("rows.jsonl", b"\xef\xbb\xbf" + LINES.encode()),
        "json": ("rows.json", LINES.encode()),
        "list": ("rows.json", json.dumps(ROWS, indent=1).encode()),
        "gz": ("rows.jsonl.gz", gzip.compress(LINES.encode(), mtime=0)),
        "csv": ("rows.csv", b"question,answer\n" + b'"a\nb",c\n' * 300),
    }
    if request.param == "parquet":
        parquet(tmp_path / "rows.parquet")
        return str(tmp_path / "rows.parquet")
    if request.param == "folder":
        for n in range(3):
            (tmp_path / f"part{n}.jsonl").write_text(LINES)
        return str(tmp_path)
    name, content = made[request.param]
    (tmp_path / name).write_bytes(content)
    return str(tmp_path / name)


@pytest.mark.parametrize("split", ["train", "train[7:200]", "train[-50:]", "train[10%:90%]"])
def test_every_row_is_the_one_that_reading_gives(source, split):
    expected = {row.number - 1: row for row in read_rows(source, split)}
    access = RowAccess(source, split)
    assert access.row(None) == expected[min(expected)]
    for number in random.Random(0).sample(sorted(expected), 40):
        assert access.row(number) == expected[number]
    for number in (min(expected) - 1, max(expected) + 1, max(expected) + 10**6):
        said = f"holds the rows {min(expected)} to {max(expected)}, counted"
        with pytest.raises(UsageError, match=said):
            access.row(number)


@pytest.mark.timing
@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "parquet"])
def test_rows_of_a_large_file_come_soon_wherever_they_are(tmp_path, ending):
    """Once the file was looked at: in 100 ms, which a screen adds 20 to."""
    path, count = tmp_path / f"rows.{ending}", 50_000
    rows = [{"question": f"q{n} " * 20, "answer": f"a{n}"} for n in range(count)]
    if ending == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
    elif ending == "csv":
        path.write_text("question,answer\n" + "".join(f"{r['question']},a\n" for r in rows))
    elif ending == "json":
        path.write_text(json.dumps(rows))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    access = RowAccess(str(path))
    access.row(count - 1)
    took = []
    for number in random.Random(0).sample(range(count), 30):
        began = time.perf_counter()
        assert access.row(number).fields["question"].startswith(f"q{number} ")
        took.append(time.perf_counter() - began)
    print(ending, f"median {sorted(took)[15] * 1e3:.2f} ms, most {max(took) * 1e3:.2f} ms")
    assert sorted(took)[15] < 0.1
