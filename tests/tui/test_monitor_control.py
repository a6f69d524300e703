"""Steering a run from Monitor: two keys at least, a question before what ends it, answers told."""

import itertools
import os
import shutil
import signal
import subprocess
import time

import msgspec
import pytest
from textual.widgets import Input

from sft_tui.core import config_file, control, events, process
from sft_tui.core.errors import SftError
from sft_tui.tui.keys import KEYS
from sft_tui.tui.screens.dialogs import Ask, Choose, Confirm
from sft_tui.tui.screens.monitor import MonitorScreen
from tests.tui.conftest import train_step


def commands(run) -> list[control.Command]:
    if not run.control.exists():
        return []
    decoded = [control.decode(line) for line in run.control.read_bytes().splitlines()]
    return [command for command in decoded if command is not None]


def answer(asked: control.Command, outcome: str, **more) -> events.Control:
    return events.Control(
        id=asked.id, command=asked.command, by=asked.by, outcome=outcome, step=40, **more
    )


def test_stop_needs_x_s_and_enter(watch, living_run, record):
    """U53"""

    async def scenario(eyes):
        assert "x Control" in eyes.footer
        assert "R Resume" not in eyes.footer and "d Duplicate" not in eyes.footer
        await eyes.press("x")
        assert isinstance(eyes.app.screen, Choose)
        await eyes.press("s")
        assert isinstance(eyes.app.screen, Confirm)
        await eyes.sees("Stop after this step and save?", "Enter yes   Esc no")
        assert not living_run.control.exists()
        await eyes.press("enter")
        await eyes.sees("stop asked", "waiting for the trainer")
        (asked,) = commands(living_run)
        assert asked.command == "stop"
        record.add(living_run, answer(asked, "accepted"))
        await eyes.sees("■ STOPPING", "Stop accepted (asked by", "ETA –")
        record.add(living_run, answer(asked, "done"), events.Phase(name="saving"))
        record.add(living_run, events.RunFinished(status="stopped", reason="asked", step=40))
        await eyes.sees("■ STOPPED", "Run stopped at step 40", "R Resume")
        await eyes.press("x")
        await eyes.sees("resume from the newest checkpoint", "more steps")
        assert "stop and save" not in eyes.text()

    watch(scenario, living_run)


@pytest.mark.parametrize("size", [(120, 36), (80, 24)])
@pytest.mark.parametrize(
    ("ended", "remedy"), [("paused", "R goes on with it"), ("finished", "start a new run")]
)
def test_a_stop_that_is_confirmed_after_the_trainer_ended_is_refused(
    watch, living_run, record, ended, remedy, size
):
    async def scenario(eyes):
        model = eyes.app.screen._model
        await eyes.press("x", "s")
        await eyes.sees("Stop after this step and save?")
        record.add(living_run, events.RunFinished(status=ended, step=40))
        record.dead(living_run)
        await eyes.until(lambda: model.status.word == ended)
        await eyes.press("enter")
        await eyes.sees(f"cannot be asked to stop: no trainer is at work: it is {ended}", remedy)
        assert not living_run.control.exists()

    watch(scenario, living_run, size)


@pytest.mark.parametrize("key", ["s", "p", "l", "m", "k"])
def test_a_run_that_begins_meanwhile_takes_no_question_over(drive, living_run, record, key):
    """Monitor was opened without a choice: it stays at what it shows, and questions name it."""

    async def scenario(eyes):
        screen = eyes.app.screen
        await eyes.until(lambda: screen._model.complete)
        await eyes.press("x", key)
        await eyes.sees(living_run.id)
        record.living(record.trained("20990101-000000-later-ffff"))
        await eyes.press("escape")
        await eyes.until(lambda: eyes.app.screen is screen)
        await eyes.pilot.pause()
        assert screen._run.path == living_run.path

    drive(scenario, mode="monitor")


