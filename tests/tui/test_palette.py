"""The palette: everything by name, nothing that is not offered, nothing that waits."""

import pytest
from textual.widgets import OptionList

from sft_tui.core.fields import declared
from sft_tui.tui.screens.palette import Entry, Palette, score


def found(eyes) -> list[str]:
    return [entry.text for entry in eyes.app.screen._shown]


async def opened(eyes) -> None:
    """Waits until runs and fields are there."""
    await eyes.press("colon")
    await eyes.until(
        lambda: any(entry.kind == "field" for entry in eyes.app.screen._entries), why="the fields"
    )


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_what_is_typed_finds_an_action_and_enter_does_it(watch, living_run, size):
    async def scenario(eyes):
        await opened(eyes)
        await eyes.press(*"metric")
        assert found(eyes)[0] == "Next metric in the chart"
        row = eyes.row_with("Next metric")
        assert "▸ do" in row and " m " in row
        await eyes.press("enter")
        await eyes.sees("Chart: learning rate.")
        assert not isinstance(eyes.app.screen, Palette)

    watch(scenario, living_run, size)


def test_every_offered_action_is_there_with_its_key_and_no_other(drive, living_run):
    async def scenario(eyes):
        await eyes.sees("RUNNING")
        screen = eyes.app.screen
        offered = {(key.help, key.shown) for key in [*screen.offered(), *screen.everywhere()]}
        await opened(eyes)
        verbs = {(e.text, e.key) for e in eyes.app.screen._entries if e.kind == "do"}
        assert verbs <= offered
        assert ("Stop, change or kill the run", "x") in verbs
        assert "Go on from the newest checkpoint" not in {text for text, _ in verbs}

    drive(scenario)


def test_a_run_is_opened_in_monitor_by_a_part_of_its_name(drive, record, living_run):
    record.dead(record.finished("20260101-030405-other-0c01", steps=3))

    async def scenario(eyes):
        await eyes.sees("RUNNING")
        await opened(eyes)
        await eyes.press(*"other", "enter")
        await eyes.sees("FINISHED", "20260101-030405-other-0c01")
        assert eyes.app.current_mode == "monitor"
        await opened(eyes)
        await eyes.press(*"tiny-rows", "enter")
        await eyes.sees("RUNNING")

    drive(scenario)


def test_a_field_is_found_by_name_and_path_and_shown_in_configure(drive, monkeypatch):
    from sft_tui.tui.screens.new.configure.screen import ConfigureScreen

    asked: list[str] = []
    monkeypatch.setattr(
        ConfigureScreen, "focus_field", lambda self, path: asked.append(path), raising=False
    )

    async def scenario(eyes):
        for typed in ("learning rate", "optim.learning_rate", "lr"):
            await opened(eyes)
            await eyes.press(*(" " if key == " " else key for key in typed))
            assert found(eyes)[0] == "Set learning rate…" or typed == "lr"
            assert "Set learning rate…" in found(eyes)
            await eyes.press("escape")
        await opened(eyes)
        await eyes.press(*"learning", "enter")
        await eyes.until(lambda: asked, why="the field")
        assert eyes.app.current_mode == "configure"
        assert asked == ["optim.learning_rate"]

    drive(scenario)


def test_every_declared_field_can_be_found(drive):
    async def scenario(eyes):
        await opened(eyes)
        paths = {entry.key for entry in eyes.app.screen._entries if entry.kind == "field"}
        assert paths == {field.path for field in declared()}

    drive(scenario)


def test_the_steps_are_places_to_go(drive):
    async def scenario(eyes):
        await opened(eyes)
        await eyes.press(*"review", "enter")
        await eyes.until(lambda: eyes.app.current_mode == "review")

    drive(scenario)


def test_escape_closes_without_doing_anything(drive, started):
    async def scenario(eyes):
        await eyes.sees("No runs yet")
        before = eyes.rows()[1:]
        await eyes.press("f2", *"demo", "down", "escape")
        assert eyes.rows()[1:] == before and eyes.app.current_mode == "runs"
        assert not started

    drive(scenario)


@pytest.mark.parametrize("size", [(80, 24), (160, 45), (40, 12)])
def test_the_cursor_moves_while_one_types_and_nothing_is_said_in_words(drive, size):
    async def scenario(eyes):
        await opened(eyes)
        await eyes.press("down", "down", "up")
        marked = [row for row in eyes.rows() if "│ ▸ " in row]
        assert len(marked) == 1 and found(eyes)[1][:16] in marked[0]
        await eyes.press(*"qqqq")
        await eyes.sees("Nothing fits.")
        assert not eyes.app.screen.query_one(OptionList).display, "no empty box around it"
        await eyes.press("enter")
        assert isinstance(eyes.app.screen, Palette)

    drive(scenario, size)


def test_a_runs_folder_that_cannot_be_read_is_said_and_the_rest_works(drive, tmp_path):
    place = tmp_path / "file"
    place.write_text("")

    async def scenario(eyes):
        await opened(eyes)
        assert "Set learning rate…" in {e.text for e in eyes.app.screen._entries}
        await eyes.press("escape")
        await eyes.sees("cannot be read")

    drive(scenario, runs_folder=place)


@pytest.mark.parametrize(
    ("better", "worse", "wanted"),
    [
        ("Resume the run", "The run is resumed", "resume"),
        ("Go to rate", "Set accelerated", "rate"),
        ("learning rate", "long rest of it", "lr"),
    ],
)
def test_a_word_at_the_start_counts_more(better, worse, wanted):
    def of(text: str) -> int:
        return score(wanted, Entry("do", text, "", lambda: None))

    assert of(better) >= of(worse) >= 0 < of(better)
    assert score("nothing like it", Entry("do", better, "", lambda: None)) == 0


def test_before_anything_is_typed_the_screen_comes_first(drive, living_run):
    async def scenario(eyes):
        await eyes.sees("RUNNING")
        offered = eyes.app.screen.offered()
        await opened(eyes)
        assert found(eyes)[: len(offered)] == [key.help for key in offered]
        await eyes.press("x")
        assert found(eyes)[0] == "Stop, change or kill the run", "a key finds its action"

    drive(scenario)
