"""Failures that need a process of their own: their words in events, `show` and Monitor.

Those of a full disk and of a lost rank stand beside what else a disk and ranks do.
"""

import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from sft_tui.core import config_file, events, launch
from sft_tui.core.rundir import new_run, write_atomic
from sft_tui.core.status import status_of
from tests import told
from tests.loopback_hub import samples


@pytest.fixture
def hub_root(tmp_path):
    root = tmp_path / "hub"
    samples.fill(root)
    return root


def test_a_step_that_the_memory_has_no_room_for_names_it_and_three_ways_out(
    cli, tiny, tmp_path, monkeypatch
):
    """The address space is limited when the model is loaded: the first step does not fit.

    The trainer takes memory as it needs it, not in advance: the limit may come well into that step.
    """
    monkeypatch.setenv("MALLOC_TOP_PAD_", str(1 << 20))
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    words = " ".join(f"w{n}" for n in range(700))
    rows = [{"prompt": f"{n}", "completion": words} for n in range(64)]
    data = tmp_path / "long.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = tiny.config(
        f"data.source={data}",
        "data.max_length=2048",
        "data.ignore_problems=[row_cut, answer_cut]",
        "data.eval_fraction=0",
        "train.micro_batch_size=16",
    )
    trainer = launch.start(config)
    room = limited(cli, trainer)
    assert trainer.child.wait(120) == 1
    end = told.failure(trainer.run)
    assert re.match(r"out of memory in step 1: \d+ MiB more were asked for, beside", end.reason)
    print(end.reason, "|", end.remedy)
    assert re.search(r"micro-batches of (1|2|4|8) with accumulation \d+", end.remedy)
    assert re.search(r"rows of at most (1,024|512|256) tokens", end.remedy)
    sets = re.findall(r"--set (\S+)=(\S+?)[`\s]", end.remedy)
    assert ("train.micro_batch_size" in dict(sets)) and "`sft-tui resume" in end.remedy

    # The first way out does: the run trains in the memory that there was too little of.
    mended = config_file.load(trainer.run.config, [f"{k}={v}" for k, v in sets])
    assert mended.train.micro_batch_size * mended.train.gradient_accumulation == 16
    again = launch.resume(trainer.run, mended)
    limited(cli, again, room)
    cli.until(lambda: cli.last_step(again.run) >= 1, trains=again.run)


def limited(cli, trainer, room: int | None = None) -> int:
    """Leaves a trainer that is about to take its first step 128 MiB more than it has, or `room`."""
    starts = len(trainer.run.configs())
    cli.until(lambda: len([e for e in cli.told(trainer.run) if isinstance(e, events.RunStarted)])
              == starts)  # fmt: skip
    room = room or psutil.Process(trainer.pid).memory_info().vms + (128 << 20)
    resource.prlimit(trainer.pid, resource.RLIMIT_AS, (room, room))
    return room


def test_a_package_that_is_missing_is_named_with_how_to_install_it(cli, tiny, tmp_path):
    """An interpreter with everything of this one but accelerate."""
    place = tmp_path / "packages"
    place.mkdir()
    for folder in reversed([Path(p) for p in sys.path if p.endswith("-packages")]):
        for path in folder.iterdir():
            link = place / path.name
            if not path.name.startswith(("accelerate", "__editable__")) and not link.exists():
                link.symlink_to(path)
    import sft_tui.core

    (place / "sft_tui").mkdir()
    (place / "sft_tui" / "core").symlink_to(Path(sft_tui.core.__file__).parent)
    run = new_run("missing")
    write_atomic(run.config, config_file.to_yaml(tiny.config()).encode())
    argv = [sys.executable, "-S", "-P", "-m", "sft_tui.core.training", run.path, "config.yaml"]
    done = subprocess.run(
        argv, env={**os.environ, "PYTHONPATH": str(place)}, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    end = told.failure(run)
    assert end.reason.startswith("the package accelerate cannot be used: No module named")
    assert "pip install accelerate" in end.remedy and "sft-tui doctor" in end.remedy


def test_a_gated_model_ends_the_run_with_the_page_to_open(hub, cli, tiny):
    trainer = launch.start(tiny.config("model.name=acme/gated-llama"))
    assert trainer.child.wait(120) == 1
    end = told.failure(trainer.run)
    assert "acme/gated-llama is gated" in end.reason
    assert f"open {hub.url}/acme/gated-llama" in end.remedy


def test_a_helper_process_that_is_killed_is_told_and_not_waited_for(cli, tiny, tmp_path):
    """The child that measures takes seconds to import; it is killed meanwhile."""
    measuring = subprocess.Popen(
        [cli.path, "fit", tiny.config_file(tmp_path), "--measure"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    def child():
        children = psutil.Process(measuring.pid).children()
        return next((c for c in children if "measure" in " ".join(c.cmdline())), None)

    os.kill(cli.until(child).pid, signal.SIGKILL)
    _, told = measuring.communicate(timeout=60)
    assert measuring.returncode == 1
    assert "the system killed the process, most likely because memory ran out" in told
    assert "do: lower train.micro_batch_size" in told


def test_a_trainer_that_is_killed_says_so_with_the_checkpoint_to_go_on_from(cli, tiny):
    trainer = launch.start(tiny.config("save.every_steps=1"))
    cli.until(trainer.run.complete_checkpoints, trains=trainer.run)
    os.kill(trainer.pid, signal.SIGKILL)
    trainer.child.wait()
    state = status_of(trainer.run)
    assert state.word == "crashed" and "killed, out of memory, or a reboot" in state.reason
    saved = trainer.run.complete_checkpoints()[-1][0]
    assert f"`sft-tui resume {trainer.run.id}` continues from step {saved}" in state.remedy
    told.assert_told(trainer.run, state.reason, state.remedy)
