"""The writer of events: nothing swallowed by torn lines, nothing lost to a full disk."""

import os
import subprocess
import threading
import time

import pytest

from sft_tui.core import events
from sft_tui.core.errors import DiskFull
from sft_tui.core.rundir import RunDir
from sft_tui.core.tail import Tail
from sft_tui.core.training import report as report_module
from sft_tui.core.training.report import Report


@pytest.fixture(autouse=True)
def sft_home(tmp_path, monkeypatch):
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))


@pytest.fixture
def run(tmp_path) -> RunDir:
    path = tmp_path / "20260101-000000-x-0001"
    path.mkdir()
    return RunDir(path)


def told(run: RunDir) -> list[events.Event]:
    return [event for line in Tail(run.events).read() if (event := events.decode(line))]


class Disk:
    """A disk of 64 KiB: a real one, or short writes where mounting is not permitted."""

    def __init__(self, path, monkeypatch) -> None:
        path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(path)]
        self.mounted = subprocess.run(command, capture_output=True).returncode == 0
        self.run = RunDir(path)
        self._left = 1 << 16
        self._real = os.write
        if not self.mounted:
            monkeypatch.setattr(report_module.os, "write", self._write)

    def _write(self, descriptor: int, data: bytes) -> int:
        if self._left == 0:
            raise OSError(28, "No space left on device")
        count = self._real(descriptor, data[: self._left])
        self._left -= count
        return count

    def leave(self, size: int) -> None:
        """Leaves `size` bytes for the events: whole pages where the disk is a real one."""
        if self.mounted:
            free = os.statvfs(self.run.path).f_bavail * 4096
            with open(self.run.path / "filler", "wb") as filler:
                filler.write(b"x" * max(free - size, 0))
        else:
            self._left = size

    def free(self) -> None:
        if self.mounted:
            (self.run.path / "filler").unlink()
        else:
            self._left = 1 << 20

    def close(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.run.path)], check=True)


@pytest.fixture
def disk(tmp_path, monkeypatch):
    small = Disk(tmp_path / "20260101-000000-small-0001", monkeypatch)
    yield small
    small.close()


def warning(size: int, code: str = "w") -> events.Warning_:
    return events.Warning_(code=code, message="m" * size)


def test_every_event_is_one_line_with_its_time(run):
    before = time.time()
    with Report(run) as report:
        report.phase("loading_model")
        report.emit(events.Step(step=1, loss=float("nan")))

    first, second = told(run)
    assert run.events.read_bytes().count(b"\n") == 2
    assert before <= first.t <= second.t <= time.time()
    assert first.name == "loading_model"
    assert second.loss != second.loss


def test_the_file_of_events_is_private(run):
    old = os.umask(0)
    try:
        Report(run).close()
    finally:
        os.umask(old)

    assert run.events.stat().st_mode & 0o777 == 0o600


def test_a_torn_line_of_an_earlier_start_does_not_swallow_the_first_event(run):
    run.events.write_bytes(events.encode(events.Step(step=1)) + b'{"type":"step","st')

    with Report(run) as report:
        report.emit(events.Phase(name="loading_model"))

    lines = Tail(run.events).read()
    assert [events.decode(lines[0]).step, events.decode(lines[2]).name] == [1, "loading_model"]
    assert len(lines) == 3


def test_an_earlier_start_with_whole_lines_is_continued_without_loss(run):
    for step in (1, 2):
        with Report(run) as report:
            report.emit(events.Step(step=step))
            report.emit(events.Step(step=step + 10))

    assert [event.step for event in told(run)] == [1, 11, 2, 12]
    assert b"\n\n" not in run.events.read_bytes(), "each line is an event"


def test_amounts_of_a_phase_are_told_once_a_second_and_at_its_end(run):
    with Report(run) as report:
        for done in range(0, 1000):
            report.phase("preparing_data", done, 1000, "rows")
        report.phase("preparing_data", 1000, 1000, "rows")
        report.phase("training")

    phases = told(run)
    assert len(phases) < 10
    assert [(event.name, event.done) for event in phases[-2:]] == [
        ("preparing_data", 1000),
        ("training", None),
    ]


def test_a_warning_names_the_step_it_was_met_at(run):
    with Report(run) as report:
        report.emit(events.Step(step=7))
        report.warn("code", "it is odd", "look", row=3)

    last = told(run)[-1]
    assert (last.code, last.step, last.row) == ("code", 7, 3)


