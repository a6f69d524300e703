"""A look at data that is being chosen: bounded, whatever the file, and never a traceback."""

import json
import os
import time

import pytest

from sft_tui.core.config import DataConfig, SourceConfig
from sft_tui.core.data import found
from sft_tui.core.data.look import check_rows, glance, look

SHAPES = {
    "alpaca": {"instruction": "Add.", "input": "1 1", "output": "2"},
    "squad": {"context": "Bern is in Switzerland.", "question": "Where is Bern?",
              "answers": {"text": ["in Switzerland"], "answer_start": [8]}},
    "prompt_completion": {"prompt": "Where is Bern?", "completion": "In Switzerland."},
    "messages": {"messages": [{"role": "user", "content": "Hi"},
                              {"role": "assistant", "content": "Hello"}]},
    "sharegpt": {"conversations": [{"from": "human", "value": "Hi"},
                                   {"from": "gpt", "value": "Hello"}]},
    "text": {"text": "Once upon a time."},
}  # fmt: skip


def write(path, rows) -> str:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return str(path)


def looked(source: str, **more):
    return look(SourceConfig(source=source, **more), DataConfig())


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_recognised_and_mapped(tmp_path, shape):
    """U19"""
    seen = looked(write(tmp_path / "rows.jsonl", [SHAPES[shape]] * 3))

    assert (seen.shape, seen.certainty, seen.trouble) == (shape, "sure", None)
    assert set(seen.needed) <= set(seen.columns)
    assert seen.usable == len(seen.rows) == 3 and seen.whole
    assert seen.rows[0].turns[-1].role in ("assistant", "text")


def test_places_within_rows_have_paths_fill_and_samples(tmp_path):
    rows = [{"q": "Where?", "a": {"text": ["here", "there"], "x.y": 1}}, {"q": "", "a": None}]
    seen = looked(write(tmp_path / "rows.jsonl", rows))

    paths = {column.path: (column.fill, column.sample) for column in seen.paths}
    assert paths["a.text[0]"] == (0.5, "here")
    assert paths["q"] == (0.5, "Where?")
    assert "a.x.y" not in paths, "no path could spell it"
    assert seen.trouble.kind == "columns" and "q, a" in seen.trouble.why


def test_a_bad_row_has_its_place_and_the_others_are_there(tmp_path):
    """U18"""
    good = SHAPES["prompt_completion"]
    path = write(tmp_path / "rows.jsonl", [good, '{"prompt": "a" "completion": "b"}', good])

    seen = looked(path)
    (bad,) = seen.bad
    assert (bad.number, bad.place) == (1, "line 2, column 16")
    assert seen.usable == 2
    checked = check_rows(SourceConfig(source=path), DataConfig(), lambda told: None)
    assert (checked.rows, checked.usable, checked.problems) == (3, 2, {"unreadable_row": 1})
    assert checked.bad == [bad]


def test_roles_of_turns_that_nobody_knows_are_named_and_can_be_mapped(tmp_path):
    turns = [{"role": "client", "content": "Hi"}, {"role": "bot", "content": "Hello"}]
    path = write(tmp_path / "rows.jsonl", [{"messages": turns}])

    assert looked(path).turn_roles == {"client": "", "bot": ""}
    mapped = looked(path, roles={"client": "user", "bot": "assistant"})
    assert [turn.role for turn in mapped.rows[0].turns] == ["user", "assistant"]


@pytest.mark.timing
def test_a_look_ends_soon_whatever_the_size_of_rows_and_file(tmp_path):
    large = write(tmp_path / "large.jsonl", [{"prompt": "x" * 1_000_000, "completion": "y"}] * 60)
    many = write(tmp_path / "many.jsonl", [SHAPES["alpaca"]] * 50_000)

    for path in (large, many):
        began = time.monotonic()
        seen = looked(path)
        assert time.monotonic() - began < 3 and seen.usable >= 1
        assert all(len(turn.text) < 2000 for row in seen.rows for turn in row.turns)
    began = time.monotonic()
    assert glance(SourceConfig(source=many), 0.01).rows is None
    assert time.monotonic() - began < 0.5
    told = []
    checked = check_rows(SourceConfig(source=many), DataConfig(), told.append)
    assert checked.rows == checked.usable == 50_000


