"""System: checks as they come, settings that act at once and last, and what a key sends."""

import getpass
import json
import threading

import pytest

from sft_tui.core import doctor, events
from sft_tui.core.doctor import FAIL, OK, WARN, Check
from sft_tui.tui import clocks
from sft_tui.tui.screens.key_test import KeyTest
from sft_tui.tui.services import settings
from sft_tui.tui.services.settings import Settings, declared

SIZES = [(80, 24), (160, 45)]
TOKEN = "hf_abcdefghijklmnop"


@pytest.fixture
def on_system(drive):
    """Runs a scenario on System once everything was looked at."""

    def run(scenario, size=(120, 40), **options) -> None:
        async def whole(eyes):
            await eyes.until(lambda: eyes.app.screen.complete, why="the end of the checks")
            await scenario(eyes)

        drive(whole, size, mode="system", **options)

    return run


async def to_setting(eyes, name: str) -> None:
    eyes.app.screen.focus_setting(name)
    await eyes.pilot.pause()


@pytest.mark.parametrize("size", SIZES)
def test_every_check_is_there_with_what_mends_it(on_system, size, monkeypatch):
    lost = Check("disk", FAIL, "no room", "free some space")
    monkeypatch.setattr(doctor, "_disk", lambda folder: lost)

    async def scenario(eyes):
        names = list(doctor.looks())
        seen = eyes.text()
        await eyes.press("G")
        assert all(name in seen + eyes.text() for name in names)
        await eyes.press("g")
        await eyes.sees("▌6 System▐", "1 ✗", "✗ disk", "Fix: free some space")
        assert "Enter Details r Run again T Token t Key test" in " ".join(eyes.footer.split())

    on_system(scenario, size)


def test_what_takes_long_holds_up_neither_the_other_checks_nor_keys(drive, monkeypatch):
    answered = threading.Event()

    def slow(tell):
        tell("waiting for the Hub")
        answered.wait(20)
        return Check("hub", OK, "answers")

    monkeypatch.setattr(doctor, "_hub", slow)

    async def scenario(eyes):
        await eyes.sees("✓ python", "◌ hub waiting for the Hub", "14 of 15")
        await eyes.press("i")
        await eyes.sees("In words", "1 are still looked at")
        await eyes.press("escape", "1", "6")
        answered.set()
        await eyes.sees("✓ hub", "answers")

    drive(scenario, (120, 40), mode="system")


def test_what_an_earlier_look_still_finds_is_not_shown(drive, monkeypatch):
    first, begun = threading.Event(), []

    def look(folder):
        begun.append(folder)
        if len(begun) == 1:
            first.wait(20)
            return Check("disk", WARN, "the first look", "x")
        return Check("disk", OK, "the second look")

    monkeypatch.setattr(doctor, "_disk", look)

    async def scenario(eyes):
        await eyes.until(lambda: begun)
        await eyes.press("r")
        await eyes.sees("the second look")
        first.set()
        await eyes.pilot.pause(0.1)
        assert "the second look" in eyes.text()

    drive(scenario, (120, 40), mode="system")


def test_the_report_and_the_details_name_nobody(on_system, monkeypatch, home):
    monkeypatch.setattr(getpass, "getuser", lambda: "ada")
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    found = Check("disk", WARN, f"/home/ada/x and /mnt/ada/y, {TOKEN}", "mend /home/ada/x")
    monkeypatch.setattr(doctor, "_disk", lambda folder: found)

    async def scenario(eyes):
        await eyes.press(*["j"] * 7, "enter")
        await eyes.sees("disk: wants a look", "~/x and /mnt/USER/y", "Fix: mend ~/x")
        await eyes.press("escape", "y")
        await eyes.sees("Copied")
        copied = eyes.app.clipboard
        assert "! disk" in copied and "✓ python" in copied
        assert "ada" not in copied and TOKEN not in copied

    on_system(scenario)
    assert "ada" not in (home / "copied.txt").read_text()


