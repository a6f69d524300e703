"""Files as huggingface_hub downloads them, and ranges as a client of our own would ask."""

import hashlib

import httpx2
import pytest

WEIGHTS = "/acme/tiny-llama/resolve/main/model.safetensors"


def test_a_snapshot_is_exact_and_is_not_downloaded_twice(hub, client, sample_root):
    script = """
    import hashlib, pathlib
    from huggingface_hub import snapshot_download
    folder = pathlib.Path(snapshot_download("acme/tiny-llama"))
    answer = {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()
    }
    """

    first = client(hub, script)
    asked = len(hub.requests)
    second = client(hub, script)

    folder = sample_root / "models" / "acme" / "tiny-llama"
    assert (
        first
        == second
        == {
            place.name: hashlib.sha256(place.read_bytes()).hexdigest()
            for place in folder.iterdir()
            if place.name != ".hub.json"
        }
    )
    assert [request.path for request in hub.requests[asked:]] == [
        "/api/models/acme/tiny-llama/revision/main"
    ]


def test_weights_come_from_another_origin_that_sees_no_token(hub, client):
    answer = client(
        hub,
        """
        import os
        from huggingface_hub import hf_hub_download, get_hf_file_metadata, hf_hub_url
        place = hf_hub_download("acme/tiny-llama", "model.safetensors")
        metadata = get_hf_file_metadata(hf_hub_url("acme/tiny-llama", "model.safetensors"))
        answer = [os.path.basename(os.path.realpath(place)), metadata.etag, metadata.size]
        """,
        token="hf_bob",
    )

    blob, etag, size = answer
    assert blob == etag
    from_hub, from_cdn = (
        [request for request in hub.requests if request.origin == origin]
        for origin in ("hub", "cdn")
    )
    assert {request.account for request in from_hub} == {"bob"}
    assert [(request.account, request.status, request.sent) for request in from_cdn] == [
        (None, 200, size)
    ]
    assert "hf_bob" not in repr(hub.requests)


def test_a_token_that_reaches_the_other_origin_is_refused(http):
    address = http.get(WEIGHTS).headers["location"]

    assert http.get(address).status_code == 200
    assert http.get(address, headers={"Authorization": "Bearer hf_bob"}).status_code == 400
    assert http.get(address.partition("?")[0]).status_code == 403


def test_an_absent_file_is_remembered_as_absent(hub, client):
    answer = client(
        hub,
        """
        from huggingface_hub import hf_hub_download, try_to_load_from_cache
        from huggingface_hub.errors import RemoteEntryNotFoundError
        try:
            hf_hub_download("acme/tiny-llama", "absent.json")
        except RemoteEntryNotFoundError:
            answer = type(try_to_load_from_cache("acme/tiny-llama", "absent.json")).__name__
        """,
    )

    assert answer == "object"  # what huggingface_hub returns for "known not to exist"


@pytest.mark.parametrize("path", [WEIGHTS, "/acme/tiny-llama/resolve/main/tokenizer.json"])
@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=7-99", 7, 100),
        ("bytes=5000-", 5000, None),
        ("bytes=-10", -10, None),
        ("bytes=5900-999999999", 5900, None),
    ],
)
def test_a_range_is_exact(http, sample_root, path, asked, start, end):
    content = (sample_root / "models" / "acme" / "tiny-llama" / path.split("/")[-1]).read_bytes()

    answer = http.get(path, headers={"Range": asked}, follow_redirects=True)

    first = start % len(content)
    assert answer.status_code == 206
    assert answer.content == content[start:end]
    last = first + len(answer.content) - 1
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(content)}"
    assert answer.headers["content-length"] == str(len(answer.content))


def test_a_range_behind_the_end_is_refused_with_the_size(http):
    answer = http.get(WEIGHTS, headers={"Range": "bytes=109680-"}, follow_redirects=True)

    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */109680"


def test_a_range_of_another_version_gets_the_whole_file(http):
    headers = {"Range": "bytes=5-9", "If-Range": '"another"'}

    answer = http.get(WEIGHTS, headers=headers, follow_redirects=True)

    assert answer.status_code == 200
    assert len(answer.content) == 109_680


def test_a_head_tells_what_a_get_would_send(hub, http):
    path = "/acme/tiny-llama/resolve/main/tokenizer.json"

    head, whole = http.head(path), http.get(path)

    assert head.content == b""
    assert head.headers["content-length"] == str(len(whole.content))
    assert "content-encoding" not in whole.headers
    assert [request.sent for request in hub.requests] == [0, len(whole.content)]


def test_an_edited_file_is_a_new_commit(own_hub):
    folder = own_hub.root / "models" / "acme" / "edited"
    folder.mkdir(parents=True)

    def answer(content):
        (folder / "config.json").write_text(content)
        return httpx2.get(f"{own_hub.url}/acme/edited/resolve/main/config.json")

    before, after, back = (answer(content) for content in ("{}", '{"a": 1}', "{}"))

    assert before.headers["etag"] == '"9e26dfeeb6e641a33dae4961196235bdb965b21b"'  # git's own
    assert before.headers["x-repo-commit"] != after.headers["x-repo-commit"]
    assert before.headers["x-repo-commit"] == back.headers["x-repo-commit"]
