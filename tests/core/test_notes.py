"""The note of a run: kept with it, and never replaced by who did not see it."""

import stat

import pytest

from sft_tui.core.errors import SftError
from sft_tui.core.notes import LONGEST, read_note, write_note
from sft_tui.core.rundir import RunDir


@pytest.fixture
def run(tmp_path) -> RunDir:
    return RunDir(tmp_path)


def test_a_note_is_kept_in_the_folder_for_its_owner_alone_and_taken_away_by_nothing(run):
    assert read_note(run) is None
    assert write_note(run, "  rank too\thigh? ", None) == "rank too high?"
    assert read_note(RunDir(run.path)) == "rank too high?"
    assert stat.S_IMODE(run.note.stat().st_mode) == 0o600
    assert write_note(run, " ", "rank too high?") is None
    assert not run.note.exists()


def test_a_note_that_came_meanwhile_stays(run):
    write_note(run, "of ada", None)
    for shown in (None, "of bob"):
        with pytest.raises(SftError, match="another came meanwhile: of ada"):
            write_note(run, "mine", shown)
    assert run.note.read_text() == "of ada\n"


@pytest.mark.parametrize("raw", [b"one\ntwo\n", b"caf\xe9\x1b[31m", b"hf_abcdefgh1234"])
def test_a_file_that_is_no_plain_line_is_read_harmless_and_never_replaced(run, raw):
    run.note.write_bytes(raw)
    shown = read_note(run)
    assert shown and "\x1b" not in shown and "\n" not in shown and "abcdefgh" not in shown
    with pytest.raises(SftError) as caught:
        write_note(run, "mine", shown)
    assert "note.txt in an editor" in caught.value.remedy
    assert run.note.read_bytes() == raw


def test_what_is_no_file_is_no_note_and_stays(run):
    run.note.mkdir()
    assert read_note(run) is None
    with pytest.raises(SftError, match=r"note\.txt"):
        write_note(run, "mine", None)
    assert run.note.is_dir()


def test_a_note_is_at_most_so_long_and_holds_no_token(run):
    with pytest.raises(SftError, match=f"has {LONGEST + 1} characters"):
        write_note(run, "x" * (LONGEST + 1), None)
    assert write_note(run, "with hf_abcdefgh1234", None) == "with hf_***"
    assert "abcdefgh" not in run.note.read_text()


def test_a_note_that_cannot_be_written_says_why(run):
    run.path.rmdir()
    with pytest.raises(SftError, match="writing the note failed"):
        write_note(run, "mine", None)
