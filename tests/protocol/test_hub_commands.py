"""`models`, `datasets`, `download`, `fit` and `preview` against a Hub, as a user runs them."""

import json
import os
import shutil
from pathlib import Path

import pytest

from sft_tui.core import events
from sft_tui.core.rundir import list_runs
from sft_tui.core.tail import Tail
from tests.loopback_hub import Fault, samples

TOKEN = "hf_alicetoken12345"


@pytest.fixture(scope="module")
def hub_root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    samples.fill(folder)
    return folder


def test_models_of_the_hub_and_of_this_machine_are_listed(hub, cli):
    listed = json.loads(cli.sft("models", "tiny", "--json").stdout)
    assert [row["id"] for row in listed["models"]] == ["acme/tiny-llama", "acme/tiny-qwen"]
    assert listed["source"] == "hub" and not listed["models"][0]["cached"]
    done = cli.sft("download", "acme/tiny-llama")
    assert done.returncode == 0 and done.stdout.strip().startswith(os.environ["HF_HOME"])
    listed = json.loads(cli.sft("models", "--json", "--offline").stdout)
    assert [(row["id"], row["cached"]) for row in listed["models"]] == [("acme/tiny-llama", True)]
    assert "acme/tiny-qwen" in cli.sft("models", "--limit", "50").stdout


def test_without_a_connection_headers_on_the_disk_tell_size_and_fit(hub, cli):
    there = json.loads(cli.sft("models", "tiny-llama", "--json").stdout)["models"][0]
    cli.sft("download", "acme/tiny-llama")
    hub.stop()
    for arguments in (("--offline",), ()):
        listed = cli.sft("models", "--fit", "--json", *arguments).stdout
        (row,) = json.loads(listed)["models"]
        assert (row["params"], row["dtype"]) == (there["params"], there["dtype"])
        assert row["fit"] == "✓ fits"
    shown = cli.sft("models", "--offline").stdout
    assert "F32" in shown and "FIT" not in shown


@pytest.mark.parametrize("how", ["refused", "limit", "html"])
def test_without_the_hub_what_is_here_is_shown_and_why(hub, cli, how):
    """U5, U17"""
    cli.sft("download", "acme/tiny-llama")
    if how == "refused":
        hub.stop()
    elif how == "html":
        hub.faults.append(Fault("html", times=None))
    else:
        wait = {"RateLimit": '"api";r=0;t=41'}
        hub.faults.append(Fault("status", status=429, headers=wait, times=None))
    done = cli.sft("models", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["source"] == "cache"
    assert [row["id"] for row in json.loads(done.stdout)["models"]] == ["acme/tiny-llama"]
    assert {"refused": "not reachable", "limit": "wait 41 s", "html": "not the Hub's"}[
        how
    ] in done.stderr
    assert "do: " in done.stderr


def test_a_cached_model_is_previewed_estimated_and_trained_without_the_hub(hub, cli, tmp_path):
    cli.sft("download", "acme/tiny-llama")
    hub.stop()
    data = tmp_path / "rows.jsonl"
    rows = [{"prompt": f"Q{n}?", "completion": f"It is {n}."} for n in range(8)]
    data.write_text("\n".join(map(json.dumps, rows)))
    sets = ("--set", "model.name=acme/tiny-llama", "--set", "train.max_steps=1",
            "--set", "evaluate.samples=0", "--set", "train.precision=fp32")  # fmt: skip
    assert "It is 0." in cli.sft("preview", data, *sets).stdout
    assert cli.sft("fit", "acme/tiny-llama").returncode == 0
    config = tmp_path / "run.yaml"
    config.write_text(f"data: {{source: {data}}}")
    done = cli.sft("train", config, *sets)
    assert "FINISHED" in done.stdout, done.stdout + done.stderr


def test_a_cached_model_that_was_cut_off_is_mended_or_called_damaged(hub, cli, tmp_path):
    folder = cli.sft("download", "acme/tiny-llama").stdout.strip()
    weights = Path(folder, "model.safetensors")
    data = tmp_path / "rows.jsonl"
    data.write_text(
        "\n".join(json.dumps({"prompt": f"Q{n}?", "completion": "A."}) for n in range(8))
    )
    config = tmp_path / "run.yaml"
    config.write_text(
        f"model: {{name: acme/tiny-llama}}\ndata: {{source: {data}, eval_fraction: 0}}\n"
        "train: {max_steps: 1, precision: fp32}\n"
        "evaluate: {samples: 0, every_steps: null, at_start: false}\n"
    )
    size = weights.stat().st_size
    os.truncate(weights, size // 2)
    (row,) = json.loads(cli.sft("models", "--json", "--offline").stdout)["models"]
    assert not row["cached"] and "model.safetensors is damaged" in row["not_trainable"]
    local = cli.sft("train", config, "--set", f"model.name={folder}")
    assert local.returncode == 1 and "model.safetensors is damaged" in local.stderr
    hub.stop()
    told = cli.sft("train", config).stdout
    assert "FAILED" in told and f"model.safetensors is damaged: it has {size // 2:,} bytes" in told
    assert "not reachable" in told and "`sft-tui download acme/tiny-llama`" in told
    hub.start()
    assert "FINISHED" in cli.sft("train", config).stdout
    assert weights.stat().st_size == size


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "alice/tiny-adapter",
            ["is an adapter", "trained on acme/tiny-llama", "give its base, acme"],
        ),
        ("acme/old-pickled", ["nothing that can be used", "no safetensors, only .bin", "choose"]),
        ("acme/tiny-gguf", ["nothing that can be used", "no safetensors, only .gguf", "choose"]),
    ],
)
def test_what_is_no_model_to_be_trained_is_refused_by_fit_in_words(hub, cli, name, words):
    done = cli.sft("fit", name)
    assert done.returncode == 1
    for line, part in zip(done.stderr.splitlines(), words, strict=True):
        assert part in line


