"""Starting, resuming and killing trainers: real processes whose torch is a stub that waits.

The stub stands first on PYTHONPATH, so a trainer takes its lock, writes its first event, and
then hangs where it would import torch: no test here pays for the real one.
"""

import errno
import faulthandler
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import pytest

from sft_tui.core import config_file, control, events, launch, process
from sft_tui.core.errors import DiskFull, RunBusy, SftError, UsageError
from sft_tui.core.last_words import last_words
from sft_tui.core.removal import remove
from sft_tui.core.rundir import RunDir, list_runs, lock_is_free, new_run
from sft_tui.core.status import status_of
from sft_tui.core.tail import Tail

WAITS = "import time\ntime.sleep(120)\n"


@pytest.fixture(autouse=True)
def sft_home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    monkeypatch.setenv("SFT_TUI_HOME", str(folder))
    yield folder
    for run in list_runs():
        record = run.process_record()
        if record is not None and process.alive(record):
            os.killpg(record.pid, signal.SIGKILL)


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """Puts a module before the real one of that name in the trainers that are started."""
    folder = tmp_path / "stubs"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)

    def put(name: str, text: str) -> None:
        (folder / f"{name}.py").write_text(text)

    put("torch", WAITS)
    return put


@pytest.fixture
def trainer(stub):
    """A trainer that has started and waits."""
    started = launch.start(config_file.build())
    started.wait_until_started()
    yield started
    started.child.kill()
    started.child.wait()


