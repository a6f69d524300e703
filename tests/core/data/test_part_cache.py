"""Prepared rows that are kept: equal to fresh ones, never taken for others, whatever changes."""

import json
import os
import time
from pathlib import Path

import pytest

from sft_tui.core import config_file
from sft_tui.core.data import dataset, examples, part_cache
from sft_tui.core.data.part_cache import PartCache
from sft_tui.core.data.statistics import statistics
from sft_tui.core.prompt import sandbox

ROWS = [
    *({"prompt": f"Why {n}? " + "so " * n, "completion": f"Because of {n}."} for n in range(30)),
    {"prompt": "Why?", "completion": ""},
    {"prompt": "Strange \x1b[31m", "completion": "ÄÖÜ " * 90},
    {"prompt": "why 3? SO so so", "completion": "because of 3"},
    {"prompt": 7, "completion": None},
]


@pytest.fixture
def prepare(tmp_path, monkeypatch, write, make_tokenizer, facts_of, templates):
    """Gathers `rows.jsonl` with a cache; tells whether rows were made, and what was said."""
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))
    write("rows.jsonl", "\n".join(map(json.dumps, ROWS)))

    def run(*sets, template="chatml", text=None, source="rows.jsonl", adds_bos=False):
        config = config_file.build(
            [f"data.source={tmp_path / source}", "data.ignore_problems=[wrong_row]",
             "data.max_length=100", "data.eval_fraction=0.2", *sets]
        )  # fmt: skip
        made = make_tokenizer(text or templates[template], adds_bos=adds_bos)
        tokenizer, facts = made.backend_tokenizer, facts_of(made)
        run.said, run.made = [], False

        def encoded(*arguments):
            run.made = True
            return encode(*arguments)

        monkeypatch.setattr(examples, "encode", encoded)
        cache = PartCache(tokenizer, facts, run.said.append)
        return dataset.gather(config, tokenizer, facts, cache=cache)

    encode = examples.encode
    return run


@pytest.fixture
def entries(tmp_path):
    return lambda: sorted((tmp_path / "home" / "prepared").glob("*"))


def content(found):
    sides = [[(row.input_ids, row.labels, row.answer_start) for row in found.picked(side)]
             for side in found.sides()]  # fmt: skip
    return sides, statistics(found, complete=True), found.refuse_broken()


def test_rows_come_back_with_all_that_was_found_in_them(prepare, entries):
    first = prepare()
    assert prepare.made
    second = prepare()
    assert not prepare.made and not prepare.said
    assert content(first) == content(second)
    assert {problem.id for problem in second.problems()} >= {
        "wrong_row", "empty_answer", "control_characters", "answer_cut"
    }  # fmt: skip
    (entry,) = entries()
    assert entry.stat().st_mode & 0o777 == 0o600
    assert entry.parent.stat().st_mode & 0o777 == 0o700


def test_an_entry_is_a_safetensors_file(prepare, entries):
    from safetensors.numpy import load_file

    found = prepare()
    (entry,) = entries()
    held = load_file(entry)
    assert held["ids"].tolist() == list(found.parts[0].encoded.ids)
    assert held["groups"].tolist() == list(found.parts[0].groups)


@pytest.mark.parametrize(
    "sets",
    [
        ["data.eval_fraction=0.5"],
        ["data.sources.0.weight=2"],
        ["data.shuffle=false", "train.seed=7", "optim.learning_rate=0.01"],
        ["data.ignore_problems=[wrong_row, duplicates]"],
    ],
)
def test_what_changes_no_row_needs_no_new_pass(prepare, sets):
    prepare()
    prepare(*sets)
    assert not prepare.made


@pytest.mark.parametrize(
    "sets",
    [
        ["data.max_length=60"],
        ["data.loss_on=full"],
        ["data.truncate=drop"],
        ["data.empty_answers=text", "data.empty_answer_text=None."],
        ["data.sources.0.system=Be kind."],
        ["data.sources.0.template=plain"],
        ["data.sources.0.split=train[:20]"],
        ["data.sources.0.columns={prompt: completion, completion: prompt}"],
    ],
)
def test_another_configuration_is_prepared_anew(prepare, sets):
    prepare()
    prepare(*sets)
    assert prepare.made


def test_another_tokenizer_or_template_is_prepared_anew(prepare):
    for changed in ({}, {"template": "bos"}, {"adds_bos": True}):
        prepare(**changed)
        assert prepare.made


def test_a_file_that_changed_within_its_size_and_time_is_read_anew(prepare, tmp_path):
    prepare()
    path = tmp_path / "rows.jsonl"
    facts = path.stat()
    path.write_text(path.read_text().replace("Because of 7", "Because of 9"))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (facts.st_size, facts.st_mtime_ns)
    prepare()
    assert prepare.made


