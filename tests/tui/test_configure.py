"""Configure: every declared field once, edited in place, and what it does to the run."""

import asyncio

import pytest
from textual.widgets import Input

from sft_tui.core.draft import Draft
from sft_tui.core.fields import declared, field_at
from sft_tui.core.sidecar.effect_calls import Adapter, Disk, Effects, Fit, Kind, Memory
from sft_tui.core.typed import shown
from sft_tui.tui.screens.new.configure import field_effects
from sft_tui.tui.screens.new.configure.field_list import FieldList
from sft_tui.tui.screens.new.configure.rows import plain_default, rows

SIZES = pytest.mark.parametrize("size", [(80, 24), (160, 45)])
KEYS = {"_": "underscore", "-": "minus", ".": "full_stop", " ": "space", ",": "comma"}

FOUND = Effects(
    rows_per_step=16,
    adapter=Adapter([Kind("q_proj", 2), Kind("v_proj", 2)], 33_000_000, 4_000_000_000),
    memory=Memory({"weights": 3 << 30, "adapter": 1 << 30, "gradients": 1, "optimizer": 2},
                  24 << 30, 20 << 30, 28 << 30, 1024),
    fits=[Fit(device="GPU 0", capacity=79 << 30, word="fits", share=0.3)],
    steps=1200,
    steps_per_epoch=400,
    disk=Disk(400 << 20, 3, 130 << 20, 412 << 30),
)  # fmt: skip


@pytest.fixture
def configure(drive, monkeypatch):
    """Runs a scenario on Configure; the helper process gives one answer at once."""
    answers = [FOUND]

    async def ask(self, call, wanted, answer, progress=None, **more):
        if answer is not Effects:
            await asyncio.Event().wait()  # what other screens ask is not answered here
        return answers[-1]

    monkeypatch.setattr("sft_tui.tui.services.sidecar.Sidecar.ask", ask)
    monkeypatch.setattr("sft_tui.tui.services.effects.PAUSE_S", 0.0)

    def run(scenario, size=(120, 36), found=FOUND):
        answers.append(found)

        async def whole(eyes):
            eyes.app.show_step("configure")
            await eyes.until(lambda: eyes.app.effects.found is not None)
            await eyes.pilot.pause()
            await scenario(eyes)

        drive(whole, size, mode="new")

    return run


async def go_to(eyes, path: str) -> None:
    eyes.app.screen._go_to(path)
    await eyes.pilot.pause()


async def type_in(eyes, text: str) -> None:
    await eyes.press(*(KEYS.get(letter, letter) for letter in text))


def here(eyes):
    return eyes.app.screen.fields.row


def help_of(eyes) -> str:
    box = eyes.app.screen.query_one("#field-help")
    return " ".join(f"{box.border_title} {box.content}".split())


def value(eyes, path: str):
    return eyes.app.drafts.draft.value(path)


@SIZES
def test_every_declared_field_is_there_once_with_label_help_unit_and_default(configure, size):
    """U23"""
    seen: list[str] = []

    async def scenario(eyes):
        await eyes.press("A", "g")
        while here(eyes).path not in seen:
            field = field_at(here(eyes).path)
            seen.append(field.path)
            assert f"  {field.label} " in eyes.row_with("▸")
            told = help_of(eyes)
            assert field.path in told and field.help in told and field.label in told
            assert field.expected().capitalize() in told
            assert not field.unit or f", in {field.unit}" in told
            assert f"Default {shown(field, plain_default(field), unit=False)}." in told
            await eyes.press("j")

    configure(scenario, size)
    assert sorted(seen) == sorted(field.path for field in declared())


def test_what_is_seldom_changed_is_hidden_until_it_is_asked_for(configure):
    advanced = [field for field in declared() if field.advanced]

    async def scenario(eyes):
        await eyes.sees(f"… {len(advanced)} advanced hidden (A)", "Rank", "Learning rate")
        assert "Betas" not in eyes.text()
        await go_to(eyes, "optim.schedule")
        await eyes.press("A")
        assert here(eyes).path == "optim.schedule" and "hidden (A)" not in eyes.text()
        await eyes.press("j", "j", "j", "j", "j")
        await eyes.sees("Betas")
        await eyes.press("A")
        await eyes.sees("advanced hidden (A)")

    configure(scenario)


def test_a_tracker_is_chosen_in_a_group_of_its_own(configure):
    async def scenario(eyes):
        await eyes.press("A")
        await go_to(eyes, "track.kind")
        await eyes.sees("Track · Where else the run's events are shown", "Tracker", "wandb")
        await eyes.press("right", "right")
        assert value(eyes, "track.kind") == "tensorboard"
        await eyes.press("j")
        assert here(eyes).path == "track.project"

    configure(scenario)


