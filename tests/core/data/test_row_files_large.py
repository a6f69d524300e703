"""Large files: the first row is there at once, and memory does not grow with the file."""

import gzip
import json
import os
import subprocess
import sys
import time
import tracemalloc
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from sft_tui.core.data.row_files import RawRow, read_rows, total_bytes

MIB = 1 << 20
ROW = {"text": 'word é "q" \\ ' * 150, "turns": [{"role": "user", "content": "x" * 200}] * 2}
LINE = json.dumps(ROW, ensure_ascii=False).encode()


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Files of about 200 MiB, by format."""
    folder = tmp_path_factory.mktemp("large")
    cell = '"' + ROW["text"].replace('"', '""') + '"'
    shapes = {
        "jsonl": (b"", LINE + b"\n", b""),
        "json": (b"[", LINE + b", ", LINE + b"]"),
        "pretty.json": (b'{"data": [\n', json.dumps(ROW, indent=2).encode() + b",\n", LINE + b"]}"),
        "csv": (b"text,n\n", f"{cell},1\n".encode(), b""),
    }
    paths = {}
    for name, (head, row, tail) in shapes.items():
        paths[name] = folder / f"rows.{name}"
        block = row * 100
        with paths[name].open("wb") as file:
            file.write(head)
            for _ in range(200 * MIB // len(block)):
                file.write(block)
            file.write(tail)
    paths["parquet"] = folder / "rows.parquet"
    with pa.parquet.ParquetWriter(paths["parquet"], pa.table({"text": ["x"]}).schema) as writer:
        for _ in range(20):
            words = [os.urandom(1000).hex() for _ in range(1000)]
            writer.write_table(pa.table({"text": words}))
    yield paths
    for path in paths.values():
        path.unlink()


FORMATS = ["jsonl", "json", "pretty.json", "csv"]


@pytest.mark.timing
@pytest.mark.parametrize("name", FORMATS)
def test_the_first_row_needs_only_the_start_of_the_file(large, name):
    told = []
    start = time.perf_counter()
    rows = read_rows(str(large[name]), on_bytes=told.append)
    first = next(rows)
    took = time.perf_counter() - start
    assert isinstance(first, RawRow) and first.fields["text"] == ROW["text"]
    assert told[-1] <= 4 * MIB
    assert took < 0.5
    rows.close()


@pytest.mark.parametrize("name", [*FORMATS, "parquet"])
def test_memory_stays_flat_over_a_part_of_a_large_file(large, name):
    rows = read_rows(str(large[name]))
    next(rows)
    tracemalloc.start()
    try:
        assert sum(1 for _ in islice(rows, 8000)) == 8000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * MIB
    rows.close()


@pytest.mark.parametrize("name", ["jsonl", "json"])
def test_a_whole_large_file_fits_into_little_memory(large, name):
    code = (
        "import sys, resource\n"
        "from sft_tui.core.data.row_files import read_rows\n"
        "rows = read_rows(sys.argv[1]); next(rows)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "count = 1 + sum(1 for _ in rows)\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(count, (after - before) // 1024)\n"
    )
    command = [sys.executable, "-c", code, str(large[name])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    count, grown = map(int, done.stdout.split())
    assert count > 50_000
    assert grown < 48


@pytest.mark.parametrize("name", FORMATS)
def test_a_slice_reads_no_further_than_its_end(large, name):
    told = []
    rows = list(read_rows(str(large[name]), "train[100:200]", told.append))
    assert [row.number for row in rows] == list(range(101, 201))
    assert told[-1] <= 4 * MIB < total_bytes(str(large[name]))


def test_a_damaged_element_of_a_large_list_does_not_end_it(tmp_path):
    """What follows is found without the whole of it in memory, even behind a large element."""
    path = tmp_path / "rows.json"
    broken = b'{"text": tru, "more": ["' + b"x\\n" * (3 * MIB) + b'", {}]}'
    path.write_bytes(b"[" + (LINE + b", ") * 100 + broken + (b", " + LINE) * 100 + b"]")
    rows = list(read_rows(str(path)))
    assert [row.number for row in rows if not isinstance(row, RawRow)] == [101]
    assert len(rows) == 201


def test_a_quote_that_never_closes_does_not_cost_the_rest_of_a_large_table(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n" + "x,y\n" * 10 + '"open,y\n' + "x,y\n" * 500_000)
    found = [row for row in read_rows(str(path)) if not isinstance(row, RawRow)]
    assert [row.place for row in found] == ["line 12"]


def test_a_packed_file_is_unpacked_as_it_is_read(tmp_path):
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress((LINE + b"\n") * 20_000, 1, mtime=0))
    told = []
    rows = read_rows(str(path), on_bytes=told.append)
    tracemalloc.start()
    try:
        assert sum(1 for _ in islice(rows, 5000)) == 5000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * MIB
    rows.close()


@pytest.mark.parametrize("name", [*FORMATS, "parquet"])
def test_a_file_is_closed_when_reading_stops_early(large, name):
    def is_open():
        links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        return str(large[name]) in {os.readlink(link) for link in links if link.exists()}

    rows = read_rows(str(large[name]))
    next(rows)
    assert is_open()
    rows.close()
    assert not is_open()


def test_text_files_are_read_without_pyarrow(large):
    code = (
        "import sys\n"
        "from sft_tui.core.data.row_files import read_rows\n"
        "next(read_rows(sys.argv[1])); print('pyarrow' in sys.modules, 'numpy' in sys.modules)\n"
    )
    command = [sys.executable, "-c", code, str(large["json"])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
