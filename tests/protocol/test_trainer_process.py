"""The trainer as a real process on a tiny model: steered, killed, resumed, out of space.

A start costs seconds (torch), so each test follows one story through as few starts as it can.
"""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from sft_tui.core import control, events, launch, process
from sft_tui.core.history import read_history
from sft_tui.core.rundir import list_runs, lock_is_free
from sft_tui.core.status import status_of
from tests import told


def test_a_run_is_steered_from_the_command_line_and_outlives_its_starter(
    cli, tiny, tmp_path, monkeypatch
):
    """In a folder whose own sft_tui/, core/ and tui/ must change nothing."""
    for name in ("sft_tui", "core", "tui"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong package')\n")
    monkeypatch.chdir(tmp_path)
    starter = subprocess.Popen(
        [cli.path, "train", tiny.config_file(tmp_path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert starter.stdout.readline().startswith("PREPARING ")
    run = list_runs()[0]
    cli.until(lambda: cli.last_step(run) > 2, trains=run)

    # The starter dies hard; the trainer goes on.
    os.killpg(starter.pid, signal.SIGKILL)
    printed = starter.communicate()[0]
    assert "wrong package" not in printed
    at = cli.last_step(run)
    cli.until(lambda: cli.last_step(run) > at + 5, trains=run)
    assert status_of(run).word in ("running", "saving")

    # set
    change = cli.sft("set", "latest", "learning_rate=1e-5")
    assert (change.returncode, change.stderr) == (0, "")
    lines = change.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["set", "asked;"],
        ["set", "accepted"],
        ["set", "done"],
    ]
    assert "0.0002 → 1e-05" in lines[-1]
    assert cli.answers(run, cli.the_request(run)) == ["accepted", "done"]
    cli.until(lambda: cli.told(run)[-1].t > time.time() - 1)
    rates = [event.learning_rate for event in cli.told(run) if isinstance(event, events.Step)]
    assert rates[-1] == pytest.approx(1e-5)
    assert rates[0] == pytest.approx(2e-4)

    # checkpoint
    before = cli.last_step(run)
    save = cli.sft("checkpoint", run.id, "--json")
    assert (save.returncode, save.stderr) == (0, "")
    answer = json.loads(save.stdout)
    assert (answer["command"], answer["outcome"]) == ("checkpoint", "done")
    assert cli.answers(run, answer["id"]) == ["accepted", "done"]
    saved = [event.step for event in cli.told(run) if isinstance(event, events.Checkpoint)]
    assert saved[-1] >= before

    # stop
    stop = cli.sft("stop", run.id)
    free = lock_is_free(run)
    assert (stop.returncode, stop.stderr) == (0, "")
    words = [line.split()[1].strip(";") for line in stop.stdout.splitlines()]
    assert words == ["asked", "accepted", "done"]
    state = status_of(run)
    assert state.word == "stopped"
    assert "asked by" in state.reason

    # What plain PEFT and transformers load, and nothing half written.
    names = {path.name for path in run.adapter.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors"} <= names
    assert {"tokenizer.json", "tokenizer_config.json"} <= names
    assert json.loads((run.adapter / "adapter_config.json").read_text())["peft_type"] == "LORA"
    header = (run.adapter / "adapter_model.safetensors").read_bytes()
    tensors = json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])
    assert any(name.endswith("lora_A.weight") for name in tensors)
    assert run.complete_checkpoints()[-1][0] == cli.last_step(run)
    assert not [path for path in run.path.rglob(".*") if path.is_dir()]
    private = {path.stat().st_mode & 0o077 for path in run.path.rglob("*")}
    assert private == {0}, "everything in a run is its owner's alone"

    # No trainer any more: the next command is refused at once.
    late = cli.sft("stop", run.id)
    assert late.returncode == 1
    assert "no trainer is at work" in late.stderr

    assert free, "when `stop` has returned, `resume` must not find the run held"


@pytest.mark.timing
def test_a_killed_run_is_crashed_at_once_and_resumes_where_it_was_saved(cli, tiny, tmp_path):
    # The trainer is an unreaped child of this process, which lives on.
    trainer = launch.start(tiny.config())
    run = trainer.run
    cli.until(lambda: run.complete_checkpoints() and cli.last_step(run) % 20 > 5, trains=run)
    os.kill(trainer.pid, signal.SIGKILL)
    killed = time.monotonic()
    cli.until(lambda: status_of(run).word == "crashed", timeout_s=2)
    assert time.monotonic() - killed < 2
    assert Path(f"/proc/{trainer.pid}").exists(), "nobody reaped it"

    saved = run.complete_checkpoints()[-1][0]
    reached = cli.last_step(run)
    assert reached > saved
    shown = json.loads(cli.sft("show", run.id, "--json").stdout)
    assert shown["status"] == "crashed"
    assert f"step {saved}" in shown["reason"]
    assert f"step {saved}" in shown["remedy"]
    assert shown["step"] == reached
    trainer.child.wait()
    curve = {event.step: event.loss for event in cli.told(run) if isinstance(event, events.Step)}

    # Two resumes at once, after a command that nobody answered.
    left = control.append(run.control, "stop")
    pair = [
        subprocess.Popen(
            [cli.path, "resume", run.id, "--detach"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    ends = [(one.communicate(timeout=60), one.returncode) for one in pair]
    ends.sort(key=lambda end: end[1])
    (winner_out, winner_err), winner_code = ends[0]
    (loser_out, loser_err), loser_code = ends[1]
    assert (winner_code, winner_out.strip(), winner_err) == (0, str(run.path), "")
    assert (loser_code, loser_out) == (1, "")
    record = run.process_record()
    assert process.alive(record) is True
    assert f"pid {record.pid} on {record.host} holds its lock" in loser_err
    assert "Traceback" not in loser_err

    # The old command is answered `expired`, and the run goes on as if it had not been asked.
    cli.until(lambda: cli.answers(run, left), trains=run)
    assert cli.answers(run, left) == ["expired"]
    cli.until(
        lambda: cli.last_step(run) > reached + 5 and read_history(run.events).starts == 2,
        trains=run,
    )
    assert status_of(run).word in ("running", "saving")
    history = read_history(run.events)
    assert history.started.resumed_from_step == saved
    steps = [event.step for event in history.steps]
    assert steps == list(range(1, steps[-1] + 1))
    redone = [event.step for steps in history.superseded for event in steps]
    assert sorted(redone) == list(range(saved + 1, reached + 1))
    assert [event.loss for event in history.steps[:saved]] == [
        curve[step] for step in range(1, saved + 1)
    ]
    again = {event.step: event.loss for event in history.steps}
    for step in range(saved + 1, reached + 1):  # same rows, same weights, same random state
        assert again[step] == pytest.approx(curve[step], rel=1e-6)

    # SIGTERM: a checkpoint of the last step, and no adapter.
    os.kill(record.pid, signal.SIGTERM)
    cli.until(lambda: status_of(run).word == "stopped", timeout_s=20)
    assert "SIGTERM" in status_of(run).reason
    assert run.complete_checkpoints()[-1][0] == cli.last_step(run)
    assert not run.adapter.exists()
    assert "Traceback" not in run.log.read_text()


def test_a_stop_asked_before_the_first_step_is_obeyed(cli, tiny):
    """The first seconds go into imports: a command from then is of this start, not expired."""
    trainer = launch.start(tiny.config())
    trainer.wait_until_started()
    cli.until(lambda: cli.told(trainer.run))
    assert status_of(trainer.run).word == "preparing"

    asked = control.append(trainer.run.control, "stop")
    cli.until(lambda: cli.answers(trainer.run, asked))

    assert cli.answers(trainer.run, asked)[0] == "accepted"
    assert trainer.child.wait(30) == 0
    assert cli.answers(trainer.run, asked) == ["accepted", "done"]
    assert status_of(trainer.run).word == "stopped"
    assert cli.last_step(trainer.run) == 0


@pytest.fixture
def small_disk(mount_disk, monkeypatch):
    """A home on a file system of 16 MiB of its own."""
    place = mount_disk("16m")
    monkeypatch.setenv("SFT_TUI_HOME", str(place))
    return place


def test_a_full_disk_while_saving_fails_the_run_and_keeps_the_complete_checkpoints(
    cli, tiny, small_disk
):
    # A checkpoint takes about 1 MB; what is left takes events for a while, but no checkpoint.
    trainer = launch.start(tiny.config("method.rank=32", "save.every_steps=100", "save.keep=50"))
    run = trainer.run
    cli.until(run.complete_checkpoints, trains=run)
    filler = open(small_disk / "filler", "wb", buffering=0)
    try:
        deadline = time.monotonic() + 60
        while trainer.poll() is None and time.monotonic() < deadline:
            facts = os.statvfs(small_disk)
            spare = facts.f_bavail * facts.f_frsize - (400 << 10)
            if spare > 0:
                filler.write(b"x" * spare)
            time.sleep(0.01)
    finally:
        filler.close()

    assert trainer.poll() == 1
    end = told.failure(run)  # the application is used on the full disk too
    assert "disk is full" in end.reason
    assert "saving the checkpoint" in end.reason
    assert "free space" in end.remedy and "resume" in end.remedy
    saved = [event.step for event in cli.told(run) if isinstance(event, events.Checkpoint)]
    complete = run.complete_checkpoints()
    assert [step for step, _ in complete] == saved
    for step, folder in complete:
        state = json.loads((folder / "trainer_state.json").read_text())
        assert state["step"] == step
        for name in ("adapter_model.safetensors", "optimizer.safetensors"):
            assert_whole(folder / name)
    assert not list(run.checkpoints.glob(".*")), "the torn one was removed"

    seen = cli.sft("watch", run.id, "--plain")
    assert seen.returncode == 1
    assert re.search(r"^FAILED .*disk is full.*do: free space", seen.stdout, re.MULTILINE)


def assert_whole(path: Path) -> None:
    """A safetensors file is as long as its header says."""
    raw = path.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    assert len(raw) == start + max(ends)


def test_a_pause_frees_the_process_and_a_resume_goes_on(cli, tiny):
    trainer = launch.start(tiny.config())
    run = trainer.run
    cli.until(lambda: cli.last_step(run) > 2, trains=run)

    # A dump, also while nothing else answers.
    os.kill(trainer.pid, signal.SIGSTOP)
    asked = control.append(run.control, "dump")
    os.kill(trainer.pid, signal.SIGCONT)
    cli.until(lambda: cli.answers(run, asked) == ["accepted", "done"], trains=run)
    log = run.log.read_text()
    # It may come between two steps as well as in one.
    assert "Thread 0x" in log and "core/training/loop.py" in log and " in train\n" in log
    os.kill(trainer.pid, signal.SIGUSR1)
    dumps = log.count("most recent call first")
    cli.until(lambda: run.log.read_text().count("most recent call first") > dumps, trains=run)

    extended = cli.sft("extend", run.id, "max_steps=200000")
    assert (extended.returncode, extended.stderr) == (0, "")
    assert "extend done max_steps 100000 → 200000" in extended.stdout

    pause = cli.sft("pause", run.id)
    assert (pause.returncode, pause.stderr) == (0, "")
    assert trainer.child.wait(20) == 0, "its memory is free"
    state = status_of(run)
    assert (state.word, "asked by" in state.reason) == ("paused", True)
    at = cli.last_step(run)
    assert run.complete_checkpoints()[-1][0] == at
    assert not run.adapter.exists()
    assert json.loads(cli.sft("show", run.id, "--json").stdout)["status"] == "paused"

    again = launch.resume(run)
    cli.until(lambda: status_of(run).active)
    cli.until(lambda: cli.last_step(run) > at, trains=run)
    history = read_history(run.events)
    assert (history.started.resumed_from_step, history.total_steps) == (at, 200000)
    assert not history.superseded
    launch.kill(run)
    again.child.wait()