def until(true, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def told(run: RunDir) -> list[events.Event]:
    return [event for line in Tail(run.events).read() if (event := events.decode(line))]


def test_a_start_writes_the_whole_configuration_into_a_new_run(stub):
    config = config_file.build(["method.rank=3", "train.max_steps=7"])

    started = launch.start(config)
    started.wait_until_started()

    assert config_file.load(started.run.config) == config
    assert [run.id for run in list_runs()] == [started.run.id]
    started.child.kill()
    started.child.wait()


def test_a_started_trainer_says_who_it_is_holds_the_lock_and_tells_its_phase(trainer):
    record = trainer.run.process_record()

    assert record.pid == trainer.pid
    assert process.alive(record) is True
    assert record.host == socket.gethostname()
    assert record.config == "config.yaml"
    assert set(record.versions) >= {"sft-tui", "torch", "transformers", "peft"}
    assert not lock_is_free(trainer.run)
    until(lambda: told(trainer.run))
    first = told(trainer.run)[0]
    assert isinstance(first, events.Phase) and first.name == "loading_model"
    assert status_of(trainer.run).word == "preparing"


def test_a_trainer_has_its_own_session_no_stdin_and_its_output_in_the_log(trainer):
    proc = Path(f"/proc/{trainer.pid}")

    assert os.getsid(trainer.pid) == trainer.pid
    assert os.readlink(proc / "fd/0") == "/dev/null"
    assert os.readlink(proc / "fd/1") == str(trainer.run.log)
    assert os.readlink(proc / "fd/2") == str(trainer.run.log)


def test_every_file_of_a_started_run_is_private(trainer):
    until(lambda: told(trainer.run))
    modes = {p.name: p.stat().st_mode & 0o777 for p in trainer.run.path.iterdir() if p.is_file()}

    assert set(modes) >= {"config.yaml", "process.json", "run.lock", "events.jsonl", "trainer.log"}
    assert set(modes.values()) == {0o600}


def test_a_trainer_keeps_no_file_of_its_starter_open(stub, tmp_path):
    secret = open(tmp_path / "secret", "w")
    os.set_inheritable(secret.fileno(), True)
    started = launch.start(config_file.build())
    started.wait_until_started()
    try:
        fds = Path(f"/proc/{started.pid}/fd").iterdir()
        assert str(tmp_path / "secret") not in [os.readlink(fd) for fd in fds]
    finally:
        secret.close()
        started.child.kill()
        started.child.wait()


def test_a_relative_home_is_absolute_for_the_trainer(stub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SFT_TUI_HOME", "home")
    started = launch.start(config_file.build())
    started.wait_until_started()
    environment = Path(f"/proc/{started.pid}/environ").read_bytes().split(b"\0")
    started.child.kill()
    started.child.wait()

    assert f"SFT_TUI_HOME={tmp_path / 'home'}".encode() in environment


def test_allocator_settings_of_the_user_are_kept(stub, monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    started = launch.start(config_file.build(["launch.accelerator=cpu"]))
    started.wait_until_started()
    environment = Path(f"/proc/{started.pid}/environ").read_bytes().split(b"\0")
    started.child.kill()
    started.child.wait()

    assert b"MALLOC_TRIM_THRESHOLD_=131072" in environment


def test_kernels_that_a_cpu_keeps_for_shapes_of_bf16_products_are_limited(monkeypatch):
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    monkeypatch.delenv(name, raising=False)
    config = config_file.build(["launch.accelerator=cpu"])
    assert 0 < int(launch.trainer_environment(config)[name]) < 1024
    monkeypatch.setenv(name, "7")
    assert launch.trainer_environment(config)[name] == "7"


def test_a_trainer_outlives_the_kill_and_the_hangup_of_its_starter(stub, tmp_path):
    code = (
        "import time\n"
        "from sft_tui.core import config_file, launch\n"
        "started = launch.start(config_file.build())\n"
        "started.wait_until_started()\n"
        "print(started.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-P", "-c", code], stdout=subprocess.PIPE, start_new_session=True
    )
    pid = int(starter.stdout.readline())
    record = list_runs()[0].process_record()

    os.killpg(starter.pid, signal.SIGHUP)
    starter.wait()
    starter.stdout.close()
    time.sleep(0.2)

    assert record.pid == pid
    assert process.alive(record) is True


def test_folders_named_like_our_packages_beside_the_user_change_nothing(
    stub, tmp_path, monkeypatch
):
    for name in ("sft_tui", "core", "tui"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong package')\n")
    monkeypatch.chdir(tmp_path)

    started = launch.start(config_file.build())
    started.wait_until_started()

    assert status_of(started.run).word == "preparing"
    started.child.kill()
    started.child.wait()


def test_a_trainer_that_dies_before_it_says_who_it_is_is_told_with_its_last_words(stub):
    stub("msgspec", "raise ImportError('msgspec is broken')\n")
    started = launch.start(config_file.build())

    with pytest.raises(SftError, match="msgspec is broken") as caught:
        started.wait_until_started()

    assert str(started.run.log) in caught.value.remedy


def test_a_trainer_whose_imports_fail_ends_failed_with_the_reason_and_a_traceback_in_its_log(stub):
    stub("torch", "raise ImportError('libcudart.so.99 is missing')\n")
    started = launch.start(config_file.build())
    assert started.child.wait(20) == 1

    state = status_of(started.run)
    assert state.word == "failed"
    assert "libcudart.so.99" in state.reason
    assert str(started.run.log) in state.remedy
    assert "Traceback" in started.run.log.read_text()
    assert lock_is_free(started.run)


def test_running_out_of_memory_is_told_with_what_to_lower(stub):
    stub("torch", "raise MemoryError('no room')\n")
    started = launch.start(config_file.build())
    started.child.wait(20)

    state = status_of(started.run)
    assert state.word == "failed"
    assert "out of memory" in state.reason
    assert "micro_batch_size" in state.remedy


def test_a_run_that_trains_cannot_be_resumed_and_says_who_trains(trainer):
    with pytest.raises(RunBusy) as caught:
        launch.resume(trainer.run)

    assert f"pid {trainer.pid}" in str(caught.value)
    assert [path.name for path in trainer.run.configs()] == ["config.yaml"]


def test_a_second_trainer_on_a_locked_run_ends_busy_and_touches_nothing(trainer):
    until(lambda: told(trainer.run))
    before = trainer.run.events.read_bytes()
    second = subprocess.run(
        [sys.executable, "-P", "-m", "sft_tui.core.training", trainer.run.path, "config.yaml"],
        capture_output=True,
        text=True,
        timeout=20,
    )

    assert second.returncode == launch.EXIT_BUSY
    assert f"pid {trainer.pid}" in second.stderr
    assert "Traceback" not in second.stderr
    assert trainer.run.process_record().pid == trainer.pid
    assert trainer.run.events.read_bytes().startswith(before)


def test_a_finished_run_cannot_be_resumed(trainer):
    launch.kill(trainer.run)
    trainer.child.wait()
    with trainer.run.events.open("ab") as file:
        file.write(events.encode(events.RunFinished(status="finished")))

    with pytest.raises(SftError, match="finished"):
        launch.resume(trainer.run)


def test_a_crashed_run_is_resumed_under_the_next_configuration_number(trainer):
    run = trainer.run
    launch.kill(run)
    trainer.child.wait()
    changed = config_file.build(["method.rank=5"])

    for number, given in ((1, None), (2, changed), (3, None)):
        again = launch.resume(run, given)
        again.wait_until_started()
        assert run.process_record().config == f"config-{number}.yaml"
        launch.kill(run)
        again.child.wait()

    names = [path.name for path in run.configs()]
    assert names == ["config.yaml", "config-1.yaml", "config-2.yaml", "config-3.yaml"]
    assert config_file.load(run.configs()[1]) == config_file.load(run.config)
    assert config_file.load(run.configs()[3]) == changed  # the newest is taken on from


@pytest.mark.parametrize("end", ["train.max_steps=5", "train.max_steps=15", "train.epochs=3"])
def test_a_new_end_behind_the_checkpoint_is_refused_before_a_trainer_starts(tmp_path, end):
    run = new_run("r", tmp_path)
    sets = ["train.micro_batch_size=1", "train.gradient_accumulation=2"]
    run.config.write_text(config_file.to_yaml(config_file.build([*sets, "train.epochs=9"])))
    (run.checkpoints / "step-15").mkdir(parents=True)
    run.events.write_bytes(events.encode(events.RunStarted(run_id="r", train_rows=10)))

    with pytest.raises(UsageError, match="step 15 is done already") as caught:
        launch.resume(run, config_file.load(run.config, [end]))

    assert "more than 15 steps" in caught.value.remedy
    assert run.configs() == [run.config] and not run.log.exists()


FILLED = "filler"


@pytest.fixture
def full_disk(mount_disk, stub, monkeypatch):
    """Makes the home lie on a disk with room for so many pages more: a file takes one at least."""

    def fill(pages: int) -> Path:
        disk = mount_disk("64k")
        monkeypatch.setenv("SFT_TUI_HOME", str(disk))
        (disk / "runs").mkdir()
        with (
            pytest.raises(OSError, match="No space"),
            open(disk / FILLED, "wb", buffering=0) as file,
        ):
            while True:
                file.write(bytes(4096))
        os.truncate(disk / FILLED, (disk / FILLED).stat().st_size - 4096 * pages)
        return disk

    return fill


@pytest.mark.parametrize(
    ("pages", "misses"), [(0, "configuration"), (1, "log"), (2, "lock"), (3, "process file")]
)
def test_a_launch_for_which_the_disk_has_no_room_leaves_nothing_behind(full_disk, pages, misses):
    disk = full_disk(pages)

    with pytest.raises(DiskFull) as caught:
        launch.start(config_file.build()).wait_until_started()

    assert os.listdir(disk / "runs") == [], f"it had no room for its {misses}"
    assert "resume" not in f"{caught.value} {caught.value.remedy}"
    assert caught.value.remedy.startswith("free space")


def test_a_resume_that_cannot_be_started_leaves_its_configuration_out(trainer, monkeypatch):
    trainer.child.kill()
    trainer.child.wait()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(launch, "_open_log", full)
    with pytest.raises(DiskFull):
        launch.resume(trainer.run)

    assert trainer.run.configs() == [trainer.run.config]
    assert trainer.run.events.exists(), "only what this start made is taken back"


def test_who_does_not_wait_for_the_start_finds_nothing_of_it_either(full_disk):
    disk = full_disk(2)
    started = launch.start(config_file.build())
    started.child.wait(10)

    assert started.poll() == launch.EXIT_FULL
    assert os.listdir(disk / "runs") == []
    assert "nothing of it is left" in str(started.no_room)


def test_a_run_whose_first_trainer_had_no_room_can_be_deleted_on_the_full_disk(full_disk):
    disk = full_disk(2)
    started = launch.start(config_file.build())  # as the application does, which does not wait

    assert started.child.wait(10) == launch.EXIT_FULL  # and is not reaped: the window is gone

    os.utime(started.run.config, (1, 1))
    status = status_of(started.run)
    assert status.word == "crashed" and "disk is full" in status.reason
    remove(started.run)
    assert os.listdir(disk / "runs") == []


def test_a_folder_without_configuration_cannot_be_resumed(tmp_path):
    path = tmp_path / "home" / "runs" / "20260101-000000-x-0001"
    path.mkdir(parents=True)

    with pytest.raises(SftError, match=r"config\.yaml"):
        launch.resume(RunDir(path))


def test_kill_ends_the_whole_process_group(stub, tmp_path):
    mark = tmp_path / "worker"
    stub(
        "torch",
        "import subprocess, time\n"
        "worker = subprocess.Popen(['sleep', '120'])\n"
        f"open({str(mark)!r}, 'w').write(str(worker.pid))\n"
        "time.sleep(120)\n",
    )
    started = launch.start(config_file.build())
    started.wait_until_started()
    until(lambda: mark.exists() and mark.read_text())
    worker = int(mark.read_text())

    assert launch.kill(started.run) == started.pid

    until(lambda: process.start_time(worker) is None)
    assert started.child.wait(5) == -signal.SIGKILL
    status = status_of(started.run)
    assert status.word == "crashed"
    assert f"was killed by {control.author()}; no checkpoint yet" in (status.reason or "")


def test_a_kill_that_cannot_be_noted_is_told_as_done(trainer, monkeypatch):
    def refuse(run):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(launch, "_open_log", refuse)
    record = trainer.run.process_record()
    with pytest.raises(SftError, match=f"pid {trainer.pid} was killed") as caught:
        launch.kill(trainer.run)
    assert "Read-only file system" in caught.value.why
    assert process.alive(record) is False


def test_kill_refuses_a_dead_trainer_and_one_of_another_host(trainer):
    run = trainer.run
    record = run.process_record()
    run.process.write_bytes(
        msgspec.json.encode(msgspec.structs.replace(record, host="elsewhere")),
    )
    with pytest.raises(SftError, match="elsewhere"):
        launch.kill(run)
    run.process.write_bytes(
        msgspec.json.encode(msgspec.structs.replace(record, start_time=1.0)),
    )
    with pytest.raises(SftError, match="not alive"):
        launch.kill(run)

    assert process.alive(record) is True  # neither touched the process with that pid


@pytest.mark.parametrize(
    ("model", "data", "slug"),
    [
        ("demo", "demo", "demo"),
        ("Qwen/Qwen3-0.6B", "/data/my.rows.jsonl", "Qwen3-0.6B-my"),
        ("/models/tiny/", "/data/a.csv", "tiny-a"),
    ],
)
def test_a_run_is_named_after_its_model_and_data(model, data, slug):
    config = config_file.build([f"model.name={model}", f"data.source={data}"])

    assert launch.run_slug(config) == slug


def test_a_run_of_several_sources_says_so_in_its_name():
    config = config_file.build(["data.sources=[{source: a.csv}, {source: b.csv}]"])

    assert launch.run_slug(config) == "demo-a-and-1-more"


def stacks() -> bytes:
    """Returns what faulthandler writes of the threads of this process, many times over."""
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file)
        file.seek(0)
        return file.read() * 4


STACKS = stacks()


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (b"one\ntwo\n\n", "two"),
        (b"10%\r50%\rlast bar", "last bar"),
        (b"\x1b[31mred\x1b[0m\n", "red"),
        (b"", "(its log says nothing)"),
        (b"lost\nx.py:1: FutureWarning: old\n  warnings.warn(\n", "lost"),
        (b"lost\nFailed to load CPU gemm_4bit_forward from kernels-community: No module\n", "lost"),
        (b"lost\n[transformers] X does not support setting its attention\n", "lost"),
        (b"lost\n[rank 1] step 3: 2 rows, digest 0a\nstep 4: 1 rows, digest 0b\n", "lost"),
        (b"ValueError: of before\n--- the trainer begins\n", "(its log says nothing)"),
        (b"\xff\xfe broken\n", "broken"),
        (b"lost\nstack traces, asked by ada uid 7:\n" + STACKS, "lost"),
        (b"lost\n[rank 1] " + STACKS.replace(b"\n", b"\n[rank 1] "), "lost"),
        (b"Fatal Python error: Segmentation fault\n\n" + STACKS, "Segmentation fault"),
    ],
)
def test_the_last_words_of_a_log_are_its_last_line_made_harmless(tmp_path, log, words):
    run = RunDir(tmp_path)
    run.log.write_bytes(log)

    found = last_words(run)

    assert words in found
    assert "\x1b" not in found and "\n" not in found
