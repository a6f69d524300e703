"""Text boxes: letters type while one has the focus, and go back to the screen after Esc."""

import pytest
from textual.widgets import DataTable, Input, TextArea


async def with_box(eyes, box):
    """Puts a text box on Runs and goes to it."""
    await eyes.sees("RUNNING")
    await eyes.app.screen.mount(box, before="#notice")
    box.focus()
    await eyes.pilot.pause()
    return box


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_letters_and_digits_type_and_the_footer_says_so(drive, living_run, size):
    """U63"""

    async def scenario(eyes):
        box = await with_box(eyes, Input())
        assert eyes.footer.startswith(" EDIT ")
        assert "Enter Take it" in eyes.footer and "Esc Leave the box" in eyes.footer
        assert "Control" not in eyes.footer
        await eyes.press(*"123qxjiyz?:")
        assert box.value == "123qxjiyz?:"
        assert eyes.app.current_mode == "runs" and len(eyes.app.screen_stack) == 1

    drive(scenario, size)


def test_escape_gives_the_letters_back_to_where_the_focus_was(drive, living_run):
    """U63"""

    async def scenario(eyes):
        box = await with_box(eyes, Input())
        await eyes.press("3", "escape")
        assert isinstance(eyes.app.screen.focused, DataTable)
        assert "EDIT" not in eyes.footer and "x Control" in eyes.footer
        assert eyes.app.current_mode == "runs", "Esc left the box, not the screen"
        await eyes.press("3")
        assert eyes.app.current_mode == "monitor" and box.value == "3"

    drive(scenario)


def test_a_box_of_several_lines_takes_letters_too(drive, living_run):
    """U63"""

    async def scenario(eyes):
        box = await with_box(eyes, TextArea())
        await eyes.press(*"q1")
        assert box.text == "q1" and eyes.footer.startswith(" EDIT ")
        await eyes.press("escape")
        assert "EDIT" not in eyes.footer

    drive(scenario)


def test_help_of_a_box_has_its_keys_first(drive, living_run):
    """U61"""

    async def scenario(eyes):
        await with_box(eyes, Input())
        await eyes.press("f1")
        first = str(eyes.app.screen.query_one("#help-text").render()).split("\n\n")[0]
        assert first.split("\n")[0] == "This box" and "Leave the box" in first

    drive(scenario)


def test_a_box_that_goes_away_leaves_no_edit_behind(drive, living_run):
    async def scenario(eyes):
        box = await with_box(eyes, Input())
        await box.remove()
        await eyes.until(lambda: "EDIT" not in eyes.footer)

    drive(scenario)
