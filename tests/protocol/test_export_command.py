"""`sft-tui export`: from a real run to a folder and to a Hub, and back with plain clients."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sft_tui.core.rundir import RunDir, list_runs
from tests.loopback_hub import Fault, LoopbackHub, samples

TOKEN = "hf_canarytoken12345"

COMPARE = """
import sys, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
ids = torch.arange(5, 35).view(2, 15)
def logits(model):
    with torch.no_grad():
        return model.eval()(ids).logits
def base():
    return AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
trained = logits(PeftModel.from_pretrained(base(), sys.argv[2]))
adapter = logits(PeftModel.from_pretrained(base(), "alice/tuned"))
merged = logits(AutoModelForCausalLM.from_pretrained("alice/merged", dtype="auto"))
print(float((trained - adapter).abs().max()), float((trained - merged).abs().max()),
      float((trained - logits(base())).abs().max()))
"""


@pytest.fixture
def hub(tmp_path, tiny, monkeypatch):
    """A Hub with a base model; this test's children know no other, and are alice."""
    root = tmp_path / "hub"
    folder = samples.repository(
        root, "models", "acme/tiny", {"README.md": samples.readme("license: apache-2.0")},
        pipeline_tag="text-generation",
    )  # fmt: skip
    shutil.copytree(tiny.model, folder, dirs_exist_ok=True)
    with LoopbackHub(root, {TOKEN: "alice"}) as running:
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield running


def train(tiny, cli, folder: Path, *sets: str) -> None:
    """Trains a few steps by the command line."""
    few = ("train.max_steps=4", "save.every_steps=2", "save.keep=1", "optim.learning_rate=0.01")
    done = cli.sft("train", tiny.config_file(folder, *few, *sets))
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def one_run(tmp_path_factory):
    """A folder for the run that most tests share."""
    return tmp_path_factory.mktemp("run") / "runs"


@pytest.fixture
def run(one_run, tiny, cli, tmp_path, sft_home) -> RunDir:
    """A finished run of this test, without an evaluation."""
    if not one_run.exists():
        train(tiny, cli, tmp_path, "data.eval_fraction=0")
        shutil.copytree(sft_home / "runs", one_run)
    else:
        shutil.copytree(one_run, sft_home / "runs")
    return list_runs()[0]


def test_a_result_is_pushed_and_comes_back_as_it_was_trained(hub, cli, tiny, tmp_path):
    evaluated = ("evaluate.samples=1", "data.eval_fraction=0.2", "evaluate.every_steps=2")
    train(tiny, cli, tmp_path, "model.name=acme/tiny", *evaluated)
    run = list_runs()[0]
    target = tmp_path / "exported"
    adapter = cli.sft("export", "latest", "--to", target, "--push", "alice/tuned", "--yes")
    assert adapter.returncode == 0, adapter.stderr
    assert adapter.stdout.startswith(f"{target}\n") and "will be made" in adapter.stdout
    verified = cli.sft("verify", target)
    assert verified.returncode == 0, verified.stderr
    assert f"step 4 of {run.id}" in verified.stdout and "It is what was trained" in verified.stdout
    merged = cli.sft("export", "latest", "--merge", "--push", "alice/merged", "--yes", "--json")
    assert merged.returncode == 0, merged.stderr
    told = [json.loads(line) for line in merged.stdout.splitlines()]
    (plan,) = (event for event in told if event["event"] == "plan")
    assert plan["private"] and not plan["exists"] and "model.safetensors" in plan["files"]
    assert told[-1]["event"] == "done" and told[-1]["folder"] == f"{hub.url}/alice/merged"
    assert not list((Path(os.environ["SFT_TUI_HOME"]) / "exports").iterdir())

    card = (hub.root / "models/alice/tuned/README.md").read_text()
    commit = next(path.name for path in Path(os.environ["HF_HOME"]).glob("hub/*/snapshots/*"))
    assert 'base_model: "acme/tiny"' in card and 'license: "apache-2.0"' in card
    assert f'    revision="{commit}",' in card and "**Tuned**" in card
    snippet = card.partition("```python\n")[2].partition("```")[0]
    assert '"alice/tuned"' in snippet and f"revision `{commit}`" in card
    own = {**os.environ, "HF_HOME": str(tmp_path / "elsewhere"), "HF_HUB_DISABLE_XET": "1"}
    back = subprocess.run(
        [sys.executable, "-P", "-c", f"{snippet}\n{COMPARE}", tiny.model, run.adapter],
        env=own, capture_output=True, text=True, timeout=60, cwd=tmp_path,
    )  # fmt: skip
    assert back.returncode == 0, back.stderr
    adapter_off, merged_off, trained_off = map(float, back.stdout.splitlines()[-1].split())
    assert max(adapter_off, merged_off) < 1e-5 < 1e-2 < trained_off

    for place in (os.environ["SFT_TUI_HOME"], os.environ["HF_HOME"], hub.root, target):
        for path in Path(place).rglob("*"):
            assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path
    for done in (adapter, merged):
        assert TOKEN not in done.stdout + done.stderr
    assert all(r.account is None for r in hub.requests if r.origin == "cdn")


