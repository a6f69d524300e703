"""The list of models: what is first, what each row says, and how one is taken."""

import json
import os
import re
import shutil

import pytest

from sft_tui.core.draft import Draft
from sft_tui.tui.screens.new.models.model_words import MARKS
from tests.loopback_hub import Fault, samples

BOTH = pytest.mark.parametrize("size", [(80, 24), (160, 45)])


def chosen(eyes) -> str | None:
    draft: Draft = eyes.app.drafts.draft
    return draft.value("model.name") if draft.chosen("model.name") else None


def fits(eyes) -> dict[str, str]:
    table = eyes.app.screen.table
    return {key.value: str(table.get_cell(key, "FIT")) for key in table.rows}


@BOTH
def test_two_keys_use_the_cached_model(models, cached, size):
    """U2"""
    cached("acme/tiny")

    async def scenario(eyes):
        await eyes.press("enter")
        await eyes.sees("[Data]", "missing: data", "acme/tiny is the model.")
        assert chosen(eyes) == "acme/tiny"
        assert eyes.app.drafts.draft.values == {"model": {"name": "acme/tiny"}}

    models(scenario, size)


@BOTH
def test_without_a_network_what_this_machine_has_works_and_nothing_asks(
    models, cached, folder, tiny, size
):
    """U5"""
    cached("acme/tiny", "acme/other")
    shutil.copytree(tiny, folder / "mine")

    async def scenario(eyes):
        await eyes.sees("Hub not reachable", "Showing 2 cached models. Press r to retry")
        assert "Hub offline" in eyes.rows()[0]
        assert len(eyes.app.screen_stack) == 1
        await eyes.sees("✓ fits")
        await eyes.press("t", "t")
        await eyes.sees("Local", "./mine")
        await eyes.until(lambda: "✓ fits" in fits(eyes)[str(folder / "mine")], why="its fit")
        await eyes.press("enter")
        await eyes.sees("[Data]")
        assert "Hub offline" in eyes.rows()[0], "on every screen"
        assert chosen(eyes) == str(folder / "mine")
        await eyes.press("1")
        await eyes.sees("▌1 Runs▐", "Hub offline")

    models(scenario, size)


def test_the_first_row_is_free_of_it_once_the_hub_answers(models, hub, on_hub):
    on_hub("acme/tiny")
    hub.stop()

    async def scenario(eyes):
        await eyes.sees("Hub offline", "Hub not reachable")
        hub.start()
        await eyes.press("r")
        await eyes.sees("acme/tiny", "1 model")
        assert "Hub offline" not in eyes.text() and "not reachable" not in eyes.text()

    models(scenario)


@BOTH
def test_every_row_has_a_word_on_its_fit_and_what_would_fit(
    models, headers_only, on_hub, cached, listed, size
):
    """U15"""
    cached("acme/tiny")
    headers_only("acme/half", 512, 4, downloads=9)
    headers_only("acme/vast", 16384, 200, downloads=8)
    on_hub("acme/gated", gated="manual")

    async def scenario(eyes):
        eyes.app.drafts.set("train.micro_batch_size", 1024)
        await eyes.sees("batch 1024")
        await eyes.until(lambda: not any("asking" in cell for cell in fits(eyes).values()))
        words = fits(eyes)
        assert list(words) == ["acme/tiny", "demo", "acme/half", "acme/vast", "acme/gated"]
        assert all(cell.startswith(tuple(MARKS.values())) for cell in words.values()), words
        assert re.search(r"✗ over +~\d+ · batch \d+ ~[\d.]+ ✓", words["acme/half"])
        assert re.search(r"✗ over +~[\d.]+ of [\d.]+ GiB", words["acme/vast"])
        await eyes.press("j", "j")
        await eyes.sees("▸ acme/half", "Would fit with micro-batches of")
        await eyes.press("j")
        await eyes.sees("no smaller micro-batch, shorter row or 4-bit base fits either")
        eyes.app.drafts.set("train.micro_batch_size", 1)
        await eyes.until(lambda: "✓ fits" in fits(eyes)["acme/half"], why="another verdict")

    models(scenario, size)


