"""The draft under other people's keys: what takes its place is said, and one key takes it back."""

import json

import pytest
from textual.events import AppFocus

from sft_tui.core import presets
from sft_tui.core.draft import STEPS
from sft_tui.tui.screens.new.step import NAMES
from sft_tui.tui.services.drafts import Drafts

SIZES = [(80, 24), (160, 45)]


@pytest.mark.parametrize("size", SIZES)
def test_the_demo_in_place_of_a_draft_is_said_and_u_brings_the_draft_back(drive, size):
    async def scenario(eyes):
        await eyes.sees("No runs yet")
        eyes.app.drafts.change({"model.name": "acme/mine", "method.rank": 5})
        mine = eyes.app.drafts.draft.values
        await eyes.press("enter")
        await eyes.sees("[Review]", "The demo took the place of the draft", "u brings the old")
        assert eyes.app.drafts.draft.value("method.rank") == 8
        await eyes.press("u")
        assert eyes.app.drafts.draft.values == mine
        await eyes.sees("missing: data")

    drive(scenario, size=size)


def test_the_demo_in_place_of_nothing_says_nothing(drive):
    async def scenario(eyes):
        await eyes.sees("No runs yet")
        await eyes.press("enter")
        await eyes.sees("[Review]", "missing: nothing")
        assert "took the place" not in eyes.text()

    drive(scenario)


@pytest.mark.parametrize("size", SIZES)
def test_another_model_says_that_the_demos_settings_left(drive, size):
    async def scenario(eyes):
        await eyes.sees("No runs yet")
        await eyes.press("enter")
        await eyes.sees("[Review]", "missing: nothing")
        await eyes.press("less_than_sign")
        await eyes.sees("[Configure]")
        eyes.app.drafts.set("optim.learning_rate", 1e-3)
        eyes.app.drafts.set("model.name", "acme/other")
        await eyes.sees("Settings of the demo left with it", "u takes it back")
        draft = eyes.app.drafts.draft
        assert draft.value("train.max_steps") is None and draft.value("method.rank") == 16
        assert draft.value("optim.learning_rate") == 1e-3
        await eyes.press("u")
        assert draft.value("model.name") == "demo" and draft.value("train.max_steps") == 26

    drive(scenario, size=size)


def test_the_preset_of_the_demo_leaves_with_its_data_too(drive):
    async def scenario(eyes):
        await eyes.press("2")
        drafts = eyes.app.drafts
        assert not drafts.take_preset("demo")
        drafts.set("data.sources", [{"source": "rows.jsonl"}])
        await eyes.sees("Settings of the demo left with it")
        assert drafts.draft.value("data.eval_source") is None
        assert not drafts.take_preset("smoke")
        drafts.set("model.name", "acme/other")
        assert drafts.draft.value("train.max_steps") == presets.values("smoke")["train.max_steps"]

    drive(scenario)


@pytest.mark.parametrize("step", STEPS)
def test_every_step_takes_the_last_change_back(drive, step):
    async def scenario(eyes):
        await eyes.press("2")
        await eyes.sees("[Model]")
        eyes.app.show_step(step)
        await eyes.sees(f"[{NAMES[step]}]")
        await eyes.press("u")
        assert "Undone" not in eyes.text(), "there is nothing yet"
        eyes.app.drafts.change({"method.rank": 5})
        await eyes.pilot.pause()
        await eyes.press("u")
        await eyes.sees("Undone: Rank is 16.")
        assert not eyes.app.drafts.draft.chosen("method.rank")

    drive(scenario, size=(80, 24))


