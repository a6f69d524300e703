"""Gated and private repositories, and tokens, as exceptions of huggingface_hub."""

import pytest

SCRIPT = """
from huggingface_hub import HfApi
api = HfApi()
def outcome(call, *arguments, **options):
    try:
        call(*arguments, **options)
        return "ok"
    except Exception as error:
        return [type(error).__name__, error.response.status_code]
answer = {
    "gated info": outcome(api.model_info, "acme/gated-llama"),
    "gated file": outcome(api.hf_hub_download, "acme/gated-llama", "config.json"),
    "gated check": outcome(api.auth_check, "acme/gated-llama"),
    "private info": outcome(api.model_info, "alice/private-llama"),
    "absent": outcome(api.model_info, "alice/absent"),
    "bare name": outcome(api.hf_hub_download, "gpt2", "config.json"),
}
"""
NO_REPO = "RepositoryNotFoundError"


@pytest.mark.parametrize(
    ("token", "gated", "private", "absent"),
    [
        (None, ["GatedRepoError", 401], [NO_REPO, 401], [NO_REPO, 401]),
        ("hf_bob", ["GatedRepoError", 403], [NO_REPO, 404], [NO_REPO, 404]),
        ("hf_alice", ["GatedRepoError", 403], "ok", [NO_REPO, 404]),
    ],
)
def test_errors_are_those_of_the_account(hub, client, token, gated, private, absent):
    assert client(hub, SCRIPT, token) == {
        "gated info": "ok",
        "gated file": gated,
        "gated check": gated,
        "private info": private,
        "absent": absent,
        "bare name": absent,
    }


def test_an_account_that_was_let_in_reads_a_gated_repository(own_hub, client):
    folder = own_hub.root / "models" / "acme" / "gated"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / ".hub.json").write_text('{"gated": "auto", "accounts": ["bob"]}')

    script = """
    from huggingface_hub import HfApi
    api = HfApi()
    answer = [open(api.hf_hub_download("acme/gated", "config.json")).read(), api.whoami()["name"]]
    """

    assert client(own_hub, script, "hf_bob") == ["{}", "bob"]


def test_an_unknown_token_is_no_missing_repository(hub, client):
    script = """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
    try:
        HfApi().model_info("acme/tiny-llama")
    except HfHubHTTPError as error:
        answer = [isinstance(error, RepositoryNotFoundError), error.response.status_code]
    """

    assert client(hub, script, "hf_stranger") == [False, 401]
    assert hub.requests[-1].account == "?"