def test_a_model_that_is_over_is_taken_and_gone_on_with_by_a_second_enter(models, headers_only):
    headers_only("acme/vast", 16384, 200)

    async def scenario(eyes):
        await eyes.sees("acme/vast")
        await eyes.press("j")
        await eyes.sees("✗ over")
        await eyes.press("enter")
        await eyes.sees("[Model]", "✗ over, though in the draft now: Enter goes on.")
        assert chosen(eyes) == "acme/vast"
        eyes.app.downloads.start = lambda request: None  # it would be written for real
        await eyes.press("enter")
        await eyes.sees("[Data]")

    models(scenario)


def test_cached_models_come_first_then_the_demo_then_the_hubs(models, cached, on_hub, listed):
    cached("zeta/mine")
    cached("acme/begun", without="model.safetensors")
    on_hub("acme/popular", downloads=9)
    on_hub("zeta/mine", downloads=5)
    on_hub("acme/begun", downloads=1)

    async def scenario(eyes):
        await eyes.until(lambda: len(listed(eyes)) > 2)
        assert listed(eyes) == ["zeta/mine", "demo", "acme/popular", "acme/begun"]
        await eyes.sees("mit", "part")
        assert "✓" in eyes.row_with("zeta/mine") and "mit" in eyes.row_with("zeta/mine")
        await eyes.press("t")
        assert listed(eyes) == ["zeta/mine", "acme/begun", "demo"]

    models(scenario)


def test_the_demo_is_always_offered_and_says_what_it_is(models, folder, listed):
    async def scenario(eyes):
        for _ in range(3):
            assert listed(eyes) == ["demo"]
            await eyes.sees("a small chat model to try things out with")
            await eyes.press("t")
        await eyes.press("enter")
        await eyes.sees("[Data]")
        assert chosen(eyes) == "demo"

    models(scenario)


@BOTH
def test_the_columns_fit_the_width(models, cached, size):
    cached("acme/tiny")

    async def scenario(eyes):
        await eyes.sees("✓ fits", "MODEL", "PARAMS", "GATED", "r16, 1,024, batch 4)")
        assert ("LICENCE" in eyes.text()) == (size[0] == 160)
        assert all(len(row) == size[0] for row in eyes.rows())
        assert "26.9K" in eyes.row_with("acme/tiny")
        for entry in ("Enter Use", "/ Search", "t Source", "f Filters", "> Next step"):
            assert entry in eyes.footer
        await eyes.pilot.resize_terminal(20, 5)
        await eyes.pilot.resize_terminal(*size)
        await eyes.sees("✓ fits")

    models(scenario, size)


def test_the_drafts_model_is_under_the_cursor_until_another_row_is_chosen(
    models, cached, home, on_hub
):
    cached("acme/one", "acme/two", "acme/three")
    on_hub("acme/four")
    home.mkdir()
    values = {"model": {"name": "acme/two", "revision": COMMIT}}
    (home / "draft.json").write_text(json.dumps({"values": values}))

    async def scenario(eyes):
        await eyes.sees("▸ acme/two", "in the draft: acme/two", "acme/four")
        await eyes.press("g", "enter")
        await eyes.sees("[Data]")
        name = chosen(eyes)
        assert name != "acme/two"
        assert eyes.app.drafts.draft.value("model.revision") is None, "it was of the other model"
        await eyes.press("less_than_sign")
        await eyes.sees(f"▸ {name}")

    models(scenario)


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_typed_path_is_looked_into_and_its_model_used(models, tmp_path, tiny, folder, look_for):
    place = tmp_path / "elsewhere"
    shutil.copytree(tiny, place / "model")

    async def scenario(eyes):
        await look_for(eyes, "/no/where")
        await eyes.press("enter")
        await eyes.sees("/no/where is not there. Check the path.")
        await eyes.press("escape")
        await look_for(eyes, os.path.relpath(place, folder))
        await eyes.press("enter")
        await eyes.sees("Local", str(place)[:20])
        await eyes.until(lambda: str(place / "model") in fits(eyes), why="the folder's model")
        await eyes.press("g", "enter")
        await eyes.sees("[Data]")
        assert chosen(eyes) == str(place / "model")

    models(scenario)


