"""Folders that hold something else than a run should: said, skipped, and never in the way."""

import os

import pytest

from sft_tui.core import control, events, launch
from sft_tui.core.errors import SftError
from sft_tui.core.process import lock_holder
from sft_tui.core.run_index import RunIndex
from sft_tui.core.rundir import busy, lock_is_free
from sft_tui.core.status import Status
from sft_tui.core.summary import Summary
from sft_tui.tui.cli import main
from sft_tui.tui.commands.application import farewell
from sft_tui.tui.control_flow import _rate
from sft_tui.tui.screens.monitor_lines import facts, figures, progress
from sft_tui.tui.screens.runs_lines import cells
from sft_tui.tui.services.run_feed import Batch
from sft_tui.tui.services.run_model import RunModel

BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
ABSURD = {
    "time": b'{"type":"step","t":1e300,"step":41,"loss":1.0}\n',
    "negative time": b'{"type":"step","t":-1,"step":41,"loss":1.0}\n',
    "huge step": b'{"type":"step","t":1.0,"step":' + b"9" * 400 + b',"loss":1.0}\n',
    "huge loss": b'{"type":"step","t":1.0,"step":41,"loss":' + b"9" * 400 + b"}\n",
    "long span": b'{"type":"step","t":1.0,"step":41,"loss":1.0,"elapsed_s":1e300}\n',
    "step below 0": b'{"type":"step","t":1.0,"step":-9007199254740992,"loss":1.0}\n',
    "spelled loss": b'{"type":"step","t":1.0,"step":41,"loss":"1e308"}\n',
    "deep": b'{"type":"step","t":1.0,"step":' + b"[" * 5000 + b"]" * 5000 + b"}\n",
    **{
        f"control {old!r}": b'{"type":"control","t":1.0,"id":"x","command":"set","by":"ada",'
        b'"outcome":"done","old":' + old + b',"new":0.1}\n'
        for old in (b'"x"', b"[1]", b"{}", b'"' + b"x" * 100_000 + b'"')
    },
}


@pytest.mark.parametrize("name", ABSURD)
def test_an_absurd_event_is_skipped_counted_and_told(watch, record, name):
    run = record.living(record.trained(steps=40))
    record.add(run, ABSURD[name])
    record.add(run, events.Step(step=42, loss=0.5, tokens=5, step_s=0.5))

    async def scenario(eyes):
        await eyes.sees("RUNNING", "step 42/100", "1 unreadable line")

    watch(scenario, run)


def test_a_step_far_off_is_drawn_at_the_edge(watch, record):
    run = record.living(record.trained(steps=40))
    record.add(run, b'{"type":"step","t":1.0,"step":9007199254740992,"loss":1.0}\n')
    record.add(run, events.Step(step=42, loss=0.5, tokens=5, step_s=0.5))

    async def scenario(eyes):
        await eyes.sees("RUNNING", "step 42/100")

    watch(scenario, run)


@pytest.mark.parametrize("name", ABSURD)
def test_an_absurd_event_leaves_the_other_runs_in_the_list(drive, record, name):
    bad = record.finished("20260105-030405-bad-run-0c01")
    record.add(bad, ABSURD[name])
    record.finished("20260104-030405-good-run-0c02")

    async def scenario(eyes):
        await eyes.sees("0c01", "0c02", "FINISHED")

    drive(scenario)


@pytest.mark.parametrize("file", ["config.yaml", "events.jsonl", "process.json", "trainer.log"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_a_file_that_is_none_keeps_nobody_waiting(drive, record, file, kind):
    run = record.dead(record.trained("20260105-030405-bad-run-0c01"))
    path = run.path / file
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    record.finished("20260104-030405-good-run-0c02")

    async def scenario(eyes):
        await eyes.sees("0c01", "0c02", "FINISHED")
        for row in range(2):
            await eyes.press("g", *["down"] * row, "enter")
            await eyes.sees("▌3 Monitor▐")
            await eyes.press("b", "b", "q")

    drive(scenario)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (BOMB, "the alias"),
        ("a: b\n" * 40_000, "larger than 128 KiB"),
        ("[" * 5000, "nested too deeply"),
    ],
    ids=["aliases", "size", "depth"],
)
def test_a_configuration_that_would_take_for_ever_is_refused_at_once(record, content, why):
    run = record.finished("20260105-030405-bad-run-0c01")
    run.config.write_text(content)
    (summary,) = RunIndex(run.path.parent).refresh()
    assert (summary.status, summary.model) == ("finished", None)
    from sft_tui.core.summary import newest_config

    config, problem = newest_config(run)
    assert config is None and why in (problem or "")


