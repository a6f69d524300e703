"""Whether a recorded process lives: pid, start time and boot id together."""

import os
import shutil
import signal
import socket
import subprocess
import time

import msgspec
import pytest

from sft_tui.core import process


@pytest.fixture(autouse=True)
def sft_home(tmp_path, monkeypatch):
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))


@pytest.fixture
def sleeper():
    child = subprocess.Popen(["sleep", "60"])
    yield child
    child.kill()
    child.wait()


def recorded(pid: int, **changes: object) -> process.ProcessRecord:
    """The record that the process `pid` would have written, with changes."""
    own = process.this_process("local", ["x"], {})
    facts = {"pid": pid, "start_time": process.start_time(pid) or 0.0, **changes}
    return msgspec.structs.replace(own, **facts)


def test_the_calling_process_lives_by_its_own_record():
    assert process.alive(process.this_process("local", ["a"], {"torch": "2"})) is True


def test_a_record_survives_its_file(tmp_path):
    record = process.this_process("local", ["python", "-m", "x"], {"torch": "2"})

    again = msgspec.json.decode(msgspec.json.encode(record), type=process.ProcessRecord)

    assert again == record
    assert process.alive(again) is True


def test_a_killed_child_that_nobody_reaped_is_dead(sleeper):
    record = recorded(sleeper.pid)
    assert process.alive(record) is True

    os.kill(sleeper.pid, signal.SIGKILL)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # dead, and still a zombie

    assert os.path.exists(f"/proc/{sleeper.pid}")
    assert process.start_time(sleeper.pid) is None
    assert process.alive(record) is False


def test_a_reaped_child_is_dead(sleeper):
    record = recorded(sleeper.pid)
    sleeper.kill()
    sleeper.wait()

    assert process.alive(record) is False


def test_a_stopped_process_lives(sleeper):
    record = recorded(sleeper.pid)
    os.kill(sleeper.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED | os.WNOWAIT)

    assert process.alive(record) is True


def test_another_process_with_the_same_pid_is_not_the_recorded_one(sleeper):
    started = process.start_time(sleeper.pid)

    assert process.alive(recorded(sleeper.pid, start_time=started - 1)) is False


def test_a_process_of_an_earlier_boot_is_dead(sleeper):
    assert process.alive(recorded(sleeper.pid, boot_id="another boot")) is False


def test_a_process_of_another_host_is_unknown(sleeper):
    elsewhere = recorded(sleeper.pid, host=socket.gethostname() + "-other", boot_id="x")

    assert process.alive(elsewhere) is None


def test_a_command_name_with_spaces_and_brackets_is_read_right(tmp_path):
    program = tmp_path / "a) Z 1 (b"
    shutil.copy(shutil.which("sleep"), program)
    before = process.start_time(os.getpid())
    child = subprocess.Popen([str(program), "60"])
    try:
        name = f"({program.name})"
        deadline = time.monotonic() + 5
        while name not in open(f"/proc/{child.pid}/stat").read():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        started = process.start_time(child.pid)

        assert started is not None
        assert before <= started  # field 22 and no other: both count ticks since the boot
        uptime = float(open("/proc/uptime").read().split()[0])
        assert started / os.sysconf("SC_CLK_TCK") == pytest.approx(uptime, abs=10)
        assert process.alive(recorded(child.pid)) is True
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"pid": 1}', '"x"'])
def test_an_unreadable_lock_names_another_trainer(text):
    assert process.lock_holder(text) == "another trainer"


def test_a_lock_names_its_holder():
    assert process.lock_holder('{"pid": 12, "host": "box"}') == "pid 12 on box"


def test_a_process_that_was_stopped_is_alive_and_halted(stranger):
    record = process.this_process("local", ["x"], {})
    record.pid, record.start_time = stranger, process.start_time(stranger)
    assert process.alive(record) and not process.halted(record)
    os.kill(stranger, signal.SIGSTOP)
    deadline = time.monotonic() + 5
    while not process.halted(record):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert process.alive(record)
    os.kill(stranger, signal.SIGKILL)
    while process.alive(record):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not process.halted(record)