@SIZES
def test_bad_input_keeps_the_box_open_and_says_bounds_and_what_was_meant(configure, size):
    """U22"""

    async def scenario(eyes):
        await go_to(eyes, "optim.learning_rate")
        await eyes.press("enter")
        await type_in(eyes, "2e4")
        await eyes.press("enter")
        await eyes.sees("must be a number > 0 and ≤ 1; you typed 2e4 – did you mean 2e-4?")
        assert eyes.app.screen.query_one(Input).value == "2e4"
        assert value(eyes, "optim.learning_rate") == 2e-4
        assert not eyes.app.drafts.draft.chosen("optim.learning_rate")
        await eyes.press("backspace")
        await type_in(eyes, "-3")
        await eyes.press("enter")
        await eyes.until(lambda: not eyes.app.screen.query(Input))
        assert value(eyes, "optim.learning_rate") == 2e-3 and "did you mean" not in eyes.text()
        assert isinstance(eyes.app.focused, FieldList)

    configure(scenario, size)


def test_letters_move_until_a_value_is_edited_and_again_after_esc(configure):
    """U63"""

    async def scenario(eyes):
        await go_to(eyes, "model.name")
        await eyes.press("enter")
        await type_in(eyes, "dup2")
        assert eyes.app.screen.query_one(Input).value == "dup2"
        assert "▌2 New▐" in eyes.rows()[0]
        assert not eyes.app.drafts.draft.can_undo
        await eyes.press("escape")
        await eyes.until(lambda: not eyes.app.screen.query(Input))
        assert value(eyes, "model.name") == "demo" and "model" in eyes.app.drafts.draft.missing()
        path = here(eyes).path
        await eyes.press("j")
        assert here(eyes).path != path

    configure(scenario)


def test_the_default_comes_back_with_its_mark_gone_and_undo_undoes_it(configure):
    """U24"""

    async def scenario(eyes):
        await go_to(eyes, "save.keep")
        assert "d Default" not in eyes.footer
        await eyes.press("right")
        row = eyes.row_with("▸")
        assert "* Keep" in row and "4 checkpoints (3)" in row
        await eyes.sees("1 changed", "d Default")
        await eyes.press("d")
        assert "* Keep" not in eyes.row_with("▸") and "3 checkpoints" in eyes.row_with("▸")
        assert not eyes.app.drafts.draft.chosen("save.keep")
        await eyes.press("u")
        await eyes.sees("Undone: Keep is 4 checkpoints.")
        assert "* Keep" in eyes.row_with("▸") and value(eyes, "save.keep") == 4
        await eyes.press("u")
        assert value(eyes, "save.keep") == 3
        await eyes.until(lambda: "u Undo" not in eyes.footer)

    configure(scenario)


def test_a_section_goes_back_to_its_defaults_as_one_change(configure):
    async def scenario(eyes):
        eyes.app.drafts.change({"model.name": "acme/m", "save.keep": 9, "save.every_steps": 7})
        await go_to(eyes, "save.every_steps")
        await eyes.press("D")
        await eyes.sees("Back to the default: Every steps (Save), Keep.")
        assert value(eyes, "save.keep") == 3 and value(eyes, "model.name") == "acme/m"
        await eyes.press("u")
        assert value(eyes, "save.keep") == 9 and value(eyes, "save.every_steps") == 7

    configure(scenario)


def test_a_section_never_takes_the_model_or_the_data_away(configure):
    async def scenario(eyes):
        eyes.app.drafts.change({"model.name": "acme/m", "model.attention": "eager"})
        await go_to(eyes, "model.attention")
        await eyes.press("D")
        assert value(eyes, "model.name") == "acme/m" and value(eyes, "model.attention") == "auto"

    configure(scenario)


def test_what_was_changed_is_never_hidden():
    draft = Draft()
    assert not draft.set("method.dora", True)
    shown_paths = [row.path for row in rows(draft, advanced=False)]
    assert "method.dora" in shown_paths and "method.rslora" not in shown_paths


@SIZES
def test_arrows_take_sensible_steps_and_show_those_nearby(configure, size):
    async def scenario(eyes):
        await go_to(eyes, "train.micro_batch_size")
        assert "‹ 1 2 4 8 16 ›" in eyes.row_with("▸")
        await eyes.press("left", "left")
        assert value(eyes, "train.micro_batch_size") == 1
        await eyes.press("left")
        await eyes.sees("at its smallest step: 1 row")
        await go_to(eyes, "optim.learning_rate")
        await eyes.press("right")
        assert value(eyes, "optim.learning_rate") == 5e-4
        await go_to(eyes, "optim.schedule")
        assert "‹ constant linear cosine wsd ›" in eyes.row_with("▸")
        await eyes.press("left")
        assert value(eyes, "optim.schedule") == "linear"
        await go_to(eyes, "method.target_modules")
        assert "←→" not in eyes.footer

    configure(scenario, size)