def test_monitor_and_play_show_the_run_that_is_at_the_cursor(drive, living_run, record):
    older = record.dead(record.finished("20200101-000000-older-0001"))

    async def scenario(eyes):
        await eyes.sees("RUNNING", "FINISHED", "older-0001")
        await eyes.press("G", "3")
        await eyes.sees("▌3 Monitor▐", "FINISHED", older.id)
        await eyes.press("1", "g", "5")
        await eyes.sees("▌5 Play▐", living_run.id)

    drive(scenario)


def test_a_stop_that_is_not_confirmed_is_not_asked(watch, living_run):
    """U53"""

    async def scenario(eyes):
        for no in ("escape", "n", "q"):
            await eyes.press("x", "s", no)
            assert isinstance(eyes.app.screen, MonitorScreen)

    watch(scenario, living_run)
    assert not living_run.control.exists()


def test_no_single_key_touches_the_control_file(watch, living_run):
    """U53"""
    letters = [
        *"abcdefghijklmnoprtuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0456789",
        "enter",
        "space",
        "tab",
    ]
    known = {shown for key in KEYS for shown in key.keys}

    async def scenario(eyes):
        for key in [*letters, *sorted(known - {"q", "escape", "1", "2"})]:
            await eyes.pilot.press(key)
            if not isinstance(eyes.app.screen, MonitorScreen):
                await eyes.pilot.press("escape")
            assert not living_run.control.exists(), key
        assert isinstance(eyes.app.screen, MonitorScreen)

    watch(scenario, living_run)


def test_a_learning_rate_is_asked_accepted_and_done(watch, living_run, record):
    """U54"""

    async def scenario(eyes):
        await eyes.press("x", "l")
        await eyes.sees("Learning rate from now on (now 0.0002)")
        eyes.app.screen.query_one(Input).value = "1e-4"
        await eyes.press("enter")
        await eyes.sees("set asked", "waiting for the trainer")
        (asked,) = commands(living_run)
        assert (asked.command, asked.values) == ("set", {"learning_rate": 1e-4})
        assert "done" not in eyes.notice and "accepted" not in eyes.notice
        record.add(living_run, answer(asked, "accepted", new=1e-4))
        await eyes.sees("Learning rate accepted")
        assert "done" not in eyes.notice
        record.add(living_run, answer(asked, "done", old=2e-4, new=1e-4))
        await eyes.sees("Learning rate done 0.0002 → 0.0001")
        record.add(
            living_run, events.Step(step=41, loss=1.0, learning_rate=1e-4, tokens=5, step_s=0.5)
        )
        await eyes.sees("lr 0.0001", "step 41/100")
        assert "Learning rate done" in eyes.notice, "it stays until something else is told"

    watch(scenario, living_run)


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_figures_behind_a_dialog_go_on_but_are_drawn_twice_a_second_at_most(
    watch, living_run, record, monkeypatch, size
):
    """Of a thin line the dialog gets what figures leave of it."""

    async def scenario(eyes):
        await eyes.press("x", "l")
        await eyes.sees("Learning rate from now on")
        drawn: list[float] = []
        paint = eyes.app.frame.paint_charts
        monkeypatch.setattr(
            eyes.app.frame, "paint_charts", lambda: (drawn.append(time.monotonic()), paint())
        )
        for number in range(41, 53):
            record.add(living_run, train_step(number))
            await eyes.pilot.pause(0.1)
        await eyes.sees("step 52/100", "Learning rate from now on")
        assert len(drawn) > 1
        assert min(b - a for a, b in itertools.pairwise(drawn)) > 0.4

    watch(scenario, living_run, size)


def test_a_bad_learning_rate_keeps_the_box_open_and_says_why(watch, living_run):
    """U22"""

    async def scenario(eyes):
        await eyes.press("x", "l")
        for typed in ("", "fast", "0", "-1", "2", "nan", "inf", "1e-4x"):
            shown = typed if typed in ("0", "-1", "2", "nan", "inf") else repr(typed)
            eyes.app.screen.query_one(Input).value = typed
            await eyes.press("enter")
            assert isinstance(eyes.app.screen, Ask), typed
            await eyes.sees(f"> 0 and ≤ 1; you typed {shown}")
        await eyes.press("escape")
        assert isinstance(eyes.app.screen, MonitorScreen)

    watch(scenario, living_run)
    assert not commands(living_run)


