"""Runs: a note that is kept with the run, and a removal that tells what goes and asks."""

import json

import pytest
from textual.widgets import Input

from sft_tui.core.notes import read_note, write_note
from sft_tui.tui.cli import main

SIZES = [(80, 24), (160, 45)]


@pytest.mark.parametrize("size", SIZES)
def test_delete_tells_what_goes_and_asks_for_four_letters(drive, crashed_run, record, size):
    """U12"""
    write_note(crashed_run, "the base", None)
    other = record.dead(record.finished("20250101-030405-kept-0b02", steps=3))

    async def scenario(eyes):
        await eyes.sees("CRASHED")
        await eyes.press("D")
        await eyes.sees("1 checkpoint (the last of step 30)", "The note: the base", "four letters")
        await eyes.press(*"0a02", "enter")
        await eyes.sees("Type 0a01 to delete the run")
        await eyes.press("escape")
        assert crashed_run.events.exists()
        await eyes.press("D")
        await eyes.sees("four letters")
        await eyes.press(*"0a01", "enter")
        await eyes.sees(f"{crashed_run.id} is deleted.", "Runs · 1")

    drive(scenario, size)
    assert [path.name for path in other.path.parent.iterdir()] == [other.id]


def test_delete_refuses_an_active_run_and_says_what_to_do(drive, living_run):
    """U12"""

    async def scenario(eyes):
        await eyes.sees("RUNNING")
        await eyes.press("D")
        await eyes.sees("it is running: its trainer is at work. stop it first: x s")
        assert len(eyes.app.screen_stack) == 1

    drive(scenario)
    assert living_run.events.exists()


def test_a_run_that_began_again_while_it_was_asked_is_kept(drive, crashed_run, record):
    """U12"""

    async def scenario(eyes):
        await eyes.sees("CRASHED")
        await eyes.press("D")
        await eyes.sees("four letters")
        record.living(crashed_run)
        await eyes.press(*"0a01", "enter")
        await eyes.sees("cannot be deleted")

    drive(scenario)
    assert crashed_run.events.exists()


@pytest.mark.parametrize("size", SIZES)
def test_a_note_is_written_changed_and_taken_away(drive, crashed_run, size):
    async def scenario(eyes):
        await eyes.sees("CRASHED")
        await eyes.press("m", *"too", "space", *"hot", "enter")
        await eyes.sees("is kept", "Note: too hot")
        assert read_note(crashed_run) == "too hot"
        await eyes.press("m")
        assert eyes.app.screen.query_one(Input).value == "too hot"
        await eyes.press("exclamation_mark", "escape")
        assert read_note(crashed_run) == "too hot"
        await eyes.press("m", "exclamation_mark", "enter")
        await eyes.sees("Note: too hot!")
        await eyes.press("m", *["backspace"] * 8, "enter")
        await eyes.sees("is gone")
        await eyes.until(lambda: "Note:" not in eyes.text())

    drive(scenario, size)
    assert not crashed_run.note.exists()


def test_a_note_that_came_meanwhile_keeps_the_box_open(drive, crashed_run):
    async def scenario(eyes):
        await eyes.sees("CRASHED")
        await eyes.press("m")
        write_note(crashed_run, "of ada", None)
        await eyes.press(*"mine", "enter")
        await eyes.sees("another came meanwhile: of ada")
        await eyes.press("escape")

    drive(scenario)
    assert read_note(crashed_run) == "of ada"


def test_notes_and_removal_work_without_a_screen(finished_run, capsys):
    assert main(["note", "0a01", "of  bob"]) == 0
    assert main(["note", "0a01", "--json"]) == 0
    assert main(["runs", "--json"]) == 0
    written, told, listed = capsys.readouterr().out.splitlines()
    assert main(["show", "0a01"]) == 0
    assert "\nnote         of bob\n" in capsys.readouterr().out
    assert written == "of bob" and json.loads(told)["note"] == "of bob"
    assert json.loads(listed)["runs"][0]["note"] == "of bob"
    assert main(["delete", "0a01"]) == 2
    said = capsys.readouterr().err
    assert "The note: of bob" in said and "add --yes" in said and finished_run.path.exists()
    assert main(["delete", "0a01", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["deleted"] == finished_run.id
    assert not finished_run.path.exists()


def test_a_run_at_work_is_not_deleted_without_a_screen_either(living_run, capsys):
    assert main(["delete", "0a01", "--yes"]) == 1
    assert "its trainer is at work" in capsys.readouterr().err and living_run.events.exists()


@pytest.mark.parametrize("size", SIZES)
def test_another_folder_is_shown_and_what_starts_lies_there(
    drive, crashed_run, record, tmp_path, size
):
    shared = tmp_path / "shared"
    shared.mkdir()
    record.runs = shared
    record.dead(record.finished("20260101-030405-theirs-0c03", steps=3))

    async def typed(eyes, text):
        await eyes.press("O")
        eyes.app.screen.query_one(Input).value = str(text)
        await eyes.press("enter")

    async def scenario(eyes):
        await eyes.sees("CRASHED")
        await eyes.press("space")
        await typed(eyes, tmp_path / "nothing")
        await eyes.sees("It cannot be read: No such file or directory.")
        await eyes.press("escape")
        await typed(eyes, crashed_run.path)
        await eyes.sees("That is a run.")
        await eyes.press("escape")
        await typed(eyes, shared)
        await eyes.sees("theirs-0c03", "FINISHED", "Runs · 1   order: newest")
        assert "CRASHED" not in eyes.text() and not eyes.app.screen.marked
        assert eyes.app.runs_folder == shared
        await typed(eyes, crashed_run.path.parent)
        await eyes.sees("CRASHED", "tiny-rows-0a01")

    drive(scenario, size)
