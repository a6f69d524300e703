"""Runs: every run's state in words, a cursor that stays, and questions before anything starts."""

import asyncio
import os
import time

import msgspec
import pytest
from textual.widgets import DataTable

from sft_tui.core import config_file, events
from sft_tui.core.errors import SftError
from sft_tui.core.notes import write_note
from sft_tui.core.rundir import RunDir
from sft_tui.tui.commands.application import farewell
from sft_tui.tui.screens.runs import RunsScreen

EVIL = "[/b] [red]x[/red] \x1b[31mred\x1b]0;title\x07"


def table_of(eyes) -> DataTable:
    return eyes.app.screen.query_one(DataTable)


async def refreshed(eyes, times: int = 1) -> None:
    """Waits for so many more scans; each is begun by hand so that none is waited for."""
    screen = eyes.app.screen
    seen = 0
    original = screen.fill

    def fill() -> None:
        nonlocal seen
        seen += 1
        original()

    screen.fill = fill
    for wanted in range(1, times + 1):
        screen.scan()
        await eyes.until(lambda wanted=wanted: seen >= wanted, why="a scan")
    screen.fill = original


def test_an_empty_folder_offers_the_demo_and_enter_reviews_it(drive, started, rows_are_well):
    """U1"""

    async def scenario(eyes):
        await eyes.sees("No runs yet", "Enter The demo")
        await eyes.press("enter")
        await eyes.sees("[Review]")
        await eyes.press("enter")
        await eyes.until(lambda: started, why="a start")
        assert eyes.app.current_mode == "monitor"

    drive(scenario)
    ((kind, config),) = started
    assert kind == "start" and config.model.name == "demo"


def test_10_refreshes_leave_cursor_row_and_scroll_unchanged(drive, record):
    """U13"""
    for number in range(30):
        record.finished(f"20260102-0304{number:02}-tiny-rows-0a{number:02}", steps=3)

    async def scenario(eyes):
        await eyes.sees("FINISHED")
        await eyes.press(*["down"] * 20, *["up"] * 3)
        table = table_of(eyes)
        chosen, scroll = eyes.app.screen.selected.id, table.scroll_y
        assert scroll > 0
        for number in range(10):
            if number == 5:  # another run appears on top
                record.living(record.trained("20260109-030405-tiny-rows-0b01", steps=5))
            await refreshed(eyes)
            assert eyes.app.screen.selected.id == chosen
            assert table.scroll_y == scroll
            assert [row[2] == "▸" and chosen[-4:] in row for row in pointed(eyes)] == [True]
        assert table.row_count == 31
        assert "RUNNING" in str(table.get_row_at(0)[1])

    drive(scenario, (80, 24))


def pointed(eyes) -> list[str]:
    """Returns the rows of the table that the cursor glyph points at."""
    return [row for row in eyes.rows() if "▸" in row]


def test_a_new_run_never_pushes_the_cursor_out_of_sight(drive, record):
    """U13"""
    for number in range(30):
        record.finished(f"20260102-0304{number:02}-tiny-rows-0a{number:02}", steps=3)

    async def scenario(eyes):
        await eyes.sees("FINISHED")
        await eyes.press(*["down"] * 20)  # on the last line that is seen
        chosen = eyes.app.screen.selected.id
        record.finished("20260109-030405-tiny-rows-0b01", steps=3)
        await refreshed(eyes)
        await asyncio.sleep(0.1)
        assert eyes.app.screen.selected.id == chosen
        assert chosen[-4:] in "\n".join(row for row in eyes.rows() if "✓ FINISHED  " in row)

    drive(scenario, (80, 24))


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_a_long_note_leaves_the_cursor_in_sight_and_can_be_read_whole(drive, record, size):
    """The details below the list have room for a part of it."""
    count, note = 14, " ".join(f"word{n}" for n in range(70))
    for number in range(count):
        run = record.finished(f"20260102-0304{number:02}-tiny-rows-0a{number:02}", steps=3)
        if number % 2:
            write_note(run, note, None)

    async def scenario(eyes):
        await eyes.sees("FINISHED")
        for _ in range(count):
            await eyes.press("down")
            chosen = eyes.app.screen.selected.id[-4:]
            await eyes.until(lambda at=chosen: [at in row for row in pointed(eyes)] == [True])
            assert ("Note: word0" in eyes.text()) == bool(int(chosen[-2:]) % 2)
            assert "step 3 of 3 · loss" in eyes.text(), "the facts are not pushed out"
        await eyes.press("up")
        assert "word69" in eyes.text() and "i all" in eyes.text()
        for key in "im":
            await eyes.press(key)
            await eyes.sees(*note.split())
            await eyes.press("escape")

    drive(scenario, size)