def test_a_checkpoint_is_asked_and_a_refusal_is_told(watch, living_run, record):
    async def scenario(eyes):
        await eyes.press("x", "c")
        await eyes.sees("checkpoint asked")
        (asked,) = commands(living_run)
        record.add(living_run, answer(asked, "refused", reason="the disk is full"))
        await eyes.sees("Checkpoint refused", "the disk is full")

    watch(scenario, living_run)


def test_kill_needs_the_word_and_kills_the_trainer_alone(watch, record):
    run = record.trained()
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    record.living(run, pid=child.pid, start_time=process.start_time(child.pid))

    async def scenario(eyes):
        await eyes.press("x", "k")
        for wrong in ("", "kill", "yes"):
            eyes.app.screen.query_one(Input).value = wrong
            await eyes.press("enter")
            await eyes.sees("Type KILL in capitals, or Esc.")
            assert child.poll() is None
        eyes.app.screen.query_one(Input).value = ""
        await eyes.press("escape", "x", "k", "K", "I", "L", "L")
        assert child.poll() is None, "not before Enter"
        await eyes.press("enter")
        child.wait(5)
        await eyes.sees(f"Killed pid {child.pid}. R starts again from step 0.", "✗! CRASHED")

    try:
        watch(scenario, run)
    finally:
        child.kill()
        child.wait()
    assert msgspec.json.decode(run.process.read_bytes())["pid"] == child.pid
    assert not commands(run)


def test_a_run_that_is_not_ours_can_be_watched_but_not_controlled(watch, living_run, monkeypatch):
    """U9"""
    monkeypatch.setattr("os.access", lambda path, mode, **more: False)

    async def scenario(eyes):
        await eyes.sees("step 40/100")
        await eyes.press("x")
        assert isinstance(eyes.app.screen, MonitorScreen)
        assert "You can watch but not control" in eyes.notice

    watch(scenario, living_run)
    assert not living_run.control.exists()


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
@pytest.mark.parametrize("fixture", ["finished_run", "crashed_run"])
def test_an_ended_run_that_is_not_ours_says_what_can_still_be_done(
    drive, request, monkeypatch, fixture, size
):
    """U9"""
    request.getfixturevalue(fixture)
    monkeypatch.setattr("os.access", lambda path, mode, **more: False)

    async def scenario(eyes):
        for key, screen in (("1", "▌1 Runs▐"), ("3", "▌3 Monitor▐")):
            await eyes.press(key)
            await eyes.sees(screen)
            await eyes.until(lambda: "E Export" in eyes.footer)
            await eyes.press("x")
            await eyes.sees("Read-only: this folder is not yours to write. The run can be neither")
            await eyes.sees("E exports it, d starts a new run like it.")
            assert "R Resume" not in eyes.footer

    drive(scenario, size)


def test_a_command_that_cannot_be_written_is_said(watch, living_run):
    """U9"""
    living_run.control.mkdir()

    async def scenario(eyes):
        await eyes.press("x", "c")
        await eyes.sees("the run cannot be asked to checkpoint")

    watch(scenario, living_run)


def test_resume_asks_first(watch, crashed_run, started):
    async def scenario(eyes):
        await eyes.press("R")
        assert isinstance(eyes.app.screen, Confirm)
        await eyes.press("escape")
        assert not started
        shutil.move(crashed_run.checkpoints, crashed_run.path / "away")
        await eyes.press("R")
        await eyes.sees("anew, at step 0?", "Its checkpoints are gone: step-30 was saved")
        await eyes.press("escape")
        shutil.move(crashed_run.path / "away", crashed_run.checkpoints)
        await eyes.press("R", "enter")
        await eyes.until(lambda: started, why="a start")

    watch(scenario, crashed_run)
    assert [each[0] for each in started] == ["resume"]


