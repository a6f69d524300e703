"""Keys: one registry, nothing that terminals take, nothing dead, no end of a run by chance."""

import contextlib
from collections import Counter

import pytest
from textual.binding import Binding
from textual.widgets import Input

from sft_tui.core import events
from sft_tui.tui.app import SftApp
from sft_tui.tui.keys import FORBIDDEN, KEYS, SCOPES, bindings, of_scope
from sft_tui.tui.screens import dialogs
from sft_tui.tui.screens.compare import CompareScreen
from sft_tui.tui.screens.export import ExportScreen
from sft_tui.tui.screens.help import HelpScreen
from sft_tui.tui.screens.monitor import MonitorScreen
from sft_tui.tui.screens.new.configure.screen import ConfigureScreen
from sft_tui.tui.screens.new.data.screen import DataScreen
from sft_tui.tui.screens.new.models.screen import ModelsScreen
from sft_tui.tui.screens.new.preview.screen import PreviewScreen
from sft_tui.tui.screens.new.review import ReviewScreen
from sft_tui.tui.screens.new.step import StepScreen
from sft_tui.tui.screens.play import PlayScreen
from sft_tui.tui.screens.runs import RunsScreen
from sft_tui.tui.screens.system import SystemScreen

SCREENS = {
    "runs": RunsScreen,
    "monitor": MonitorScreen,
    "compare": CompareScreen,
    "play": PlayScreen,
    "export": ExportScreen,
    "system": SystemScreen,
    "step": StepScreen,
    "models": ModelsScreen,
    "data": DataScreen,
    "preview": PreviewScreen,
    "configure": ConfigureScreen,
    "review": ReviewScreen,
}
MODALS = (dialogs.Confirm, dialogs.Ask, dialogs.Choose, HelpScreen)
TAKEN = {
    *(f"ctrl+{letter}" for letter in "abpqszwtnhijm"), "ctrl+left_square_bracket", "ctrl+slash",
    "ctrl+question_mark", "ctrl+enter", "shift+enter", "ctrl+[", "ctrl+/", "ctrl+?", "f10", "f11",
}  # fmt: skip


def test_no_key_that_a_terminal_takes_is_the_only_way_to_an_action():
    """U59"""
    for key in KEYS:
        assert set(key.keys) - TAKEN - FORBIDDEN, key.id
        assert not all(each.startswith("alt+") for each in key.keys), key.id
    for screen in MODALS:
        for binding in screen.BINDINGS:
            assert isinstance(binding, Binding)
            assert set(binding.key.split(",")) - TAKEN, (screen, binding)


def test_the_list_of_forbidden_keys_is_complete():
    """U59"""
    for key in ("ctrl+a", "ctrl+b", "ctrl+p", "ctrl+q", "ctrl+s", "ctrl+z", "ctrl+w", "f10", "f11"):
        assert key in FORBIDDEN
    assert "ctrl+c" not in FORBIDDEN


def test_every_action_is_declared_once_with_key_and_help():
    """U59"""
    assert not [name for name, count in Counter(key.id for key in KEYS).items() if count > 1]
    for key in KEYS:
        assert key.keys and key.shown and key.help, key.id
        assert key.label or not key.footer, key.id
        owner = SftApp if key.scope == "app" else SCREENS[key.scope]
        assert callable(getattr(owner, f"action_{key.name}", None)), key.id
    assert {key.scope for key in KEYS} == set(SCOPES)


@pytest.mark.parametrize("scope", SCOPES)
def test_the_bindings_of_a_screen_are_those_of_the_registry(scope):
    owner = SftApp if scope == "app" else SCREENS[scope]

    assert [b.id for b in owner.BINDINGS] == [key.id for key in of_scope(scope)]
    assert [b.key for b in bindings(scope)] == [",".join(key.keys) for key in of_scope(scope)]


