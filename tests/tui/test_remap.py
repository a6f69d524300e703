"""Keys of the user's own choice: taken where they are free, else refused with both names."""

import json

import pytest

from sft_tui.tui.remap import remap


def test_a_free_key_is_taken_in_the_place_of_the_declared_one():
    changed, refused = remap({"monitor.metric": "u", "monitor.next_run": "U,f5"})

    assert not refused
    assert changed["monitor.metric"].keys == ("u",)
    assert changed["monitor.metric"].shown == "u"
    assert changed["monitor.next_run"].keys == ("U", "f5")


def test_two_actions_can_swap_their_keys():
    changed, refused = remap({"runs.control": "R", "runs.resume": "x"})

    assert not refused and set(changed) == {"runs.control", "runs.resume"}


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        ({"runs.control": "R"}, ("runs.control", "runs.resume")),
        ({"runs.control": "q"}, ("runs.control", "app.leave")),
        ({"app.palette": "x"}, ("app.palette", "runs.control")),
        ({"step.next_step": "M"}, ("step.next_step", "review.measure")),
        ({"app.help": "f5", "app.leave": "f5"}, ("app.help", "app.leave")),
    ],
)
def test_a_key_that_is_taken_is_refused_with_both_names(chosen, names):
    changed, refused = remap(chosen)

    assert len(changed) == len(chosen) - 1
    (why,) = refused
    assert all(name in why for name in names)


def test_screens_that_are_never_seen_together_may_share_a_key():
    changed, refused = remap({"monitor.metric": "e"})  # e is taken on Runs

    assert changed and not refused


def test_a_refused_key_gives_its_own_back_to_clash_with():
    changed, refused = remap({"runs.control": "q", "runs.resume": "x"})

    assert not changed and len(refused) == 2


@pytest.mark.parametrize(
    ("chosen", "why"),
    [
        ({"runs.fly": "f"}, "runs.fly is no action"),
        ({"runs.open": "ctrl+b"}, "terminals take it"),
        ({"runs.open": ""}, "terminals take it"),
    ],
)
def test_what_cannot_be_is_refused(chosen, why):
    changed, refused = remap(chosen)

    assert not changed and why in refused[0]


def test_the_chosen_key_works_and_footer_help_and_palette_show_it(drive, living_run, home):
    home.joinpath("settings.json").write_text(
        json.dumps({"keys": {"runs.control": "h", "app.help": "f5"}})
    )

    async def scenario(eyes):
        await eyes.sees("h Control", "f5 Help")
        await eyes.press("x", "question_mark")
        assert len(eyes.app.screen_stack) == 1
        await eyes.press("f5")
        await eyes.sees("h            Stop, change or kill the run")
        await eyes.press("escape", "colon", *"kill")
        assert " h " in eyes.row_with("Stop, change or kill the run")
        await eyes.press("escape", "h")
        await eyes.sees("stop and save")

    drive(scenario)


def test_a_refused_key_is_said_and_the_declared_one_stays(drive, living_run, home):
    home.joinpath("settings.json").write_text(json.dumps({"keys": {"runs.control": "R"}}))

    async def scenario(eyes):
        await eyes.sees("'R' cannot be the key of runs.control: it is that of runs.resume")
        await eyes.press("x")
        await eyes.sees("stop and save")

    drive(scenario)