@pytest.mark.parametrize("size", SIZES)
def test_tab_opens_the_settings_and_a_value_holds_at_once_and_later(on_system, home, size):
    async def choose(eyes):
        await eyes.press("tab", "j", "j")
        assert all(setting.label in eyes.text() for setting in declared())
        await eyes.sees("What curves and boxes are drawn with.", "‹auto› braille blocks ascii")
        assert "Enter Change" in eyes.footer and "Details" not in eyes.footer
        await eyes.press("left")
        await eyes.until(lambda: eyes.text().isascii(), why="ASCII")
        await eyes.sees("* Glyphs", "d Default")
        await eyes.press("left")
        await eyes.sees("‹blocks›")
        await eyes.press("d")
        await eyes.sees("‹auto›", "Glyphs: auto.")
        await eyes.press("right")
        await eyes.sees("‹braille›")

    async def still(eyes):
        assert eyes.app.settings.value.glyphs == "braille"

    on_system(choose, size)
    assert json.loads((home / "settings.json").read_text())["glyphs"] == "braille"
    on_system(still)


def test_colours_go_and_come_back(on_system):
    async def scenario(eyes):
        await to_setting(eyes, "colour")
        await eyes.press("enter")
        await eyes.sees("‹16›", "the terminal's own 16 colours")
        assert eyes.app.theme == "sft-16"
        await eyes.press("enter")
        await eyes.sees("‹none›", "╔")  # the focus is a double border then
        strips = eyes.app.screen._compositor.render_strips()
        drawn = {part.style.color.name for row in strips for part in row
                 if part.style and part.style.color}  # fmt: skip
        assert drawn <= {"default"}
        await eyes.press("enter")
        await eyes.sees("‹auto›")
        assert eyes.app.theme == "sft-dark" and "╔" not in eyes.text()

    on_system(scenario)


def test_another_zone_is_seen_on_every_clock(on_system, living_run):
    async def scenario(eyes):
        await to_setting(eyes, "zone")
        await eyes.press("enter", *"Nowhere", "enter")
        await eyes.sees("No zone is called 'Nowhere'")
        await eyes.press("ctrl+u", *"Asia/Kathmandu", "enter")
        await eyes.sees("Clock zone Asia/Kathmandu")
        kathmandu = clocks.at(0.0)
        assert kathmandu == "05:30"
        await eyes.until(lambda: f" {clocks.at()} " in eyes.rows()[0], 12, "the clock")
        assert clocks.at(1e15)  # a damaged event's

    try:
        on_system(scenario)
    finally:
        clocks.use("")


def test_another_folder_of_runs_is_shown_from_now_on(on_system, finished_run, tmp_path):
    other = tmp_path / "others"

    async def scenario(eyes):
        await eyes.press("1")
        await eyes.sees("FINISHED")
        await eyes.press("6")
        await to_setting(eyes, "runs")
        await eyes.press("enter", *str(finished_run.path), "enter")
        await eyes.sees("That is a run.")
        await eyes.press("ctrl+u", *str(other), "enter")
        await eyes.sees("* Runs folder")
        await eyes.press("1")
        await eyes.sees("No runs yet in")
        assert eyes.app.runs_folder == other
        await eyes.press("6", "d", "1")
        await eyes.sees("FINISHED")

    on_system(scenario)


@pytest.mark.parametrize(("wanted", "status", "rings"), [
    ("end", "finished", True), ("failure", "failed", True), ("failure", "finished", False),
    ("off", "failed", False),
])  # fmt: skip
def test_the_bell_rings_when_a_run_ends(
    drive, record, living_run, monkeypatch, wanted, status, rings
):
    rung: list[int] = []
    monkeypatch.setattr("sft_tui.tui.app.LOOK_S", 0.05)
    monkeypatch.setattr("sft_tui.tui.app.SftApp.bell", lambda app: rung.append(1))

    async def scenario(eyes):
        eyes.app.choose(bell=wanted)
        await eyes.sees("RUNNING")
        await eyes.pilot.pause(0.3)
        record.add(living_run, events.RunFinished(status=status, step=40))
        record.dead(living_run)
        await eyes.sees(status.upper())
        await eyes.pilot.pause(0.3)
        assert bool(rung) is rings
        if rings:
            await eyes.sees(f"{living_run.id} is")

    drive(scenario)


