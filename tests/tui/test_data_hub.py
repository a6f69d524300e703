"""Data sets of the Hub: found, seen without a download, brought here with config and split."""

import psutil
import pytest

from sft_tui.core.hub.datasets import brought
from sft_tui.tui.screens.new.pick import Pick
from sft_tui.tui.screens.new.preview.screen import PreviewScreen
from tests.loopback_hub import Fault, LoopbackHub, samples


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    place = tmp_path_factory.mktemp("hub")
    samples.datasets(place)
    return place


@pytest.fixture
def hub(root, tmp_path, monkeypatch, home):
    """A Hub full of data sets; this process and its children know no other."""
    from huggingface_hub import constants

    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    with LoopbackHub(root, {"hf_alicetoken123": "alice"}) as running:
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE"):
            monkeypatch.delenv(name, raising=False)
        folder = tmp_path / "hf"
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("HF_HOME", str(folder))
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
        monkeypatch.setattr("sft_tui.tui.screens.new.data.hub.PEEK_PAUSE_S", 0.05)
        monkeypatch.setattr("sft_tui.tui.screens.new.data.looks.LOOK_PAUSE_S", 0.02)
        yield running


async def search(eyes, words: str) -> None:
    await eyes.press("t")
    await eyes.sees("found, in")
    await eyes.press("slash", *words)
    await eyes.press("enter")
    await eyes.until(lambda: not eyes.app.screen.hub.searching, why="the answer")
    assert f"acme/{words}" in eyes.row_with("▸")


def test_a_data_set_is_found_and_brought_here_with_config_and_split(drive, hub):
    async def scenario(eyes):
        await search(eyes, "configured")
        await eyes.press("tab")
        await eyes.sees("On the Hub, not here: Enter downloads it.", "english · train")
        await eyes.sees("prompt_completion (sure", "Where is Paris?")
        await eyes.press("enter")
        await eyes.sees("acme/configured: which config and split is trained?")
        assert isinstance(eyes.app.screen, Pick)
        lines = [row for row in eyes.rows() if "english" in row or "german" in row]
        assert "english train" in " ".join(lines[-3].split()), "the default is first"
        assert not brought(), "nothing is downloaded before it is chosen"
        await eyes.press("down", "down", "enter")
        await eyes.until(lambda: brought(), 40, "the download")
        await eyes.sees("no column looks like a question and an answer")
        source = eyes.app.drafts.draft.value("data.sources.0")
        assert (source["source"], source["config"]) == ("acme/configured", "german")
        assert (source["split"], eyes.app.screen.scope) == ("train", "data")

    drive(scenario, (80, 24), mode="data")


def test_a_data_set_with_one_config_asks_for_the_split_alone_and_goes_on(drive, hub):
    async def scenario(eyes):
        await eyes.sees("demo")
        await eyes.press("slash")
        for letter in "acme/chat":
            await eyes.press({"/": "slash"}.get(letter, letter))
        await eyes.press("enter")
        await eyes.sees("which config and split is trained?")
        await eyes.press("enter")
        await eyes.until(lambda: isinstance(eyes.app.screen, PreviewScreen), 40, "Preview")
        draft = eyes.app.drafts.draft
        assert draft.value("data.sources.0.source") == "acme/chat"
        assert draft.value("data.sources.0.config") is None
        await eyes.press("less_than_sign")
        await eyes.sees("✓ acme/chat", "train · 200 rows", "messages (sure")
        asked = len(hub.requests)
        await eyes.press("enter")
        await eyes.until(lambda: isinstance(eyes.app.screen, PreviewScreen), why="Preview")
        assert len(hub.requests) == asked, "what is here needs no connection"
        # The other split is known, though not here yet: it is downloaded at the launch.
        await eyes.press("less_than_sign", "s")
        await eyes.sees("Splits here: train", "test")
        await eyes.press("tab", *["backspace"] * 5, *"test", "enter")
        await eyes.sees("acme/chat, split test: downloaded at the launch.")
        assert draft.value("data.eval_split") == "test"

    drive(scenario, mode="data")


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_a_download_can_be_cancelled(drive, hub, home, size):
    hub.faults.append(Fault("hang", "/resolve/|/cdn/", times=None))

    async def scenario(eyes):
        await search(eyes, "table")
        await eyes.press("enter")
        await eyes.sees("asking which files it has…")
        assert " Esc Cancel " in eyes.footer
        await eyes.press("enter")
        assert "on its way" in eyes.notice
        await eyes.press("escape")
        await eyes.sees("stopped. What came stays")
        assert eyes.app.screen.scope == "data" and " Esc Cancel " not in eyes.footer
        assert eyes.app.drafts.draft.missing() == ["model", "data"]
        await eyes.press("escape")
        assert eyes.app.current_mode == "runs"

    drive(scenario, size, mode="data")
    assert not brought()


