"""Pushes by the genuine client: looked at first, one commit, and every refusal in clear words."""

import asyncio
import os
import time
from pathlib import Path

import psutil
import pytest

from sft_tui.core.errors import SftError, UsageError
from sft_tui.core.hub import push
from sft_tui.core.hub.failures import HubError
from sft_tui.core.hub.push import Request
from tests.loopback_hub import Fault, rate_limited, samples

ALICE, READER, BOB = "hf_alicetoken123", "hf_readertoken123", "hf_bobtoken123"
MIB = 1 << 20


@pytest.fixture(autouse=True)
def accounts(hub, monkeypatch):
    hub.accounts |= {READER: "alice", BOB: "bob"}
    hub.read_only = {READER}
    monkeypatch.setenv("HF_TOKEN", ALICE)


@pytest.fixture
def folder(tmp_path) -> Path:
    place = tmp_path / "export"
    (place / "sub").mkdir(parents=True)
    (place / "README.md").write_text("---\nlicense: mit\n---\nMine.\n")
    (place / "model.safetensors").write_bytes(os.urandom(3 * MIB))
    (place / "sub" / "small.txt").write_text("small")
    return place


@pytest.fixture
def upload(folder, monkeypatch):
    """Uploads in this process, in which the client's waits between attempts cost nothing."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    told = []

    def run(id="alice/mine", **more):
        return push.upload(Request(id, str(folder), **more), told.append)

    run.told = told
    return run


def look(id="alice/mine", **more):
    return asyncio.run(push.look(id, **more))


async def pushed(request: Request):
    return [event async for event in push.push(request)]


def at(hub, id="alice/mine"):
    place = hub.root / "models" / id
    every = sorted(p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file())
    return [name for name in every if name != ".hub.json"]


def test_a_folder_arrives_as_it_was_in_one_commit(hub, folder):
    events = asyncio.run(pushed(Request("alice/mine", str(folder))))
    assert at(hub) == ["README.md", "model.safetensors", "sub/small.txt"]
    for path in folder.rglob("*.*"):
        name = path.relative_to(folder)
        assert (hub.root / "models/alice/mine" / name).read_bytes() == path.read_bytes()
    commits = [r for r in hub.requests if "/commit/" in r.path]
    assert len(commits) == 1 and commits[0].account == "alice"
    last, done = events[-2:]
    assert (done.event, done.folder) == ("done", f"{hub.url}/alice/mine") and len(done.commit) == 40
    assert (last.bytes_done, last.files_done) == (last.bytes_total, last.files_total)
    seen = [event.bytes_done for event in events if event.event == "progress"]
    assert seen == sorted(seen) and last.bytes_total > 3 * MIB
    assert any(0 < count < last.bytes_total for count in seen)
    assert look().private


def test_what_is_there_already_is_not_called_pushed(hub, upload):
    first, again = upload(), upload()
    assert (first.reason, again.reason) == ("", "nothing changed; nothing was pushed")
    assert first.commit == again.commit and upload.told[-1].event != "waiting"
    assert not any(event.event == "waiting" for event in upload.told)


def test_looking_changes_nothing_and_tells_what_would_be(hub, folder):
    to = look()
    plan = push.plan(folder, to)
    assert (to.account, to.exists, to.private, to.files) == ("alice", False, True, {})
    assert not look(public=True).private
    assert set(plan.files) == {"README.md", "model.safetensors", "sub/small.txt"}
    assert plan.bytes == 3 * MIB + len("small") + (folder / "README.md").stat().st_size
    assert {request.method for request in hub.requests} == {"GET"}
    assert not (hub.root / "models").exists()


def test_what_is_there_is_told_overwritten_and_kept(hub, folder, upload):
    files = {"README.md": "Old.", "model.gguf": "x"}
    samples.repository(hub.root, "models", "alice/mine", files, private=False)
    to = look()
    plan = push.plan(folder, to)
    assert to.exists and not to.private
    assert (plan.overwritten, plan.kept) == (["README.md"], ["model.gguf"])
    upload()
    assert at(hub) == ["README.md", "model.gguf", "model.safetensors", "sub/small.txt"]
    assert "Mine" in (hub.root / "models/alice/mine/README.md").read_text()


def test_a_public_repository_is_made_where_that_was_asked_for(hub, upload):
    upload(public=True)
    assert not look().private


@pytest.mark.parametrize("id", ["mine", "alice/", "alice/a b", "alice/x.git", "alice/a--b", "a/b-"])
def test_a_name_that_cannot_be_used_is_refused_before_anything_is_asked(hub, id):
    with pytest.raises(UsageError):
        look(id)
    assert not hub.requests


@pytest.mark.parametrize(
    ("token", "id", "kind", "words"),
    [
        (None, "alice/mine", "token", "hf auth login"),
        ("hf_unknowntoken", "alice/mine", "token", "hf auth login"),
        (READER, "alice/mine", "forbidden", "role write"),
        (ALICE, "acme/mine", "forbidden", "under alice"),
        (BOB, "alice/mine", "forbidden", "under bob"),
    ],
)
def test_who_may_not_push_is_told_before_the_work(hub, monkeypatch, token, id, kind, words):
    if token is None:
        monkeypatch.delenv("HF_TOKEN")
    else:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(HubError) as caught:
        look(id)
    assert caught.value.kind == kind and words in caught.value.remedy
    assert not token or token not in f"{caught.value} {caught.value.remedy}"


@pytest.mark.parametrize("token", [None, READER, BOB])
def test_who_may_not_push_is_told_by_the_hub_too(hub, upload, monkeypatch, token):
    if token is None:
        monkeypatch.delenv("HF_TOKEN")
    else:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(HubError) as caught:
        upload()
    assert caught.value.kind == ("forbidden" if token else "token") and caught.value.remedy
    assert not (hub.root / "models/alice").exists()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("status", "/commit/", status=503, times=None), "server"),
        (Fault("status", "/lfs/", status=500, times=None), "server"),
        (Fault("status", "/api/repos/create", status=502, times=None), "server"),
        (rate_limited("/commit/", seconds=3, times=None), "limit"),
        (Fault("close", "/lfs/", times=None), "unreachable"),
        (Fault("close_mid_body", "/commit/", times=None), "unreachable"),
        (Fault("html", "/commit/", times=None), "garbled"),
    ],
)
def test_what_fails_on_the_way_leaves_nothing_half(hub, upload, fault, kind):
    hub.faults.append(fault)
    with pytest.raises(HubError) as caught:
        upload()
    assert caught.value.kind == kind and caught.value.what and caught.value.remedy
    # An answer that is cut off comes after the commit was made.
    assert len(at(hub)) == (3 if fault.kind == "close_mid_body" else 0)
    hub.faults.clear()
    assert upload().event == "done" and len(at(hub)) == 3


def test_a_connection_that_breaks_once_is_taken_up_again(hub, upload):
    hub.faults.append(Fault("close", "/lfs/"))
    upload()
    assert at(hub) == ["README.md", "model.safetensors", "sub/small.txt"]
    assert upload.told[-1].bytes_done == upload.told[-1].bytes_total


def test_a_hub_that_is_not_there_is_told(hub, upload):
    hub.stop()
    with pytest.raises(HubError) as looked:
        look()
    with pytest.raises(HubError) as tried:
        upload()
    assert looked.value.kind == tried.value.kind == "unreachable"


def test_a_card_that_the_hub_refuses_is_told(hub, upload, folder):
    (folder / "README.md").write_text("---\na: [\n---\n")
    with pytest.raises(SftError) as caught:
        upload()
    assert "README.md" in caught.value.remedy and at(hub) == []


@pytest.mark.timing
def test_leaving_ends_the_process_and_nothing_can_be_seen(hub, folder):
    hub.faults.append(Fault("hang", "/commit/", times=None))

    async def leave() -> None:
        task = asyncio.create_task(pushed(Request("alice/mine", str(folder))))
        while not any("/commit/" in request.path for request in hub.requests):
            await asyncio.sleep(0.01)
        (child,) = psutil.Process().children()
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 0.5 and not child.is_running()

    asyncio.run(leave())
    assert at(hub) == []


def test_the_token_is_in_no_argument_and_on_no_disk(hub, folder, tmp_path):
    command: list[str] = []

    async def watched():
        async for _ in push.push(Request("alice/mine", str(folder))):
            for child in psutil.Process().children():
                command.extend(child.cmdline())

    asyncio.run(watched())
    assert command and not any("alicetoken" in word for word in command)
    assert all(r.account is None for r in hub.requests if r.origin == "cdn")
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"alicetoken" not in path.read_bytes()