def test_a_pipe_as_configuration_is_refused_in_the_box(drive, tmp_path):
    pipe = tmp_path / "run.yaml"
    os.mkfifo(pipe)

    async def scenario(eyes):
        await eyes.press("2", "O")
        eyes.app.screen.query_one("Input").value = str(pipe)
        await eyes.press("enter")
        await eyes.sees("it is not a regular file")

    drive(scenario)


def test_enter_starts_the_demo_after_help_and_other_screens_too(drive, started, rows_are_well):
    async def scenario(eyes):
        await eyes.sees("No runs yet")
        await eyes.press("question_mark", "escape", "2", "1")
        await eyes.sees("No runs yet")
        await eyes.press("enter")
        await eyes.sees("[Review]")
        await eyes.press("enter")
        await eyes.until(lambda: started, why="a start")

    drive(scenario)


def test_escape_never_leaves_from_runs(drive, finished_run):
    async def scenario(eyes):
        await eyes.sees("FINISHED")
        await eyes.press("escape", "escape")
        assert eyes.app.is_running and "q leaves" in eyes.notice
        await eyes.press("3", "escape")
        await eyes.sees("▌1 Runs▐")

    drive(scenario)


def test_many_steps_are_shortened_and_never_cut(drive, record):
    run = record.living(record.trained(steps=0, total=100_000))
    record.add(run, events.Step(step=99_999, loss=0.5, tokens=5, step_s=0.5))

    async def scenario(eyes):
        await eyes.sees("99999/100k")

    drive(scenario, (80, 24))


@pytest.mark.parametrize(
    ("step", "total", "shown"),
    [
        (18, 26, "18/26"),
        (100_000, 100_000, "100k/100k"),
        (123_456, 678_901, "123k/678k"),
        (1_234_567, 2_345_678, "1.2M/2.3M"),
        (999_999, 1_000_000, "999k/1M"),
        (2**53, 2**53, ">999T/>999T"),
    ],
)
def test_the_column_of_steps_holds_every_count(step, total, shown):
    run = Summary(id="x", path="x", status="running", step=step, total_steps=total)
    assert cells(run, [("STEPS", 11)]) == (shown,) and len(shown) <= 11


def test_a_runs_folder_that_becomes_a_file_offers_no_demo(drive, home):
    runs = home / "runs"

    async def scenario(eyes):
        await eyes.sees("No runs yet", "The demo")
        home.mkdir(exist_ok=True)
        runs.write_text("a file")
        await eyes.until(lambda: "cannot be read" in eyes.rows()[2] + eyes.rows()[3])
        await eyes.sees("r reads it again, O takes another folder")
        assert "No runs yet" not in eyes.text() and "Start the demo" not in eyes.footer
        runs.unlink()
        await eyes.sees("No runs yet", "The demo")

    drive(scenario)


@pytest.mark.parametrize("file", ["run.lock", "trainer.log", "control.jsonl"])
def test_a_pipe_in_place_of_what_is_written_blocks_nobody(record, file, monkeypatch):
    run = record.dead(record.trained())
    os.mkfifo(run.path / file)
    with pytest.raises(SftError):
        if file == "control.jsonl":
            control.append(run.control, "stop")
        elif file == "run.lock":
            raise busy(run) if lock_is_free(run) else AssertionError
        else:
            launch.resume(run)


def test_the_holder_of_a_damaged_lock_is_another_trainer():
    assert lock_holder("[" * 100_000) == "another trainer"


def test_a_runs_folder_that_can_be_read_again_takes_its_complaint_back(drive, home, record):
    record.finished()
    runs = home / "runs"
    away = home / "away"

    async def scenario(eyes):
        await eyes.sees("FINISHED")
        runs.rename(away)
        runs.write_text("a file")
        await eyes.sees("cannot be read")
        runs.unlink()
        away.rename(runs)
        await eyes.until(lambda: "cannot be read" not in eyes.text())
        await eyes.sees("FINISHED")

    drive(scenario)


def test_many_runs_are_shown_while_the_others_are_read(drive, record, monkeypatch):
    for number in range(30):
        record.finished(f"20260102-0304{number:02}-tiny-rows-0a{number:02}", steps=3)
    monkeypatch.setattr("sft_tui.core.run_index._TOLD_EVERY_S", 0.0)
    seen: list[str] = []

    async def scenario(eyes):
        watched = eyes.app.screen
        original = watched.on_runs_screen_scanned

        def spy(message):
            original(message)
            seen.append(watched.notice)

        monkeypatch.setattr(watched, "on_runs_screen_scanned", spy)
        await eyes.until(lambda: len(watched.summaries) == 30 and watched._complete)
        await eyes.until(lambda: watched.notice == "")

    drive(scenario)
    assert all(not text or text.startswith("Read ") for text in seen)