def test_alpha_follows_rank_until_it_is_set_by_hand(configure):
    async def scenario(eyes):
        await go_to(eyes, "method.rank")
        await eyes.press("right")
        await eyes.sees("Alpha follows rank (2 ×): 64. Edit it to set it by hand.")
        assert value(eyes, "method.alpha") == 64 and "= 2 × rank" in eyes.row_with("Alpha")
        await eyes.press("u")
        assert (value(eyes, "method.rank"), value(eyes, "method.alpha")) == (16, 32)
        await eyes.press("left", "d")
        assert not eyes.app.drafts.draft.values.get("method"), "both are back, and unchosen"
        await go_to(eyes, "method.alpha")
        await eyes.press("enter")
        await type_in(eyes, "20")
        await eyes.press("enter")
        await go_to(eyes, "method.rank")
        await eyes.press("right")
        assert (value(eyes, "method.rank"), value(eyes, "method.alpha")) == (32, 20)
        assert "= 0.625 × rank" in eyes.row_with("Alpha")

    configure(scenario)


@SIZES
def test_choices_open_as_a_list_and_switches_switch(configure, size):
    async def scenario(eyes):
        await go_to(eyes, "data.loss_on")
        await eyes.press("enter")
        await eyes.sees("last_turn")
        await eyes.press("j", "enter")
        await eyes.until(lambda: value(eyes, "data.loss_on") == "full")
        await eyes.press("enter", "down", "escape")
        assert value(eyes, "data.loss_on") == "full" and isinstance(eyes.app.focused, FieldList)
        await go_to(eyes, "data.shuffle")
        assert "yes" in eyes.row_with("▸")
        await eyes.press("space")
        assert value(eyes, "data.shuffle") is False and "no (yes)" in eyes.row_with("▸")
        await eyes.press("enter")
        assert value(eyes, "data.shuffle") is True

    configure(scenario, size)


def test_lists_and_maps_are_edited_as_yaml_on_one_line(configure):
    async def scenario(eyes):
        async def edit(path, text):
            await go_to(eyes, path)
            await eyes.press("enter")
            eyes.app.screen.query_one(Input).value = text
            await eyes.press("enter")
            await eyes.pilot.pause()

        await edit("method.target_modules", "[q_proj, v_proj]")
        assert value(eyes, "method.target_modules") == ["q_proj", "v_proj"]
        await edit("data.sources.0.columns", "{prompt: ask, completion: 'a.text[0]'}")
        assert value(eyes, "data.sources.0.columns") == {"prompt": "ask", "completion": "a.text[0]"}
        await edit("optim.betas", "[0.9, 1.5]")
        await eyes.sees("optim.betas must each be in [0, 1)")
        assert eyes.app.screen.query(Input), "the box is still open"
        await eyes.press("escape")
        await edit("data.sources", "[{source: a.jsonl}, {source: demo, weight: 0.5}]")
        await eyes.sees("2 sources")
        assert value(eyes, "data.sources.1.weight") == 0.5
        await edit("data.sources.0.roles", "{bot: nobody}")
        await eyes.sees("must be one of")

    configure(scenario)


@SIZES
def test_a_conflict_names_both_fields_and_enter_leads_to_the_other(configure, size):
    async def scenario(eyes):
        await go_to(eyes, "data.eval_fraction")
        await eyes.press("left", "left", "left")
        assert value(eyes, "data.eval_fraction") == 0
        await eyes.sees("✗ Eval fraction and Every steps (Evaluate)")
        await eyes.press("j")
        assert "✗ Enter goes to Every steps (Evaluate)" in eyes.row_with("▸")
        await eyes.press("enter")
        assert here(eyes).path == "evaluate.every_steps" and here(eyes).kind == "field"
        await eyes.press("j", "enter")
        assert here(eyes).path == "data.eval_fraction"
        await eyes.press("right")
        await eyes.until(lambda: "✗" not in eyes.text())

    configure(scenario, size)


def test_a_conflict_shows_a_hidden_field(configure):
    async def scenario(eyes):
        eyes.app.drafts.set("data.empty_answers", "text")
        await eyes.sees("Empty answer text", "Enter goes to Empty answers")

    configure(scenario)


