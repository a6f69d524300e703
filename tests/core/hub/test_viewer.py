"""First rows without a download, what cut cells are called, and tokens as they are kept."""

import json
import subprocess
import sys

import pytest

from sft_tui.core import doctor
from sft_tui.core.errors import SftError
from sft_tui.core.hub import tokens, viewer
from sft_tui.core.hub.failures import HubError
from tests.loopback_hub import Fault, samples


def put(hub, name="acme/rows", rows=None, **facts):
    content = "\n".join(map(json.dumps, rows or [{"text": f"row {n}"} for n in range(5)]))
    samples.repository(hub.root, "datasets", name, {"train.jsonl": content}, **facts)


def test_splits_and_first_rows_come_without_a_download(hub, ask):
    put(hub)
    assert ask(lambda client: viewer.splits(client, "acme/rows")) == [
        viewer.Split("default", "train")
    ]
    first = ask(lambda client: viewer.first_rows(client, "acme/rows", "default", "train"))
    assert first.rows[0] == {"text": "row 0"} and first.cut[0] == []
    assert not any("resolve" in request.path for request in hub.requests)


def test_cells_that_are_cut_are_named(hub, ask):
    hub.preview_bytes = 1000
    put(hub, rows=[{"text": "long " * 5000, "id": n} for n in range(3)])
    first = ask(lambda client: viewer.first_rows(client, "acme/rows", "default", "train"))
    assert first.cut[0] == ["text"] and len(str(first.rows[0])) < 20_000


@pytest.mark.parametrize("body", ["[]", '{"rows": 3}', '{"rows": [7]}', '{"rows": [{"row": []}]}'])
def test_an_answer_of_another_form_is_one_message(hub, ask, body):
    hub.faults.append(Fault("status", "/first-rows", status=200, body=body))
    with pytest.raises(HubError, match="another form"):
        ask(lambda client: viewer.first_rows(client, "acme/rows", "default", "train"))


def test_only_the_public_hub_has_its_viewer_elsewhere():
    assert viewer.base("https://huggingface.co") == "https://datasets-server.huggingface.co"
    assert viewer.base("http://127.0.0.1:9") == "http://127.0.0.1:9"


def test_a_token_is_kept_by_huggingface_hub_alone_and_read_again(hub, tmp_path):
    """In a process of its own: `login` takes the Hub's address when it is imported."""
    script = (
        "import sys; from sft_tui.core.hub import tokens; "
        "print(tokens.store(sys.stdin.read()), tokens.read() == 'hf_alicetoken123')"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        input=" hf_alicetoken123\n",
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["alice", "True"], done.stderr
    found = [p for p in tmp_path.rglob("*") if p.is_file() and b"alicetoken" in p.read_bytes()]
    assert {path.name for path in found} == {"token", "stored_tokens"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in found)


@pytest.mark.parametrize("given", ["hf_unknowntoken99", "hf_two words", "", "hf_a\nb c"])
def test_a_token_that_is_not_known_is_not_kept_nor_shown(hub, tmp_path, given):
    with pytest.raises(SftError) as caught:
        tokens.store(given)
    told = f"{caught.value.what} {caught.value.why} {caught.value.remedy} {caught.value.__cause__}"
    assert not given or given not in told
    assert tokens.read() is None


def test_the_doctor_tells_of_hub_account_and_unfinished_downloads(hub, monkeypatch, tmp_path):
    def found():
        return {check.name: check for check in (doctor._hub(), doctor._hub_cache())}

    assert found()["hub"].state == "ok" and "no token" in found()["hub"].found
    monkeypatch.setenv("HF_TOKEN", "hf_alicetoken123")
    told = found()["hub"].found
    assert "knows the token" in told and "hf_" not in told and "alice" not in told
    blobs = tmp_path / "hf" / "hub" / "models--a--b" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "x.part").write_bytes(bytes(1 << 20))
    assert "1 unfinished" in found()["hub cache"].found and found()["hub cache"].remedy
    hub.stop()
    assert found()["hub"].state == "warn" and "not reachable" in found()["hub"].found


@pytest.mark.parametrize("what", ["file", "loop", "home is a file"])
def test_the_doctor_tells_of_a_cache_that_is_no_folder(hub, tmp_path, what):
    home = tmp_path / "hf"
    place = home if "home" in what else home / "hub"
    place.parent.mkdir(exist_ok=True)
    if what == "loop":
        place.symlink_to(place)
    else:
        place.write_text("x")
    check = doctor._hub_cache()
    assert check.state == "warn" and f"{place} is a file, or a link" in check.found
    assert "HF_HOME" in check.remedy


def test_the_doctor_tells_of_a_cache_that_cannot_be_written(hub, mount_disk, monkeypatch):
    disk = mount_disk("16m")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    for folder in (disk, disk / "not-yet"):
        monkeypatch.setenv("HF_HOME", str(folder))
        check = doctor._hub_cache()
        assert check.state == "warn" and "cannot be written" in check.found and check.remedy


def test_the_doctor_takes_a_home_of_nobody_as_it_stands(monkeypatch):
    monkeypatch.setenv("HF_HOME", "~nobody-of-that-name/hf")
    assert "0 models" in doctor._hub_cache().found
