"""What every screen shares: panels and their focus, words for a panel, copying, small sizes."""

import pytest
from textual.widgets import Static

from sft_tui.core import events
from sft_tui.tui.screens.describe import Describe

EVERY = ("runs", "monitor", "models", "data", "preview", "configure", "review", "compare",
         "system")  # fmt: skip


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_z_shows_the_focused_panel_alone_and_again_all(watch, living_run, size):
    async def scenario(eyes):
        screen = eyes.app.screen
        chart, bottom = screen.query_one("#chart"), screen.query_one("#bottom")
        before = chart.region
        await eyes.press("z")
        assert chart.region.width == size[0] and chart.region.height == size[1] - 3
        assert "▌3 Monitor▐" in eyes.rows()[0] and "q Back" in eyes.footer
        await eyes.press("m")
        await eyes.sees("Chart: learning rate.")
        await eyes.press("z")
        assert chart.region == before and bottom.region.height
        await eyes.press("z", "escape")
        assert chart.region == before and eyes.app.current_mode == "monitor"

    watch(scenario, living_run, size)


def test_a_maximised_table_keeps_its_cursor(drive, record, living_run):
    record.dead(record.finished("20260101-030405-other-0c01", steps=3))

    async def scenario(eyes):
        await eyes.sees("RUNNING", "FINISHED")
        await eyes.press("j", "z")
        assert "tep 3 of 3" not in eyes.text()
        assert "▸   ✓ FINISHED" in eyes.row_with("FINISHED")
        await eyes.press("z")
        await eyes.sees("step 3 of 3")
        assert "▸   ✓ FINISHED" in eyes.row_with("FINISHED")

    drive(scenario)


def test_tab_goes_through_the_panels_and_back(watch, living_run):
    async def scenario(eyes):
        screen = eyes.app.screen
        order = [screen.panel.id]
        for key in (*["tab"] * 8, "shift+tab"):
            await eyes.press(key)
            order.append(screen.panel.id)
        small = [f"small-{at}" for at in range(4)]
        assert order == ["chart", "hardware", "health", *small, "bottom", "chart", "bottom"]

    watch(scenario, living_run)


def test_the_footer_begins_with_what_the_focused_panel_does(watch, living_run):
    async def scenario(eyes):
        assert eyes.footer.index("m Metric") < eyes.footer.index("b Tab")
        await eyes.press("shift+tab")
        assert eyes.footer.index("b Tab") < eyes.footer.index("m Metric")
        assert eyes.footer.index("x Control") == 1

    watch(scenario, living_run)


@pytest.mark.parametrize(
    ("tabs", "said"),
    [
        (
            0,
            "Loss, steps 1 to 40: fell from 3 to 1.316; average 1.376, falling; lowest 1.316 at "
            "step 40, highest 3 at step 1; no gaps; 1 evaluation, last 1.25 at step 40, best 1.25 "
            "at step 40.",
        ),
        (1, "Host"),
        (2, "Health: healthy."),
        (3, "Learning rate, steps 1 to 40: stayed from 0.0002 to 0.0002"),
        (7, "Events, 42 lines; the newest:"),
    ],
)
def test_a_panel_of_monitor_is_told_in_words(watch, record, tabs, said):
    """U68"""
    run = record.living(record.trained())
    record.add(run, events.Eval(step=40, loss=1.25, elapsed_s=1.0))

    async def scenario(eyes):
        await eyes.press(*["tab"] * tabs, "i")
        told = str(eyes.app.screen.query_one(Static).render())
        assert told.startswith(said), told
        assert f"Run {run.id} is RUNNING: step 40 of 100" in told
        assert "learning rate 0.0002" in told
        await eyes.sees(said[:40])
        await eyes.press("escape")
        assert not isinstance(eyes.app.screen, Describe)

    watch(scenario, run, (160, 45))


def test_values_that_are_not_finite_are_told(watch, nan_run):
    """U68"""

    async def scenario(eyes):
        assert "1 not finite, at step 20" in eyes.app.screen.describe()

    watch(scenario, nan_run)


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_the_run_under_the_cursor_is_told_in_words(drive, crashed_run, size):
    """U68"""

    async def scenario(eyes):
        await eyes.sees("CRASHED")
        await eyes.press("i")
        await eyes.sees(
            f"Run 1 of 1: {crashed_run.id} is CRASHED.",
            "Step 40 of 100, loss 1.316, evaluation –",
            "R continues from step 30",
        )

    drive(scenario, size)


def test_words_are_copied_and_where_they_are_is_said(drive, living_run, home):
    async def scenario(eyes):
        await eyes.sees("RUNNING")
        await eyes.press("i", "y", "escape")
        await eyes.sees("Copied “Run 1 of 1")
        assert eyes.app.clipboard.startswith("Run 1 of 1:")
        assert (home / "copied.txt").read_text().startswith("Run 1 of 1:")

    drive(scenario)


def test_y_copies_what_the_screen_offers_and_names_the_file(drive, living_run, home):
    async def scenario(eyes):
        await eyes.sees("RUNNING")
        await eyes.press("y")
        await eyes.sees("Copied", "if the terminal allows it", str(home / "copied.txt"))
        assert eyes.app.clipboard == str(living_run.path)

    drive(scenario, (300, 24))
    assert (home / "copied.txt").read_text().strip() == str(living_run.path)
    assert (home / "copied.txt").stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_is_said(drive, living_run, monkeypatch):
    def refuse(path, data):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("sft_tui.core.rundir.write_atomic", refuse)

    async def scenario(eyes):
        await eyes.sees("RUNNING")
        await eyes.press("y")
        await eyes.sees("cannot be written: No space left on device")

    drive(scenario, (300, 24))


def test_ctrl_l_draws_the_same_again(drive, living_run):
    async def scenario(eyes):
        await eyes.sees("RUNNING", "LoRA r8", "Enter Open", "q Leave")
        before = eyes.rows()[1:]
        await eyes.press("ctrl+l")
        assert eyes.rows()[1:] == before

    drive(scenario)


@pytest.mark.parametrize("mode", EVERY)
@pytest.mark.parametrize("size", [(20, 5), (1, 1), (40, 10)])
def test_no_size_crashes_any_screen_or_dialog(drive, living_run, mode, size):
    """U38"""

    async def scenario(eyes):
        for opens in ("question_mark", "colon", "i", "z"):
            await eyes.press(opens, "down", "j", "escape")
            while len(eyes.app.screen_stack) > 1:
                await eyes.press("escape")
        assert len(eyes.rows()) == size[1]
        await eyes.pilot.resize_terminal(80, 24)
        await eyes.pilot.pause()
        assert eyes.app.is_running

    drive(scenario, size, mode=mode)


def test_small_runs_keeps_status_steps_and_loss(drive, living_run):
    """U38"""

    async def scenario(eyes):
        await eyes.sees("▶ RUNNING", "40/100", "1.316")
        assert "╭" not in eyes.text()
        await eyes.pilot.resize_terminal(80, 24)
        await eyes.sees("tiny-rows-0a01", "STATUS", "╭")

    drive(scenario, (40, 10))


def test_a_narrow_first_row_names_the_mode_that_is_shown(drive):
    async def scenario(eyes):
        assert eyes.rows()[0] == " sft-tui ▌3 Monitor▐"

    drive(scenario, (20, 5), mode="monitor")
