"""The tracker's process alone: every tracker is real, offline, and read back by its own reader."""

import json
import math
import os
import signal
import stat
import subprocess
import sys
import time
from itertools import pairwise

import psutil
import pytest

from sft_tui.core import events
from sft_tui.core.errors import SftError
from sft_tui.core.foreign import look
from sft_tui.core.track import packages, state
from sft_tui.core.track.packages import DISTRIBUTIONS

KINDS = sorted(DISTRIBUTIONS)
KEY = "f00dfeed" * 5


def step(number: int, loss: float) -> events.Step:
    return events.Step(
        step=number, loss=loss, learning_rate=1e-4, grad_norm=0.5, tokens_per_s=9.0, memory_bytes=8
    )


FIRST = (
    events.Phase(name="loading_model"),
    events.RunStarted(run_id="x", total_steps=6),
    events.Eval(step=0, loss=3.0, perplexity=20.1, rows=2),
    events.Sample(step=0, prompt_id=0, prompt="1 < 2?", text="é & <b>", finished=True),
    *(step(number, 2.0 / number) for number in range(1, 5)),
)
SECOND = (
    events.Phase(name="loading_model"),
    events.RunStarted(run_id="x", total_steps=6, resumed_from_step=2),
    *(step(number, 1.0 / number) for number in range(3, 7)),
    events.Eval(step=6, loss=math.nan, perplexity=math.inf, rows=2),
    events.RunFinished(status="finished", step=6),
)
ONCE = [(1, 2.0), (2, 1.0), (3, 1 / 3), (4, 0.25), (5, 0.2), (6, 1 / 6)]
TWICE = [*ONCE[:2], (3, 2 / 3), (4, 0.5), *ONCE[2:]]


def same(found: list[tuple[int, float]], expected: list[tuple[int, float]]) -> bool:
    """Whether two curves are equal, in the single precision that TensorBoard keeps."""
    return [point[0] for point in found] == [point[0] for point in expected] and [
        point[1] for point in found
    ] == pytest.approx([point[1] for point in expected], rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_tracker_holds_what_the_run_told_and_goes_on_with_it_after_a_resume(
    told, read_back, kind
):
    told.tell(*FIRST)
    assert told.follow(kind) == 0, told.run.track_log.read_text()
    told.tell(*SECOND)
    assert told.follow(kind) == 0, told.run.track_log.read_text()

    found = read_back(kind, told.run)
    # TensorBoard drops what a resume supersedes; the others only ever add.
    expected = ONCE if kind == "tensorboard" else TWICE
    by_step = sorted(found["train/loss"], key=lambda point: point[0])
    assert same(by_step, sorted(expected, key=lambda point: point[0]))
    assert {point[0]: point[1] for point in found["train/loss"]} == pytest.approx(dict(ONCE))
    assert found["eval/loss"][0] == (0, 3.0)
    assert same(found["eval/perplexity"][:1], [(0, 20.1)])
    assert not [value for _, value in found["eval/loss"][1:] if math.isfinite(value)]
    assert {name for name in found if name.startswith("train/")} == {
        "train/loss", "train/learning_rate", "train/grad_norm", "train/tokens_per_s",
        "train/memory_bytes",
    }  # fmt: skip

    if kind in ("tensorboard", "wandb"):  # which are compared with runs of this project
        known = look.read(told.run.path / kind)
        curve = known.curves["loss"]
        assert same(list(zip(curve.step, curve.value, strict=True)), ONCE)
        assert all(later >= at for at, later in pairwise(curve.seconds))
        assert known.best == (3.0, 0)
        assert known.status == ("finished" if kind == "wandb" else None)
        assert known.config.get("method.rank") == (4 if kind == "wandb" else None)

    place = told.run.path / {"mlflow": "mlruns"}.get(kind, kind)
    held = b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())
    assert any(text.encode() in held for text in ("é & <b>", "é &amp; &lt;b&gt;"))
    modes = [stat.S_IMODE(path.stat().st_mode) for path in [place, *place.rglob("*")]]
    assert not [oct(mode) for mode in modes if mode & 0o077]


def test_what_was_superseded_before_the_tracker_saw_it_is_left_out(told, read_back):
    told.tell(*FIRST, *SECOND)
    told.follow("trackio")

    assert same(read_back("trackio", told.run)["train/loss"], ONCE)


def test_another_project_gets_the_whole_run(told, read_back):
    told.tell(*FIRST)
    told.follow("tensorboard", "one")
    assert state.load(told.run).offset == told.run.events.stat().st_size

    told.follow("trackio", "other")
    assert len(read_back("trackio", told.run, "other")["train/loss"]) == 4


