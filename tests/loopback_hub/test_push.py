"""Pushes by huggingface_hub, which land in the folder tree and come back as they were."""

import httpx2
import pytest

PUSH = """
import pathlib
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, snapshot_download
api, here = HfApi(), pathlib.Path("to-push")
(here / "sub").mkdir(parents=True)
(here / "README.md").write_text("---\\nlicense: mit\\n---\\nMine.\\n")
(here / "sub" / "small.txt").write_text("small")
(here / "empty.txt").write_text("")
(here / "model.safetensors").write_bytes(bytes(range(256)) * 300)
(here / "big.txt").write_text("big " * 2000)
url = api.create_repo("alice/pushed", private=True)
api.create_repo("alice/pushed", exist_ok=True)
first = api.upload_folder(repo_id="alice/pushed", folder_path=here)
again = api.upload_folder(repo_id="alice/pushed", folder_path=here)
second = api.create_commit("alice/pushed", commit_message="Change", parent_commit=first.oid,
    operations=[
        CommitOperationAdd("added.json", b"{}"),
        CommitOperationDelete("sub/small.txt"),
        CommitOperationDelete("empty.txt"),
    ],
)
folder = pathlib.Path(snapshot_download("alice/pushed"))
info = api.model_info("alice/pushed", files_metadata=True)
answer = {
    "url": url,
    "unchanged": again.oid == first.oid,
    "commits": [first.oid != second.oid, second.oid == info.sha, folder.name == info.sha],
    "lfs": sorted(sibling.rfilename for sibling in info.siblings if sibling.lfs),
    "back": sorted(
        str(p.relative_to(folder)) for p in folder.rglob("*")
        if p.is_file() and p.read_bytes() == (here / p.name).read_bytes()
    ) if (here / "added.json").write_text("{}") else None,
    "private": info.private,
}
"""


def test_what_is_pushed_comes_back_as_it_was(own_hub, client):
    answer = client(own_hub, PUSH, "hf_alice")

    assert answer == {
        "url": f"{own_hub.url}/alice/pushed",
        "unchanged": True,
        "commits": [True, True, True],
        "lfs": ["big.txt", "model.safetensors"],
        "back": ["README.md", "added.json", "big.txt", "model.safetensors"],
        "private": True,
    }
    pushed = own_hub.root / "models" / "alice" / "pushed"
    assert (pushed / "model.safetensors").read_bytes() == bytes(range(256)) * 300
    assert not (pushed / "sub" / "small.txt").exists()
    parts = [request for request in own_hub.requests if request.method == "PUT"]
    # One file of 8,000 bytes in one piece, and one of 76,800 in parts of 20,000.
    assert len(parts) == 1 + 4
    assert {request.account for request in parts} == {None}


def test_a_data_set_is_pushed_and_loaded_by_its_name(own_hub, client):
    answer = client(
        own_hub,
        """
        from datasets import Dataset, load_dataset
        Dataset.from_list([{"text": "one"}, {"text": "two"}]).push_to_hub("alice/data")
        answer = load_dataset("alice/data", split="train")["text"][:]
        """,
        "hf_alice",
    )

    assert answer == ["one", "two"]


def test_who_may_not_write_is_told_so(own_hub, client):
    script = """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError
    try:
        HfApi().create_repo("alice/other")
    except HfHubHTTPError as error:
        answer = error.response.status_code
    """

    outcomes = [client(own_hub, script, token) for token in (None, "hf_bob", "hf_reader")]

    assert outcomes == [401, 403, 403]
    assert not (own_hub.root / "models").exists()


@pytest.fixture
def alice(own_hub):
    """Plain HTTP with a token that may push to `alice/mine`."""
    own_hub.store.create("models", "alice/mine", private=False)
    headers = {"Authorization": "Bearer hf_alice"}
    with httpx2.Client(base_url=own_hub.url, headers=headers) as http:
        yield http


def test_a_commit_on_a_commit_of_the_past_is_refused(alice):
    lines = '{"key": "header", "value": {"summary": "x", "parentCommit": "%s"}}' % ("0" * 40)

    assert alice.post("/api/models/alice/mine/commit/main", content=lines).status_code == 412


@pytest.mark.parametrize("path", ["../other/x", "/etc/x", ".hub.json"])
def test_a_commit_cannot_leave_its_repository(alice, path):
    lines = (
        '{"key": "header", "value": {}}\n{"key": "file", "value": {"path": "%s", "content": ""}}'
    )

    answer = alice.post("/api/models/alice/mine/commit/main", content=lines % path)

    assert answer.status_code == 400


def test_an_object_that_is_not_what_its_name_says_is_refused(own_hub):
    answer = httpx2.put(f"{own_hub.cdn_url}/lfs/{'0' * 64}", content=b"other")

    assert answer.status_code == 400
    assert not list((own_hub.root / ".lfs").iterdir())
