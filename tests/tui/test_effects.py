"""The effects of the draft: asked after a pause, of the last change only, told to every screen."""

import asyncio

import pytest

from sft_tui.core.errors import SftError
from sft_tui.core.sidecar.effect_calls import Effects
from tests.loopback_hub import samples


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    samples.save_model(folder)
    return folder


@pytest.fixture
def asked(monkeypatch):
    """What the helper process is asked for; it takes 0.2 s for an answer with the rank in it."""
    ranks: list[int] = []

    async def ask(self, call, wanted, answer, progress=None, **more):
        assert call == "effects"
        ranks.append(wanted.config.method.rank)
        await asyncio.sleep(0.2)
        if wanted.config.method.rank == 13:
            raise SftError("the helper process ended", "bad luck", "try again")
        return Effects(rows_per_step=wanted.config.method.rank)

    monkeypatch.setattr("sft_tui.tui.services.sidecar.Sidecar.ask", ask)
    return ranks


def test_many_changes_are_one_question_and_the_last_wins(drive, asked):
    async def scenario(eyes):
        effects, told = eyes.app.effects, []
        effects.changed.subscribe(eyes.app, lambda _: told.append(effects.found))
        for rank in range(20, 30):
            eyes.app.drafts.set("method.rank", rank)
            await asyncio.sleep(0.01)
        await eyes.until(lambda: effects.found is not None)
        assert asked == [29] and effects.found.rows_per_step == 29 and not effects.waiting
        eyes.app.drafts.set("method.rank", 30)
        await eyes.until(lambda: asked[-1] == 30)
        assert effects.waiting
        eyes.app.drafts.set("method.rank", 31)  # while the answer for 30 is on its way
        await eyes.until(lambda: not effects.waiting)
        assert effects.found.rows_per_step == 31
        await eyes.until(lambda: told[-1] is effects.found)
        assert 30 not in [found.rows_per_step for found in told if found]

    drive(scenario)


def test_what_changes_nothing_asks_nothing_and_a_failure_is_kept(drive, asked):
    async def scenario(eyes):
        effects = eyes.app.effects
        await eyes.until(lambda: effects.found is not None)
        eyes.app.drafts.show("review")
        await asyncio.sleep(0.3)
        assert len(asked) == 1
        eyes.app.drafts.set("method.rank", 13)
        await eyes.until(lambda: effects.error is not None)
        assert effects.found is None and not effects.waiting
        effects.again()
        await eyes.until(lambda: not effects.waiting)
        assert len(asked) == 3

    drive(scenario)


def test_figures_of_another_model_are_not_shown_while_it_is_asked_about(drive, asked):
    async def scenario(eyes):
        effects = eyes.app.effects
        await eyes.until(lambda: effects.found is not None)
        eyes.app.drafts.set("method.rank", 5)
        await eyes.until(lambda: effects.waiting)
        assert effects.found is not None, "the same model: they stay until the new ones come"
        eyes.app.drafts.set("model.name", "acme/other")
        await eyes.until(lambda: effects.found is None, why="an estimate that says nothing")
        await eyes.until(lambda: effects.found is not None)

    drive(scenario)


def test_what_takes_seconds_is_said_in_place_of_the_estimate(drive, monkeypatch):
    said = "Converting m.gguf into safetensors, once: it may take minutes."
    held = asyncio.Event()

    async def ask(self, call, wanted, answer, progress=None, **more):
        if call != "effects":
            await asyncio.Event().wait()
        progress(said)
        await held.wait()
        return Effects(rows_per_step=16)

    monkeypatch.setattr("sft_tui.tui.services.sidecar.Sidecar.ask", ask)

    async def scenario(eyes):
        eyes.app.show_step("configure")
        await eyes.sees("[Configure]", "Converting m.gguf into safetensors, once")
        held.set()
        await eyes.sees("steps –")
        assert "Converting" not in eyes.text()

    drive(scenario, (80, 24), mode="models")


def test_the_helper_process_answers_for_the_draft(drive, tiny):
    async def scenario(eyes):
        effects = eyes.app.effects
        await eyes.until(lambda: effects.found is not None)
        assert effects.found.adapter is None, "no model was chosen"
        eyes.app.drafts.set("model.name", str(tiny))
        await eyes.until(lambda: effects.found is not None and effects.found.adapter is not None)
        assert effects.found.adapter.layers == 14 and effects.found.fits[0].word == "fits"

    drive(scenario)


def test_a_larger_rank_is_told_as_more_trained_parameters(drive, tiny):
    async def scenario(eyes):
        eyes.app.drafts.set("model.name", str(tiny))
        eyes.app.show_step("configure")
        await eyes.sees("16.4k trainable", "7 kinds · 14 layers match", "✓ fits")
        eyes.app.screen.focus_field("method.rank")
        await eyes.press("right")
        await eyes.sees("32.8k parameters", "Here: 32.8k trainable")

    drive(scenario, mode="models")


def test_full_fine_tuning_says_what_is_trained_and_which_fields_do_nothing(drive, tiny):
    async def scenario(eyes):
        eyes.app.drafts.change({"model.name": str(tiny), "method.kind": "full"})
        eyes.app.show_step("configure")
        await eyes.sees("trainable (100 %)", "✓ fits")
        assert eyes.text().count("of LoRA only") == 4, "rank, alpha, dropout, modules"
        eyes.app.drafts.set("method.kind", "lora")
        await eyes.sees("7 kinds · 14 layers match")
        assert "of LoRA only" not in eyes.text()

    drive(scenario, (120, 45), mode="models")