def test_a_copy_of_a_run_is_reviewed_and_started_with_two_keys(
    watch, crashed_run, started, rows_are_well
):
    """U4"""

    async def scenario(eyes):
        eyes.app.drafts.set("method.rank", 3)
        await eyes.press("d")
        await eyes.sees("[Review]", f"A copy of {crashed_run.id}")
        assert not started and eyes.app.drafts.draft.copied_from == crashed_run.id
        await eyes.press("enter")
        await eyes.until(lambda: started, 60, "a start")
        assert eyes.app.drafts.undo(), "the draft of before is not lost"
        assert eyes.app.drafts.draft.values == {"method": {"rank": 3}}

    watch(scenario, crashed_run)
    assert started == [("start", config_file.load(crashed_run.config))]


def test_a_start_that_fails_is_told_in_words(watch, crashed_run, monkeypatch):
    from sft_tui.core.errors import SftError

    def refuse(run, config=None):
        raise SftError("the disk is full", "0 bytes are free", "free space")

    monkeypatch.setattr("sft_tui.core.launch.resume", refuse)

    async def scenario(eyes):
        await eyes.press("R", "enter")
        await eyes.sees("the disk is full", "free space")

    watch(scenario, crashed_run)


def test_a_stopping_run_offers_only_the_kill(watch, living_run, record):
    record.add(living_run, events.Control(id="a", command="stop", by="ada", outcome="accepted"))

    async def scenario(eyes):
        await eyes.sees("STOPPING")
        await eyes.press("x")
        await eyes.sees("kill without saving")
        assert "stop and save" not in eyes.text() and "learning rate" not in eyes.text()

    watch(scenario, living_run)


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
@pytest.mark.parametrize("fixture", ["finished_run", "crashed_run"])
def test_an_ended_run_is_exported_or_given_more_steps(drive, request, monkeypatch, fixture, size):
    run, asked = request.getfixturevalue(fixture), []

    def resume(run, config=None, *, max_steps=None):
        asked.append((run.id, config.train.max_steps))
        raise SftError("no trainer is started", "this is a test", "look")

    monkeypatch.setattr("sft_tui.core.launch.resume", resume)
    total = 40 if fixture == "finished_run" else 100

    async def scenario(eyes):
        for key, screen in (("1", "▌1 Runs▐"), ("3", "▌3 Monitor▐")):
            await eyes.press(key)
            await eyes.sees(screen)
            await eyes.until(lambda: "E Export" in eyes.footer)
            await eyes.until(lambda: eyes.app.screen.check_action("control", ()))
            await eyes.press("x")
            await eyes.sees("more steps")
            assert ("resume from" in eyes.text()) == (fixture == "crashed_run")
            await eyes.press("m")
            await eyes.sees(f"New end of the whole run, in steps (now {total})")
            await eyes.press(*str(total), "enter")
            await eyes.sees(f"The run has {total} steps already: give more.")
            await eyes.press("0", "enter")
            await eyes.sees("no trainer is started")

    drive(scenario, size)
    assert asked == [(run.id, total * 10)] * 2


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_an_end_that_is_no_later_is_refused_where_it_is_typed(watch, living_run, size):
    async def scenario(eyes):
        await eyes.press("x", "m")
        await eyes.sees("New end of the whole run, in steps (now 100)")
        await eyes.press(*"50", "enter")
        await eyes.sees("The run has 100 steps already: give more.")
        await eyes.press("0", "enter")
        await eyes.sees("extend asked")

    watch(scenario, living_run, size)
    assert [each.values for each in commands(living_run)] == [{"max_steps": 500}]


def test_enter_chooses_from_the_control_menu_and_any_case_of_leaving_it_asks_nothing(
    watch, living_run
):
    async def scenario(eyes):
        for leave in ("escape", "q", "x"):
            await eyes.press("x", leave)
            assert isinstance(eyes.app.screen, MonitorScreen)
        await eyes.press("x", "down", "enter")
        await eyes.sees("checkpoint asked")

    watch(scenario, living_run)
    assert [command.command for command in commands(living_run)] == ["checkpoint"]


