"""Help: generated from the registry, what is focused first, searchable at any size."""

import pytest
from textual.widgets import Input

from sft_tui.tui.keys import KEYS, of_scope
from sft_tui.tui.screens.help import WORDS, HelpScreen, shown


def headings(eyes) -> list[str]:
    """Returns the headings of the help that is seen, without their rows."""
    text = str(eyes.app.screen.query_one("#help-text").render())
    return [line for line in text.split("\n") if line and not line.startswith(" ")]


@pytest.mark.parametrize(("panel", "own"), [("chart", {"metric", "smooth"}), ("bottom", {"tab"})])
def test_the_keys_of_the_focused_panel_come_first(watch, living_run, panel, own):
    """U61"""

    async def scenario(eyes):
        screen = eyes.app.screen
        for _ in range(8):
            if screen.panel.id == panel:
                break
            await eyes.press("tab")
        await eyes.press("question_mark")
        text = str(eyes.app.screen.query_one("#help-text").render())
        first = text.split("\n\n")[0]
        assert first.startswith("This panel")
        helped = {key.name for key in of_scope("monitor") if key.help in first}
        assert own <= helped
        assert all(key.panel == panel for key in of_scope("monitor") if key.name in helped)
        assert headings(eyes)[1:] == ["Monitor", "Everywhere", "Words"]

    watch(scenario, living_run)


def test_help_of_a_step_has_the_keys_of_all_steps_after_its_own(drive):
    async def scenario(eyes):
        await eyes.press("question_mark")
        assert headings(eyes) == ["New › Review", "New, every step", "Everywhere", "Words"]

    drive(scenario, mode="review")


def test_what_does_nothing_now_is_not_listed(drive):
    async def scenario(eyes):
        await eyes.sees("No runs yet")
        await eyes.press("question_mark")
        text = str(eyes.app.screen.query_one("#help-text").render())
        assert "Review and train the demo" in text
        assert "Stop, change or kill the run" not in text
        assert "Copy what is shown" not in text

    drive(scenario)


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_a_search_leaves_what_it_names_and_escape_gives_all_back(watch, living_run, size):
    async def scenario(eyes):
        await eyes.press("question_mark", "slash", *"metric")
        await eyes.sees("Next metric in the chart")
        assert [heading[:10] for heading in headings(eyes)] == ["This panel"]
        await eyes.press("escape")
        assert isinstance(eyes.app.screen, HelpScreen)
        assert "Everywhere" in headings(eyes)
        await eyes.press("escape")
        assert not isinstance(eyes.app.screen, HelpScreen)

    watch(scenario, living_run, size)


def test_a_search_for_nothing_says_so(drive):
    async def scenario(eyes):
        await eyes.press("f1", "slash", *"zzz")
        await eyes.sees("Nothing here says “zzz”.")
        assert eyes.app.screen.query_one(Input).value == "zzz"

    drive(scenario)


def test_help_scrolls_to_the_words_and_back(watch, living_run):
    async def scenario(eyes):
        await eyes.press("question_mark")
        assert WORDS[-1][1] not in eyes.flow()
        await eyes.press("G")
        await eyes.sees(WORDS[-1][1][:40])
        await eyes.press("g")
        await eyes.sees("This panel")
        await eyes.press("j", "k", "pagedown", "pageup")
        await eyes.sees("This panel")

    watch(scenario, living_run, (80, 24))


def test_every_key_has_a_name_that_users_write():
    for key in KEYS:
        for each in key.keys:
            assert "_" not in shown(each) and shown(each), each
    assert [shown(key) for key in ("shift+left", "ctrl+u", "G", "f1")] == [
        "Shift+←",
        "Ctrl+U",
        "G",
        "F1",
    ]


def test_what_is_said_in_words_scrolls_by_the_keys_of_help(drive):
    async def scenario(eyes):
        await eyes.sees("No runs yet")
        eyes.app.tell("First. " + "Word after word. " * 200 + "Last.")
        await eyes.press("i")
        await eyes.sees("In words")
        await eyes.press("G")
        await eyes.sees("Last.")
        await eyes.press("g")
        await eyes.sees("First.")

    drive(scenario, (80, 24))
