"""Downloads by the genuine client in a child process: resumed, checked, and left at will."""

import asyncio
import hashlib
import json
import os
import time
from pathlib import Path

import psutil
import pytest

from sft_tui.core.hub import facts, local, progress
from sft_tui.core.hub.download import download
from sft_tui.core.hub.failures import HubError
from sft_tui.core.hub.fetch import Request
from tests.loopback_hub import Fault, rate_limited, samples

MIB = 1 << 20


def weights(size: int) -> bytes:
    """A safetensors file of one tensor of random bytes."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return len(header).to_bytes(8, "little") + header + os.urandom(size)


@pytest.fixture
def model(hub):
    """Puts a model on the Hub and returns the content of its weights."""

    def make(size=2 * MIB, name="acme/m", **facts) -> bytes:
        content = weights(size)
        files = {
            "config.json": "{}", "model.safetensors": content, "modeling_x.py": "raise SystemExit",
            "pytorch_model.bin": b"\x80", "onnx/model.onnx": "x", "README.md": "hi",
            "tokenizer.json": '{"a": 1}',
        }  # fmt: skip
        samples.repository(hub.root, "models", name, files, **facts)
        return content

    return make


async def events_of(request: Request) -> list[progress.Event]:
    return [event async for event in download(request)]


def got(name="acme/m", **more) -> tuple[Path, list[progress.Event]]:
    events = asyncio.run(events_of(Request(name, **more)))
    return Path(events[-1].folder), events


def refused(name="acme/m", **more) -> HubError:
    with pytest.raises(HubError) as caught:
        got(name, **more)
    return caught.value


def large(hub):
    return [r for r in hub.requests if r.origin == "cdn" and r.method == "GET"]


def test_what_a_model_needs_comes_and_nothing_else(hub, model):
    content = model()
    folder, events = got()
    names = {path.name for path in folder.iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer.json"}
    assert (folder / "model.safetensors").read_bytes() == content
    assert not any(r.path.endswith((".py", ".bin", ".onnx", ".md")) for r in hub.requests)
    assert local.snapshot("acme/m") == folder and local.why_unusable(folder) is None
    last, done = events[-2:]
    assert (last.bytes_done, last.files_done) == (last.bytes_total, 3)
    assert (done.event, done.commit) == ("done", folder.name)
    seen = [event.bytes_done for event in events if event.event == "progress"]
    assert seen == sorted(seen) and last.bytes_total > len(content)
    assert not list(folder.rglob("*.part")) and not local.incomplete()


@pytest.mark.parametrize("left", [0, 3, 100_000])
@pytest.mark.parametrize("linked", [True, False])
def test_a_file_that_was_cut_off_in_the_cache_is_fetched_again(hub, model, left, linked):
    """As a full disk or a power cut leaves it; some caches hold copies in place of links."""
    content = model()
    folder, _ = got()
    for name in ("model.safetensors", "tokenizer.json"):
        path = folder / name
        cut = path.read_bytes()[:left]
        if not linked:
            path.unlink()
        path.write_bytes(cut)
    again, events = got()
    assert again == folder and local.why_unusable(folder) is None
    assert (folder / "model.safetensors").read_bytes() == content
    assert json.loads((folder / "tokenizer.json").read_text()) == {"a": 1}
    assert events[-2].bytes_total >= len(content)


@pytest.mark.parametrize("ref", [b"", b"nonsense", b"b" * 40, b"../../x", b"\xff\xfe", b"\0"])
def test_a_damaged_reference_of_the_cache_is_written_anew(hub, model, ref):
    model()
    folder, _ = got()
    place = local.repo_folder("acme/m") / "refs" / "main"
    place.write_bytes(ref)
    assert got()[0] == folder == local.snapshot("acme/m")
    assert place.read_text() == folder.name


def test_a_second_download_brings_nothing_again(hub, model):
    model()
    got()
    hub.requests.clear()
    _, events = got()
    assert not large(hub) and events[-2].bytes_total == 0


def test_patterns_choose_files(hub, model):
    model()
    folder, _ = got(paths=("tokenizer*", "config.json"))
    assert {path.name for path in folder.iterdir()} == {"config.json", "tokenizer.json"}
    assert local.why_unusable(folder) == "only some files are here"


def test_a_download_killed_at_half_goes_on_from_there(hub, model):
    content = model(64 * MIB)
    size = len(content)
    hub.faults.append(Fault("hang", "/cdn/", after=size // 2))

    async def kill_at_half():
        async for event in download(Request("acme/m")):
            if event.bytes_done >= 0.45 * size:
                (child,) = psutil.Process().children()
                child.kill()
                return

    asyncio.run(kill_at_half())
    (part, had), *rest = local.incomplete()
    assert had >= 0.45 * size and not rest
    hub.requests.clear()
    folder, events = got()
    sent = sum(request.sent for request in hub.requests)
    assert sent <= 0.55 * size + 1 * MIB
    assert events[0].bytes_done == 0 and any(had <= e.bytes_done <= had + MIB for e in events)
    found = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert found == hashlib.sha256(content).hexdigest() == part.name.removesuffix(".part")
    assert not local.incomplete()


@pytest.mark.parametrize("kind", ["close", "close_mid_body", "truncate", "status"])
def test_a_broken_connection_is_taken_up_again(hub, model, kind):
    content = model(8 * MIB)
    hub.faults.append(Fault(kind, "/cdn/", status=503))
    folder, events = got()
    assert (folder / "model.safetensors").read_bytes() == content
    assert any(event.event == "waiting" and event.reason for event in events)
    second = large(hub)[1]
    if kind in ("close_mid_body", "truncate"):
        assert second.headers["range"] != "bytes=0-" and second.sent < len(content)


def test_a_small_file_that_hangs_is_told_and_taken_up_again(hub, model):
    model()
    hub.faults.append(Fault("hang", "/config.json"))
    folder, events = got()
    (wait,) = [event for event in events if event.event == "waiting"]
    host = hub.url.removeprefix("http://")
    assert (wait.wait_s, wait.reason) == (1, f"{host} was silent or too slow for 10 s")
    assert (folder / "config.json").read_text() == "{}"


def test_what_came_is_where_huggingface_hub_looks_for_it(hub, model, monkeypatch):
    """A genuine client finds it without the Hub: the branch, and links to contents."""
    from huggingface_hub import snapshot_download

    model()
    folder, _ = got()
    hub.stop()
    cache = str(local.cache_folder())
    assert snapshot_download("acme/m", cache_dir=cache, local_files_only=True) == str(folder)
    assert {path.resolve().parent.name for path in folder.iterdir()} == {"blobs"}


def test_files_of_one_content_and_paths_that_lead_elsewhere(hub):
    files = {"a.json": "{}", "b.json": "{}", "empty.txt": "", "model.safetensors": weights(8)}
    samples.repository(hub.root, "models", "acme/m", files)
    folder, _ = got()
    assert {path.name: path.stat().st_size for path in folder.iterdir()} == {
        name: len(content) for name, content in files.items()
    }
    assert not local.incomplete()
    outside = [{"rfilename": name, "size": 1, "blobId": "a" * 40} for name in ("../x", "/x", "a")]
    assert [file.path for file in facts._files(outside)] == ["a"]


def test_a_limit_is_waited_for_and_told(hub, model):
    model()
    hub.faults.append(rate_limited("/cdn/", seconds=2, bucket="resolvers"))
    began = time.monotonic()
    _, events = got()
    waits = [event for event in events if event.event == "waiting"]
    assert [(wait.wait_s, wait.reason) for wait in waits] == [(2, "the Hub asks to wait 2 s")]
    assert time.monotonic() - began >= 2


def test_damaged_bytes_are_thrown_away_and_asked_for_again(hub, model):
    content = model()
    hub.faults.append(Fault("wrong_bytes", "/cdn/"))
    folder, _ = got()
    assert (folder / "model.safetensors").read_bytes() == content
    assert len(large(hub)) == 2


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_small_file_that_arrives_damaged_is_asked_for_again_and_then_refused(hub, model, name):
    model()
    hub.faults.append(Fault("wrong_bytes", f"resolve/.*/{name}", method="GET", times=2))
    error = refused()
    assert error.kind == "garbled" and name in error.what and "git id" in error.why
    hub.faults.append(Fault("wrong_bytes", f"resolve/.*/{name}", method="GET"))
    folder, _ = got()
    assert json.loads((folder / name).read_text()) == ({"a": 1} if "tokenizer" in name else {})


def test_bytes_that_are_always_damaged_are_refused(hub, model):
    model()
    hub.faults.append(Fault("wrong_bytes", "/cdn/", times=None))
    error = refused()
    assert error.kind == "garbled" and "SHA-256" in error.why
    assert local.why_unusable(local.repo_folder("acme/m")) and not list(
        local.repo_folder("acme/m").rglob("model.safetensors")
    )


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("html", times=None), "garbled"),
        (Fault("html", "/cdn/", times=None), "garbled"),
        (Fault("status", "/api/models", status=500, times=None), "server"),
        (Fault("status", "/cdn/", status=404, times=None), "elsewhere"),
        (Fault("status", "resolve/.*/config.json", status=500, times=None), "server"),
        (rate_limited("/cdn/", seconds=3600, times=None), "limit"),
    ],
)
def test_what_cannot_be_had_is_one_message(hub, model, fault, kind):
    model()
    hub.faults.append(fault)
    error = refused()
    assert error.kind == kind and error.what and error.why and error.remedy


@pytest.mark.parametrize(
    "fault",
    [
        Fault("html", "resolve/.*/config.json", times=None),
        Fault("html", "resolve/.*/config.json", method="GET", times=None),
    ],
    ids=lambda fault: f"{fault.path} {fault.method}",
)
def test_a_page_in_place_of_a_small_file_is_no_fault_of_this_machine(hub, model, fault):
    """A proxy may let some requests pass and answer others with its login page."""
    model()
    hub.faults.append(fault)
    error = refused()
    assert error.kind == "garbled" and "proxy" in error.remedy
    assert hub.url.removeprefix("http://") in error.why


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_by_the_second_host_names_it_and_what_to_do(hub, model, status):
    """Large files come from another host; that it refuses does not mean that they are not there."""
    model()
    hub.faults.append(Fault("status", "/cdn/", status=status, times=None))
    error = refused()
    assert error.kind == "elsewhere" and "acme/m" in error.what
    assert hub.cdn_url.removeprefix("http://") in error.why and str(status) in error.why
    assert "clock" in error.remedy and "proxy" in error.remedy


def test_gated_private_and_missing_models_are_told_apart(hub, model):
    model(name="a/gated", gated="manual")
    model(name="a/private", private=True)
    samples.repository(hub.root, "models", "a/bin", {"pytorch_model.bin": "x"})
    assert refused("a/gated").kind == "gated" and "/a/gated" in refused("a/gated").remedy
    assert refused("a/private").kind == refused("a/nothing").kind == "missing"
    assert "no safetensors, only .bin" in refused("a/bin").why


@pytest.mark.parametrize("file", ["train.jsonl", "train.parquet"])
def test_a_gated_data_set_links_to_its_own_page(hub, file):
    samples.repository(hub.root, "datasets", "a/gated", {file: "{}"}, gated="auto")
    error = refused("a/gated", kind="dataset", paths=("train*",))
    assert error.what == "a/gated is gated"
    assert error.remedy.startswith(f"open {hub.url}/datasets/a/gated in a browser")


def test_a_disk_without_space_is_refused_before_anything_comes(hub, model, mount_disk, monkeypatch):
    model(32 * MIB)
    monkeypatch.setenv("HF_HOME", str(mount_disk("40m")))
    error = refused()
    assert (
        error.kind == "local"
        and "does not fit" in error.what
        and "it needs 32.0 MiB and 64.0 MiB in" in error.why
    )
    assert not large(hub)


def test_a_disk_that_fills_up_meanwhile_is_told_and_the_part_stays(
    hub, model, mount_disk, monkeypatch
):
    content = model(64 * MIB)
    disk = mount_disk("160m")
    monkeypatch.setenv("HF_HOME", str(disk))
    hub.faults.append(Fault("hang", "/cdn/", after=8 * MIB, seconds=1))

    async def fill():
        async for event in download(Request("acme/m")):
            if event.bytes_done > 4 * MIB and not (disk / "other").exists():
                (disk / "other").write_bytes(bytes(110 * MIB))

    with pytest.raises(HubError) as caught:
        asyncio.run(fill())
    assert caught.value.kind == "local" and "disk is full" in caught.value.what
    assert "resume" not in caught.value.remedy
    (disk / "other").unlink()
    hub.requests.clear()
    folder, _ = got()
    assert (folder / "model.safetensors").read_bytes() == content
    assert sum(request.sent for request in hub.requests) < len(content)


def test_a_cache_that_cannot_be_written_is_told(hub, model, mount_disk, monkeypatch):
    import subprocess

    model()
    disk = mount_disk("16m")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    monkeypatch.setenv("HF_HOME", str(disk))
    error = refused()
    assert error.kind == "local" and "Read-only" in error.why


@pytest.mark.timing
@pytest.mark.parametrize("kind", ["hang", "slow", "delay", "none"])
def test_leaving_ends_the_process_at_once_and_keeps_what_came(hub, model, kind):
    model(64 * MIB)
    if kind != "none":
        hub.faults.append(Fault(kind, "/cdn/", rate=1000, seconds=60, times=None))

    async def leave() -> float:
        task = asyncio.create_task(events_of(Request("acme/m")))
        while not large(hub):
            await asyncio.sleep(0.01)
        (child,) = psutil.Process().children()
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        spent = time.monotonic() - began
        assert not child.is_running()
        return spent

    assert asyncio.run(leave()) < 0.5


def test_a_line_that_stands_still_is_told_every_second(hub, model):
    model(8 * MIB)
    hub.faults.append(Fault("hang", "/cdn/", after=4 * MIB, seconds=2.5))
    _, events = got()
    standing = [e for e in events if e.event == "progress" and 3 * MIB < e.bytes_done < 5 * MIB]
    assert len(standing) >= 2


@pytest.mark.parametrize("kind", ["slow", "hang"])
def test_a_download_whose_reader_dies_ends_too(hub, model, tmp_path, kind):
    """The application may be killed: nothing of it may go on in the dark."""
    import subprocess
    import sys

    model(64 * MIB)
    hub.faults.append(Fault(kind, "/cdn/", rate=4 * MIB, after=16 * MIB, times=None))
    command = [sys.executable, "-P", "-m", "sft_tui.core.hub.fetch", '{"id":"acme/m"}']
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout is not None
    while b'"bytes_done":1' not in child.stdout.readline():
        pass
    child.stdout.close()
    assert child.wait(5) == 1


@pytest.mark.parametrize("how", ["refused", "switch"])
def test_offline_is_told_with_what_can_be_done(hub, model, monkeypatch, how):
    model()
    if how == "switch":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    else:
        hub.stop()
    error = refused()
    assert error.kind == ("offline" if how == "switch" else "unreachable")


def test_a_connection_that_ends_in_the_middle_is_told_and_goes_on_later(hub, model):
    content = model(32 * MIB)
    hub.faults.append(Fault("slow", "/cdn/", rate=8 * MIB))

    async def cut():
        stopped = False
        async for event in download(Request("acme/m")):
            if event.bytes_done > 4 * MIB and not stopped:
                await asyncio.to_thread(hub.stop)
                stopped = True
            if event.event == "waiting":
                await asyncio.to_thread(hub.start)
        assert stopped

    asyncio.run(cut())
    folder = local.snapshot("acme/m")
    assert folder is not None and (folder / "model.safetensors").read_bytes() == content


def test_two_downloads_of_one_model_do_not_harm_each_other(hub, model):
    content = model(16 * MIB)

    async def both():
        return await asyncio.gather(*(events_of(Request("acme/m")) for _ in range(2)))

    folders = {events[-1].folder for events in asyncio.run(both())}
    (folder,) = folders
    assert (Path(folder) / "model.safetensors").read_bytes() == content
    assert sum(request.sent for request in large(hub)) <= len(content)


def test_the_token_goes_to_the_hub_and_not_to_another_host(hub, model, monkeypatch):
    model(name="alice/private", private=True)
    monkeypatch.setenv("HF_TOKEN", "hf_alicetoken123")
    command: list[str] = []

    async def watched():
        async for _ in download(Request("alice/private")):
            for child in psutil.Process().children():
                command.extend(child.cmdline())

    asyncio.run(watched())
    assert all(r.account == "alice" for r in hub.requests if r.origin == "hub")
    assert large(hub) and all(r.account is None for r in hub.requests if r.origin == "cdn")
    assert command and not any("alicetoken" in word for word in command)
    for path in Path(os.environ["HF_HOME"]).rglob("*"):
        if path.is_file():
            assert b"alicetoken" not in path.read_bytes()
