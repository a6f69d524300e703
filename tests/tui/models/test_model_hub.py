"""The Hub as one types: pages, limits, silence, names, licences, and a token that nobody sees."""

import os
from pathlib import Path

import pytest

from sft_tui.core.hub import search
from sft_tui.tui.screens.new.models.token_dialog import TokenDialog
from tests.loopback_hub import Fault, rate_limited

BOTH = pytest.mark.parametrize("size", [(80, 24), (160, 45)])
CANARY = "hf_canary0123456789"


def chosen(eyes) -> str | None:
    draft = eyes.app.drafts.draft
    return draft.value("model.name") if draft.chosen("model.name") else None


def listings(hub) -> list[str]:
    """Returns the queries of the lists that were asked for."""
    return [request.query for request in hub.requests if request.path == "/api/models"]


def test_typing_asks_once_and_filters_what_is_here_at_once(
    models, hub, many, cached, look_for, listed
):
    cached("acme/smollm-mine")
    many(3)

    async def scenario(eyes):
        await eyes.sees("3 models")
        asked = len(listings(hub))
        await eyes.press("slash")
        eyes.app.screen.query_one("#models-words").value = "acme"
        await eyes.pilot.pause()
        assert "demo" not in listed(eyes)
        await eyes.until(lambda: len(listings(hub)) > asked, why="a request")
        await eyes.sees("3 models")
        assert len(listings(hub)) == asked + 1 and "search=acme" in listings(hub)[-1]
        await eyes.press("escape")
        await eyes.sees("▸ acme/smollm-mine")
        assert eyes.app.current_mode == "models", "Esc gave the letters back, no more"

    models(scenario)


def test_an_older_answer_never_replaces_a_newer_one(models, hub, on_hub, look_for, listed):
    on_hub("acme/older", "acme/newer")

    async def scenario(eyes):
        await eyes.sees("2 models")
        hub.faults.append(Fault("delay", "/api/models", seconds=1.5))
        await look_for(eyes, "older")
        await eyes.until(lambda: any("search=older" in query for query in listings(hub)))
        await eyes.press("escape")
        await look_for(eyes, "newer")
        await eyes.sees("1 model")
        assert listed(eyes) == ["acme/newer"]
        await eyes.until(
            lambda: next(r for r in hub.requests if "search=older" in r.query).status != 0
        )
        for _ in range(20):
            await eyes.pilot.pause(0.1)
            assert listed(eyes) == ["acme/newer"]

    models(scenario)


def test_a_thousand_results_come_by_pages_with_the_cursor_kept(models, hub, monkeypatch, listed):
    """The pages themselves are tested with the Hub's list."""
    row = {"library_name": "transformers", "safetensors": {"parameters": {"F32": 4}}}
    asked: list[str | None] = []

    async def page(client, words, filters, *, page):
        asked.append(page)
        first = int(page or 0)
        rows = [
            search.model_row({"id": f"acme/smollm-{n:04}", **row}) for n in range(first, first + 25)
        ]
        return search.Page(rows, str(first + 25) if first < 975 else None)

    monkeypatch.setattr(search, "models", page)

    async def scenario(eyes):
        table = eyes.app.screen.table
        await eyes.sees("25 models, PgDn at the end for more")
        while eyes.app.screen.hub.more:
            before = table.row_count
            await eyes.press("G")
            last = table.entry.name
            await eyes.press("pagedown")
            await eyes.until(lambda before=before: table.row_count > before, why="a page")
            assert table.entry.name == last
        assert listed(eyes) == ["demo", *(f"acme/smollm-{n:04}" for n in range(1000))]
        assert len(asked) == 40
        await eyes.press("home")
        assert table.entry.name == "demo"

    models(scenario, (80, 24))