def test_a_push_is_shown_first_and_needs_a_word(hub, run, cli):
    """Off a terminal by --yes alone; on one by the repository's name."""
    ask = [cli.path, "export", "latest", "--push", "alice/tuned"]
    for answer, code in ((None, 2), ("alice/tuned", 0)):
        here, there = pty.openpty()
        os.write(here, f"{answer}\n".encode())
        asked = subprocess.run(
            ask, stdin=there if answer else subprocess.DEVNULL, capture_output=True, text=True,
            timeout=60,
        )  # fmt: skip
        os.close(here)
        os.close(there)
        assert asked.returncode == code, asked.stderr
        words = "type alice/tuned to push" if answer else "add --yes"
        assert words in asked.stderr
        assert f"{hub.url}/alice/tuned as alice" in asked.stdout
        assert "adapter_model.safetensors" in asked.stdout
        assert (hub.root / "models/alice").exists() == (code == 0)
        assert not list((Path(os.environ["SFT_TUI_HOME"]) / "exports").iterdir())


def test_a_push_that_fails_is_told_and_its_export_stays(hub, run, cli):
    hub.faults.append(Fault("status", "/api/repos/create", status=403, times=None))
    lost = cli.sft("export", "latest", "--push", "alice/tuned", "--yes")
    assert lost.returncode == 1 and "may not write to alice/tuned" in lost.stderr
    (kept,) = (Path(os.environ["SFT_TUI_HOME"]) / "exports").iterdir()
    assert f"the export stays in {kept}" in lost.stderr
    assert (kept / "export" / "README.md").exists()
    hub.stop()
    away = cli.sft("export", "latest", "--push", "alice/tuned", "--yes")
    assert away.returncode == 1 and "not reachable" in away.stderr


def test_what_cannot_be_exported_is_told(run, cli, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    for arguments, code, words in (
        ((), 2, "--to"),
        (("--to", tmp_path / "full"), 2, "not empty"),
        (("--to", tmp_path / "a", "--checkpoint", "2"), 1, "choose one of the steps 4"),
        (("--to", tmp_path / "a", "--checkpoint", "best"), 1, "never evaluated"),
        (("--to", tmp_path / "a", "--checkpoint", "x"), 2, "last, best"),
        (("--to", tmp_path / "a", "--yes"), 2, "--push"),
        (("--push", "mine"), 2, "owner/name"),
    ):
        done = cli.sft("export", "latest", *arguments)
        assert done.returncode == code and words in done.stderr, done.stderr
    assert not (tmp_path / "a").exists()

    weights = run.adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-40])
    (run.checkpoints / "step-4" / weights.name).write_bytes(weights.read_bytes())
    damaged = cli.sft("export", "latest", "--to", tmp_path / "a", "--merge")
    assert damaged.returncode == 1 and not list(tmp_path.glob("*.a.*")) and "do:" in damaged.stderr
    assert not (tmp_path / "a").exists() and not list(tmp_path.glob(".a.*"))


def test_an_export_that_was_changed_fails_its_verification(run, cli, tmp_path):
    target = tmp_path / "a"
    assert cli.sft("export", "latest", "--to", target).returncode == 0
    settings = target / "adapter_config.json"
    said = json.loads(settings.read_text())
    settings.write_text(json.dumps({**said, "lora_alpha": said["lora_alpha"] * 2}))
    done = cli.sft("verify", target, "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 1 and not told["ok"] and told["compared"] and told["run"] == run.id
    assert told["difference"] > told["bound"] == 1e-5
    settings.unlink()
    foreign = cli.sft("verify", target)
    assert foreign.returncode == 1 and "do: " in foreign.stderr


def test_of_a_run_that_still_trains_the_newest_checkpoint_is_exported(tiny, cli, tmp_path):
    config = tiny.config_file(tmp_path, "save.every_steps=50")
    assert cli.sft("train", config, "--detach").returncode == 0
    run = list_runs()[0]
    cli.until(run.complete_checkpoints, trains=run)
    early = cli.sft("export", "latest", "--to", tmp_path / "early")
    assert early.returncode == 1 and "--checkpoint last" in early.stderr
    done = cli.sft("export", "latest", "--to", tmp_path / "now", "--checkpoint", "last")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "now" / "adapter_model.safetensors").exists()
    assert (tmp_path / "now" / "tokenizer.json").exists()
    assert cli.sft("kill", run.id).returncode == 0


def test_an_export_that_is_interrupted_leaves_nothing(run, cli, tmp_path):
    target = tmp_path / "out"
    child = subprocess.Popen(
        [cli.path, "export", "latest", "--to", target, "--merge"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    cli.until(lambda: list(tmp_path.glob(".out.*")))
    child.send_signal(signal.SIGINT)
    assert child.wait(10) == 130
    assert not target.exists() and not list(tmp_path.glob(".out.*"))
