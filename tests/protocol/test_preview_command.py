"""`sft-tui preview`: rows and statistics as a user and a program see them."""

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROW_KEYS = {
    "row", "source", "shape", "shape_reason", "certainty", "template", "mask_from", "text",
    "unused_columns",
    "tokens", "input_ids", "labels", "cut_tokens", "cut_trained", "cut", "problems",
    "cut_at", "turns",
}  # fmt: skip
PAIRS = [{"prompt": f"Q{n}?", "completion": f"It is {n}."} for n in range(30)]


@pytest.fixture(scope="session")
def warm(tiny, tmp_path_factory) -> Path:
    """The cache of the tiny model's tokenizer: making it takes seconds."""
    home = tmp_path_factory.mktemp("warm")
    subprocess.run(
        [sys.executable, "-P", "-m", "sft_tui.core.training.tokenizer_helper", tiny.model],
        env={**os.environ, "SFT_TUI_HOME": str(home)},
        check=True,
    )
    return home / "tokenizers"


@pytest.fixture
def preview(tiny, cli, sft_home, warm, tmp_path):
    """Runs `preview` on some rows; rows may be texts of lines, or a path."""
    shutil.copytree(warm, sft_home / "tokenizers")

    def run(rows, *arguments, **options):
        path = rows
        if isinstance(rows, list):
            path = tmp_path / "rows.jsonl"
            lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
            path.write_text("\n".join(lines))
        sets = ["--set", f"model.name={tiny.model}", "--set", "data.max_length=400"]
        return cli.sft("preview", path, *sets, *arguments, **options)

    return run


def test_a_row_as_json_says_everything_and_adds_up(preview):
    done = preview(PAIRS, "--row", 3, "--json")
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert set(row) == ROW_KEYS
    assert (row["row"], row["shape"], row["template"]) == (3, "prompt_completion", "alpaca")
    assert [token["id"] for token in row["tokens"]] == row["input_ids"]
    assert "".join(token["text"] for token in row["tokens"]) == row["text"] + "<eos>"
    trained = "".join(token["text"] for token in row["tokens"] if token["trained"])
    assert trained == "It is 3.<eos>"
    assert row["tokens"][-1]["special"] and not row["tokens"][0]["special"]
    assert row["labels"] == [token["id"] if token["trained"] else -100 for token in row["tokens"]]


def test_a_row_in_words_has_brackets_around_what_is_trained_and_no_escapes(preview):
    """U30"""
    done = preview(PAIRS, "--row", 3)
    assert done.returncode == 0 and "\x1b" not in done.stdout
    assert "▌It is 3.<eos>▐" in done.stdout
    assert "### Response:\n▌" in done.stdout


def test_the_mask_can_be_read_without_colour_or_unicode(preview):
    """U30"""
    rows = [{"prompt": "Où?", "completion": "Là-bas.\nVoilà."}]
    done = preview(rows, "--ascii")
    assert done.returncode == 0 and done.stdout.isascii()
    lines = done.stdout.splitlines()
    place = lines.index("L\\xe0-bas.")
    assert lines[place + 1] == "^" * len(lines[place])
    assert lines[place + 2 : place + 4] == ["Voil\\xe0.<eos>", "^" * 14]
    asked = next(index for index, line in enumerate(lines) if line == "O\\xf9?")
    assert lines[asked + 1] == "......"


def test_another_template_renders_the_same_row_with_other_problems(preview):
    """U34"""
    rows = [{"prompt": "Q?", "completion": "A.", "system": "Be kind."}, *PAIRS[:2]]

    def problems(template):
        chosen = f"data.sources.0.template={template}"
        found = json.loads(preview(rows, "--stats", "--json", "--set", chosen).stdout)["problems"]
        return {problem["id"]: problem["count"] for problem in found}

    refused = preview(rows, "--set", "data.sources.0.template=alpaca")
    assert refused.returncode == 1 and "no place for its system message" in refused.stderr
    shown = preview(rows, "--set", "data.sources.0.template=chatml").stdout
    assert "<|im_start|>system\nBe kind." in shown and "▌A." in shown
    assert problems("alpaca") == {"template_fails": 1}
    assert problems("chatml") == {"system_in_some": 1}


