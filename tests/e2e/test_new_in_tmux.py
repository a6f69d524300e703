"""From nothing to a running job by keys alone, in a real terminal, with a Hub on this machine."""

import json

import pytest

from sft_tui.core import config_file
from sft_tui.core.rundir import list_runs
from tests.e2e.terminal import CLI, Terminal
from tests.loopback_hub import LoopbackHub, samples

CONTEXT = "Harbour {n} was built in 18{n:02} and has {n} cranes, all of them painted green."


# What screens hold at the larger size is tested without a terminal, screen by screen.
SIZES = [(80, 24), pytest.param((160, 45), marks=pytest.mark.soak)]


@pytest.fixture(params=SIZES, ids=["80x24", "160x45"])
def terminal(request, tmp_path, monkeypatch):
    root = tmp_path / "hub"
    samples.model(root, "acme/harbour-base", pipeline_tag="text-generation")
    work = tmp_path / "work"
    work.mkdir()
    rows = [
        {
            "id": str(n), "context": CONTEXT.format(n=n), "question": f"What has harbour {n}?",
            "answers": {"text": [f"{n} cranes"], "answer_start": [30]},
        }
        for n in range(48)
    ]  # fmt: skip
    (work / "squad.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with LoopbackHub(root) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))
        for name in ("HF_TOKEN", "HF_HUB_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        opened = Terminal(tmp_path, tmp_path / "home", *request.param)
        opened.begin("cd", work)
        yield opened
        opened.close()


def test_a_problem_that_is_let_pass_needs_one_enter_more_and_no_second(terminal, tmp_path):
    """Keys as fast as tmux sends them: none is lost, and none launches what is refused."""
    with (tmp_path / "work" / "squad.jsonl").open("a") as file:
        file.write("{broken\n")
    model = samples.model(tmp_path, "own")
    values = {"model": {"name": str(model)}}
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "draft.json").write_text(json.dumps({"step": "data", "values": values}))
    terminal.begin(CLI)
    terminal.sees("Runs▐")
    for key in ("2", "Enter", ">", ">", "Enter"):
        terminal.tmux("send-keys", key)
    terminal.sees("[Preview]", "Not launched: unreadable_row", within_s=90)
    for key in (">", ">", "a", *"unreadable_row", "Enter", "Enter"):
        terminal.tmux("send-keys", key)
    terminal.sees("▌3 Monitor▐", within_s=30)
    (run,) = list_runs(tmp_path / "home" / "runs")
    assert config_file.load(run.config).data.ignore_problems == ["unreadable_row"]
    terminal.sees("✓ FINISHED", within_s=120)
    terminal.keys("q", "q")


def test_the_whole_way_from_a_search_to_the_first_loss(terminal, tmp_path):
    terminal.begin(CLI)
    terminal.sees("No runs yet")
    terminal.keys("2")
    terminal.sees("[Model]", "missing: model, data")

    terminal.keys("/")
    terminal.sees("EDIT")
    terminal.types("harbour")
    terminal.sees("acme/harbour-base")
    terminal.keys("Enter")
    terminal.sees("acme/harbour-base")
    terminal.keys("Enter")  # uses it: it is brought here, and Data is shown
    terminal.sees("[Data]", "squad.jsonl", "missing: data", within_s=60)

    terminal.sees("kB 48 squad", within_s=60)
    terminal.keys("Enter")
    terminal.sees("[Preview]", "missing: nothing")
    terminal.sees("What has harbour 0?", "▌0 cranes", within_s=90)
    terminal.keys("]")
    terminal.sees("Row 1", "harbour 1")
    for view, seen in (("tokens", "▌1·cranes"), ("ids", "view: ids"), ("raw", '"answers"')):
        terminal.keys("v")
        terminal.sees(f"view: {view}", seen)

    terminal.keys(">")
    terminal.sees("[Configure]", "Rank")
    terminal.keys("/")
    terminal.types("rank")
    terminal.keys("Enter")
    terminal.sees("method.rank")
    terminal.keys("Enter")
    terminal.keys("C-u")
    terminal.types("4")
    terminal.keys("Enter")
    terminal.sees("4.1k trainable", within_s=60)

    terminal.keys(">")
    terminal.sees("[Review]", "LoRA rank 4", "Ready to launch", "all 48 rows", within_s=60)
    terminal.keys("Enter")
    terminal.sees("▌3 Monitor▐", "loss", within_s=60)
    terminal.sees("✓ FINISHED", within_s=120)
    (run,) = list_runs(tmp_path / "home" / "runs")
    trained = config_file.load(run.config)
    assert trained.model.name == "acme/harbour-base" and trained.method.rank == 4
    shown = config_file.load(tmp_path / "home" / "draft.yaml")
    assert config_file.config_hash(shown) == config_file.config_hash(trained)
    terminal.keys("q", "q")
    terminal.until(lambda: "$" in terminal.screen() or "#" in terminal.screen(), "the shell")