def test_while_a_large_history_is_read_monitor_says_so_and_shows_no_passing_figures():
    model = RunModel()
    started = events.RunStarted(run_id="x", total_steps=20_000)
    found = [started, events.Step(step=7, loss=1.0, tokens=5, step_s=0.5)]
    reading = (34 << 20, 397 << 20)
    model.apply(Batch(Status("running"), found=found, complete=False, reading=reading))
    assert facts(model, None).strip() == "Reading events: 34 of 397 MiB"
    assert figures(model, None, 120) == progress(model, 120) == ""
    model.apply(Batch(Status("running"), complete=True))
    assert "step 7/20000" in facts(model, None)


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_a_number_is_left_out_where_there_is_no_room_but_never_cut(width):
    model = RunModel()
    found = [
        events.RunStarted(run_id="x", total_steps=20_000),
        *(events.Eval(step=step, loss=1.1314 - step / 1e6) for step in (1_100, 1_200)),
        events.Step(
            step=1_234, loss=1.0843, tokens=59_999, step_s=5.0, learning_rate=1.534e-05,
            grad_norm=0.067129,
        ),
    ]  # fmt: skip
    model.apply(Batch(Status("running"), found=found))
    line = figures(model, 1.1023, width)
    assert len(line) <= width and "…" not in line
    assert "loss 1.084" in line and "12.0k tok/s" in line
    assert ("grad 0.06713" in line) == (width > 60)


def test_a_resumed_run_that_is_preparing_shows_no_old_position(watch, record, capsys):
    run = record.trained(steps=18, total=26)
    record.add(run, events.RunFinished(status="stopped", step=18))
    record.add(run, events.Phase(name="loading_model"))
    record.living(run)

    async def scenario(eyes):
        await eyes.sees("PREPARING", "step –", "ETA –")
        assert "18/26" not in eyes.text()
        (run.checkpoints / "step-13").mkdir(parents=True)
        await eyes.sees("step 13/26", "ETA –", "last ckpt 13", "before: loss", "– tok/s")
        (summary,) = RunIndex(run.path.parent).refresh()
        assert (summary.step, summary.loss, summary.tokens_per_s) == (13, None, None)
        await eyes.press("i")
        await eyes.sees("Last step before this start: loss")
        await eyes.press("escape", "1")
        await eyes.sees("PREPARING", "13/26", "step 13 of 26")

    watch(scenario, run)
    assert main(["runs"]) == 0 and "13/26" in capsys.readouterr().out
    assert "step 13/26" in farewell([run])[0]


def test_the_list_says_nan_and_where_a_run_is_that_starts_again(record, capsys):
    record.dead(record.trained("20260101-000000-nan-0001", losses={40: float("nan")}.items()))
    again = record.trained("20260102-000000-again-0002", steps=18, total=26)
    record.add(again, events.RunFinished(status="stopped", step=18))
    record.add(again, events.Phase(name="loading_model"))
    record.living(again)
    assert main(["runs"]) == 0
    nan, begins = sorted(capsys.readouterr().out.splitlines()[1:], reverse=False)
    assert "again-0002" in begins and "18/26" in begins and " 1.471 " in begins
    assert "nan-0001" in nan and " NaN " in nan and "40/100" in nan


def test_a_checkpoint_that_is_gone_from_the_disk_is_not_named(watch, crashed_run):
    async def scenario(eyes):
        await eyes.sees("last ckpt 30")
        (crashed_run.checkpoints / "step-30").rmdir()
        await eyes.sees("no checkpoint yet")
        await eyes.until(lambda: "last ckpt" not in eyes.text())

    watch(scenario, crashed_run)


@pytest.mark.parametrize("typed", ["abc", "1e-400", "nan"])
def test_a_rate_that_cannot_be_is_echoed_as_it_was_typed(typed):
    assert typed in (_rate(typed) or "")


def test_a_configuration_that_comes_late_is_offered_to_duplicate(watch, record):
    run = record.living(record.trained())
    text = run.config.read_text()
    run.config.unlink()

    async def scenario(eyes):
        await eyes.sees("RUNNING")
        (run.path / "config-1.yaml").write_text(text)
        record.dead(run)
        await eyes.sees("CRASHED", "d Duplicate")
        run.path.rename(run.path.with_name("away"))
        await eyes.sees("FOLDER GONE")
        await eyes.until(lambda: "Duplicate" not in eyes.footer)

    watch(scenario, run, (160, 36))
