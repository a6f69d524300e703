"""Rows, splits and slices are those that `datasets` itself gives for the same files."""

import csv
import gzip
import json

import datasets
import pytest
from datasets.data_files import DataFilesDict, get_data_patterns

from sft_tui.core.data.row_files import locate, read_rows
from sft_tui.core.errors import DataError

ROWS = [
    {
        "context": f'Line one,\n"two" \u00e9\u2028 {number}',
        "question": "\U0001f600" * (number % 3) + "?",
        "answers": {"text": ["a", "b"][: number % 3], "answer_start": [number, 1][: number % 3]},
        "turns": [{"role": "user", "content": f"{number}"}] * (number % 2),
    }
    for number in range(37)
]
FLAT = [{"context": row["context"], "question": row["question"] + "x"} for row in ROWS]
SLICES = [
    "train",
    "train[:10]",
    "train[5:]",
    "train[-7:]",
    "train[-20:-3]",
    "train[3:1000]",
    "train[10%:20%]",
    "train[:33%]",
    "train[-15%:]",
    "train[50%:]",
    "train[5%:95%]",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One file per format, which all hold the same rows."""
    place = tmp_path_factory.mktemp("formats")
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    (place / "rows.jsonl").write_text(lines)
    (place / "rows.jsonl.gz").write_bytes(gzip.compress(lines.encode(), mtime=0))
    (place / "rows.json").write_text(json.dumps(ROWS, indent=2, ensure_ascii=False))
    with (place / "rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, FLAT[0])
        writer.writeheader()
        writer.writerows(FLAT)
    datasets.Dataset.from_list(ROWS).to_parquet(place / "rows.parquet", batch_size=10)
    return place


@pytest.fixture(scope="module")
def theirs(folder, tmp_path_factory):
    """Loads a file as `datasets` does."""
    cache = tmp_path_factory.mktemp("cache")

    def load(name, split):
        builder = {"jsonl": "json", "gz": "json"}.get(name.split(".")[-1], name.split(".")[-1])
        loaded = datasets.load_dataset(
            builder, data_files=str(folder / name), split=split, cache_dir=str(cache)
        )
        return loaded.to_list()

    return load


def ours(source, split="train"):
    return [row.fields for row in read_rows(str(source), split)]


@pytest.mark.parametrize("split", SLICES)
@pytest.mark.parametrize(
    "name", ["rows.jsonl", "rows.jsonl.gz", "rows.json", "rows.csv", "rows.parquet"]
)
def test_a_file_gives_the_rows_that_datasets_gives(folder, theirs, name, split):
    expected = theirs(name, split)
    assert ours(folder / name, split) == expected
    assert expected


@pytest.mark.parametrize("total", [1, 3, 37, 99, 150, 1001])
def test_percent_boundaries_are_rounded_as_datasets_rounds(tmp_path, total):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f'{{"n": {n}}}\n' for n in range(total)))
    loaded = datasets.Dataset.from_dict({"n": range(total)})
    lengths = {"train": total}
    for start, stop in [(0, 1), (1, 2), (33, 66), (-1, 100), (-50, -25), (0, 0), (100, 100)]:
        spec = f"train[{start}%:{stop}%]"
        (part,) = datasets.ReadInstruction.from_spec(spec).to_absolute(lengths)
        assert [row["n"] for row in ours(path, spec)] == loaded["n"][part.from_ : part.to]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A data set and a dictionary of two, saved to disk in several shards."""
    place = tmp_path_factory.mktemp("saved")
    whole = datasets.Dataset.from_list(ROWS)
    whole.save_to_disk(place / "one", num_shards=3)
    parts = {"train": whole.select(range(0, 30, 2)), "test": whole.shuffle(seed=1).select(range(5))}
    datasets.DatasetDict(parts).save_to_disk(place / "several")
    return place


@pytest.mark.parametrize("split", SLICES)
def test_a_saved_data_set_gives_its_rows(saved, split):
    (part,) = datasets.ReadInstruction.from_spec(split).to_absolute({"train": len(ROWS)})
    expected = datasets.load_from_disk(saved / "one").to_list()[part.from_ : part.to]
    assert ours(saved / "one", split) == expected


@pytest.mark.parametrize("split", ["train", "test"])
def test_each_split_of_a_saved_dictionary_gives_its_rows(saved, split):
    """Selected and shuffled rows are saved in their order."""
    expected = datasets.load_from_disk(saved / "several")[split].to_list()
    assert ours(saved / "several", split) == expected


def test_an_unknown_split_of_a_saved_dictionary_lists_those_there_are(saved):
    with pytest.raises(DataError, match="its splits are train, test"):
        ours(saved / "several", "validation")


def test_a_saved_data_set_is_known_by_its_own_split_too(tmp_path):
    whole = datasets.Dataset.from_list(ROWS, split="test")
    whole.save_to_disk(tmp_path / "saved")
    assert ours(tmp_path / "saved", "test") == ours(tmp_path / "saved") == ROWS


def test_an_empty_saved_data_set_has_no_rows(tmp_path):
    whole = datasets.Dataset.from_list(ROWS)
    whole.select([]).save_to_disk(tmp_path / "saved")
    assert ours(tmp_path / "saved") == []


@pytest.mark.parametrize("damage", ["file", "state", "indices", "outside", "short"])
def test_a_damaged_save_is_told(tmp_path, damage):
    folder = tmp_path / "saved"
    datasets.Dataset.from_list(ROWS).save_to_disk(folder)
    shard, state = next(folder.glob("*.arrow")), folder / "state.json"
    content = json.loads(state.read_text())
    if damage == "file":
        shard.unlink()
    elif damage == "state":
        state.write_text(state.read_text()[:20])
    elif damage == "indices":
        state.write_text(json.dumps(content | {"_indices_files": [{"filename": "i.arrow"}]}))
    elif damage == "outside":
        (tmp_path / "other.arrow").write_bytes(shard.read_bytes())
        outside = [{"filename": "../other.arrow"}]
        state.write_text(json.dumps(content | {"_data_files": outside}))
    else:
        shard.write_bytes(shard.read_bytes()[:-600])
    with pytest.raises(DataError) as caught:
        ours(folder)
    told = {"file": "missing", "state": "state.json", "indices": "order of its rows"}
    assert told.get(damage, "damaged") in str(caught.value)


@pytest.mark.parametrize(
    "names",
    [
        ["train.jsonl", "test.jsonl", "validation.jsonl", "notes.jsonl"],
        ["a.jsonl", "b.jsonl"],
        ["data/train-00000-of-00001.jsonl", "data/dev-00000-of-00001.jsonl", "test.jsonl"],
        ["train/a.jsonl", "eval/b.jsonl", "test.jsonl"],
        ["x-train-y/a.jsonl", "deep/my_val/b.jsonl", "c.jsonl"],
        ["my train.jsonl", "train2.jsonl", "retrain.jsonl", "training_1.jsonl"],
        ["train_test.jsonl", "dev.jsonl", "valid.jsonl", "evaluation.jsonl"],
        ["sub/train.jsonl", ".hidden/test.jsonl", "__cache__/test.jsonl"],
    ],
)
def test_the_files_of_a_split_are_those_that_datasets_finds(tmp_path, names):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('{"a": 1}\n')
    found = DataFilesDict.from_patterns(get_data_patterns(str(tmp_path)), str(tmp_path))
    for split, files in found.items():
        paths = sorted(str(path) for path in locate(str(tmp_path), str(split)).paths)
        assert paths == sorted(files)
    with pytest.raises(DataError, match=f"its splits are {', '.join(map(str, found))}$"):
        locate(str(tmp_path), "no_such_split")