def test_only_models_in_sight_are_looked_at_once_the_cursor_rests(models, hub, many):
    many(25)

    def looked_at() -> set[str]:
        return {r.path.split("/")[4] for r in hub.requests if "/revision/" in r.path}

    async def scenario(eyes):
        await eyes.sees("25 models")
        for _ in range(3):
            await eyes.press("G", "g")
        await eyes.press("G")
        await eyes.until(lambda: "smollm-0024" in looked_at(), why="the last row's facts")
        await eyes.sees("? unknown: its config.json does not tell")
        assert not {"smollm-0005", "smollm-0006"} & looked_at()

    models(scenario, (80, 24))


@BOTH
def test_a_rate_limit_counts_down_while_typing_and_the_cache_still_work(
    models, hub, cached, on_hub, look_for, size
):
    """U17"""
    cached("acme/tiny")
    on_hub("acme/other")
    hub.faults.append(rate_limited("/api/models", 6))

    async def scenario(eyes):
        await eyes.sees("; cached models still work.", "Hub asks to wait 5 s")
        assert "Hub offline" not in eyes.text()
        await look_for(eyes, "tin")
        assert eyes.app.screen.query_one("#models-words").value == "tin"
        await eyes.sees("▸ acme/tiny", "Hub asks to wait 3 s")
        asked = len(listings(hub))
        assert asked == 1, "the Hub is left alone meanwhile"
        await eyes.press("escape", "slash", "backspace")
        await eyes.sees("acme/other", "1 model", within_s=20)
        assert "asks to wait" not in eyes.text()

    models(scenario, size)


@BOTH
def test_a_silent_hub_is_told_with_the_key_that_tries_again(
    models, hub, on_hub, look_for, impatient, size
):
    """U17"""
    on_hub("acme/tiny")
    hub.faults.append(Fault("hang", "/api/models", times=None))

    async def scenario(eyes):
        await look_for(eyes, "tiny")
        assert eyes.app.screen.query_one("#models-words").value == "tiny"
        await eyes.sees("Hub gives no answer", "Press r to retry, t for local folders.")
        hub.faults.clear()
        await eyes.press("escape", "r")
        await eyes.sees("acme/tiny", "1 model")
        assert "no answer" not in eyes.text()

    models(scenario, size)


def test_nothing_found_names_the_nearest_and_a_full_name_is_tried_anyway(
    models, hub, on_hub, look_for, monkeypatch
):
    on_hub("acme/qwen-tiny")
    on_hub("acme/hidden", pipeline_tag="other")

    async def scenario(eyes):
        await eyes.sees("acme/qwen-tiny")
        assert "acme/hidden" not in eyes.text()
        await look_for(eyes, "qwne")
        await eyes.sees(
            "No model named 'qwne'. Nearest: qwen. Press Enter on a full owner/name to try it",
            "No model is listed: / takes other words",
        )
        await eyes.press("escape")
        await look_for(eyes, "acme/none")
        await eyes.press("enter")
        await eyes.sees("acme/none is not on the Hub", "press T to give a token")
        assert chosen(eyes) is None
        await eyes.press("escape")
        await look_for(eyes, "acme/hidden")
        await eyes.press("enter")
        await eyes.sees("[Data]")
        assert chosen(eyes) == "acme/hidden"

    models(scenario, (160, 45))


def test_what_is_no_name_is_refused_in_words(models, hub, look_for):
    async def scenario(eyes):
        await look_for(eyes, "a/b/c")
        await eyes.press("enter")
        await eyes.sees("'a/b/c' is no name on the Hub", "A path begins with")

    models(scenario, (160, 45))


