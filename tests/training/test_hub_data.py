"""Data sets of the Hub: brought once by the genuine libraries, then read without a connection."""

import asyncio
import json
import os
import subprocess
import sys

import pytest

from sft_tui.core.config import DataConfig, SourceConfig
from sft_tui.core.data.rows import Row
from sft_tui.core.data.sources import Source
from sft_tui.core.hub.client import HubError
from sft_tui.core.hub.datasets import Wanted, is_here
from sft_tui.core.hub.download import download
from tests.loopback_hub import samples


@pytest.fixture(scope="module")
def hub_root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    samples.datasets(folder)
    return folder


def bring(wanted):
    async def whole():
        return [event async for event in download(wanted)]

    return asyncio.run(whole())


def rows_of(name, split="train", config=None):
    columns = {"prompt": "frage", "completion": "antwort"} if config else {}
    source = SourceConfig(source=name, split=split, config=config, columns=columns)
    return [row for row in Source(source, DataConfig()) if isinstance(row, Row)]


def loaded(name, split, config=None):
    """What the library `datasets` itself reads."""
    script = (
        "import datasets, json, sys; "
        f"rows = datasets.load_dataset({name!r}, {config!r}, split={split!r}); "
        "json.dump(list(rows), sys.stdout)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("split", ["train[:5]", "test"])
def test_rows_are_those_of_datasets_and_only_the_split_is_fetched(hub, split):
    name = split.partition("[")[0]
    assert bring(Wanted("acme/chat", None, name))[-1].event == "done"
    fetched = {r.path.rpartition("/")[2] for r in hub.requests if r.path.endswith(".jsonl")}
    assert fetched == {f"{name}.jsonl"}
    hub.stop()  # what was brought needs no connection
    found = rows_of("acme/chat", split)
    hub.start()
    said = [[turn["content"] for turn in row["messages"]] for row in loaded("acme/chat", split)]
    assert [[turn.content for turn in row.messages] for row in found] == said


def test_a_config_of_several_is_its_own(hub):
    bring(Wanted("acme/configured", "german", "train"))
    assert not is_here(Wanted("acme/configured", None, "train"))
    rows = rows_of("acme/configured", config="german")
    assert [row.messages[1].content for row in rows] == [
        row["antwort"] for row in loaded("acme/configured", "train", "german")
    ]


@pytest.mark.parametrize(
    ("wanted", "kind", "words"),
    [
        (Wanted("acme/script", None, "train"), "local", "Python script, which is never run"),
        (Wanted("acme/empty", None, "train"), "local", "doesn't contain any data files"),
        (Wanted("acme/chat", None, "nope"), "local", "its splits are train, test"),
        (Wanted("acme/configured", "french", "train"), "local", "['english', 'german']"),
        (Wanted("acme/gated-chat", None, "train"), "gated", "licence must be accepted"),
        (Wanted("acme/none", None, "train"), "missing", "none of that name"),
        (Wanted("alice/private-chat", None, "train"), "missing", "no token is given"),
    ],
    ids=lambda value: getattr(value, "id", None),
)
def test_what_cannot_be_read_says_why(hub, wanted, kind, words):
    with pytest.raises(HubError) as caught:
        bring(wanted)
    assert caught.value.kind == kind and words in caught.value.why
    assert caught.value.remedy and not is_here(wanted)


def test_a_gated_one_links_to_its_own_page(hub):
    with pytest.raises(HubError) as caught:
        bring(Wanted("acme/gated-chat", None, "train"))
    assert caught.value.what == "acme/gated-chat is gated"
    assert f"open {hub.url}/datasets/acme/gated-chat in" in caught.value.remedy


def test_a_private_one_comes_with_a_token(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_alicetoken12345")
    wanted = Wanted("alice/private-chat", None, "train")
    bring(wanted)
    assert is_here(wanted) and rows_of("alice/private-chat")