def state_of(name: str, record):
    """Makes the run of a state; None is an empty folder."""
    if name == "empty":
        return None
    if name == "finished":
        return record.dead(record.finished())
    run = record.trained()
    record.checkpoint(run, 30)
    if name == "running":
        return record.living(run)
    if name == "stopping":
        record.add(run, events.Control(id="a", command="stop", by="ada", outcome="accepted"))
        return record.living(run)
    if name in ("failed", "stopped"):
        record.add(run, events.RunFinished(status=name, reason="because", step=40))
    return record.dead(run)


STATES = ("empty", "running", "stopping", "finished", "failed", "stopped", "crashed")
MODES = ("runs", "monitor", "compare", "play", "export", "system")
STEPS = [scope for scope in SCREENS if scope not in (*MODES, "step")]
SHOWN = [scope for scope in SCREENS if scope != "step"]
SEEN = [
    *((step, "empty") for step in STEPS),
    *(("compare", state) for state in ("empty", "running", "finished")),
    *(("play", state) for state in ("empty", "running", "finished")),
    ("export", "empty"),
    ("system", "empty"),
    *((mode, state) for mode in ("runs", "monitor") for state in STATES),
]


async def settled(eyes, mode, state) -> None:
    if state == "empty":
        await eyes.sees(
            {
                "runs": "No runs yet",
                "monitor": "No run to watch",
                "compare": "Nothing to compare yet",
                "play": "No run to play with yet",
                "export": "No run to export",
                "system": "y copies the report",
            }.get(mode, "missing: model, data")
        )
    elif mode == "compare":
        eyes.app.compare_runs([run.path for run in eyes.app.all_runs()])
        await eyes.sees("A ━")
    elif mode == "export":
        await eyes.sees("No run to export")  # until one is taken there
    elif mode == "system":
        await eyes.until(lambda: eyes.app.screen.complete)
    elif mode not in STEPS:
        await eyes.sees(state.upper())
    if mode == "play" and state != "empty":
        await eyes.until(lambda: eyes.app.screen._found and not eyes.app.screen._dirty)
    if mode == "monitor" and state != "empty":
        await eyes.sees("live", "loss 1.")
    await eyes.pilot.pause()


@pytest.mark.parametrize(("mode", "state"), SEEN)
def test_no_two_active_bindings_share_a_key(drive, record, mode, state):
    """U59"""
    state_of(state, record)

    async def scenario(eyes):
        await settled(eyes, mode, state)
        screen = eyes.app.screen
        own = screen.offered()
        everywhere = of_scope("app")
        used = Counter(each for key in [*own, *everywhere] for each in key.keys)
        assert not [key for key, count in used.items() if count > 1]
        active = {
            each: entry.binding.id
            for each, entry in screen.active_bindings.items()
            if entry.enabled
        }
        for key in [*own, *everywhere]:
            for each in key.keys:
                assert active.get(each) in (key.id, None) or key.name in ("open", "start_demo")

    drive(scenario, mode=mode)


def footer_of(eyes) -> list:
    """Returns the keys that the footer shows, read from the screen."""
    screen = eyes.app.screen
    declared = [*screen.offered(), *of_scope("app")]
    words = {key.id: key.label for key in declared}
    if screen.scope == "runs":
        words["app.leave"] = "Leave"  # there it is what the key does
    return [
        key
        for key in declared
        if key.footer and f" {key.shown} {words[key.id]} " in eyes.footer + " "
    ]


def state_seen(eyes) -> tuple:
    """Returns what a key can change; the first row has the clock."""
    app = eyes.app
    return (app.current_mode, type(app.screen), eyes.rows()[1:], app._exit, len(app.screen_stack))


@pytest.fixture
def still(monkeypatch):
    """Nothing on the screen changes by itself, and the editor changes nothing."""
    monkeypatch.setenv("EDITOR", "true")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setattr(SftApp, "suspend", lambda self: contextlib.nullcontext())
    monkeypatch.setattr("sft_tui.tui.services.run_feed.HARDWARE_S", 3600.0)
    monkeypatch.setattr("sft_tui.tui.screens.runs_lines.age", lambda seconds: "1 d")


