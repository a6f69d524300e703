"""Every way in which the Hub can fail has its message, in time, and can be left at once."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sft_tui.core.errors import SftError, UsageError
from sft_tui.core.hub import facts, search
from sft_tui.core.hub.client import HubClient
from sft_tui.core.hub.failures import HubError
from tests.loopback_hub import Fault, rate_limited, samples

CLI = Path(sys.executable).with_name("sft-tui")
BAD_TOKEN = {"X-Error-Message": "Invalid credentials in Authorization header"}
FAULTS = [
    (Fault("status", status=401, headers=BAD_TOKEN), "token", "does not accept the token"),
    (Fault("status", status=404), "garbled", "this address is not a Hub"),
    (Fault("status", status=403), "refused", "refused (403); a proxy or firewall"),
    (Fault("status", status=401), "refused", "refused (401); it wants to know who asks"),
    (Fault("status", status=500), "server", "answered 500"),
    (Fault("status", status=503, body="busy"), "server", "answered 503"),
    (rate_limited(seconds=41), "limit", "wait 41 s"),
    (Fault("status", status=429), "limit", "wait 60 s"),
    (Fault("close"), "unreachable", "not reachable"),
    (Fault("close_mid_body"), "unreachable", "not reachable"),
    (Fault("truncate"), "unreachable", "not reachable"),
    (Fault("html"), "garbled", "text/html"),
    (Fault("status", status=200, body="[{"), "garbled", "data were asked for"),
    (Fault("hang"), "timeout", "silent or too slow for 1 s"),
    (Fault("slow", rate=300), "timeout", "silent or too slow for 2 s"),
]


@pytest.mark.parametrize(("fault", "kind", "words"), FAULTS, ids=lambda v: getattr(v, "kind", ""))
def test_a_failure_has_its_message_and_the_next_request_works(
    hub, many, ask, impatient, fault, kind, words
):
    many(30)
    hub.faults.append(fault)
    with pytest.raises(HubError) as caught:
        ask(lambda client: search.models(client, "smollm"))
    error = caught.value
    assert error.kind == kind
    assert words in f"{error.what}; {error.why}" and error.remedy
    assert error.wait_s == {"limit": 41 if "41" in words else 60}.get(kind)
    hub.faults.clear()
    assert len(ask(lambda client: search.models(client, "smollm")).rows) == 25


@pytest.mark.parametrize("token", [None, "hf_alicetoken123"])
@pytest.mark.parametrize("id", ["", "acme/m"])
@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_without_a_word_says_what_is_known(hub, ask, monkeypatch, status, id, token):
    """As a proxy gives it; only what is known to be missing is called so."""
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    hub.faults.append(Fault("status", status=status))
    with pytest.raises(HubError) as caught:
        ask(lambda client: facts.repo(client, id) if id else search.models(client, ""))
    error = caught.value
    kinds = {401: "token" if token else "refused", 403: "refused", 404: "garbled"}
    assert error.kind == ("missing" if id and status != 403 else kinds[status])
    assert ("not on the Hub" in error.what) == (error.kind == "missing")
    assert ("the token lacks the right" in error.why) == (status == 403 and bool(token))
    if token:
        assert "give a token" not in error.remedy
    if error.kind == "garbled":
        assert "HF_ENDPOINT" in error.remedy


def test_a_hub_that_is_not_there_is_named_with_the_reason(hub, ask):
    hub.stop()
    with pytest.raises(HubError) as caught:
        ask(lambda client: search.models(client, ""))
    assert caught.value.kind == "unreachable" and hub.url.partition("//")[2] in caught.value.why


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_that_is_not_there_is_named_in_place_of_the_hub(hub, ask, monkeypatch, variable):
    monkeypatch.setenv(variable, "http://me:secret@127.0.0.1:1")
    with pytest.raises(HubError) as caught:
        ask(lambda client: search.models(client, ""))
    error = caught.value
    assert error.kind == "unreachable" and f"proxy of {variable}: 127.0.0.1:1:" in error.why
    assert error.remedy.startswith(f"check {variable}") and "secret" not in str(error)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    hub.stop()
    with pytest.raises(HubError) as caught:
        ask(lambda client: search.models(client, "x"))
    assert "PROXY" not in f"{caught.value} {caught.value.remedy}".upper()


BAD_ADDRESSES = ["foo", "ftp://x", "http://", "", "http:///x", "http://a b/", "http://[::1",
                 "http://x:99999", "http://me:secret@", "https://x\n"]  # fmt: skip


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_an_address_of_the_hub_that_is_none_is_one_message(hub, ask, monkeypatch, address):
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(UsageError, match="HF_ENDPOINT cannot be used") as caught:
        ask(lambda client: search.models(client, ""))
    assert "http:// or https://" in caught.value.why and "secret" not in caught.value.why
    assert hub.requests == []


def test_an_address_that_huggingface_hub_cannot_import_is_told_by_the_commands(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://[::1")
    for command in (["models"], ["download", "a/b"], ["datasets", "a/b"], ["fit", "a/b"]):
        done = subprocess.run([CLI, *command], capture_output=True, text=True)
        assert done.stderr.startswith("error: HF_ENDPOINT cannot be used\nwhy: 'http://[::1'")
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 3


def test_the_offline_switch_is_told_and_nothing_is_sent(hub, ask, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "is_offline_mode", lambda: True)
    with pytest.raises(HubError) as caught:
        ask(lambda client: search.models(client, ""))
    assert caught.value.kind == "offline" and "HF_HUB_OFFLINE" in caught.value.why
    assert hub.requests == []


@pytest.mark.timing
@pytest.mark.parametrize("kind", ["hang", "slow", "delay"])
def test_a_request_can_be_left_at_once(hub, many, kind):
    many(30)
    hub.faults.append(Fault(kind, rate=100, seconds=30))

    async def leave() -> float:
        async with HubClient() as client:
            task = asyncio.create_task(search.models(client, "smollm"))
            while not hub.requests:
                await asyncio.sleep(0.01)
            began = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return time.monotonic() - began

    assert asyncio.run(leave()) < 0.5


def test_after_a_limit_nothing_is_sent_until_it_has_passed(hub, many):
    many(1)
    hub.faults.append(rate_limited(seconds=1))

    async def through():
        async with HubClient() as client:
            for _ in range(3):
                with pytest.raises(HubError, match="asks to wait 1 s"):
                    await search.models(client, "smollm")
            sent = len(hub.requests)
            await asyncio.sleep(1.1)
            return sent, await search.models(client, "smollm")

    sent, page = asyncio.run(through())
    assert sent == 1 and len(page.rows) == 1


def test_the_same_question_is_sent_once(hub, many):
    many(3)

    async def twice():
        async with HubClient() as client:
            return [await search.models(client, words) for words in ("smollm", "smollm", "acme")]

    first, second, _ = asyncio.run(twice())
    assert first.rows == second.rows and len(hub.requests) == 2


@pytest.mark.parametrize("token", ["hf_a b", "hf_ümlaut123", "hf_abc\x00def", "hf_abc\tdef123"])
def test_a_token_that_is_none_is_refused_without_being_shown(hub, ask, monkeypatch, token):
    from huggingface_hub import constants

    (samples.repository(hub.root, "models", "a/b", {}), hub.root)
    place = hub.root.parent / "token"
    place.write_text(token)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(place))
    with pytest.raises(SftError, match="token cannot be used") as caught:
        ask(lambda client: search.models(client, ""))
    assert token not in f"{caught.value.what}{caught.value.why}{caught.value.remedy}"
    assert hub.requests == []


def test_a_token_with_line_feeds_is_sent_whole(hub, many, ask, monkeypatch):
    many(1)
    monkeypatch.setenv("HF_TOKEN", "hf_alice\ntoken123\n")
    assert len(ask(lambda client: search.models(client, "")).rows) == 1
    assert [request.account for request in hub.requests] == ["alice"]