def test_local_rows_say_why_they_cannot_be_trained(models, folder, tiny, listed):
    (folder / "old").mkdir()
    (folder / "old" / "config.json").write_text("{}")
    (folder / "old" / "pytorch_model.bin").write_bytes(b"\x80")
    (folder / "small.gguf").write_bytes(b"GGUF" + bytes(64))
    adapter = folder / "tuned"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"base_model_name_or_path": "demo"}')

    async def scenario(eyes):
        await eyes.press("t", "t")
        await eyes.sees("small.gguf")
        words = fits(eyes)
        assert words[str(folder / "old")].startswith("– not trainable (no safetensors")
        await eyes.press(*"jjj"[: listed(eyes).index(str(folder / "old"))], "enter")
        await eyes.sees("cannot be trained: no safetensors, only pytorch_model.bin")
        assert chosen(eyes) is None
        await eyes.press("g", *"jjj"[: listed(eyes).index(str(adapter))], "enter")
        await eyes.sees("is an adapter", "Enter takes its base demo instead, untuned.")
        assert chosen(eyes) is None
        await eyes.press("enter")
        await eyes.sees("[Data]")
        assert chosen(eyes) == "demo"

    models(scenario)


def test_code_of_a_repository_is_refused_with_the_reason(models, hub):
    samples._custom_code(hub.root)

    async def scenario(eyes):
        await eyes.sees("acme/custom-code")
        await eyes.press("j", "enter")
        await eyes.sees(
            "it needs its own Python code", "code of a repository is never run here", "[Model]"
        )
        assert chosen(eyes) is None

    models(scenario)


def test_kinds_that_cannot_be_trained_say_why(models, hub, look_for):
    samples._gguf(hub.root)
    samples._pickled(hub.root)
    samples._adapter(hub.root)

    async def scenario(eyes):
        await eyes.press("f", "down", "down", "down", "down", "right", "enter")
        await eyes.sees("acme/tiny-gguf", "every kind")
        words = fits(eyes)
        assert words["acme/tiny-gguf"] == "– not trainable (GGUF only)"
        assert words["acme/old-pickled"] == "– not trainable (no safetensors)"
        assert words["alice/tiny-adapter"] == "– not trainable (adapter)"
        await look_for(eyes, "gguf")
        await eyes.press("enter", "enter")
        await eyes.sees("has GGUF files only", "choose it under Local")
        assert chosen(eyes) is None

    models(scenario)


def test_the_screen_is_told_in_sentences(models, cached):
    """U68"""
    cached("acme/tiny")

    async def scenario(eyes):
        await eyes.sees("✓ fits")
        said = eyes.app.screen.describe()
        assert "Hub: 2 models" in said and "model acme/tiny" in said
        assert "params 26.9K" in said and "fit ✓ fits" in said

    models(scenario)


def test_text_of_the_hub_is_drawn_harmless(models, on_hub):
    """U57"""
    on_hub("acme/tiny", tags=["license:[red]x[/red]\x1b]0;title\x07y"])

    async def scenario(eyes):
        await eyes.sees("acme/tiny")
        await eyes.press("j")
        await eyes.sees("licence [red]x[/red]y")

    models(scenario)


def test_what_fails_unforeseen_is_said(models, hub, on_hub, monkeypatch):
    on_hub("acme/tiny")

    async def broken(*given, **named):
        raise ZeroDivisionError("a fault")

    async def scenario(eyes):
        await eyes.sees("acme/tiny")
        await eyes.press("j")
        await eyes.sees("a fault")
        assert "? unknown" in fits(eyes)["acme/tiny"]

    monkeypatch.setattr("sft_tui.core.hub.facts.headers", broken)
    models(scenario)


def test_a_slow_hub_does_not_hold_up_the_keys(models, hub, cached, on_hub):
    cached("acme/one", "acme/two")
    on_hub("acme/tiny")
    hub.faults.append(Fault("delay", "/api/models", seconds=5.0, times=None))

    async def scenario(eyes):
        await eyes.sees("asking…", "▸ acme/")
        first = eyes.app.screen.table.entry.name
        await eyes.press("j")
        assert eyes.app.screen.table.entry.name != first
        await eyes.press("enter")
        await eyes.sees("[Data]", within_s=1.0)

    models(scenario)