def test_a_damaged_line_is_skipped_and_a_torn_one_waited_for(told, read_back):
    told.tell(*FIRST[:5])
    with told.run.events.open("ab") as file:
        file.write(b"\xff{]\n")
    told.tell(step(2, 1.0))
    whole = events.encode(step(3, 0.5))
    with told.run.events.open("ab") as file:
        file.write(whole[:20])
    told.follow("tensorboard")
    with told.run.events.open("ab") as file:
        file.write(whole[20:])
    told.follow("tensorboard")

    assert same(read_back("tensorboard", told.run)["train/loss"], [(1, 2.0), (2, 1.0), (3, 0.5)])


@pytest.mark.parametrize(
    ("kind", "project", "says"),
    [("wandb", "a/b", "invalid project name"), ("trackio", "registry-x", "is not allowed")],
)
def test_a_project_that_a_tracker_refuses_is_its_failure_in_its_words(told, kind, project, says):
    told.tell(*FIRST)

    assert told.follow(kind, project) == 1
    assert says in state.load(told.run).error.lower()
    assert "Traceback" in told.run.track_log.read_text()


@pytest.mark.parametrize("kind", ["wandb", "tensorboard"])
def test_a_folder_that_cannot_be_made_is_its_failure(told, kind):
    (told.run.path / kind).write_text("a file")
    told.tell(*FIRST)

    assert told.follow(kind) == 1
    assert state.load(told.run).error


def test_trackio_which_only_warns_fails_when_its_numbers_cannot_be_kept(told):
    child = told.start("trackio")
    try:
        told.tell(FIRST[1])
        deadline = time.monotonic() + 30
        while (state.load(told.run) or state.Followed(kind="", project="")).offset == 0:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        place = told.run.path / "trackio"
        place.rename(told.run.path / "gone")
        place.write_text("a file")
        told.tell(*FIRST[4:])
        child.stdin.close()
        assert child.wait(timeout=30) == 1
    finally:
        child.kill()
    assert "trackio" in state.load(told.run).error


def test_a_key_of_wandb_stands_in_no_file_and_no_command_line(told):
    told.tell(*FIRST)
    child = told.start("wandb", WANDB_API_KEY=KEY, WANDB_MODE="offline")
    seen = ""
    try:
        until_offset(told)
        family = [psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)]
        seen = json.dumps([process.cmdline() for process in family])
    finally:
        child.stdin.close()
        assert child.wait(timeout=30) == 0

    assert "wandb-core" in seen
    assert KEY not in seen
    files = [path for path in told.run.path.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def until_offset(told) -> None:
    """Waits until a tracker has taken all that was told."""
    deadline = time.monotonic() + 60
    while (followed := state.load(told.run)) is None or (
        followed.offset < told.run.events.stat().st_size
    ):
        assert time.monotonic() < deadline, told.run.track_log.read_text()
        time.sleep(0.05)


def gone(pids: list[int], within_s: float) -> bool:
    """Whether all processes end within that time."""
    deadline = time.monotonic() + within_s
    while [pid for pid in pids if psutil.pid_exists(pid) and not zombie(pid)]:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_wandb_opens_no_port_and_its_service_ends_with_the_tracker(told):
    told.tell(*FIRST)
    child = told.start("wandb")
    try:
        until_offset(told)
        [service] = psutil.Process(child.pid).children(recursive=True)
        assert not service.net_connections("inet")
        assert not psutil.Process(child.pid).net_connections("inet")
    finally:
        child.kill()
    child.wait()

    assert gone([service.pid], 15)


def test_a_tracker_ends_when_its_trainer_is_killed_and_hands_over_the_rest(told, read_back):
    """A trainer is played by a process that is killed hard, with its tracker at work."""
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-P', '-m', 'sft_tui.core.track', "
        "*sys.argv[1:]], stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)"
    )
    trainer = subprocess.Popen(
        [sys.executable, "-P", "-c", code, told.run.path, "mlflow", "tests"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=told.run.path,
    )
    tracker = int(trainer.stdout.readline())
    told.tell(*FIRST[:5])
    until_offset(told)
    told.tell(*FIRST[5:])
    trainer.kill()
    trainer.wait()

    assert gone([tracker], 15)
    assert len(read_back("mlflow", told.run)["train/loss"]) == 4


def test_a_tracker_that_hangs_ends_after_its_trainer_all_the_same(told, tmp_path):
    stub = tmp_path / "stubs" / "wandb"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text("import time\nprint('hanging', flush=True)\ntime.sleep(600)")
    child = told.start("wandb", end_s=1.0, PYTHONPATH=str(stub.parent))
    while "hanging" not in told.run.track_log.read_text():
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGTERM)  # a signal to the trainer's whole group is not its to answer
    child.stdin.close()

    assert child.wait(timeout=20) == 1
    assert "did not finish" in told.run.track_log.read_text()


def test_a_missing_package_is_refused_with_the_command_that_brings_it(monkeypatch):
    packages.refuse_missing("none")
    packages.refuse_missing("wandb")
    monkeypatch.setitem(sys.modules, "wandb", None)  # how Python is told that there is none

    with pytest.raises(SftError) as refused:
        packages.refuse_missing("wandb")
    assert "pip install 'sft-tui[wandb]'" in refused.value.remedy