@pytest.mark.parametrize(("mode", "state"), SEEN)
def test_every_footer_entry_does_something_when_pressed(drive, record, started, still, mode, state):
    """U60"""
    state_of(state, record)
    if state != "empty":
        record.dead(record.finished("20260101-030405-other-0c01", steps=3))

    async def scenario(eyes):
        await settled(eyes, mode, state)
        shown = footer_of(eyes)
        assert {"?", "q"} <= {key.shown for key in shown}
        # What leads to another run or out of the application comes last.
        for key in sorted(
            shown, key=lambda key: (key.name == "leave", key.name in ("next_run", "view", "mark"))
        ):
            before, begun = state_seen(eyes), len(started)
            await eyes.press(key.keys[0])
            await eyes.until(
                lambda: len(started) > begun or state_seen(eyes) != before,  # noqa: B023
                8,
                f"{key.id} is dead: it",
            )
            while len(eyes.app.screen_stack) > 1:
                await eyes.press("escape")
            if mode == "runs" and eyes.app.screen.box is not None:
                await eyes.press("escape")  # the filter
            if eyes.app.current_mode != mode:
                eyes.app.switch_mode(mode)
                await eyes.pilot.pause()

    drive(scenario, mode=mode)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_footer_never_cuts_an_entry_in_half(drive, living_run, width):
    """U60"""

    async def scenario(eyes):
        await eyes.sees("RUNNING")
        entries = "".join(f" {key.shown} {key.label} " for key in footer_of(eyes))
        assert "".join(eyes.footer.split()) == "".join(entries.split())
        assert eyes.footer.rstrip().endswith("q Back")
        assert len(eyes.footer) <= width

    drive(scenario, (width, 24), mode="monitor")


@pytest.mark.parametrize("mode", SHOWN)
def test_ctrl_c_never_ends_the_application_or_a_run(drive, living_run, mode):
    """U64"""

    async def scenario(eyes):
        if mode not in STEPS:
            await settled(eyes, mode, "running")
        for keys in ((), ("question_mark",), ("escape",), ("x",), ("escape",)):
            if mode not in ("runs", "monitor", "play") and keys == ("x",):
                keys = ("O",)
            elif keys == ("escape",) and len(eyes.app.screen_stack) < 2:
                continue
            await eyes.press(*keys, "ctrl+c", "ctrl+c", "ctrl+c")
            assert eyes.app.is_running and not eyes.app._exit
            assert not living_run.control.exists()
        while len(eyes.app.screen_stack) > 1:
            await eyes.press("escape")
        await eyes.press("ctrl+c")
        assert "q leaves; training goes on." in eyes.notice

    drive(scenario, mode=mode)


def test_ctrl_c_in_a_text_box_keeps_what_was_typed(drive):
    """U64"""

    async def scenario(eyes):
        await eyes.press("O", "a", "b", "ctrl+c")
        assert eyes.app.screen.query_one(Input).value == "ab"

    drive(scenario, mode="models")


@pytest.mark.parametrize("mode", SHOWN)
def test_help_lists_the_keys_of_the_screen_that_work_and_closes(drive, living_run, mode):
    """U61"""

    async def scenario(eyes):
        await settled(eyes, mode, "running")
        offered = eyes.app.screen.offered()
        await eyes.press("question_mark")
        await eyes.sees(SCOPES[mode], "Everywhere", *(key.help for key in offered))
        if mode == "monitor":
            assert "Go on from the newest checkpoint" not in eyes.text()
        await eyes.press("escape")
        assert isinstance(eyes.app.screen, SCREENS[mode])
        await eyes.press("f1", "f1")
        assert isinstance(eyes.app.screen, SCREENS[mode])

    drive(scenario, (120, 40), mode=mode)


def test_digits_change_the_mode_and_q_goes_up_then_out(drive, living_run):
    async def scenario(eyes):
        for digit, mode in (("3", "monitor"), ("2", "models"), ("1", "runs"), ("2", "models")):
            await eyes.press(digit)
            assert eyes.app.current_mode == mode
        await eyes.press("q")
        assert eyes.app.current_mode == "runs" and not eyes.app._exit
        await eyes.press("q")
        assert eyes.app._exit

    drive(scenario)