DEEP = '{"question": ' + "[" * 2000 + "]" * 2000 + ', "answer": "b"}'
HOSTILE = {
    "deep": [DEEP, SHAPES["alpaca"]],
    "nested": [{"question": json.loads("[" * 300 + "]" * 300), "answer": "b"}],
    "nul": [{"question": "a\0b", "answer": "\x1b]0;title\x07b"}],
    "numbers": [{"question": 1, "answer": 2.5}],
    "names": [{"[bold]": 1, "": 2, "a.b": 3, "a[0": 4, "\x1b[31m": 5}],
    "many columns": [{f"column {n}": n for n in range(2000)}],
    "no row": ["1", "2"],
    "empty": [],
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_whatever_stands_in_a_file_comes_back_as_facts(tmp_path, kind):
    path = write(tmp_path / "rows.jsonl", HOSTILE[kind])

    seen = looked(path)
    assert seen.rows or seen.trouble
    assert "\0" not in str(seen.rows) and "\x1b" not in str(seen.rows)
    glance(SourceConfig(source=path), 1.0)


@pytest.mark.parametrize("columns", [{"prompt": "[["}, {"prompt": "gone"}, {"answers": "q"}])
def test_columns_that_cannot_be_read_are_told(tmp_path, columns):
    seen = looked(write(tmp_path / "rows.jsonl", [{"q": "a", "answer": "b"}]), columns=columns)

    assert seen.trouble is not None and seen.trouble.kind == "columns"
    assert seen.paths


def test_what_is_evaluated_on_is_looked_for_too(tmp_path):
    path = write(tmp_path / "rows.jsonl", [SHAPES["alpaca"]] * 2)
    source = SourceConfig(source=path)

    gone = look(source, DataConfig(eval_source=str(tmp_path / "gone.jsonl")))
    assert gone.evaluation is not None and "no such file" in gone.evaluation.why
    none = look(source, DataConfig(eval_split="test"))
    assert none.evaluation is not None and "test" in none.evaluation.what
    hub = look(source, DataConfig(eval_source="acme/heldout"))
    assert hub.evaluation is None and [wanted.id for wanted in hub.missing] == ["acme/heldout"]


def test_choice_lists_data_then_recent_then_bundled(tmp_path, monkeypatch):
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))
    folder, other = tmp_path / "work", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    write(folder / "b.jsonl", [SHAPES["alpaca"]])
    write(folder / "[red]a\x1b[31m\nb.json", [SHAPES["alpaca"]])
    (folder / "notes.txt").write_text("no data")
    (folder / "config.json").write_text("{}")
    (folder / "many" / "deep").mkdir(parents=True)
    write(folder / "many" / "train.jsonl", [SHAPES["alpaca"]])
    (folder / "empty").mkdir()
    old = write(other / "old.jsonl", [SHAPES["alpaca"]])
    found.remember(old)
    found.remember(str(folder / "b.jsonl"))
    found.remember(old)

    seen = found.choice(folder).found
    assert [each.kind for each in seen] == ["file", "file", "folder", "recent", "demo"]
    assert [each.name for each in seen[1:]] == ["b.jsonl", "many", "old.jsonl", "demo"]
    os.remove(old)
    assert "recent" not in [each.kind for each in found.choice(folder).found]


def test_a_name_that_no_configuration_can_hold_is_listed_with_why(tmp_path, monkeypatch):
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))
    (tmp_path / os.fsdecode(b"a\xff.jsonl")).write_text("{}")

    (listed, _) = found.choice(tmp_path).found
    assert "not UTF-8" in listed.problem and listed.name == "a\ufffd.jsonl"


def test_a_folder_that_cannot_be_listed_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))

    seen = found.choice(tmp_path / "gone")
    assert "No such file" in seen.problem and [each.kind for each in seen.found] == ["demo"]
