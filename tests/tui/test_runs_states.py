"""Runs: what became of each run, in word, glyph and cause; what is unknown stays unknown."""

import time

import pytest

from sft_tui.core import events
from sft_tui.tui.theme import DARK, LIGHT


@pytest.mark.parametrize(
    ("ending", "word", "told"),
    [
        (events.RunFinished(status="finished", step=40), "✓ FINISHED", "step 40 of 100"),
        (
            events.RunFinished(status="failed", reason="no memory", remedy="smaller", step=40),
            "✗ FAILED",
            "no memory",
        ),
        (events.RunFinished(status="stopped", reason="asked by ada", step=40), "■ STOPPED", "ada"),
        (events.RunFinished(status="paused", reason="GPU freed", step=40), "‖ PAUSED", "step 40,"),
    ],
)
def test_how_a_run_ended_is_told_in_word_glyph_and_cause(drive, record, ending, word, told):
    """U11"""
    run = record.dead(record.trained())
    record.add(run, ending)

    async def scenario(eyes):
        await eyes.sees(word, told)
        if ending.status == "paused":
            await eyes.sees("no checkpoint is there; GPU freed", "Do: R starts again from step 0")
        assert ("R Resume" in eyes.footer) == (ending.status != "finished")
        await eyes.press("x")
        await eyes.sees("more steps")
        assert "stop and save" not in eyes.text(), "no trainer is at work to be asked"

    drive(scenario)


def test_a_crashed_run_shows_cause_checkpoint_and_the_resume_key(drive, crashed_run):
    """U10"""

    async def scenario(eyes):
        await eyes.sees("✗! CRASHED", "step 30", "Killed by the kernel")
        await eyes.sees("Do: R continues from step 30", "R Resume")
        assert "sft-tui resume" not in eyes.text(), "here it is a key"

    drive(scenario)


def test_a_run_on_another_host_is_unknown_with_its_silence(drive, record, elsewhere):
    """U11"""
    record.living(record.trained(), host=elsewhere)

    async def scenario(eyes):
        await eyes.sees("·? UNKNOWN", "last heard", elsewhere)

    drive(scenario)


def test_a_silent_trainer_is_stalled(drive, record):
    """U51"""
    run = record.living(record.folder())
    long_ago = time.time() - 300
    told = [events.RunStarted(run_id="r", total_steps=9), events.Phase(name="training")]
    record.add(run, *told, events.Step(step=1, loss=2.0, tokens=5, step_s=1.0), t=long_ago)

    async def scenario(eyes):
        await eyes.sees("? STALLED", "no step and no progress for 5 min", "x Control")

    drive(scenario)


@pytest.mark.parametrize("mode", ["runs", "monitor"])
def test_a_trainer_that_waits_for_room_names_its_disk(drive, record, monkeypatch, mode):
    monkeypatch.setattr("sft_tui.core.status.free_bytes", lambda folder: 0)
    run = record.living(record.folder())
    told = [events.RunStarted(run_id="r", total_steps=9), events.Phase(name="training")]
    step = events.Step(step=1, loss=2.0, tokens=5, step_s=1.0)
    record.add(run, *told, step, t=time.time() - 30)

    async def scenario(eyes):
        await eyes.sees("? STALLED", "its disk is full: 0 bytes free", "Do: free space where")
        assert "x k" not in eyes.flow()

    drive(scenario, (80, 24), mode=mode)


def test_what_is_missing_is_a_dash_and_never_0(drive, bare_run):
    """U40"""

    async def scenario(eyes):
        await eyes.sees("FAILED")
        row = eyes.row_with("✗ FAILED  ")
        cells = row.split("0a01")[1].strip("│ ").split()
        assert cells and set(cells) == {"–"}
        await eyes.sees("holds no configuration", "step – of – · loss – · eval – · – tok/s")

    drive(scenario, (160, 45))


def test_a_loss_that_is_not_finite_is_not_drawn_as_a_number(drive, record):
    """U39"""
    record.living(record.trained(losses={40: float("nan")}.items()))

    async def scenario(eyes):
        await eyes.sees("40/100")
        cells = eyes.row_with("40/100").split("40/100")[1].split()
        assert cells[0] in ("–", "NaN")

    drive(scenario, (80, 24))


def test_a_reused_pid_with_another_start_time_is_crashed(drive, record):
    """U52"""
    run = record.living(record.trained())

    async def scenario(eyes):
        await eyes.sees("RUNNING")
        record.living(run, start_time=1.0)
        assert await eyes.sees("✗! CRASHED") < 2.3

    drive(scenario, real_time=True)


def status_colour(eyes, word: str) -> str:
    """Returns the colour that a status is drawn in."""
    strips = eyes.app.screen._compositor.render_strips()
    found = [part for strip in strips for part in strip if word in part.text]
    return found[0].style.color.name


def test_a_status_has_the_colour_of_its_role_in_either_theme(drive, crashed_run, record):
    record.dead(record.finished("20251231-020405-older-0e03"))

    async def scenario(eyes):
        await eyes.sees("FINISHED", "Runs · 2")
        for theme in (DARK, LIGHT):
            eyes.app.choose(theme=theme.name.removeprefix("sft-"))
            await eyes.until(
                lambda theme=theme: (
                    status_colour(eyes, "✓ FINISHED") == (theme.success or "").lower()
                ),
                why=theme.name,
            )

    drive(scenario)


def test_the_details_tell_what_columns_had_no_room_for(drive, crashed_run):
    async def scenario(eyes):
        await eyes.sees("step 40 of 100 · loss 1.316 · eval –", "demo · LoRA r8 · demo")
        assert "/runs/" not in eyes.text()
        await eyes.pilot.resize_terminal(200, 45)
        await eyes.sees(f"/runs/{crashed_run.id}")

    drive(scenario, (80, 24))
