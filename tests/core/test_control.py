"""Commands for a trainer: one whole line each, whoever else writes, and clear refusals."""

import os
import subprocess
import sys

import pytest

from sft_tui.core import control
from sft_tui.core.errors import SftError
from sft_tui.core.tail import Tail


@pytest.fixture(autouse=True)
def sft_home(tmp_path, monkeypatch):
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB; a folder of the normal one where mounting is not permitted."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(place)]
    mounted = subprocess.run(command, capture_output=True).returncode == 0
    yield place if mounted else None
    if mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)


def read(path) -> list[control.Command]:
    return [command for line in Tail(path).read() if (command := control.decode(line))]


def test_a_command_is_one_line_with_id_time_author_and_value(tmp_path):
    path = tmp_path / "control.jsonl"

    first = control.append(path, "stop")
    second = control.append(path, "set", learning_rate=1e-5)

    stop, change = read(path)
    assert (stop.id, stop.command, stop.values) == (first, "stop", {})
    assert (change.id, change.command) == (second, "set")
    assert change.values == {"learning_rate": 1e-5}
    assert first != second
    assert f"uid {os.getuid()}" in stop.by
    assert stop.t <= change.t
    assert path.read_bytes().count(b"\n") == 2


def test_the_file_of_commands_is_private(tmp_path):
    old = os.umask(0)
    try:
        control.append(tmp_path / "control.jsonl", "stop")
    finally:
        os.umask(old)

    assert (tmp_path / "control.jsonl").stat().st_mode & 0o777 == 0o600


def test_commands_of_many_clients_at_once_stay_whole(tmp_path):
    path = tmp_path / "control.jsonl"
    code = (
        "import sys\nfrom pathlib import Path\nfrom sft_tui.core import control\n"
        "for _ in range(200): control.append(Path(sys.argv[1]), 'checkpoint')\n"
    )
    clients = [subprocess.Popen([sys.executable, "-P", "-c", code, str(path)]) for _ in range(4)]
    assert [client.wait() for client in clients] == [0, 0, 0, 0]

    found = read(path)
    assert len(found) == 800
    assert len({command.id for command in found}) == 800


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'{"command":"stop"}', b"\xff", b"null"])
def test_a_line_that_is_no_command_is_none(line):
    assert control.decode(line) is None


def test_a_command_with_fields_of_a_later_version_is_read():
    line = b'{"id":"a","t":1.0,"by":"me","command":"extend","max_steps":9,"z":0}'

    found = control.decode(line)
    assert (found.command, found.values) == ("extend", {"max_steps": 9})


def test_a_user_without_an_account_is_named_by_uid(monkeypatch):
    def unknown():
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(control.getpass, "getuser", unknown)

    assert control.author() == f"user uid {os.getuid()}"


def test_a_run_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(SftError) as caught:
        control.append(tmp_path / "gone" / "control.jsonl", "stop")

    assert "asked to stop" in caught.value.what
    assert "No such file" in caught.value.why
    assert "watch" in caught.value.remedy


def test_a_command_on_a_full_disk_is_refused(tmp_path, small_disk, monkeypatch):
    path = (small_disk or tmp_path) / "control.jsonl"
    fill(small_disk, path, monkeypatch)

    with pytest.raises(SftError, match="No space left"):
        for _ in range(100):  # until the file's last page is used up
            control.append(path, "stop")


def test_a_command_torn_by_a_full_disk_does_not_swallow_the_next_one(
    tmp_path, small_disk, monkeypatch
):
    path = (small_disk or tmp_path) / "control.jsonl"
    free = fill(small_disk, path, monkeypatch)
    with pytest.raises(SftError):
        for _ in range(100):
            control.append(path, "stop")
    assert not path.read_bytes().endswith(b"\n"), "the disk was full in the middle of a line"
    free()

    asked = control.append(path, "checkpoint")

    assert read(path)[-1].id == asked


def fill(small_disk, path, monkeypatch):
    """Leaves space for part of a command; returns what makes space again."""
    if small_disk is not None:
        control.append(path, "checkpoint")  # takes the file's first page
        with open(small_disk / "filler", "wb") as filler:
            filler.write(b"x" * (60 << 10))
        return (small_disk / "filler").unlink
    real = os.write
    state = {"left": 150}

    def write(descriptor, data):
        if state["left"] == 0:
            raise OSError(28, "No space left on device")
        part = data[: state["left"]]
        state["left"] -= len(part)
        return real(descriptor, part)

    monkeypatch.setattr(control.os, "write", write)
    return lambda: state.update(left=1 << 20)


@pytest.mark.parametrize(
    "line",
    [b'{"id": "1", "command": "stop"}', b'{"id": "1", "t": "noon", "by": 7, "command": "stop"}'],
    ids=["lacks", "wrong"],
)
def test_a_line_written_by_hand_needs_only_what_an_answer_names(line):
    found = control.decode(line)
    assert found is not None
    assert (found.id, found.command, found.t, found.by) == ("1", "stop", 0.0, "somebody")


@pytest.mark.parametrize("line", [b'{"id": "1"}', b'{"id": "1", "command": ["stop"]}'])
def test_a_line_that_names_no_command_is_refused_with_those_that_there_are(line):
    found = control.decode(line)
    assert found is not None
    assert (control.problem(found.command, found.values) or "").endswith("extend, dump, set")
