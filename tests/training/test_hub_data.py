"""Data sets of the Hub: brought once by the genuine libraries, then read without a connection."""

import asyncio
import json
import os
import shutil
import subprocess
import sys

import pytest

from sft_tui.core.config import DataConfig, SourceConfig
from sft_tui.core.data.rows import Row
from sft_tui.core.data.sources import Source
from sft_tui.core.hub.datasets import Wanted, is_here
from sft_tui.core.hub.download import download
from sft_tui.core.hub.failures import HubError
from tests.loopback_hub import samples
from tests.loopback_hub.repos import REVISIONS


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


@pytest.fixture
def moving(hub):
    """A data set of three splits, and what puts another commit of it on the Hub."""
    folder = samples.repository(hub.root, "datasets", "acme/moving", {})

    def move(version, *, keep_old=True):
        """Commits all splits anew; the commit before is still to be had, or is not."""
        shutil.rmtree(folder / REVISIONS, ignore_errors=True)
        old = folder / REVISIONS / folder.name  # of that name its commit is the same
        if keep_old:
            shutil.copytree(folder, old)
        for split in ("train", "validation", "test"):
            row = {"prompt": f"Which {split}?", "completion": f"{split} {version}"}
            (folder / f"{split}.jsonl").write_text(samples.jsonl([row]))

    for path in folder.glob("*.jsonl"):
        path.unlink()
    move("one", keep_old=False)
    return move


def answers(*splits, name="acme/moving"):
    return [rows_of(name, split)[0].messages[1].content for split in splits]


def test_splits_are_of_one_commit_where_the_data_set_moved_on(hub, moving):
    bring(Wanted("acme/moving", None, "train"))
    moving("two")
    bring(Wanted("acme/moving", None, "test"))
    assert answers("train", "test") == ["train one", "test one"]


def test_a_split_that_is_here_is_renewed_with_the_others_of_this_machine(hub, moving):
    for split in ("train", "test"):
        bring(Wanted("acme/moving", None, split))
    moving("two")
    bring(Wanted("acme/moving", None, "train"))
    hub.stop()
    assert answers("train", "test") == ["train two", "test two"]
    assert not is_here(Wanted("acme/moving", None, "validation"))


def test_a_source_may_name_its_commit(hub, moving):
    def commit_of(split):
        return bring(Wanted("acme/moving", None, split))[-1].commit

    old = commit_of("train")
    moving("two")
    assert commit_of("train") != old
    hub.requests.clear()
    assert answers("train", name=f"acme/moving@{old}") == ["train one"] and not hub.requests
    assert not is_here(Wanted("acme/moving", None, "test", old))
    bring(Wanted("acme/moving", None, "test", old))
    assert answers("test", name=f"acme/moving@{old}") == ["test one"]
    assert answers("train") == ["train two"]


def test_a_commit_that_is_gone_says_how_to_take_the_newest(hub, moving):
    bring(Wanted("acme/moving", None, "train"))
    moving("two", keep_old=False)
    with pytest.raises(HubError) as caught:
        bring(Wanted("acme/moving", None, "test"))
    assert "acme/moving has no such revision" in caught.value.why
    assert "`sft-tui download --dataset acme/moving --split train`" in caught.value.remedy
    bring(Wanted("acme/moving", None, "train"))
    bring(Wanted("acme/moving", None, "test"))
    assert answers("train", "test") == ["train two", "test two"]


@pytest.mark.parametrize("old", ["there", "gone"])
def test_in_another_cache_nothing_is_here(hub, moving, tmp_path, monkeypatch, old):
    bring(Wanted("acme/moving", None, "train"))
    bring(Wanted("acme/moving", None, "test"))
    if old == "gone":
        shutil.rmtree(tmp_path / "hf")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "other"))
    moving("two")
    assert not is_here(Wanted("acme/moving", None, "train"))
    for split in ("test", "train"):
        bring(Wanted("acme/moving", None, split))
    assert answers("train", "test") == ["train two", "test two"]
    assert not (tmp_path / "hf").exists() or old == "there"


@pytest.fixture
def disk(mount_disk):
    """Mounts a disk that nothing can be written to."""

    def mount(kind):
        place = mount_disk("64k")
        if kind == "full":
            (place / "other").write_bytes(bytes(64 << 10))
        else:
            subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        return place

    return mount


@pytest.mark.parametrize(
    ("variable", "kind"),
    [
        ("HF_HOME", "full"),
        ("HF_HOME", "read-only"),
        ("HF_DATASETS_CACHE", "read-only"),
        ("SFT_TUI_HOME", "full"),
        ("SFT_TUI_HOME", "read-only"),
    ],
)
def test_a_disk_that_cannot_be_written_is_one_message(hub, disk, monkeypatch, variable, kind):
    place = disk(kind)
    monkeypatch.setenv(variable, str(place / "own"))
    told = []

    async def whole():
        async for event in download(Wanted("acme/chat", None, "train")):
            told.append(event)

    with pytest.raises(HubError) as caught:
        asyncio.run(whole())
    error = caught.value
    assert error.kind == "local" and "Error" not in error.why
    assert {"full": "No space left", "read-only": "Read-only"}[kind] in error.why
    assert str(place) in error.what + error.why
    assert variable.replace("DATASETS_CACHE", "HOME") in error.remedy
    assert not [event for event in told if event.event == "waiting"]
    assert not [request for request in hub.requests if request.path.endswith(".jsonl")]


def test_a_private_one_comes_with_a_token(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_alicetoken12345")
    wanted = Wanted("alice/private-chat", None, "train")
    bring(wanted)
    assert is_here(wanted) and rows_of("alice/private-chat")
