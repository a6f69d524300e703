"""Runs in a real terminal: one waits in the queue without a window, and one is deleted."""

import contextlib
import json
import os
import shutil
import signal
import time

import msgspec
import pytest

from sft_tui.core import config_file, events, launch, process, run_queue
from sft_tui.core.errors import SftError
from sft_tui.core.history import read_history
from sft_tui.core.rundir import RunDir, list_runs
from sft_tui.core.status import status_of
from tests.e2e.terminal import CLI, Terminal
from tests.loopback_hub import samples

pytestmark = pytest.mark.e2e


@pytest.fixture
def terminal(tmp_path, monkeypatch):
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))
    opened = Terminal(tmp_path, tmp_path / "home")
    yield opened
    opened.close()


@pytest.fixture
def tiny(tmp_path, terminal):
    """The configuration of a tiny run of very many steps; whatever trains at the end is killed."""
    rows, path = tmp_path / "rows.jsonl", tmp_path / "run.yaml"
    each = [json.dumps({"prompt": f"{n}?", "completion": f"{n}."}) + "\n" for n in range(40)]
    rows.write_text("".join(each))
    sets = (
        f"model.name={samples.model(tmp_path, 'own')}", f"data.source={rows}",
        "train.max_steps=1000000", "train.precision=fp32", "evaluate.samples=0",
        "evaluate.every_steps=null", "save.every_steps=null", "launch.accelerator=cpu",
    )  # fmt: skip
    path.write_text(config_file.to_yaml(config_file.build(list(sets))))
    yield path
    for run in list_runs():
        with contextlib.suppress(SftError):
            launch.kill(run)


@pytest.fixture
def training(tiny, stranger) -> RunDir:
    """A run on the CPU, of a process that does nothing."""
    run = RunDir(tiny.parent / "home" / "runs" / "20260102-030405-tiny-rows-0a01")
    run.path.mkdir(parents=True)
    shutil.copy(tiny, run.config)
    now = time.time()
    told = events.Phase(name="training", t=now), events.Step(step=7, loss=2.0, t=now)
    run.events.write_bytes(b"".join(map(events.encode, told)))
    record = process.this_process("local", ["x"], {})
    record.pid, record.start_time, record.devices = stranger, process.start_time(stranger), []
    run.process.write_bytes(msgspec.json.encode(record))
    return run


def test_a_queued_run_starts_by_itself_when_no_window_is_open(terminal, training, tiny, stranger):
    terminal.begin(CLI, "queue", "add", tiny)
    terminal.sees("rows.jsonl · CPU")
    terminal.begin(CLI)
    terminal.sees("RUNNING", "Queue · 1 each starts when its devices are free")
    (application,) = terminal.children()
    os.kill(application.pid, signal.SIGKILL)
    terminal.sees("Killed")
    terminal.close()
    assert len(run_queue.waiting()) == 1 and run_queue.is_scheduled()
    assert len(list_runs()) == 1, "the CPU is not free"

    os.kill(stranger, signal.SIGKILL)

    def others() -> list[RunDir]:
        return [run for run in list_runs() if run.id != training.id]

    terminal.until(lambda: others() and read_history(others()[0].events).step > 0, "its steps", 180)
    assert not run_queue.waiting()
    terminal.until(lambda: not run_queue.is_scheduled(), "the end of the scheduler")
    (run,) = others()
    record = run.process_record()
    assert record and process.alive(record) and record.devices == []
    assert status_of(run).word == "running"
    assert config_file.load(run.config) == config_file.load(tiny)


def test_a_run_is_deleted_once_its_last_letters_are_typed(terminal, tmp_path):
    """U12"""
    run = RunDir(tmp_path / "home" / "runs" / "20260102-030405-tiny-rows-0a01")
    (run.checkpoints / "step-3").mkdir(parents=True)
    run.config.write_text(config_file.to_yaml(config_file.build(preset="demo")))
    end = events.RunFinished(status="finished", step=3, t=1.8e9)
    run.events.write_bytes(events.encode(end))
    terminal.begin(CLI)
    terminal.sees("✓ FINISHED", "E Export")
    terminal.keys("D")
    terminal.sees("last four letters")
    terminal.types("0a02")
    terminal.keys("Enter")
    terminal.sees("0a01")
    assert run.config.exists()
    terminal.keys("C-u")
    terminal.types("0a01")
    terminal.keys("Enter")
    terminal.sees("No runs yet")
    assert not run.path.exists()