def test_the_same_rows_under_another_name_are_the_same(prepare, tmp_path):
    prepare()
    (tmp_path / "rows.jsonl").rename(tmp_path / "moved")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "moved").rename(tmp_path / "elsewhere" / "rows.jsonl")
    prepare(source="elsewhere/rows.jsonl")
    assert not prepare.made


def test_a_template_file_counts_with_its_content(prepare, write, templates):
    path = write("own.jinja", templates["chatml"])
    sets = ["data.sources.0.template=file", f"data.sources.0.template_file={path}"]
    prepare(*sets)
    path.write_text(templates["chatml"].replace("im_start", "im_end"))
    prepare(*sets)
    assert prepare.made


def test_our_own_code_counts(prepare, monkeypatch, tmp_path):
    prepare()
    code = tmp_path / "core" / "data"
    code.mkdir(parents=True)
    (code / "rows.py").write_text("# another version")
    monkeypatch.setattr(part_cache, "__file__", str(code / "part_cache.py"))
    prepare()
    assert prepare.made


def test_a_template_that_says_the_date_is_rendered_anew_on_another_day(prepare, monkeypatch):
    text = "{{ strftime_now('%d %b') }}{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}"
    prepare(text=text)
    prepare(text=text)
    assert not prepare.made
    for module in (sandbox, part_cache):
        monkeypatch.setattr(module, "strftime_now", lambda form: "31 Dec")
    prepare(text=text)
    assert prepare.made
    prepare(text=text)
    assert not prepare.made


def test_a_time_that_goes_on_while_rows_are_rendered_keeps_none(prepare, monkeypatch, entries):
    ticks = iter(range(10_000))
    monkeypatch.setattr(sandbox, "strftime_now", lambda form: f"{next(ticks)}")
    prepare(text="{{ strftime_now('%S') }}{% for m in messages %}{{ m.content }}{% endfor %}")
    assert not entries()


def damaged(data, where):
    if where == "cut":
        return data[:-3]
    if where == "empty":
        return b""
    if where == "huge":
        return data.replace(b'"shape":[', b'"shape":[9999999999', 1)
    place = {"length": 3, "header": 40, "data": len(data) - 100}[where]
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("where", ["cut", "empty", "huge", "length", "header", "data"])
def test_a_damaged_entry_is_noticed_and_made_anew(prepare, entries, where):
    first = content(prepare())
    (entry,) = entries()
    whole = entry.read_bytes()
    entry.write_bytes(damaged(whole, where))
    again = prepare()
    (said,) = prepare.said
    assert prepare.made and "is damaged" in said and "prepared again" in said
    assert content(again) == first and entry.read_bytes() == whole


def test_nothing_is_kept_of_a_file_that_changes_while_it_is_read(prepare, entries, tmp_path):
    class Growing(dataset.Dataset):
        def add(self, example):
            super().add(example)
            with (tmp_path / "rows.jsonl").open("a") as file:
                file.write("\n")

    plain, dataset.Dataset = dataset.Dataset, Growing
    try:
        prepare()
    finally:
        dataset.Dataset = plain
    assert not entries()


def test_the_oldest_entries_make_room(prepare, entries, monkeypatch):
    prepare()
    (first,) = entries()
    prepare("data.max_length=50")
    second = next(path for path in entries() if path != first)
    os.utime(second, (time.time() - 100,) * 2)
    leftover = first.with_name(".x.safetensors.1.abc")
    leftover.write_text("never finished")
    os.utime(leftover, (time.time() - 10_000,) * 2)
    monkeypatch.setattr(part_cache, "MOST_BYTES", 2 * first.stat().st_size + 1)
    prepare("data.max_length=70")
    assert first in entries() and len(entries()) == 2 and second not in entries()


def test_an_entry_that_is_used_stays(prepare, entries):
    prepare()
    (entry,) = entries()
    os.utime(entry, (1e9, 1e9))
    prepare()
    assert time.time() - entry.stat().st_mtime < 60


def test_a_full_disk_is_told_and_hinders_nothing(prepare, monkeypatch, mount_disk):
    disk = mount_disk("16k")
    monkeypatch.setenv("SFT_TUI_HOME", str(disk))
    assert len(prepare().sides()[0]) > 20
    (said,) = prepare.said
    assert "not kept" in said and not list(Path(disk).rglob("*.safetensors"))


def test_a_home_that_is_no_folder_is_told_and_hinders_nothing(prepare, monkeypatch, write):
    monkeypatch.setenv("SFT_TUI_HOME", str(write("home", "")))
    assert len(prepare().sides()[0]) > 20
    assert "Not a directory" in prepare.said[-1]