@SIZES
def test_a_field_is_found_by_label_path_or_help(configure, size):
    async def scenario(eyes):
        await go_to(eyes, "method.rank")
        for words, path in [
            ("learning", "optim.learning_rate"),
            ("optim.be", "optim.betas"),
            ("warmup_r", "optim.warmup_ratio"),
            ("denominator", "optim.eps"),
        ]:
            await eyes.press("slash")
            await type_in(eyes, words)
            assert here(eyes).path == path
            await eyes.press("enter")
            assert here(eyes).path == path and path in help_of(eyes)
        await eyes.press("slash")
        await type_in(eyes, "schedul")
        await eyes.press("escape")
        assert here(eyes).path == "optim.eps"
        await eyes.press("slash")
        await type_in(eyes, "lerning")
        await eyes.sees("No field is called 'lerning'. The nearest is Learning rate")
        await eyes.press("escape", "slash")
        await type_in(eyes, "every steps")
        await eyes.press("enter", "n")
        assert here(eyes).path == "save.every_steps"
        await eyes.press("N")
        assert here(eyes).path == "evaluate.every_steps"

    configure(scenario, size)


@SIZES
def test_a_preset_shows_what_it_changes_and_is_one_change(configure, size):
    async def scenario(eyes):
        eyes.app.drafts.set("method.dropout", 0.1)
        await eyes.press("p")
        await eyes.sees("Start from a preset", "demo", "smoke", "lora-light", "lora-balanced")
        await eyes.press("j", "j")
        await eyes.sees("Rank: 16 → 8", "Dropout: 0.1 → 0", "Target modules: *_proj → q_proj, v_pr")
        assert value(eyes, "method.rank") == 16
        await eyes.press("enter")
        await eyes.sees("lora-light is taken")
        assert (value(eyes, "method.rank"), value(eyes, "method.alpha")) == (8, 16)
        await eyes.press("p", "j", "j")
        await eyes.sees("Everything is so already.")
        await eyes.press("escape", "u")
        assert value(eyes, "method.rank") == 16 and value(eyes, "method.dropout") == 0.1

    configure(scenario, size)


def test_the_preset_of_the_demo_names_model_and_data_that_were_missing(configure):
    async def scenario(eyes):
        await eyes.press("p")
        await eyes.sees("Name: – → demo", "Sources: – → demo")

    configure(scenario)


@SIZES
def test_the_estimate_tells_memory_steps_time_and_disk(configure, size):
    async def scenario(eyes):
        await eyes.sees("~24.0 / 79.0 GiB", "✓ fits", "1,200")
        if size[0] > 100:
            await eyes.sees("1,200 (3 epochs × 400); 16 rows a step", "███░░░░░░░")
            await eyes.sees("33M parameters (0.83 %) in 4 layers")
            await eyes.sees("3 checkpoints × 400 MiB, 412.0 GiB free")
            await eyes.sees("no run with this model was measured")
        assert "2 kinds · 4 layers match" in eyes.row_with("Target modules")
        assert "1,200" not in eyes.row_with("Max steps") or "400" in eyes.row_with("Epochs")
        await go_to(eyes, "optim.warmup_ratio")
        assert "36 steps" in help_of(eyes)
        await go_to(eyes, "method.rank")
        assert "Here: 33M trainable (0.83 %), 1.0 GiB of memory" in help_of(eyes)

    configure(scenario, size)


@pytest.mark.parametrize("size", [(20, 5), (40, 12), (80, 24), (99, 30), (160, 45)])
def test_it_is_drawn_at_any_size(configure, size):
    async def scenario(eyes):
        for key in ("A", "G", "enter", "escape", "p", "escape", "slash", "escape", "g"):
            await eyes.press(key)
        assert [len(row) for row in eyes.rows()] == [size[0]] * size[1]

    configure(scenario, size)


def test_it_follows_the_width_of_the_terminal(configure):
    async def scenario(eyes):
        await eyes.sees("┌─ Estimate") if "┌" in eyes.text() else await eyes.sees("Estimate")
        await eyes.pilot.resize_terminal(80, 24)
        await eyes.until(lambda: "memory ~24.0 / 79.0 GiB ✓ fits · steps 1,200" in eyes.text())
        await eyes.pilot.resize_terminal(160, 45)
        await eyes.until(lambda: "memory  ~24.0" in eyes.text())

    configure(scenario)


def test_it_describes_the_field_and_the_estimate_in_sentences(configure):
    """U68"""

    async def scenario(eyes):
        await eyes.sees("1,200")
        await go_to(eyes, "method.rank")
        told = eyes.app.screen.describe()
        assert told.startswith("Rank is 16. Size of the update")
        assert "33M trainable" in told and "steps 1,200" in told

    configure(scenario)


def test_effects_are_told_of_declared_fields_alone():
    assert {*field_effects._TELL, *field_effects.OF_LORA} <= {field.path for field in declared()}