def test_filters_and_order_are_asked_of_the_hub(models, hub, on_hub, listed):
    on_hub("acme/free", downloads=1, likes=9)
    on_hub("acme/liked", downloads=2, likes=1, gated="auto")

    async def scenario(eyes):
        await eyes.sees("acme/free", "acme/liked")
        await eyes.press("f", "down", "right", "right", "down", "right", "down", "right", "enter")
        await eyes.sees("filters: licence mit, parameters up to 1B, gated no")
        await eyes.until(lambda: "num_parameters=min%3A0" in listings(hub)[-1])
        assert "license%3Amit" in listings(hub)[-1] and "gated=false" in listings(hub)[-1]
        await eyes.until(lambda: "acme/liked" not in listed(eyes))
        await eyes.sees("acme/free")
        await eyes.press("o")
        await eyes.sees("The Hub's list: order likes.")
        await eyes.until(lambda: "sort=likes" in listings(hub)[-1])
        await eyes.press("f", "d", "escape")
        await eyes.sees("order likes")
        await eyes.press("f", "d", "enter")
        await eyes.sees("acme/liked")
        assert "filters:" not in eyes.text()

    models(scenario)


class Watching:
    """Looks for the token in everything that was ever drawn or written."""

    def __init__(self, eyes, *folders: Path) -> None:
        self.eyes, self.folders = eyes, folders

    def clean(self) -> None:
        assert CANARY not in self.eyes.text()
        assert CANARY not in self.eyes.app.export_screenshot()
        assert CANARY not in self.eyes.app.clipboard
        for folder in self.folders:
            for place in folder.rglob("*"):
                if place.is_file():
                    assert CANARY.encode() not in place.read_bytes(), place


@BOTH
def test_a_gated_model_shows_its_licence_and_a_token_opens_it_unseen(
    models, hub, on_hub, home, folder, tmp_path, size, caplog
):
    """U16"""
    on_hub("acme/gated", gated="manual", accounts=["carol"])

    async def scenario(eyes):
        see = Watching(eyes, home, folder)
        await eyes.sees("acme/gated")
        await eyes.press("j")
        await eyes.sees("licence not accepted")
        await eyes.sees("needs its licence accepted", f"{hub.url}/acme/gated", "press T to give")
        await eyes.press("enter")
        await eyes.sees("[Model]")
        assert chosen(eyes) is None and "needs its licence" in eyes.notice
        await eyes.press("T")
        for letter in "hf_wrong12345":
            await eyes.press("underscore" if letter == "_" else letter)
        await eyes.press("enter")
        await eyes.sees("The token was not kept: the Hub answered 401 to it")
        assert isinstance(eyes.app.screen, TokenDialog)
        eyes.app.screen.query_one("Input").value = ""
        for letter in CANARY:
            await eyes.press("underscore" if letter == "_" else letter)
            see.clean()
        await eyes.press("ctrl+shift+a", "ctrl+c", "ctrl+x")
        see.clean()
        await eyes.press("enter")
        await eyes.sees("you are carol on the Hub")
        see.clean()
        await eyes.sees("✓ fits", within_s=12)
        await eyes.press("enter")
        await eyes.sees("[Data]")
        assert chosen(eyes) == "acme/gated"
        see.clean()
        eyes.app.downloads.stop("acme/gated")

    models(scenario, size)
    assert Path(tmp_path / "hf" / "token").read_text() == CANARY
    assert CANARY not in (home / "draft.json").read_text()
    assert CANARY not in caplog.text and CANARY not in str(os.environ)
    assert {r.account for r in hub.requests if r.headers.get("authorization")} <= {"carol", "?"}


def test_a_token_that_cannot_be_kept_is_told_and_stays_unseen(models, hub, on_hub):
    async def scenario(eyes):
        hub.stop()
        await eyes.press("T")
        eyes.app.screen.query_one("Input").value = CANARY
        await eyes.press("enter")
        await eyes.sees("The token was not kept", "not reachable")
        assert CANARY not in eyes.text()
        await eyes.press("escape")
        await eyes.sees("[Model]")

    models(scenario)


def test_a_token_of_the_environment_is_said_to_go_first(models, folder, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", CANARY)

    async def scenario(eyes):
        await eyes.press("T")
        await eyes.sees("HF_TOKEN is set: it goes before the one that is kept here")
        assert CANARY not in eyes.text()

    models(scenario, (80, 24))
