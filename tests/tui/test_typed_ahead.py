"""Keys that are typed ahead: each does what it would have done a second later."""

import json
import threading

import pytest
from textual import events
from textual.widgets import Input

from sft_tui.core import config_file


def type_ahead(eyes, *keys: str) -> None:
    """Keys as a terminal sends them that has them all at once."""
    for key in keys:
        character = key if len(key) == 1 else {"greater_than_sign": ">"}.get(key)
        eyes.app.post_message(events.Key(key, character))


def test_a_second_enter_in_a_dialog_is_for_the_screen_below(drive, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(config_file.to_yaml(config_file.build(["method.rank=5"], preset="demo")))

    async def scenario(eyes):
        await eyes.press("2", "greater_than_sign", "O")
        eyes.app.screen.query_one(Input).value = str(path)
        type_ahead(eyes, "enter", "less_than_sign")
        await eyes.sees("[Configure]")
        assert eyes.app.drafts.draft.value("method.rank") == 5

    drive(scenario)


@pytest.fixture
def found(model, tmp_path, monkeypatch):
    """A folder with a model and one data file, where nothing but the demo is beside them."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "model").symlink_to(model)
    rows = [{"question": f"Where is city {n}?", "answer": f"In land {n}."} for n in range(300)]
    (work / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(work)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return work


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_the_way_from_runs_to_a_run_can_be_typed_at_once(drive, found, model, started, size):
    """U2"""

    async def scenario(eyes):
        eyes.app.drafts.set("model.name", str(model))
        type_ahead(eyes, *["2", "greater_than_sign", "enter", *["greater_than_sign"] * 2, "enter"])
        await eyes.until(lambda: started, 30, "the launch")
        config = started[0][1]
        assert config.model.name == str(model)
        assert config.data.sources[0].source == str(found / "rows.jsonl")

    drive(scenario, size)


@pytest.mark.parametrize("step", ["models", "data"])
def test_a_list_that_is_not_there_yet_gets_the_keys_once_it_is(drive, found, step):
    async def scenario(eyes):
        eyes.app.drafts.show(step)
        type_ahead(eyes, "2", *(["t", "t"] if step == "models" else []), "j")
        table = "#models" if step == "models" else "#data-list"
        await eyes.until(lambda: eyes.app.screen.query(table), why="the list")
        await eyes.until(lambda: eyes.app.screen.query_one(table).cursor_row == 1, why="the move")
        assert not eyes.app.screen.query_one(Input).value

    drive(scenario)


def test_keys_of_all_screens_never_wait_and_esc_drops_what_was_typed_ahead(
    drive, found, monkeypatch
):
    from sft_tui.tui.screens.new.models import screen

    look, go = screen.look_through, threading.Event()
    monkeypatch.setattr(screen, "look_through", lambda folder: go.wait(20) and look(folder))

    async def scenario(eyes):
        await eyes.press("2")
        await eyes.sees("[Model]")
        await eyes.press("1")
        assert eyes.app.current_mode == "runs"
        await eyes.press("2")
        await eyes.sees("[Model]")
        type_ahead(eyes, "enter", "greater_than_sign", "greater_than_sign")
        await eyes.pilot.pause(0.2)
        assert eyes.app.current_mode == "models"
        await eyes.press("escape")
        assert eyes.app.current_mode == "runs"
        await eyes.press("2", "greater_than_sign")
        await eyes.sees("[Data]")
        await eyes.press("less_than_sign")
        await eyes.sees("[Model]")
        await eyes.pilot.pause(0.3)
        assert eyes.app.current_mode == "models"
        type_ahead(eyes, "enter")
        await eyes.sees("still looked through: press Enter", within_s=6)
        go.set()

    drive(scenario)


def test_a_key_at_once_after_enter_is_for_the_screen_that_is_seen_then(drive, found, model):
    async def scenario(eyes):
        assert not eyes.app.drafts.change(
            {"model.name": str(model), "data.sources.0.source": str(found / "rows.jsonl")}
        )
        eyes.app.show_step("configure")
        await eyes.sees("[Configure]")
        type_ahead(eyes, "less_than_sign", "less_than_sign")
        await eyes.sees("[Data]", "result")
        cursor = eyes.app.screen.sources.table.cursor_row
        type_ahead(eyes, "enter", "greater_than_sign", "j", "j")
        await eyes.sees("[Configure]")
        await eyes.until(lambda: eyes.app.screen.fields.row, why="a field")
        await eyes.pilot.pause(0.2)
        assert eyes.app.screen.fields.line_of_cursor > 1
        eyes.app.show_step("data")
        await eyes.sees("[Data]")
        assert eyes.app.screen.sources.table.cursor_row == cursor

    drive(scenario)


def test_what_empties_the_list_of_models_is_named_with_the_key_that_takes_it_away(drive, found):
    async def scenario(eyes):
        await eyes.press("2", "t", "slash", *"zzzz")
        await eyes.sees("Only 'zzzz' is looked for: / and Backspace lists all.")
        await eyes.press("escape", "slash", "backspace")
        await eyes.until(lambda: "zzzz" not in eyes.text())

    drive(scenario)
