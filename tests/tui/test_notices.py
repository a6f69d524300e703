"""The notice line: news goes with the next key, what was refused or failed stays."""

import pytest

from sft_tui.core import events
from sft_tui.tui.widgets.frame import FrameScreen


def test_what_a_key_of_the_chart_did_goes_with_the_next_key(watch, living_run):
    async def scenario(eyes):
        await eyes.press("m")
        await eyes.sees("Chart: learning rate.")
        await eyes.press("tab")
        assert eyes.notice.strip() == ""
        await eyes.press("left")
        assert "step 40" in eyes.notice
        await eyes.press("tab")
        assert eyes.notice.strip() == "", "the title of the chart still tells it"

    watch(scenario, living_run)


def test_that_a_command_was_asked_goes_with_the_next_key(watch, living_run):
    async def scenario(eyes):
        await eyes.press("x", "c")
        await eyes.sees("checkpoint asked")
        await eyes.until(lambda: eyes.app.screen._model.asked._open, why="the feed to read it")
        await eyes.pilot.pause()
        assert "checkpoint asked" in eyes.notice
        await eyes.press("tab")
        assert eyes.notice.strip() == ""

    watch(scenario, living_run)


@pytest.mark.parametrize(
    ("event", "said", "stays"),
    [
        (events.Checkpoint(step=40, path="p", bytes=1, elapsed_s=0.1), "heckpoint", False),
        (events.Control(id="a", command="evaluate", by="ada", outcome="done"), "done", False),
        (events.Control(id="a", command="evaluate", by="ada", outcome="refused"), "refused", True),
        (events.Warning_(code="w", message="odd", step=40), "odd", True),
    ],
)
def test_news_of_a_run_goes_with_the_next_key_unless_it_went_wrong(
    watch, living_run, record, event, said, stays
):
    async def scenario(eyes):
        record.add(living_run, event)
        await eyes.until(lambda: said in eyes.notice, why=said)
        await eyes.press("tab")
        assert (said in eyes.notice) is stays

    watch(scenario, living_run)


def test_what_was_refused_stays_until_something_else_is_said(watch, living_run):
    async def scenario(eyes):
        screen = eyes.app.screen
        screen._model.writable = False
        await eyes.press("x")
        await eyes.sees("You can watch but not control")
        await eyes.press("tab", "tab")
        assert "You can watch but not control" in eyes.notice
        await eyes.press("m")
        await eyes.sees("Chart: ")
        assert "You can watch" not in eyes.notice

    watch(scenario, living_run)


@pytest.mark.parametrize("wrong", [False, True])
def test_a_thread_says_whether_something_went_wrong(drive, living_run, wrong):
    async def scenario(eyes):
        eyes.app.screen.deliver(FrameScreen.Said("Of a thread.", wrong=wrong))
        await eyes.sees("Of a thread.")
        await eyes.press("down", "tab")
        assert ("Of a thread." in eyes.notice) is wrong

    drive(scenario)


def test_esc_on_runs_says_which_key_leaves_until_the_next_key(drive, living_run):
    async def scenario(eyes):
        await eyes.press("escape")
        await eyes.sees("q leaves; training goes on.")
        await eyes.press("escape")
        assert "q leaves" in eyes.notice, "asked again, said again"
        await eyes.press("down")
        assert eyes.notice.strip() == ""

    drive(scenario)