def test_a_changed_cell_is_updated_in_place(drive, living_run, record):
    """U13"""

    async def scenario(eyes):
        await eyes.sees("40/100")
        row = table_of(eyes).ordered_rows[0]
        record.add(living_run, events.Step(step=41, loss=0.7777, tokens=5, step_s=0.5))
        await eyes.sees("41/100", "0.7777")
        assert table_of(eyes).ordered_rows[0] is row

    drive(scenario)


def test_a_removed_run_leaves_the_list_and_the_cursor_on_another(drive, record):
    runs = [record.finished(f"2026010{n}-030405-tiny-rows-0a0{n}", steps=3) for n in range(1, 4)]

    async def scenario(eyes):
        await eyes.sees("0a01", "0a02", "0a03")
        for path in runs[2].path.iterdir():
            path.unlink()
        runs[2].path.rmdir()
        await eyes.until(lambda: table_of(eyes).row_count == 2)
        assert eyes.app.screen.selected is not None
        assert "0a03" not in eyes.text()

    drive(scenario)


def test_text_of_a_run_is_drawn_as_plain_text(drive, record):
    """U57"""
    run = record.trained("[red]run[=]")
    record.add(run, events.RunFinished(status="failed", reason=EVIL, remedy=EVIL, step=40))

    async def scenario(eyes):
        await eyes.sees("─ [red]run[=] ─", "[/b] [red]x[/red] red", "Do: [/b] [red]x[/red] red")
        assert "\x1b" not in eyes.text() and "title" not in eyes.text()

    drive(scenario)


def test_resume_asks_first(drive, crashed_run, started):
    async def scenario(eyes):
        await eyes.sees("CRASHED")
        for no in ("escape", "n"):
            await eyes.press("R")
            await eyes.sees("Enter yes   Esc no", crashed_run.id)
            await eyes.press(no)
            assert not started
        await eyes.press("R", "enter")
        await eyes.until(lambda: started, why="a start")
        assert eyes.app.current_mode == "monitor"

    drive(scenario)
    assert [each[0] for each in started] == ["resume"]


def test_a_copy_is_reviewed_and_started_with_two_keys(drive, finished_run, started, rows_are_well):
    """U4"""

    async def scenario(eyes):
        await eyes.sees("FINISHED")
        await eyes.press("d")
        await eyes.sees("[Review]", f"A copy of {finished_run.id}")
        await eyes.press("enter")
        await eyes.until(lambda: started, why="a start")
        assert eyes.app.current_mode == "monitor"

    drive(scenario)
    assert started == [("start", config_file.load(finished_run.config))]


def test_resume_says_from_where(drive, crashed_run, started):
    async def scenario(eyes):
        await eyes.sees("CRASHED")
        await eyes.press("R")
        await eyes.sees("from step 30")

    drive(scenario)


def test_a_run_without_configuration_says_so_and_offers_no_copy(drive, bare_run, started):
    async def scenario(eyes):
        await eyes.sees("FAILED: it never started", "Do: D on Runs takes the folder away")
        assert "Duplicate" not in eyes.footer and "Resume" not in eyes.footer
        await eyes.press("d")
        assert len(eyes.app.screen_stack) == 1, "no box opens"

    drive(scenario)
    assert not started


def test_a_folder_that_cannot_be_read_is_said_and_the_rows_stay(drive, living_run, monkeypatch):
    async def scenario(eyes):
        await eyes.sees("RUNNING")

        def refuse(self, tell=None):
            raise SftError("~/runs cannot be read", "stale NFS handle", "check the path")

        monkeypatch.setattr("sft_tui.core.run_index.RunIndex.refresh", refuse)
        eyes.app.screen.scan()
        await eyes.sees("cannot be read", "check the path")
        assert "RUNNING" in eyes.text()

    drive(scenario)


def test_files_of_a_run_that_cannot_be_read_are_said(drive, record):
    odd = record.finished()
    odd.events.unlink()
    odd.events.mkdir()

    async def scenario(eyes):
        await eyes.sees("UNKNOWN", "is not a file")

    drive(scenario)


def test_a_run_that_cannot_be_read_leaves_the_others_fresh(drive, record):
    record.finished("20260101-030405-tiny-rows-0a01", steps=3)
    odd = record.finished("20260102-030405-tiny-rows-0a02", steps=3)
    odd.events.unlink()
    odd.events.mkdir()

    async def scenario(eyes):
        await eyes.sees("0a01", "0a02", within_s=1.5)

    drive(scenario)


def test_enter_opens_the_run_under_the_cursor(drive, record):
    for number in range(1, 4):
        record.dead(record.finished(f"2026010{number}-030405-tiny-rows-0a0{number}", steps=number))

    async def scenario(eyes):
        await eyes.sees("0a01", "0a03")
        await eyes.press("j", "enter")
        await eyes.sees("▌3 Monitor▐", "tiny-rows-0a02", "step 2/2")

    drive(scenario)


