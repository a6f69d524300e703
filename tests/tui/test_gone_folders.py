"""A folder that is removed while its run is on a screen: said as that, at once, and whole."""

import shutil

import pytest

from sft_tui.core.chat import weights
from sft_tui.core.errors import SftError
from sft_tui.core.foreign import look
from sft_tui.core.status import Status
from sft_tui.tui.screens import monitor_lines
from sft_tui.tui.services import compare_feed
from sft_tui.tui.services.run_model import RunModel

SIZES = [(80, 24), (160, 45)]


@pytest.fixture
def two(record):
    names = [f"2026010{n}-030405-a-run-with-a-long-name-0a0{n}" for n in (1, 2)]
    return [record.dead(record.finished(name)) for name in names]


@pytest.mark.parametrize("size", SIZES)
def test_compare_says_that_a_folder_is_gone_and_when_it_is_back(drive, two, monkeypatch, size):
    monkeypatch.setattr(compare_feed, "POLL_S", 0.1)
    away = two[0].path.with_name("away")

    async def scenario(eyes):
        eyes.app.compare_runs([run.path for run in two])
        await eyes.until(lambda: len(getattr(eyes.app.screen, "_found", ())) == 2)
        two[0].path.rename(away)
        await eyes.sees(f"The folder of {two[0].id} is gone", "A: its folder is gone;")
        assert eyes.row_with("A ━"), "what was read of it is still shown"
        await eyes.press("r")
        await eyes.sees(f"{two[0].id} is gone: its folder was moved or deleted, or is not mounted.")
        assert "is not a run" not in eyes.text()
        away.rename(two[0].path)
        await eyes.sees(f"The folder of {two[0].id} is back: r reads it anew.")
        await eyes.press("r")
        await eyes.until(lambda: "is gone" not in eyes.text())

    drive(scenario, size)


@pytest.mark.parametrize("size", SIZES)
def test_play_says_that_a_folder_is_gone_in_a_whole_sentence(drive, two, size):
    shutil.rmtree(two[0].path)

    async def scenario(eyes):
        await eyes.sees(f"{two[0].id} is gone: its folder was moved or deleted", "Bring it back.")
        assert "no run" not in eyes.text()

    drive(scenario, size, mode="play", watched=two[0])


def test_a_long_sentence_about_what_cannot_be_loaded_keeps_its_end(drive, two):
    async def scenario(eyes):
        await eyes.sees("Live: ", "… Train anew with its config.yaml. i all")

    shutil.rmtree(two[0].checkpoints, ignore_errors=True)
    drive(scenario, (60, 24), mode="play", watched=two[0])


def test_a_folder_that_is_gone_is_not_called_no_run(two, tmp_path):
    shutil.rmtree(two[0].path)
    for ask in (lambda: weights(two[0], None), lambda: look.read(two[0].path)):
        with pytest.raises(SftError, match=f"{two[0].id} is gone: its folder was moved"):
            ask()


def test_a_run_whose_folder_is_gone_is_not_called_read_only(two):
    model = RunModel()
    model.status = Status("unknown", reason="the folder is gone")
    model.writable, model.gone = False, True
    assert "Read-only" not in monitor_lines.why(two[0], model)
    model.gone = False
    assert "Read-only" in monitor_lines.why(two[0], model)
