"""A model is brought here while other screens are seen: progress, stop, going on, failing."""

import json
import os
import shutil

import psutil
import pytest

from sft_tui.core.hub import local
from tests.loopback_hub import Fault, samples

MIB = 1 << 20


@pytest.fixture
def large(hub, tiny):
    """Puts a model of 8 MiB on the Hub that can be judged."""

    def put(name: str) -> None:
        place = samples.repository(hub.root, "models", name, {}, pipeline_tag="text-generation")
        shutil.copytree(tiny, place, dirs_exist_ok=True)
        raw = (place / "model.safetensors").read_bytes()
        length = int.from_bytes(raw[:8], "little")
        header, data = json.loads(raw[8 : 8 + length]), raw[8 + length :]
        header["spare"] = {
            "dtype": "U8", "shape": [8 * MIB], "data_offsets": [len(data), len(data) + 8 * MIB]
        }  # fmt: skip
        head = json.dumps(header).encode()
        (place / "model.safetensors").write_bytes(
            len(head).to_bytes(8, "little") + head + data + os.urandom(8 * MIB)
        )

    return put


def children() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if "sft_tui.core.hub.fetch" in " ".join(child.cmdline())
    ]


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_using_a_model_of_the_hub_goes_on_and_brings_it_here(models, on_hub, size):
    on_hub("acme/tiny")

    async def scenario(eyes):
        await eyes.sees("acme/tiny")
        await eyes.press("j", "enter")
        await eyes.sees("[Data]", "acme/tiny is the model. It is being downloaded")
        assert eyes.app.drafts.draft.values == {"model": {"name": "acme/tiny"}}
        await eyes.sees("acme/tiny is on this machine now.", within_s=20)
        assert local.why_unusable(local.snapshot("acme/tiny")) is None
        await eyes.press("less_than_sign")
        await eyes.sees("▸ acme/tiny", "✓ fits")
        assert next(iter(eyes.app.screen.table.rows)) == "acme/tiny", "now a cached one"
        assert "D Download" not in eyes.footer

    models(scenario, size)


def test_progress_is_shown_and_a_stopped_download_goes_on_where_it_was(models, hub, large):
    large("acme/large")
    hub.faults.append(Fault("slow", "/cdn/", method="GET", rate=2 * MIB, times=None))

    async def scenario(eyes):
        await eyes.sees("acme/large")
        await eyes.press("j")
        await eyes.sees("D Download")
        await eyes.press("D")
        await eyes.sees("D Stop download", "MiB/s", "left", "D stops it", within_s=20)
        await eyes.until(lambda: "↓ " in eyes.row_with("acme/large  ") and children())
        await eyes.press("greater_than_sign")
        await eyes.sees("[Data]")
        assert eyes.app.downloads.running(), "other steps change nothing"
        await eyes.press("less_than_sign")
        share = eyes.app.downloads.of("acme/large").share
        assert share is not None and share < 1
        await eyes.press("D")
        await eyes.sees("Download of acme/large stopped: what came stays, and D goes on.")
        await eyes.until(lambda: not children(), why="the end of the process")
        ((_, had),) = local.incomplete()
        assert had > 0
        hub.requests.clear()
        await eyes.press("D")
        await eyes.sees("acme/large is on this machine now.", within_s=20)
        sent = sum(request.sent for request in hub.requests if request.path.startswith("/cdn/"))
        assert sent <= 8.5 * MIB - had
        await eyes.sees("✓ 8.1 M")

    models(scenario)


def test_leaving_the_application_ends_the_process_of_a_download(models, hub, large):
    large("acme/large")
    hub.faults.append(Fault("hang", "/cdn/", method="GET", after=MIB, times=None))

    async def scenario(eyes):
        await eyes.sees("acme/large")
        await eyes.press("j", "D")
        await eyes.until(children, within_s=20, why="a process")

    models(scenario)
    assert not children()


def test_a_download_that_fails_says_why_and_which_key_tries_again(models, hub, on_hub):
    on_hub("acme/tiny")
    hub.faults.append(Fault("status", "/cdn/", status=404, times=None))
    hub.faults.append(Fault("status", "/resolve/.*tokenizer", status=403, times=None))

    async def scenario(eyes):
        await eyes.sees("acme/tiny")
        await eyes.press("j", "D")
        await eyes.sees("D tries again.", within_s=20)
        assert eyes.app.downloads.of("acme/tiny").state == "failed"
        assert "✗" in eyes.row_with("D tries again") or "✗" in eyes.text()
        hub.faults.clear()
        await eyes.press("D")
        await eyes.sees("acme/tiny is on this machine now.", within_s=20)

    models(scenario)