def test_a_cut_row_says_what_is_lost(preview):
    """U31"""
    rows = [*PAIRS, {"prompt": "Say", "completion": "word " * 100}]
    done = preview(rows, "--row", 30, "--json")
    row = json.loads(done.stdout)
    assert row["cut_tokens"] == len(row["cut"]) > 0
    assert row["cut_trained"] == sum(token["trained"] for token in row["cut"])
    assert len(row["input_ids"]) == 400
    assert [problem["id"] for problem in row["problems"]] == ["answer_cut", "edge_space"]
    text = preview(rows, "--row", 30).stdout
    assert f"✂ cut by data.max_length: {row['cut_tokens']} tokens lost" in text
    assert f"{row['cut_trained']} were trained" in text


def test_a_bad_row_is_named_with_line_and_column_and_the_others_are_shown(preview):
    """U18"""
    rows = [PAIRS[0], '{"prompt": "a", "completion": tru}', PAIRS[1]]
    bad = preview(rows, "--row", 1)
    assert bad.returncode == 1 and "line 2, column 31" in bad.stderr
    assert preview(rows, "--row", 2).returncode == 0
    stats = preview(rows, "--stats", "--json")
    assert stats.returncode == 1
    (problem,) = [p for p in json.loads(stats.stdout)["problems"] if p["severity"] == "error"]
    assert (problem["id"], problem["row"]) == ("unreadable_row", 1)
    assert "line 2, column 31" in problem["message"]
    allowed = preview(rows, "--stats", "--set", "data.ignore_problems=[unreadable_row]")
    assert allowed.returncode == 0 and "✗ unreadable_row" in allowed.stdout


@pytest.mark.parametrize("number", [30, -1, 10**12])
def test_a_row_that_is_not_there_is_refused(preview, number):
    done = preview(PAIRS, "--row", number)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"no row {number}" in done.stderr and "it holds the rows 0 to 29" in done.stderr


def test_without_a_number_the_first_row_of_the_slice_is_shown(preview):
    """Rows keep the numbers of the whole file."""
    part = ("--set", "data.sources.0.split=train[10:20]")
    assert preview(PAIRS, *part).stdout.startswith("row 10 of ")
    missed = preview(PAIRS, "--row", "3", *part)
    assert missed.returncode == 2 and "it holds the rows 10 to 19" in missed.stderr


def test_a_link_that_leads_to_itself_is_no_file(preview, tmp_path):
    (tmp_path / "loop.jsonl").symlink_to("loop.jsonl")
    done = preview(str(tmp_path / "loop.jsonl"))
    assert done.returncode == 1 and "cannot be found" in done.stderr


def test_what_terminals_obey_stays_out_of_json(preview):
    done = preview([{"prompt": "a\x9b31m\u202eb\x7f", "completion": "Yes, it is."}], "--json")
    assert done.stdout.isascii() and "\x7f" not in json.loads(done.stdout)["source"]
    assert "\x9b31m\u202e" in json.loads(done.stdout)["text"]