def test_a_home_that_cannot_be_written_is_told_with_what_to_do(hub, cli, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "file" / "home"))
    for command in (("download", "--dataset", "acme/chat"), ("preview", "acme/chat"),
                    ("preview", "demo", "--set", "model.name=acme/tiny-llama")):  # fmt: skip
        done = cli.sft(*command)
        assert done.returncode == 1 and "Not a directory" in done.stderr
        assert "do: " in done.stderr and "SFT_TUI_HOME" in done.stderr
        assert "Error" not in done.stderr


def test_what_is_here_needs_no_hub_where_it_is_switched_off(hub, cli, monkeypatch):
    commands = [
        ("download", "acme/tiny-llama"),
        ("download", "--dataset", "acme/chat"),
        ("download", "--dataset", "acme/configured", "--config", "german"),
    ]
    folders = [cli.sft(*command).stdout for command in commands]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.requests.clear()
    assert [cli.sft(*command).stdout for command in commands] == folders and all(folders)
    commit = folders[1].strip().rpartition("/")[2]
    assert cli.sft("download", "--dataset", f"acme/chat@{commit}").stdout == folders[1]
    shown = cli.sft("datasets", "acme/chat").stdout
    assert f"acme/chat · 1 files here, 0.0 MiB · commit {commit[:7]}" in shown
    assert "config default, split train" in shown and "split test" not in shown
    assert "shape: messages" in shown and "row 0 (cache)" in shown and "Where is Paris?" in shown
    told = json.loads(cli.sft("datasets", "acme/configured", "--json").stdout)
    assert told["splits"] == [{"config": "german", "split": "train"}]
    assert told["source"] == "cache" and told["gated"] is None and len(told["rows"]) == 3
    for command, what in (
        (("download", "acme/tiny-qwen"), "acme/tiny-qwen is"),
        (
            ("download", "acme/tiny-qwen", "--revision", "v2"),
            "acme/tiny-qwen at the revision v2 is",
        ),
        (("fit", "acme/tiny-qwen"), "acme/tiny-qwen is"),
        (("datasets", "acme/table"), "acme/table is"),
        (("download", "--dataset", "acme/chat", "--split", "test"), "split test of acme/chat"),
    ):
        done = cli.sft(*command)
        assert done.returncode == 1 and "why: HF_HUB_OFFLINE is set" in done.stderr
        assert done.stderr.startswith(f"error: {what}") and "not on this machine" in done.stderr
    assert not hub.requests


def test_data_sets_are_shown_without_a_download_and_with_their_cuts(hub, cli):
    shown = cli.sft("datasets", "acme/configured").stdout
    assert "config german, split train" in shown and "prompt_completion (sure" in shown
    hub.preview_bytes = 500
    facts = json.loads(cli.sft("datasets", "acme/long-texts", "--json").stdout)
    assert facts["cut"][0] == ["text"] and facts["source"] == "Dataset Viewer"
    hub.faults.append(Fault("status", "/(splits|first-rows)", status=500, times=None))
    streamed = json.loads(cli.sft("datasets", "acme/chat", "--json").stdout)
    assert streamed["source"] == "streamed" and streamed["shape"] == "messages"
    assert "Python script" in cli.sft("datasets", "acme/script").stderr
    gated = cli.sft("datasets", "acme/gated-chat").stderr
    assert "error: acme/gated-chat is gated" in gated
    assert f"do: open {hub.url}/datasets/acme/gated-chat in" in gated


def test_a_gated_model_says_what_to_accept_and_no_token_is_ever_shown(hub, cli, monkeypatch):
    """U16"""
    done = cli.sft("download", "acme/gated-llama")
    assert done.returncode == 1 and f"open {hub.url}/acme/gated-llama" in done.stderr
    assert "give a token" in done.stderr
    monkeypatch.setenv("HF_TOKEN", "hf_alice\ntoken12345\n")
    hub.faults.append(Fault("status", "/api/", status=500, body=TOKEN, times=None))
    for command in (("models",), ("download", "acme/tiny-llama"), ("fit", "acme/tiny-llama"),
                    ("--debug", "download", "acme/tiny-llama"), ("doctor",)):  # fmt: skip
        done = cli.sft(*(command if command[0] != "--debug" else (*command[1:], "--debug")))
        assert "alicetoken" not in done.stdout + done.stderr and "token12345" not in done.stderr


