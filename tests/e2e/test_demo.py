"""The main job, on the embedded model, as a user starts it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
COMMAND = Path(sys.executable).parent / "sft-tui"


@pytest.fixture(scope="module")
def demo(tmp_path_factory, demo_home):
    """`sft-tui demo --steps 5` off a terminal, and the run that it left."""

    done = subprocess.run(
        [COMMAND, "demo", "--steps", "5"],
        env={**os.environ, "SFT_TUI_HOME": str(demo_home), "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, Path(done.stdout.splitlines()[-1])


def test_it_prints_progress_and_the_run_folder_last(demo):
    output, run = demo
    assert (run / "config.yaml").is_file()
    assert any(line.startswith("FINISHED") for line in output.splitlines())
    assert "\x1b" not in output


def test_five_steps_already_lower_the_evaluation_loss(demo):
    _, run = demo
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().split("\n") if line]
    evals = [event for event in events if event["type"] == "eval"]
    assert [event["step"] for event in evals] == [0, 5]
    assert evals[1]["loss"] < 0.75 * evals[0]["loss"]


def test_base_and_tuned_answers_stand_side_by_side(demo):
    output, _ = demo
    assert [line.split()[0] for line in output.splitlines() if line.startswith("  ")] == [
        "expected",
        "base",
        "tuned",
    ] * 5


def test_the_adapter_loads_in_plain_peft_and_changes_the_model(demo, demo_home):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _, run = demo
    base = AutoModelForCausalLM.from_pretrained(demo_home / "models" / "smollm2-135m-instruct")
    tokenizer = AutoTokenizer.from_pretrained(run / "adapter")
    ids = tokenizer("The answer is", return_tensors="pt")
    with torch.no_grad():
        before = base(**ids).logits
        after = PeftModel.from_pretrained(base, str(run / "adapter"))(**ids).logits
    assert tokenizer.chat_template
    assert not torch.allclose(before, after)


def test_watching_an_ended_run_tells_its_end_at_once(demo, environment):
    _, run = demo
    done = subprocess.run(
        [COMMAND, "watch", run.name, "--plain"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("FINISHED")