def test_remedies_name_the_source_that_they_are_for(preview, tmp_path):
    talks = [
        {"messages": [{"role": who, "content": f"Q{n}?"}, {"role": "assistant", "content": "Yes."}]}
        for n, who in enumerate(["user", "robot", "user"])
    ]
    for name, rows in (("a", PAIRS), ("b", talks)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    own = tmp_path / "two.yaml"
    own.write_text("data: {sources: [{source: a.jsonl}, {source: b.jsonl}]}")
    row = preview(own, "--source", "1", "--row", "1")
    assert row.returncode == 1 and "data.sources.1.roles" in row.stderr
    found = json.loads(preview(own, "--stats", "--json").stdout)["problems"]
    (problem,) = [problem for problem in found if problem["id"] == "unknown_role"]
    assert "data.sources.1.roles" in problem["message"] + problem["remedy"]
    assert "data.sources.0" not in problem["message"] + problem["remedy"]


def test_statistics_as_json_have_the_promised_keys(preview):
    """U33"""
    done = preview(PAIRS, "--stats", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0 and done.stderr == ""
    promised = {"rows", "lengths", "trained_share", "cut_rows", "dropped_rows", "duplicates",
                "packing", "problems"}  # fmt: skip
    assert promised <= set(found)
    assert set(found["lengths"]) == {"p50", "p95", "max", "histogram"}
    assert set(found["packing"]) == {
        "layout", "on_trial", "padding_share", "shared_share", "fill", "padding_share_without",
        "other_order_share", "grouped_share",
    }  # fmt: skip
    assert found["complete"] is True and found["rows"] == 30
    words = preview(PAIRS, "--stats").stdout
    assert "30 rows (all rows)" in words and "✓ no problems" in words


def test_data_of_which_nothing_is_left_fails_as_the_run_would(preview):
    done = preview(PAIRS, "--stats", "--set", "data.max_length=8", "--set", "data.truncate=drop")
    assert done.returncode == 1 and "✗ nothing_left" in done.stdout
    found = preview(PAIRS, "--stats", "--json", "--set", "data.max_length=8")
    assert found.returncode == 1
    ignored = "data.ignore_problems=[nothing_left, prompt_too_long, answer_cut]"
    assert preview(PAIRS, "--stats", "--set", "data.max_length=8", "--set", ignored).returncode == 1


def test_a_template_file_that_is_a_pipe_is_refused_at_once(preview, tmp_path):
    os.mkfifo(tmp_path / "t.jinja")
    sets = ("--set", "data.sources.0.template=file")
    done = preview(PAIRS, *sets, "--set", f"data.sources.0.template_file={tmp_path / 't.jinja'}")
    assert done.returncode == 1 and "it is not a regular file" in done.stderr


@pytest.mark.parametrize(
    ("name", "why"), [("owner/name", "Hub"), ("nope.jsonl", "no such file"), ("", "")]
)
def test_data_that_is_not_there_is_told_as_data(preview, name, why):
    done = preview(name)
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr
    assert why in done.stderr and "error: " in done.stderr


def test_what_rows_hold_is_inert(preview):
    evil = "\x1b]0;owned\x07\x1b[2J[bold red]x[/] {{ 7*'7' }} {% raw %} \u202eabc\x9b31m"
    done = preview([{"prompt": evil, "completion": evil}, *PAIRS])
    assert done.returncode == 0, done.stderr
    assert not {"\x1b", "\x9b", "\x07", "\u202e"} & set(done.stdout)
    assert "[bold red]x[/] {{ 7*'7' }} {% raw %}" in done.stdout
    assert "7777777" not in done.stdout
    row = json.loads(preview([{"prompt": evil, "completion": evil}], "--json").stdout)
    assert evil in row["text"], "a program gets what is trained, unchanged"


@pytest.mark.parametrize("no_colour", [False, True])
def test_colour_is_for_terminals_that_want_it(preview, tiny, cli, sft_home, tmp_path, no_colour):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"prompt": "Q?", "completion": "one\ntwo"}))
    leader, follower = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    if no_colour:
        environment["NO_COLOR"] = "1"
    subprocess.run(
        [cli.path, "preview", path, "--set", f"model.name={tiny.model}"],
        stdout=follower, stdin=subprocess.DEVNULL, env=environment, timeout=60, check=True,
    )  # fmt: skip
    os.close(follower)
    shown = os.read(leader, 1 << 16).decode()
    os.close(leader)
    assert "▌" in shown and "▐" in shown
    assert ("\x1b[" in shown) != no_colour
    if not no_colour:
        for line in shown.splitlines():  # a background never runs on to the end of a line
            assert line.rfind("\x1b[0m") >= line.rfind("\x1b[1;")