def test_what_a_download_cannot_bring_or_train_is_told(hub, cli):
    done = cli.sft("download", "acme/custom-code")
    assert done.returncode == 0 and "code of its own, which is never run" in done.stderr
    assert "code" not in cli.sft("download", "acme/tiny-llama").stderr
    done = cli.sft("download", "--dataset", "acme/configured", "--config", "nope")
    assert done.returncode == 1 and "do: name one with --config" in done.stderr


def test_words_of_the_hub_are_inert(hub, cli):
    evil = "\x1b]0;owned\x07[bold red]x[/]\u202e"
    body = json.dumps([{"id": "a/b", "tags": [f"license:{evil}"], "pipeline_tag": evil}])
    hub.faults.append(Fault("status", "/api/models", status=200, body=body))
    done = cli.sft("models")
    assert "\x1b" not in done.stdout and "\u202e" not in done.stdout
    assert "[bold red]x[/]" in done.stdout


def test_a_resumed_run_keeps_the_commit_of_its_data(hub, cli, tmp_path):
    """Also before the first checkpoint; evaluation rows have a data set of their own.

    Once that commit is neither here nor on the Hub, the run cannot be resumed.
    """
    rows = {"train.jsonl": samples.jsonl(samples.chat_rows(40))}
    names = ("acme/rows", "acme/held-out")
    folders = [samples.repository(hub.root, "datasets", name, rows) for name in names]
    config = tmp_path / "run.yaml"
    config.write_text(
        "model: {name: acme/tiny-llama}\ndata: {source: acme/rows, eval_source: acme/held-out, "
        "ignore_problems: [eval_leak]}\n"
        "train: {max_steps: 5000, precision: fp32}\nsave: {every_steps: 5000}\n"
        "evaluate: {samples: 0, every_steps: null, at_start: false}\n"
    )

    def starts():
        return [event for event in cli.told(run) if isinstance(event, events.RunStarted)]

    def downloads():
        return [cli.sft("download", "--dataset", name, "--json").stdout for name in names]

    cli.sft("train", config, "--detach")
    (run,) = list_runs()
    cli.until(starts, trains=run)
    cli.sft("kill", "latest")
    began = [json.loads(told.splitlines()[-1])["commit"] for told in downloads()]
    for folder in folders:
        (folder / "train.jsonl").write_text(samples.jsonl(samples.chat_rows(30)))
    downloads()
    cli.sft("resume", "latest", "--detach")
    cli.until(lambda: len(starts()) == 2, trains=run)
    cli.sft("kill", "latest")
    first, second = starts()
    kept = [first.choices[f"commit of {name}"] for name in names]
    assert kept == began == [second.choices[f"commit of {name}"] for name in names]
    assert (first.data_hash, first.eval_hash) == (second.data_hash, second.eval_hash)
    assert first.choices == second.choices and "shape of acme/rows" in first.choices

    shutil.rmtree(tmp_path / "hf" / "hub" / "datasets--acme--rows")
    done = cli.sft("resume", "latest")
    assert f"acme/rows cannot be had at the commit {began[0]} any more" in done.stderr
    assert "do: " in done.stderr and "start a new run" in done.stderr


def test_a_resumed_run_keeps_the_commit_that_it_began_with(hub, cli, tmp_path):
    """The branch of the Hub may move on between two starts."""
    own = hub.root / "models" / "acme" / "moving"
    shutil.copytree(hub.root / "models" / "acme" / "tiny-llama", own)
    data = tmp_path / "rows.jsonl"
    rows = [{"prompt": f"Q{n}?", "completion": f"It is {n}."} for n in range(8)]
    data.write_text("\n".join(map(json.dumps, rows)))
    config = tmp_path / "run.yaml"
    config.write_text(
        f"model: {{name: acme/moving}}\ndata: {{source: {data}, eval_fraction: 0}}\n"
        "train: {max_steps: 5000, precision: fp32}\nsave: {every_steps: 1}\n"
        "evaluate: {samples: 0, every_steps: null, at_start: false}\n"
    )

    def commits():
        lines = map(events.decode, Tail(run.events).read())
        return [e.choices["revision"] for e in lines if isinstance(e, events.RunStarted)]

    cli.sft("train", config, "--detach")
    (run,) = list_runs()
    cli.until(lambda: list(run.path.glob("checkpoints/step-*")), trains=run)
    cli.sft("stop", "latest")
    (own / "config.json").write_text((own / "config.json").read_text() + "\n")
    newer = cli.sft("download", "acme/moving").stdout.strip()
    cli.sft("resume", "latest", "--detach")
    cli.until(lambda: len(commits()) == 2, trains=run)
    cli.sft("kill", "latest")
    first, second = commits()
    assert first == second and not newer.endswith(first)