def test_heartbeats_tell_whether_the_main_thread_moves(run, monkeypatch):
    monkeypatch.setattr(report_module, "HEARTBEAT_S", 0.05)
    with Report(run) as report:
        report.start_heartbeat()
        time.sleep(0.4)
        still = [event.progress for event in told(run) if isinstance(event, events.Heartbeat)]
        report.tick()
        time.sleep(0.3)
        moved = [event.progress for event in told(run) if isinstance(event, events.Heartbeat)]

    assert len(still) >= 2 and len(set(still)) == 1
    assert moved[-1] > still[-1]


def test_the_host_is_sampled_while_the_run_lasts(run):
    with Report(run) as report:
        report.start_heartbeat()
        time.sleep(1.5)

    samples = [event for event in told(run) if isinstance(event, events.System)]
    assert samples and samples[0].process_memory_bytes > 0


def test_events_of_two_threads_do_not_mix(run):
    with Report(run) as report:

        def write(code: str) -> None:
            for _ in range(300):
                report.emit(warning(50, code))

        threads = [threading.Thread(target=write, args=(code,)) for code in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(event.code for event in told(run)) == sorted("abc" * 300)


def test_a_full_disk_is_waited_for_and_the_torn_line_is_finished(disk, capfd):
    with Report(disk.run, disk_wait_s=30) as report:
        report.emit(warning(10, "before"))
        disk.leave(0)
        writer = threading.Thread(target=lambda: report.emit(warning(6000, "large")))
        writer.start()
        time.sleep(0.5)
        assert writer.is_alive(), "it must wait for space"
        torn = disk.run.events.read_bytes()
        assert b'"large"' in torn and not torn.endswith(b"\n"), "the write was short"
        assert "disk full" in capfd.readouterr().err

        disk.free()
        writer.join(10)
        assert not writer.is_alive()
        report.emit(warning(10, "after"))

    assert [event.code for event in told(disk.run)] == ["before", "large", "after"]
    assert len(told(disk.run)[1].message) == 6000
    assert len(Tail(disk.run.events).read()) == 3  # no line is damaged


@pytest.mark.timing
def test_a_disk_that_stays_full_fails_the_run(disk, capfd):
    with Report(disk.run, disk_wait_s=0.3) as report:
        report.emit(warning(10, "before"))
        disk.leave(0)
        began = time.monotonic()

        with pytest.raises(DiskFull) as caught:
            report.emit(warning(6000))

        assert 0.3 <= time.monotonic() - began < 3

    assert "free space" in caught.value.remedy
    assert "disk full" in capfd.readouterr().err


def test_an_event_after_a_line_torn_by_a_full_disk_stands_on_its_own_line(disk):
    with Report(disk.run, disk_wait_s=0.1) as report:
        report.emit(warning(10, "before"))
        disk.leave(0)
        with pytest.raises(DiskFull):
            report.emit(warning(6000, "lost"))
        disk.free()
        report.emit(events.RunFinished(status="failed", reason="the disk is full"))

    lines = Tail(disk.run.events).read()
    assert len(lines) == 3
    last = events.decode(lines[-1])
    assert (last.status, last.reason) == ("failed", "the disk is full")


def test_the_heartbeat_ends_quietly_on_a_full_disk(disk, monkeypatch, capfd):
    monkeypatch.setattr(report_module, "HEARTBEAT_S", 0.01)
    with Report(disk.run, disk_wait_s=0.1) as report:
        report.emit(warning(10))
        disk.leave(0)
        report.start_heartbeat()
        deadline = time.monotonic() + 20
        said = ""
        while "no more heartbeats" not in said and time.monotonic() < deadline:
            time.sleep(0.1)
            said += capfd.readouterr().err

    assert "no more heartbeats" in said
    assert "Traceback" not in said


@pytest.mark.timing
def test_another_fault_than_a_full_disk_is_not_waited_for(run, monkeypatch):
    def broken(descriptor, data):
        raise OSError(5, "Input/output error")

    with Report(run, disk_wait_s=30) as report, monkeypatch.context() as patched:
        patched.setattr(report_module.os, "write", broken)
        began = time.monotonic()
        with pytest.raises(OSError, match="Input/output"):
            report.emit(events.Step(step=1))
        assert time.monotonic() - began < 2