@pytest.mark.timing
def test_what_another_viewer_asked_is_seen_before_the_trainer_reads_it(
    watch, living_run, record, monkeypatch
):
    """U8"""

    async def scenario(eyes):
        began = time.monotonic()
        monkeypatch.setattr(control, "author", lambda: "bob uid 7")
        control.append(living_run.control, "pause")
        await eyes.sees("pause asked", "by bob uid 7, waiting for the trainer")
        assert time.monotonic() - began < 3
        (asked,) = commands(living_run)
        record.add(living_run, answer(asked, "accepted"))
        await eyes.sees("PAUSING", "Pause accepted (asked by bob uid 7")

    watch(scenario, living_run)


def test_a_command_that_is_not_read_for_long_says_what_the_trainer_does(
    watch, living_run, record, monkeypatch
):
    monkeypatch.setattr("sft_tui.tui.services.asked.PATIENCE_S", 0.5)

    async def scenario(eyes):
        record.add(living_run, events.Phase(name="evaluating", done=62, total=328, unit="batches"))
        await eyes.press("x", "c")
        await eyes.sees("is not read yet: the trainer is alive and evaluating 62/328 batches")
        (asked,) = commands(living_run)
        record.add(living_run, answer(asked, "accepted"))
        await eyes.sees("Checkpoint accepted")

    watch(scenario, living_run)


def test_a_trainer_that_stands_still_is_named_with_what_lets_it_go_on(
    watch, record, stranger, monkeypatch
):
    monkeypatch.setattr("sft_tui.tui.services.asked.PATIENCE_S", 0.5)
    run = record.trained()
    record.living(run, pid=stranger, start_time=process.start_time(stranger))
    os.kill(stranger, signal.SIGSTOP)

    async def scenario(eyes):
        await eyes.press("x", "d")
        await eyes.sees("dump asked", "is not read yet: its process is halted")
        await eyes.sees(f"`kill -CONT {stranger}` lets it go on")

    watch(scenario, run)


@pytest.mark.timing
def test_what_another_viewer_asked_is_seen_with_who_asked(watch, living_run, record):
    """U8"""

    async def scenario(eyes):
        record.add(
            living_run,
            events.Control(id="b", command="stop", by="bob uid 7", outcome="accepted", step=40),
        )
        began = time.monotonic()
        await eyes.sees("■ STOPPING", "asked by bob uid 7")
        assert time.monotonic() - began < 3

    watch(scenario, living_run)


@pytest.mark.parametrize(
    ("keys", "command", "values"),
    [
        (("e",), "evaluate", {}),
        (("a",), "sample", {}),
        (("d",), "dump", {}),
        (("p", "enter"), "pause", {}),
        (("m", *"120", "enter"), "extend", {"max_steps": 120}),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_everything_that_a_trainer_takes_is_in_the_menu(watch, living_run, keys, command, values):
    async def scenario(eyes):
        await eyes.press("x", *keys)
        await eyes.sees(f"{command} asked")

    watch(scenario, living_run)
    (asked,) = commands(living_run)
    assert (asked.command, asked.values) == (command, values)


def test_a_pausing_run_is_shown_and_what_was_extended_is_told(watch, living_run, record):
    async def scenario(eyes):
        more = events.Control(
            id="a", command="extend", key="max_steps", by="ada", outcome="done", old=100, new=150
        )
        record.add(living_run, more)
        await eyes.sees("step 40/150", "Extend done 100 → 150")
        record.add(
            living_run, events.Control(id="b", command="pause", by="ada", outcome="accepted")
        )
        await eyes.sees("PAUSING")
        await eyes.press("x")
        await eyes.sees("kill without saving", "dump stack traces")
        assert "stop and save" not in eyes.text()

    watch(scenario, living_run)
