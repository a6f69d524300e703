"""The whole way with a Hub, genuine clients and a token that must not be seen anywhere."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.loopback_hub import samples

TOKEN = "hf_alicetoken12345"
SECRET = TOKEN.removeprefix("hf_")
STORE = "import sys; from sft_tui.core.hub import tokens; print(tokens.store(sys.stdin.read()))"
BACK = """
import sys, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
ids = torch.arange(5, 35).view(2, 15)
def logits(adapter):
    base = AutoModelForCausalLM.from_pretrained("alice/base", dtype=torch.float32)
    with torch.no_grad():
        return PeftModel.from_pretrained(base, adapter).eval()(ids).logits
print(float((logits("alice/tuned") - logits(sys.argv[1])).abs().max()))
"""


def give_token(how: str, home, monkeypatch) -> None:
    """Makes this test's children alice, in one of the three ways a person can."""
    if how == "environment":
        monkeypatch.setenv("HF_TOKEN", TOKEN + "\n")
    elif how == "file":
        home.mkdir()
        (home / "token").write_text(TOKEN)
    else:
        typed = subprocess.run(
            [sys.executable, "-c", STORE], input=TOKEN + "\n", capture_output=True, text=True
        )
        assert typed.stdout == "alice\n" and SECRET not in typed.stderr, typed.stderr


@pytest.fixture
def hub_root(tmp_path):
    root = tmp_path / "hub"
    samples.model(root, "alice/base", private=True, pipeline_tag="text-generation")
    rows = "\n".join(map(json.dumps, samples.chat_rows(40)))
    samples.repository(root, "datasets", "alice/talks", {"train.jsonl": rows}, private=True)
    return root


class Watch:
    """Collects the command lines of everything that this test starts."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.05):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    words = path.read_bytes().split(b"\0")
                except OSError:  # it ended meanwhile, or is of somebody else
                    continue
                self.seen.add(b" ".join(words).decode(errors="replace"))


@pytest.mark.parametrize(
    "given",
    [
        "file",
        pytest.param("environment", marks=pytest.mark.soak),
        pytest.param("prompt", marks=pytest.mark.soak),
    ],
)
def test_the_whole_way_with_a_private_model_and_no_trace_of_the_token(
    hub, cli, tmp_path, monkeypatch, sft_home, given
):
    home = tmp_path / "hf"
    give_token(given, home, monkeypatch)
    told: list[str] = []

    def sft(*arguments):
        done = cli.sft(*arguments, timeout=240)
        told.append(done.stdout + done.stderr)
        assert done.returncode == 0, told[-1]
        return done.stdout

    with Watch() as watch:
        assert "alice/base" in sft("models", "base")
        assert "✓ fits" in sft("models", "base", "--fit")
        assert "LlamaForCausalLM" in sft("fit", "alice/base")
        assert "shape: messages" in sft("datasets", "alice/talks")
        sft("download", "alice/base")
        config = tmp_path / "run.yaml"
        config.write_text(
            "model: {name: alice/base}\ndata: {source: alice/talks, max_length: 128}\n"
            "train: {max_steps: 3, precision: fp32, micro_batch_size: 2}\n"
            "evaluate: {samples: 1, sample_max_tokens: 4}\n"
        )
        assert "Where is Paris?" in sft("preview", config)
        assert "FINISHED" in sft("train", config)
        assert "it knows the token" in sft("doctor")
        sft("show", "latest", "--json")
        assert "alice/tuned" in sft("export", "latest", "--push", "alice/tuned", "--yes")
    (adapter,) = sft_home.glob("runs/*/adapter")
    made = json.loads((adapter / "adapter_config.json").read_text())
    assert made["base_model_name_or_path"] == "alice/base"
    back = subprocess.run(
        [sys.executable, "-P", "-c", BACK, adapter], capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "HF_HUB_DISABLE_XET": "1"},
    )  # fmt: skip
    assert back.returncode == 0, back.stderr
    assert float(back.stdout.splitlines()[-1]) < 1e-5

    assert not [line for line in told if SECRET in line]
    assert watch.seen and not [line for line in watch.seen if SECRET in line]
    for folder in (sft_home, home, hub.root):
        for path in folder.rglob("*"):
            if path.is_file() and path not in (home / "token", home / "stored_tokens"):
                assert SECRET.encode() not in path.read_bytes(), path
    assert all(r.account == "alice" for r in hub.requests if r.origin == "hub" and r.status == 200)
    assert all(r.account is None for r in hub.requests if r.origin == "cdn")
