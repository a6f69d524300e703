"""The folder of a run goes wrong while it is watched: viewers stay, say so, and answer keys."""

import errno
import shutil
import subprocess
import time

import pytest

from sft_tui.core import events
from tests.e2e.terminal import CLI
from tests.relay import Relay
from tests.stalling_disk import shown

ANSWERS_S = 1.0
"""From a key to what it does, on a machine with other things to do."""


@pytest.fixture
def look(home):
    """Opens Monitor in a process of its own, on a pty."""
    opened: list[Relay] = []

    def open_(*arguments: object, **how) -> Relay:
        opened.append(Relay([CLI, "watch", *arguments], home, **how))
        return opened[-1]

    yield open_
    for each in opened:
        each.close()


def test_keys_are_answered_while_the_disk_is_not(home, record, tmp_path, look):
    """A file system that answers nothing for ten seconds, as a server that is gone."""
    run, fault = record.living(record.trained()), tmp_path / "fault"
    record.dead(record.trained("20260101-030405-other-0b02", steps=3))
    beneath = tmp_path / "beneath"
    record.runs.rename(beneath)
    run_beneath = type(run)(beneath / run.id)
    with shown(beneath, record.runs, fault):
        seen = look(size=(120, 36))
        seen.sees("▶ RUNNING", "step 40/100", "loss 1.316")
        seen.press("1")
        seen.sees("Runs · 2", "Read-only: this folder is not yours to write.")
        seen.press("3")
        seen.sees("▌3 Monitor▐")
        time.sleep(0.5)
        fault.touch()
        began = time.monotonic()
        seen.sees("NO ANSWER FROM THE DISK", within_s=8)
        for keys, text in (
            ("m", "Chart: learning rate."), ("s", "Average: 0.97."), ("b", "▌Log▐"),
            ("?", "Help · Monitor"), ("\x1b", ""), ("x", "You can watch but not control"),
            ("]", "The disk does not answer yet"), ("1", "▌1 Runs▐"), ("j", "CRASHED: "),
            ("d", "The disk does not answer yet"), ("i", "In words"), ("\x1b", ""),
            ("k", "STEPS  "), ("3", "▌3 Monitor▐"),
        ):  # fmt: skip
            at = seen.press(keys)
            took = seen.sees(text, since=at) if text else seen.loses("Help · ", since=at)
            print(f"{keys!r}: {took:.2f} s")
            assert took < ANSWERS_S
            time.sleep(0.2)  # Esc and a key at once would be Alt and that key
        assert "step 40/100" in seen.screen.text(), "the last data stay"
        time.sleep(max(began + 10 - time.monotonic(), 0))
        record.add(run_beneath, events.Step(step=41, loss=1.25, tokens=500, step_s=0.5))
        fault.unlink()
        seen.sees("step 41/100", within_s=5)
        seen.loses("NO ANSWER")


def test_a_disk_with_errors_is_watched_on_once_it_is_well(record, tmp_path, look):
    run, fault = record.living(record.trained()), tmp_path / "fault"
    beneath = tmp_path / "beneath"
    record.runs.rename(beneath)
    with shown(beneath, record.runs, fault):
        seen = look(run.id)
        seen.sees("▶ RUNNING", "step 40/100")
        fault.write_text(str(errno.EIO))
        seen.sees("UNKNOWN", "Input/output error", "step 40/100")
        assert "FOLDER GONE" not in seen.screen.text()
        seen.sees("Chart: learning rate.", since=seen.press("m"))
        fault.unlink()
        seen.sees("▶ RUNNING", "step 40/100")


def test_a_folder_that_comes_back_is_watched_on(look, record):
    run = record.living(record.trained())
    seen = look(size=(120, 36))
    seen.sees("▶ RUNNING", "step 40/100")
    away = run.path.with_name("away")
    run.path.rename(away)
    seen.sees("FOLDER GONE", "step 40/100", "r Retry")
    seen.sees("The folder is still gone", since=seen.press("r"))
    away.rename(run.path)
    record.add(run, events.Step(step=41, loss=1.25, tokens=500, step_s=0.5))
    seen.sees("▶ RUNNING", "step 41/100")
    seen.loses("FOLDER GONE")
    seen.loses("r Retry")


def test_a_run_on_a_disk_that_becomes_read_only_is_watched_on(look, record, mount_disk):
    disk = mount_disk("4m")
    run = record.living(record.trained())
    shutil.copytree(run.path, disk / run.id)
    seen = look("--runs", disk, run.id)
    seen.sees("▶ RUNNING", "step 40/100")

    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)

    time.sleep(1)  # it is looked at twice a second
    seen.sees("You can watch but not control", since=seen.press("x"))
    assert "▶ RUNNING" in seen.screen.text()


def test_a_run_on_a_full_disk_is_watched_on_and_a_command_says_so(look, record, mount_disk):
    disk = mount_disk("256k")
    run = record.living(record.trained())
    shutil.copytree(run.path, disk / run.id)
    with pytest.raises(OSError, match="No space left"), (disk / "filler").open("wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()
    seen = look("--runs", disk, run.id, size=(160, 45))
    seen.sees("▶ RUNNING", "step 40/100")

    seen.sees("stop and save", since=seen.press("x"))
    seen.sees("the run cannot be asked to checkpoint", "No space left", since=seen.press("c"))
    assert "▶ RUNNING" in seen.screen.text()


def test_events_of_another_version_and_of_a_clock_set_back_are_shown_as_they_are(watch, record):
    run = record.living(record.trained(steps=10))
    record.add(
        run,
        b'{"type":"step","step":11}\n',
        b'{"type":"step","step":12,"loss":"Infinity","grad_norm":"-Infinity","v":7,"new":[{}]}\n',
        b'{"type":"from_the_future","t":1,"v":7}\n{"type":"phase","v":1}\n',
        events.Step(step=13, loss=float("nan"), t=time.time() + 3600),  # then it was set back
        events.Step(step=14, loss=1.25, tokens=500, step_s=0.5, elapsed_s=1.0),
    )

    async def scenario(eyes):
        await eyes.sees("RUNNING", "step 14/100", "loss 1.25", "2 NaN ×", "skipped")
        for key in "aaosmMb0+-":
            await eyes.press(key)
        record.add(run, events.Step(step=15, loss=1.125, tokens=500, step_s=0.5))
        await eyes.sees("step 15/100", "loss 1.125")

    watch(scenario, run)