def test_what_a_key_did_is_said_until_the_next_key_that_does_something(drive):
    async def scenario(eyes):
        await eyes.press("2")
        await eyes.sees("[Model]")
        eyes.app.show_step("configure")
        await eyes.sees("[Configure]")
        eyes.app.drafts.set("method.rank", 5)
        await eyes.press("u")
        await eyes.sees("Undone: Rank is 16.")
        await eyes.press("Z")
        assert "Undone" in eyes.notice, "a key that does nothing changes nothing"
        await eyes.press("i")
        await eyes.sees("In words", "Undone: Rank is 16.")
        await eyes.press("escape")
        assert "Undone" in eyes.notice
        await eyes.press("j")
        assert "Undone" not in eyes.notice
        eyes.app.tell("The disk is full.")
        await eyes.press("j")
        assert "The disk is full." in eyes.notice, "it was no key that filled it"

    drive(scenario, size=(80, 24))


@pytest.mark.parametrize("size", [(60, 18), *SIZES])
def test_a_notice_that_is_too_long_keeps_its_remedy_and_can_be_read(drive, size):
    async def scenario(eyes):
        await eyes.sees("No runs yet")
        cause = "the folder " + "/very/long/path" * 25
        eyes.app.tell(f"It failed: {cause} is full. Free space and press r.")
        await eyes.pilot.pause()
        said = eyes.notice
        assert said.startswith(" » It failed: the folder") and "…" in said
        assert said.endswith("Free space and press r. i all")
        assert eyes.app.frame.query_one("#notice").size.height == (1 if size[0] <= 60 else 2)
        await eyes.press("i")
        await eyes.sees("In words", "is full. Free space and press r.")

    drive(scenario, size=size)


def _on_disk(home):
    return json.loads((home / "draft.json").read_text())["values"]


def test_a_choice_of_another_window_outlives_a_change_here_and_is_told_in_both(drive, home):
    async def scenario(eyes):
        await eyes.press("2")
        await eyes.sees("[Model]")
        eyes.app.show_step("configure")
        await eyes.sees("[Configure]")
        here, other = eyes.app.drafts, Drafts(eyes.app)
        here.flush()
        other.set("method.kind", "full")
        other.flush()
        here.set("optim.learning_rate", 1e-3)
        await eyes.sees("Another window changed the draft too: method.", "draft saved")
        here.flush()
        both = {"method": {"kind": "full"}, "optim": {"learning_rate": 1e-3}}
        assert _on_disk(home) == both == here.draft.values
        other.look()
        await eyes.until(lambda: "learning rate" in other.told)
        assert other.draft.values == both
        await eyes.press("u")
        assert here.draft.values == {"method": {"kind": "full"}}

    drive(scenario)


@pytest.mark.parametrize("back", ["a screen", "a window"])
def test_who_comes_back_to_a_step_sees_what_another_window_chose(drive, home, back):
    async def scenario(eyes):
        await eyes.press("2")
        await eyes.sees("[Model]")
        eyes.app.show_step("configure")
        await eyes.sees("[Configure]", "all as by default")
        eyes.app.drafts.flush()
        if back == "a screen":
            await eyes.press("1")
            await eyes.sees("No runs yet")
        other = Drafts(eyes.app)
        other.show("review")
        other.set("method.rank", 5)
        other.flush()
        if back == "a screen":
            await eyes.press("2")
        else:
            eyes.app.post_message(AppFocus())
        await eyes.sees("[Configure]", "1 changed", "Another window changed the draft too: rank.")
        assert _on_disk(home) == {"method": {"rank": 5}}, "to look is not to write"

    drive(scenario)


def test_the_demo_here_and_a_change_in_another_window_are_not_mixed(drive, home):
    async def scenario(eyes):
        await eyes.press("2")
        await eyes.sees("[Model]")
        here = eyes.app.drafts
        here.set("model.name", "acme/mine")
        here.flush()
        other = Drafts(eyes.app)
        other.set("method.rank", 5)
        other.flush()
        here.take_demo()
        demo = here.draft.values
        await eyes.sees("Another window changed the whole draft", "u brings the other")
        here.flush()
        assert _on_disk(home) == demo == here.draft.values
        await eyes.press("u")
        assert here.draft.values == {"model": {"name": "acme/mine"}, "method": {"rank": 5}}

    drive(scenario)