@pytest.mark.timing
def test_the_first_row_of_a_large_file_is_there_at_once(preview, cli, tiny, tmp_path):
    path = tmp_path / "large.jsonl"
    line = json.dumps({"prompt": "Why? " * 40, "completion": "Because. " * 150}) + "\n"
    with path.open("w") as file:
        for _ in range(100):
            file.write(line * 1300)  # 200 MB
    assert path.stat().st_size > 190 << 20
    # A small process between: a child begins with the peak of the process that forks it.
    script = (
        "import resource, subprocess, sys, time; began = time.monotonic(); "
        "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode; "
        "print(code, time.monotonic() - began, "
        "resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = [sys.executable, "-c", script, cli.path, "preview", path, "--set"]
    done = subprocess.run(
        [*command, f"model.name={tiny.model}"], capture_output=True, text=True, check=True
    )
    code, took, highest = map(float, done.stdout.split())
    assert code == 0 and took < 2.0
    assert highest < 150 << 10, "KiB: the file is not read into memory"


def test_a_second_preview_needs_no_helper_process(preview, sft_home):
    (cached,) = (sft_home / "tokenizers").iterdir()
    before = cached.stat().st_mtime_ns
    assert preview(PAIRS).returncode == 0
    assert [cached] == list((sft_home / "tokenizers").iterdir())
    assert cached.stat().st_mtime_ns == before


def test_a_run_trains_the_rows_that_statistics_prepared(tiny, cli, sft_home, tmp_path):
    path = tiny.config_file(tmp_path, "train.max_steps=2")
    assert cli.sft("preview", path, "--stats").returncode == 0
    (entry,) = (sft_home / "prepared").iterdir()
    before = entry.stat()
    done = cli.sft("train", path, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [entry] == list((sft_home / "prepared").iterdir())
    # Read, and not written once more.
    assert entry.stat().st_ino == before.st_ino and entry.stat().st_mtime_ns > before.st_mtime_ns


def test_a_changed_tokenizer_is_loaded_anew(preview, tiny, cli, sft_home, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(tiny.model, model)
    settings = json.loads((model / "tokenizer_config.json").read_text())
    settings["chat_template"] = (
        "{% for m in messages %}[{{ m.role }}] {{ m.content }}<eos>{% endfor %}"
    )
    (model / "tokenizer_config.json").write_text(json.dumps(settings))
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(PAIRS[0]))
    done = cli.sft("preview", path, "--set", f"model.name={model}")
    assert done.returncode == 0, done.stderr
    assert "for the first time" in done.stderr
    assert "[user] Q0?<eos>[assistant] ▌It is 0.<eos>▐" in done.stdout


def test_a_model_without_a_tokenizer_is_a_clear_message(tiny, cli, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(tiny.model, model)
    for file in model.glob("tokenizer*"):
        file.unlink()
    done = cli.sft("preview", tiny.data, "--set", f"model.name={model}")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "tokenizer" in done.stderr
    first, *refusal = done.stderr.splitlines()
    assert "for the first time" in first
    assert [line.split(":")[0] for line in refusal] == ["error", "why", "do"]


def test_a_configuration_with_several_sources_is_previewed_source_by_source(preview, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": f"This is {name}."}))
    (tmp_path / "run.yaml").write_text(
        "data: {sources: [{source: a.jsonl}, {source: b.jsonl, weight: 2}], eval_fraction: 0}\n"
        "evaluate: {every_steps: null}\n"
    )
    done = preview(tmp_path / "run.yaml", "--source", 1)
    assert "▌This is b.<eos>▐" in done.stdout
    assert preview(tmp_path / "run.yaml", "--source", 2).returncode == 2
    stats = json.loads(preview(tmp_path / "run.yaml", "--stats", "--json").stdout)
    assert stats["train_rows"] == 3
    assert [s["weight"] for s in stats["sources"]] == [1.0, 2.0]
