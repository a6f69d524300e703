"""Every kind of fault as a client sees it."""

import threading
import time

import httpx2
import pytest

from . import Fault, LoopbackHub, rate_limited

FILE = "/acme/tiny-llama/resolve/main/tokenizer.json"


@pytest.fixture
def content(sample_root) -> bytes:
    return (sample_root / "models" / "acme" / "tiny-llama" / "tokenizer.json").read_bytes()


def read(http, path=FILE) -> tuple[bytes, Exception | None]:
    """Returns the bytes that came, and the error that ended them."""
    came = b""
    try:
        with http.stream("GET", path) as answer:
            for chunk in answer.iter_raw():
                came += chunk
    except httpx2.HTTPError as error:
        return came, error
    return came, None


def test_a_status_comes_with_its_headers_and_body(hub, http):
    hub.faults.append(Fault("status", status=503, headers={"X-Why": "test"}, body="down"))

    spoilt, sound = http.get(FILE), http.get(FILE)

    assert (spoilt.status_code, spoilt.headers["x-why"], spoilt.text) == (503, "test", "down")
    assert sound.status_code == 200
    assert [request.fault for request in hub.requests] == ["status", None]


def test_a_rate_limit_is_understood_by_huggingface_hub(hub, client):
    hub.faults.append(rate_limited("/api/models", seconds=7))

    answer = client(
        hub,
        """
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError
        try:
            HfApi().model_info("acme/tiny-llama")
        except HfHubHTTPError as error:
            answer = [error.response.headers["retry-after"], str(error)]
        """,
    )

    assert answer[0] == "7"
    assert "Retry after 7 seconds (0/500 requests remaining" in answer[1]


def test_a_proxys_page_answers_in_place_of_the_hub(hub, http):
    hub.faults.append(Fault("html"))

    answer = http.get("/api/models")

    assert (answer.status_code, answer.text[:6]) == (200, "<html>")
    assert answer.headers["content-type"].startswith("text/html")


def test_a_delay_is_kept(hub, http, content):
    hub.faults.append(Fault("delay", seconds=0.3))
    start = time.monotonic()

    assert read(http) == (content, None)
    assert time.monotonic() - start >= 0.3


def test_a_closed_connection_gives_no_answer(hub, http):
    hub.faults.append(Fault("close"))

    with pytest.raises(httpx2.RemoteProtocolError, match="without sending a response"):
        http.get(FILE)
    assert hub.requests[-1].status is None


def test_a_body_is_cut_by_a_reset(hub, http, content):
    hub.faults.append(Fault("close_mid_body", after=1000))

    came, error = read(http)

    assert came == content[:1000]
    assert isinstance(error, httpx2.ReadError)


def test_a_body_ends_too_early(hub, http, content):
    hub.faults.append(Fault("truncate", after=1000))

    came, error = read(http)

    assert came == content[:1000]
    assert isinstance(error, httpx2.RemoteProtocolError)
    assert f"expected {len(content)}" in str(error)
    assert hub.requests[-1].sent == 1000


def test_a_truncated_file_is_asked_for_again(hub, client):
    hub.faults.append(Fault("truncate", "tokenizer.json", "GET"))

    script = """
    from huggingface_hub import hf_hub_download
    place = hf_hub_download("acme/tiny-llama", "tokenizer.json")
    answer = len(open(place, "rb").read())
    """

    # What came is less than the 10 MB that huggingface_hub keeps at a time: it asks anew.
    assert client(hub, script) == 5926
    assert [request.status for request in hub.requests if request.method == "GET"] == [200, 200]


def test_wrong_bytes_have_the_right_length(hub, http, content):
    hub.faults.append(Fault("wrong_bytes", after=10))

    came, error = read(http)

    assert error is None
    assert len(came) == len(content)
    assert came[:10] == content[:10]
    assert all(one != other for one, other in zip(came[10:], content[10:], strict=True))


def test_a_slow_body_keeps_its_rate(hub, http, content):
    hub.faults.append(Fault("slow", rate=len(content) * 2))
    start = time.monotonic()

    assert read(http) == (content, None)
    assert time.monotonic() - start >= 0.45


def test_a_hang_outlasts_the_clients_patience(hub, http):
    hub.faults.append(Fault("hang"))

    with pytest.raises(httpx2.ReadTimeout):
        http.get(FILE, timeout=0.2)


def test_a_hang_ends_when_it_is_told_to(hub, http):
    hub.faults.append(Fault("hang", seconds=0.2))

    with pytest.raises(httpx2.RemoteProtocolError):
        http.get(FILE)


def test_a_body_hangs_half_way(hub, http, content):
    hub.faults.append(Fault("hang", after=500))

    with httpx2.Client(base_url=hub.url, timeout=1) as hasty:
        came, error = read(hasty)

    assert came == content[:500]
    assert isinstance(error, httpx2.ReadTimeout)


def test_a_rule_spoils_what_it_fits_as_often_as_it_says(hub, http):
    hub.faults.append(Fault("status", "config", "GET", times=2, skip=1, status=500))
    paths = ["config.json", "tokenizer.json", *["config.json"] * 3]

    statuses = [http.get(f"/acme/tiny-llama/resolve/main/{path}").status_code for path in paths]
    heads = http.head("/acme/tiny-llama/resolve/main/config.json").status_code

    assert statuses == [200, 200, 500, 500, 200]
    assert heads == 200


def test_the_log_counts_what_a_client_took_before_it_left(own_hub):
    folder = own_hub.root / "models" / "acme" / "large"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(bytes(30 << 20))
    address = f"{own_hub.url}/acme/large/resolve/main/model.safetensors"

    with httpx2.stream("GET", address, follow_redirects=True) as answer:
        next(answer.iter_raw())
    time.sleep(0.2)
    request = own_hub.requests[-1]

    assert request.origin == "cdn"
    assert 0 < request.sent < 20 << 20


def test_a_stopped_hub_refuses_and_a_started_one_serves_at_the_same_address(sample_root):
    with LoopbackHub(sample_root) as hub:
        hub.faults.append(Fault("hang"))
        errors: list[str] = []

        def wait() -> None:
            try:
                httpx2.get(f"{hub.url}/api/models", timeout=10)
            except httpx2.HTTPError as error:
                errors.append(type(error).__name__)

        waiting = threading.Thread(target=wait)
        waiting.start()
        while not hub.requests:
            time.sleep(0.01)
        hub.stop()
        waiting.join(5)
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{hub.url}/api/models")
        hub.start()

        assert errors == ["RemoteProtocolError"]
        assert httpx2.get(f"{hub.url}/api/models").status_code == 200
