"""Reading beside the event loop: it never keeps the application, and its faults are told."""

import subprocess
import sys
import threading
from functools import partialmethod

import pytest

from sft_tui.core.errors import SftError
from sft_tui.tui.app import SftApp
from sft_tui.tui.commands.application import open_application

_LEAVES_WHILE_A_DISK_HANGS = """
import threading
from sft_tui.core.run_index import RunIndex
from sft_tui.tui.app import SftApp
from sft_tui.tui.services.trainers import Trainers

hangs = threading.Event()
def refresh(self, tell=None):
    hangs.set()
    threading.Event().wait()
RunIndex.refresh = refresh

reap = Trainers.reap
def leave(self):
    reap(self)
    if hangs.is_set():
        self._app.exit()
Trainers.reap = leave

SftApp().run(headless=True)
print("left")
"""


def test_a_disk_that_hangs_keeps_nobody_from_leaving(home):
    done = subprocess.run(
        [sys.executable, "-c", _LEAVES_WHILE_A_DISK_HANGS],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert (done.returncode, done.stdout) == (0, "left\n"), done.stderr


def test_one_scan_runs_at_a_time(drive, monkeypatch):
    begun, go = [], threading.Event()

    def refresh(self, tell=None):
        begun.append(self)
        go.wait(10)
        return []

    monkeypatch.setattr("sft_tui.core.run_index.RunIndex.refresh", refresh)

    async def scenario(eyes):
        await eyes.until(lambda: begun)
        for _ in range(5):
            eyes.app.screen.scan()
            await eyes.pilot.pause(0.05)
        assert len(begun) == 1
        go.set()
        await eyes.until(lambda: len(begun) > 1)

    drive(scenario)


def test_a_fault_of_the_reading_is_told(drive, monkeypatch):
    def refresh(self, tell=None):
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr("sft_tui.core.run_index.RunIndex.refresh", refresh)

    async def scenario(eyes):
        await eyes.sees("Reading failed: ZeroDivisionError: of all things")

    drive(scenario)


def test_an_application_that_fails_has_an_exit_code_that_says_so(home, monkeypatch):
    def fail(self):
        raise RuntimeError("boom")

    monkeypatch.setattr(SftApp, "run", partialmethod(SftApp.run, headless=True))
    monkeypatch.setattr(SftApp, "on_mount", fail)
    with pytest.raises(SftError) as failure:
        open_application(None)
    assert failure.value.exit_code == 1


def test_a_slow_start_of_a_trainer_holds_up_no_key_and_is_not_asked_for_twice(drive, home):
    go, begun = threading.Event(), []

    def begin():
        begun.append(threading.current_thread())
        go.wait(20)
        raise SftError("the folder cannot be written", "the disk is full", "free some")

    async def scenario(eyes):
        eyes.app.start_run(begin)
        await eyes.until(lambda: begun)
        eyes.app.start_run(begin)
        await eyes.sees("A run is being started already")
        await eyes.press("6")
        await eyes.sees("Settings", "runs folder")
        go.set()
        await eyes.press("1")
        await eyes.sees("the folder cannot be written: the disk is full. free some")
        assert not eyes.app.owes
        eyes.app.start_run(begin)
        await eyes.until(lambda: len(begun) == 2)

    drive(scenario)
    assert threading.main_thread() not in begun