def test_leaving_the_application_ends_a_download(drive, hub):
    hub.faults.append(Fault("hang", "/resolve/|/cdn/", times=None))
    before = set(psutil.Process().children(recursive=True))

    async def scenario(eyes):
        await search(eyes, "table")
        await eyes.press("enter")
        await eyes.sees("asking which files it has…")
        await eyes.press("q")

    drive(scenario, mode="data")
    assert not set(psutil.Process().children(recursive=True)) - before


def test_a_gated_data_set_says_what_to_do(drive, hub):
    async def scenario(eyes):
        await search(eyes, "gated-chat")
        await eyes.sees("⚿ gated", "acme/gated-chat")
        await eyes.press("enter")
        await eyes.sees("acme/gated-chat is not on this machine:")
        await eyes.until(lambda: "token" in eyes.flow() or "licence" in eyes.flow(), why="what")
        assert eyes.app.screen.hub.bringing is None

    drive(scenario, (160, 45), mode="data")


def test_a_data_set_that_needs_its_own_script_is_refused(drive, hub):
    async def scenario(eyes):
        await search(eyes, "script")
        await eyes.press("enter")
        await eyes.sees("acme/script is not on this machine:", within_s=40)
        assert eyes.app.drafts.draft.missing() == ["model", "data"]

    drive(scenario, (160, 45), mode="data")


def test_a_hub_that_fails_is_told_and_what_is_here_stays(drive, hub):
    """U17"""
    hub.faults.append(Fault("status", "/api/datasets", times=1, status=500))

    async def scenario(eyes):
        await eyes.press("t")
        await eyes.sees("answered 500", "r asks again, t shows files")
        await eyes.press("slash", "t", "a", "b")
        await eyes.sees("acme/table")

    drive(scenario, (160, 45), mode="data")


def test_enter_never_takes_what_an_earlier_question_found(drive, hub):
    hub.faults.append(Fault("delay", "/api/datasets", skip=1, seconds=1.5))

    async def scenario(eyes):
        await eyes.press("t")
        await eyes.sees("▸ acme/chat")
        await eyes.press("slash", *"table", "enter", "enter")
        await eyes.sees("the Hub has not answered yet")
        await eyes.sees("▸ acme/table")
        assert eyes.app.screen.hub.bringing is None

    drive(scenario, (160, 45), mode="data")


def test_a_typed_id_that_cannot_be_had_leaves_the_list_usable(drive, hub, monkeypatch):
    """U5"""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")

    async def scenario(eyes):
        await eyes.sees("squad (sure")
        await eyes.press("slash", *"a", "slash", *"b", "enter")
        await eyes.sees("a/b is not on this machine:")
        assert len(eyes.app.screen_stack) == 1, "no modal"
        await eyes.press("enter")
        await eyes.until(lambda: isinstance(eyes.app.screen, PreviewScreen), why="Preview")
        assert eyes.app.drafts.draft.value("data.sources.0.source") == "demo"

    drive(scenario, mode="data")


def test_words_that_find_nothing_say_so(drive, hub):
    async def scenario(eyes):
        await eyes.press("t")
        await eyes.sees("found, in")
        await eyes.press("slash", *"qzx")
        await eyes.sees("No data set is named like 'qzx'.")
        await eyes.press("escape", "t")
        await eyes.sees("▌File▐", "demo")

    drive(scenario, mode="data")
