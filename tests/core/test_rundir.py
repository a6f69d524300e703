"""The run directory: names, modes, finding, atomic writes and the lock."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sft_tui.core import rundir
from sft_tui.core.errors import DiskFull, RunBusy, SftError, UsageError
from sft_tui.core.find import find_run

HOLDER = """
import sys, time
from pathlib import Path
from sft_tui.core.rundir import RunDir, locked
with locked(RunDir(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def sft_home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    monkeypatch.setenv("SFT_TUI_HOME", str(folder))
    return folder


def made(folder: Path, name: str) -> rundir.RunDir:
    path = folder / "runs" / name
    path.mkdir(parents=True)
    (path / "config.yaml").write_text("{}\n")
    (path / "trainer.log").touch()
    return rundir.RunDir(path)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_run_is_named_by_time_slug_and_four_hex_digits():
    run = rundir.new_run("Qwen/Qwen3-0.6B & my Data!")

    assert re.fullmatch(r"\d{8}-\d{6}-qwen-qwen3-0-6b-my-data-[0-9a-f]{4}", run.id)


@pytest.mark.parametrize("slug", ["", "///", "日本語"])
def test_a_slug_without_usable_letters_still_gives_a_valid_id(slug):
    run = rundir.new_run(slug)

    assert re.fullmatch(r"\d{8}-\d{6}-run-[0-9a-f]{4}", run.id)


def test_a_long_slug_is_cut_and_stays_clean():
    run = rundir.new_run("x" * 39 + "/" + "y" * 200)

    assert re.fullmatch(r"\d{8}-\d{6}-x{39}-[0-9a-f]{4}", run.id)


def test_two_runs_of_the_same_second_have_different_folders():
    assert len({rundir.new_run("same").id for _ in range(8)}) == 8


def test_folders_of_a_run_are_readable_by_the_owner_alone(sft_home):
    old = os.umask(0)
    try:
        run = rundir.new_run("private")
    finally:
        os.umask(old)

    assert mode(run.path) == 0o700
    assert mode(sft_home / "runs") == 0o700
    assert mode(sft_home) == 0o700


def test_files_of_a_run_are_readable_by_the_owner_alone():
    run = rundir.new_run("private")
    old = os.umask(0)
    try:
        rundir.write_atomic(run.config, b"a: 1\n")
        with rundir.locked(run):
            pass
    finally:
        os.umask(old)

    assert mode(run.config) == 0o600
    assert mode(run.lock) == 0o600


def test_a_home_that_cannot_be_made_is_a_message_for_the_user(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "file"))

    with pytest.raises(SftError) as caught:
        rundir.new_run("x")

    assert "SFT_TUI_HOME" in caught.value.remedy


def test_a_relative_home_and_a_tilde_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SFT_TUI_HOME", "here")
    assert rundir.home() == tmp_path / "here"

    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("SFT_TUI_HOME", "~/there")
    assert rundir.home() == tmp_path / "me" / "there"


def test_runs_are_listed_newest_first_without_hidden_folders_and_files(sft_home):
    made(sft_home, "20260101-000000-a-0001")
    made(sft_home, "20260301-000000-b-0002")
    made(sft_home, "20260201-000000-c-0003")
    (sft_home / "runs" / ".doctor-x").mkdir()
    (sft_home / "runs" / "99999999-notes.txt").write_text("not a run")

    assert [run.id[:8] for run in rundir.list_runs()] == ["20260301", "20260201", "20260101"]


def test_a_home_that_does_not_exist_holds_no_runs():
    assert rundir.list_runs() == []


def test_a_run_is_found_by_id_unique_part_path_and_latest(sft_home, monkeypatch):
    first = made(sft_home, "20260101-000000-alpha-0001")
    second = made(sft_home, "20260201-000000-beta-0002")

    assert find_run(first.id).path == first.path
    assert find_run("alpha").path == first.path
    assert find_run("0002").path == second.path
    assert find_run(str(first.path)).path == first.path
    assert find_run("latest").path == second.path
    monkeypatch.chdir(first.path)
    assert find_run(".").id == first.id


def test_a_full_id_wins_over_ids_that_contain_it(sft_home):
    short = made(sft_home, "20260101-000000-a-0001")
    made(sft_home, "20260101-000000-a-0001-copy")

    assert find_run("20260101-000000-a-0001").path == short.path


def test_a_part_of_several_ids_is_refused_and_names_them(sft_home):
    one = made(sft_home, "20260101-000000-alpha-0001")
    two = made(sft_home, "20260201-000000-alpha-0002")

    with pytest.raises(UsageError) as caught:
        find_run("alpha")

    assert one.id in caught.value.why
    assert two.id in caught.value.why


def test_a_run_that_waited_is_found_by_the_id_that_it_waited_under(sft_home):
    waited = rundir.run_name("alpha")
    began = made(sft_home, waited.replace(waited[:8], "99990101"))
    made(sft_home, "99990101-000000-alpha-zzzz")

    assert rundir.run_name("alpha", waited)[15:] == waited[15:]
    assert find_run(waited).path == began.path
    with pytest.raises(UsageError, match="no run is named"):
        find_run(began.id.replace("9999", "99999"))


def test_a_folder_with_a_configuration_alone_is_no_run(tmp_path):
    (tmp_path / "config.yaml").write_text("{}")

    with pytest.raises(UsageError, match="is no run") as caught:
        find_run(str(tmp_path))

    assert "its id" in caught.value.remedy


@pytest.mark.parametrize("name", ["gamma", "./nowhere"])
def test_a_name_that_no_run_answers_to_is_refused(sft_home, name):
    made(sft_home, "20260101-000000-alpha-0001")

    with pytest.raises(UsageError, match=r"gamma|nowhere"):
        find_run(name)


def test_a_folder_in_which_nothing_was_written_is_not_the_latest(sft_home):
    empty = sft_home / "runs" / "20990101-000000-x-0001"
    empty.mkdir(parents=True)
    with pytest.raises(UsageError, match="there is no run yet"):
        find_run("latest")

    run = rundir.new_run("x")
    run.config.touch()

    assert find_run("latest").id == run.id
    assert find_run(empty.name).id == empty.name, "by its name it is found, such as to delete it"


def test_latest_without_any_run_says_how_to_start_one():
    with pytest.raises(UsageError) as caught:
        find_run("latest")

    assert "demo" in caught.value.remedy


def test_an_atomic_write_that_fails_leaves_nothing_and_the_old_content(tmp_path, monkeypatch):
    target = tmp_path / "process.json"
    target.write_bytes(b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rundir.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        rundir.write_atomic(target, b"new")

    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["process.json"]


def test_an_atomic_write_replaces_unless_it_is_exclusive(tmp_path):
    target = tmp_path / "config.yaml"
    rundir.write_atomic(target, b"one", exclusive=True)

    with pytest.raises(FileExistsError):
        rundir.write_atomic(target, b"two", exclusive=True)
    assert target.read_bytes() == b"one"

    rundir.write_atomic(target, b"three")
    assert target.read_bytes() == b"three"
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_configurations_of_resumes_are_ordered_by_number_not_by_name(sft_home):
    run = made(sft_home, "20260101-000000-a-0001")
    for number in (10, 2, 1):
        (run.path / f"config-{number}.yaml").write_text("{}\n")
    (run.path / "config-old.yaml").write_text("{}\n")

    names = [path.name for path in run.configs()]

    assert names == ["config.yaml", "config-1.yaml", "config-2.yaml", "config-10.yaml"]


def test_only_folders_under_their_final_name_are_complete_checkpoints(sft_home):
    run = made(sft_home, "20260101-000000-a-0001")
    for name in ("step-10", "step-9", ".step-11.writing", "step-12-old"):
        (run.checkpoints / name).mkdir(parents=True)
    (run.checkpoints / "step-99").write_text("a file")

    assert [step for step, _ in run.complete_checkpoints()] == [9, 10]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff\xfe"])
def test_a_damaged_process_file_is_unknown_not_an_error(sft_home, content):
    run = made(sft_home, "20260101-000000-a-0001")
    run.process.write_bytes(content)

    assert run.process_record() is None


@pytest.fixture
def holder(sft_home):
    """A process that holds the lock of a run: (run, process)."""
    run = made(sft_home, "20260101-000000-a-0001")
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", HOLDER, str(run.path)], stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"held\n"
    yield run, process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_second_holder_of_a_lock_is_told_pid_and_host_of_the_first(holder):
    run, process = holder

    assert not rundir.lock_is_free(run)
    with pytest.raises(RunBusy) as caught, rundir.locked(run):
        pytest.fail("two holders")

    assert f"pid {process.pid} on {socket.gethostname()}" in str(caught.value)


def test_a_lock_is_free_again_after_its_holder_was_killed(holder):
    run, process = holder
    process.send_signal(signal.SIGKILL)
    process.wait()

    assert rundir.lock_is_free(run)
    with rundir.locked(run):
        assert not rundir.lock_is_free(run)


def test_a_lock_is_free_after_its_block_and_before_any_trainer(sft_home):
    run = made(sft_home, "20260101-000000-a-0001")
    assert rundir.lock_is_free(run)
    with rundir.locked(run):
        pass
    assert rundir.lock_is_free(run)


def test_a_child_of_the_holder_does_not_keep_the_lock(sft_home):
    run = made(sft_home, "20260101-000000-a-0001")
    with rundir.locked(run):
        child = subprocess.Popen(["sleep", "30"], close_fds=False)
    try:
        assert rundir.lock_is_free(run)
    finally:
        child.kill()
        child.wait()


def test_looking_at_a_lock_never_turns_a_starting_trainer_away(sft_home):
    """Two `resume` at once: the second one's look must not make the first one's trainer give up."""
    run = made(sft_home, "20260101-000000-a-0001")
    run.lock.write_text("")
    ended = threading.Event()

    def look():
        while not ended.is_set():
            rundir.lock_is_free(run)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        for _ in range(2000):
            with rundir.locked(run):
                pass
    finally:
        ended.set()
        looker.join()


@pytest.mark.parametrize(
    ("number", "kind"), [(28, DiskFull), (122, DiskFull), (30, SftError), (13, SftError)]
)
def test_a_failed_file_operation_is_told_with_file_cause_and_remedy(number, kind):
    error = OSError(number, os.strerror(number), "/x/run/events.jsonl")

    explained = rundir.explain_os_error(error, "writing events.jsonl")

    assert type(explained) is kind
    assert "writing events.jsonl" in explained.what
    # What a short line leaves out is the path.
    assert explained.why == f"{os.strerror(number)}: /x/run/events.jsonl"
    assert explained.remedy
    named = rundir.explain_os_error(error, "exporting", Path("/x/export"))
    assert named.why == f"{os.strerror(number)}: /x/export"


def test_a_copy_under_another_name_is_not_the_latest(sft_home):
    runs = sft_home / "runs"
    for name in ("20260102-030405-tiny-0a01", "old-baseline", "20260103-030405-tiny-0b02"):
        (runs / name).mkdir(parents=True)
        (runs / name / "config.yaml").write_text("model: {name: demo}\n")
    assert [run.id for run in rundir.list_runs()] == [
        "20260103-030405-tiny-0b02", "20260102-030405-tiny-0a01", "old-baseline",
    ]  # fmt: skip
    assert find_run("latest").id == "20260103-030405-tiny-0b02"