def test_the_settings_in_words(on_system):
    """U68"""

    async def scenario(eyes):
        await to_setting(eyes, "start")
        await eyes.press("i")
        await eyes.sees("Start screen is home.", "Settings: Theme auto; Colour auto")

    on_system(scenario)


@pytest.mark.parametrize(("panel", "first", "own"), [
    ("doctor", "This panel: System check", "Look at everything anew"),
    ("settings", "This panel: Settings", "The value before"),
])  # fmt: skip
def test_help_begins_with_the_keys_of_the_panel(on_system, panel, first, own):
    """U61"""

    async def scenario(eyes):
        eyes.app.screen.query_one(f"#{panel}").focus()
        await eyes.press("question_mark")
        told = str(eyes.app.screen.query_one("#help-text").render()).split("\n\n")[0]
        assert told.startswith(first) and own in told

    on_system(scenario)


def test_the_palette_finds_settings_by_name(on_system):
    async def scenario(eyes):
        await eyes.press("1", "colon", *"clock zone", "enter")
        await eyes.sees("▌6 System▐", "The zone of all times")
        await eyes.press("colon", *"bell fails", "enter")
        await eyes.until(lambda: eyes.app.settings.value.bell == "failure")

    on_system(scenario)


def test_every_setting_says_what_each_of_its_values_does():
    import typing

    names = {setting.name for setting in declared()}
    assert names == set(Settings.__struct_fields__) - {"keys"}
    hints = typing.get_type_hints(Settings)
    for setting in declared():
        assert setting.help.endswith(".")
        if hints[setting.name] not in (str, bool):
            assert setting.choices == typing.get_args(hints[setting.name])


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"theme": "16"}, "theme (Invalid enum value '16')"),
        ({"zone": "Mars/Olympus"}, "zone (No zone is called 'Mars/Olympus'"),
        ({"them": 1}, "them (no setting is called so)"),
        ({"keys": {"runs.open": 3}}, "keys (Expected `str`, got `int`)"),
    ],
    ids=str,
)
def test_a_setting_that_nobody_knows_is_put_aside_and_named_and_the_others_hold(home, wrong, why):
    home.mkdir()
    (home / "settings.json").write_text(json.dumps({"refresh": 4, **wrong}))

    found = settings.load()
    assert found.value == Settings(refresh=4) and why in settings.unread(found)
    file = settings.SettingsFile()

    assert file.value == Settings(refresh=4)
    assert why in file.told and "kept as" in file.told
    (kept,) = home.glob("settings-*.json")
    assert json.loads(kept.read_text()) == {"refresh": 4, **wrong}
    assert settings.load() == settings.Found(Settings(refresh=4), {})
    assert not settings.SettingsFile().told


def test_keys_are_told_and_escape_twice_ends(on_system):
    async def scenario(eyes):
        await eyes.press("t")
        for key in ("q", "tab", "f5", "1", "ctrl+c", "question_mark"):
            await eyes.press(key)
        assert isinstance(eyes.app.screen, KeyTest)
        await eyes.sees("q 'q' U+0071", "Tab", "F5", "Ctrl+C")
        await eyes.press("escape", "a", "escape")
        assert isinstance(eyes.app.screen, KeyTest)
        await eyes.sees("Esc")
        await eyes.press("escape")
        assert eyes.app.current_mode == "system" and len(eyes.app.screen_stack) == 1

    on_system(scenario, (80, 24))


def test_a_token_that_is_given_is_asked_for_anew(on_system, monkeypatch):
    from sft_tui.core.hub import tokens

    monkeypatch.setattr(tokens, "store", lambda token: "alice")

    async def scenario(eyes):
        await eyes.press("T", *TOKEN, "enter")
        await eyes.sees("Signed in as alice.")
        assert TOKEN not in eyes.text()

    on_system(scenario)
