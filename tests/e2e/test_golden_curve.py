"""The first 20 steps of the demo's model and data, against the losses that were committed.

What changes them changes what every user trains: a new reference is written on purpose only, by
`SFT_TUI_NEW_CURVE=1 make soak`.
"""

import json
import os
from pathlib import Path

import pytest

from sft_tui.core import config_file, events, launch
from sft_tui.core.history import read_history
from sft_tui.core.status import status_of

pytestmark = [pytest.mark.e2e, pytest.mark.soak]
GOLDEN = Path(__file__).with_name("golden_curve.json")


def test_the_first_20_steps_of_the_demo_are_those_that_were_committed(demo_home, monkeypatch):
    monkeypatch.setenv("SFT_TUI_HOME", str(demo_home))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # fp32, as bf16 differs by more between processors; two rows a step, so that it takes minutes.
    sets = ["train.max_steps=20", "train.precision=fp32", "train.micro_batch_size=2",
            "data.eval_source=null", "data.eval_fraction=0", "evaluate.every_steps=null",
            "evaluate.samples=0"]  # fmt: skip
    trainer = launch.start(config_file.build(sets, preset="demo"))
    assert trainer.child.wait(3600) == 0, status_of(trainer.run).reason
    history = read_history(trainer.run.events)
    curve = {
        "loss": [event.loss for event in history.steps],
        "grad_norm": [event.grad_norm for event in history.steps],
        "learning_rate": [event.learning_rate for event in history.steps],
        "supervised_tokens": [event.supervised_tokens for event in history.steps],
    }
    if os.environ.get("SFT_TUI_NEW_CURVE"):
        GOLDEN.write_text(json.dumps(curve, indent=1) + "\n")
    golden = json.loads(GOLDEN.read_text())
    assert isinstance(history.finished, events.RunFinished)
    assert curve["supervised_tokens"] == golden["supervised_tokens"]
    assert curve["learning_rate"] == pytest.approx(golden["learning_rate"], rel=1e-9)
    assert curve["loss"] == pytest.approx(golden["loss"], rel=1e-3)
    assert curve["grad_norm"] == pytest.approx(golden["grad_norm"], rel=1e-2)