def test_a_run_that_is_not_ours_shows_its_figures_beside_a_finding(drive, record, monkeypatch):
    monkeypatch.setattr("sft_tui.core.control.may_append", lambda path: False)
    record.living(record.trained(losses={33: 9.0}.items()))

    async def scenario(eyes):
        await eyes.sees(
            "Read-only: this folder", "Loss jumped to 9", "step 40 of 100", "loss 1.316"
        )

    drive(scenario, (80, 24))


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_of_a_run_that_is_not_ours_nothing_is_offered_that_writes(
    drive, living_run, record, monkeypatch, size
):
    """U9"""
    monkeypatch.setattr("sft_tui.core.control.may_append", lambda path: False)
    record.dead(record.trained("20250101-030405-old-0b02"))
    why = "Read-only: this folder is not yours to write."

    async def scenario(eyes):
        await eyes.sees("RUNNING", why)
        await eyes.press("x")
        assert "You can watch but not control" in eyes.notice
        assert isinstance(eyes.app.screen, RunsScreen)
        await eyes.press("j")
        await eyes.sees("CRASHED: ", why, "sft-tui resume")
        writing = {"note", "delete", "resume"}
        assert not writing & {key.name for key in eyes.app.screen.offered()}
        for key in ("m", "D"):
            await eyes.press("up", "down", key)
            assert why in eyes.notice and "neither noted on nor deleted" in eyes.notice
        await eyes.press("R")
        assert isinstance(eyes.app.screen, RunsScreen)
        await eyes.press("enter")
        await eyes.sees("▌3 Monitor▐", "CRASHED: ", why, "sft-tui resume")
        assert not writing & {key.name for key in eyes.app.screen.offered()}
        assert "R resumes" not in eyes.text()

    drive(scenario, size)
    assert not living_run.control.exists()


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_the_columns_fit_the_width_and_the_first_are_never_dropped(drive, living_run, width):
    async def scenario(eyes):
        await eyes.sees("RUNNING", "40/100")
        heading = eyes.row_with("STATUS")
        assert "NAME" in heading and "STEPS" in heading and "LOSS" in heading
        assert ("ETA" in heading) == (width >= 78)
        row = eyes.row_with("RUNNING")
        words = row.strip("│ ").split()
        assert len(words) - 1 >= len(heading.strip("│ ").split()), f"a column is cut: {row}"

    drive(scenario, (width, 24))


def test_a_new_width_keeps_the_cursor(drive, record):
    for number in range(1, 6):
        record.finished(f"2026010{number}-030405-tiny-rows-0a0{number}", steps=number)

    async def scenario(eyes):
        await eyes.sees("0a01")
        await eyes.press("down", "down", "down")
        chosen = eyes.app.screen.selected.id
        for size in ((160, 45), (80, 24)):
            await eyes.pilot.resize_terminal(*size)
            await asyncio.sleep(0.1)
            assert eyes.app.screen.selected.id == chosen

    drive(scenario, (100, 30))


def test_the_farewell_names_run_step_and_watch_command(drive, living_run, record):
    """U7"""
    record.dead(record.trained("20260101-030405-over-0c01"))
    silent = record.living(record.folder("20250101-030405-silent-0d01"))
    begun = [events.RunStarted(run_id="r", total_steps=9), events.Phase(name="training")]
    record.add(silent, *begun, events.Step(step=1, loss=2.0, step_s=1.0), t=time.time() - 300)
    told: list[str] = []

    async def scenario(eyes):
        told.extend(farewell(eyes.app.all_runs()))

    drive(scenario)
    line, halted = told
    assert "stands still (step 1/9): no step and no progress for 5 min" in halted
    assert "training" not in halted
    assert living_run.id in line and "step 40/100" in line and "sft-tui watch 0a01" in line
    assert msgspec.json.decode(living_run.process.read_bytes())["pid"] == os.getpid()
    assert RunDir(living_run.path).id == living_run.id


def test_what_was_said_stays_while_many_runs_are_read(drive, living_run):
    async def scenario(eyes):
        screen, folder = eyes.app.screen, eyes.app.runs_folder

        def part(count: int, of: int | None) -> None:
            screen.post_message(
                screen.Scanned([*screen.summaries.values()][:count], None, of, folder)
            )

        await eyes.sees("RUNNING")
        await eyes.until(lambda: not screen._scanning)
        screen._scanning = True  # so that no scan comes in between
        part(1, 9)
        await eyes.sees("» Read 1 of 9 runs.")
        eyes.app.tell("The memory is free again.")
        part(1, 9)
        part(1, None)
        await eyes.pilot.pause()
        await eyes.sees("» The memory is free again.")
        eyes.app.tell("")
        part(1, 9)
        await eyes.sees("» Read 1 of 9 runs.")
        part(1, None)
        await eyes.until(lambda: not screen.notice)

    drive(scenario)
