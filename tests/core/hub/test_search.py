"""Lists of the Hub as the application reads them, and facts of one repository."""

import json

import pytest

from sft_tui.core import hub_fit
from sft_tui.core.config import RunConfig
from sft_tui.core.errors import SftError, UsageError
from sft_tui.core.hardware import Memory
from sft_tui.core.hub import facts, search
from sft_tui.core.hub.failures import HubError
from tests.loopback_hub import Fault, samples


def test_a_row_says_what_the_hub_says(hub, ask):
    weights = samples.safetensors_bytes({"a": (10, 4), "b": (60,)})
    samples.repository(
        hub.root, "models", "acme/one", {"model.safetensors": weights},
        pipeline_tag="text-generation", downloads=7, likes=3, gated="auto",
        tags=["license:apache-2.0"], lastModified="2026-01-02T03:04:05.000Z",
    )  # fmt: skip
    (row,) = ask(lambda client: search.models(client, "one")).rows
    assert (row.id, row.params, row.dtype, row.license) == ("acme/one", 100, "F32", "apache-2.0")
    assert (row.downloads, row.likes, row.gated, row.updated) == (7, 3, True, "2026-01-02")
    assert row.not_trainable is None


def test_what_cannot_be_trained_is_not_asked_for_and_says_why_where_it_is(hub, ask):
    for name, files, tags in [
        ("a/gguf", {"m.gguf": "x"}, ["gguf"]),
        ("a/bin", {"pytorch_model.bin": "x"}, []),
        ("a/good", {"model.safetensors": samples.safetensors_bytes({"w": (2, 2)})}, []),
    ]:
        samples.repository(
            hub.root, "models", name, files, pipeline_tag="text-generation", tags=tags
        )
    assert [r.id for r in ask(lambda client: search.models(client, "")).rows] == ["a/good"]
    every = search.Filters(every_kind=True)
    rows = ask(lambda client: search.models(client, "", every)).rows
    assert {row.id: row.not_trainable for row in rows} == {
        "a/gguf": "GGUF only", "a/bin": "no safetensors", "a/good": None,
    }  # fmt: skip


def test_filters_and_sort_are_the_hubs(hub, many, ask):
    many(5)
    samples.repository(
        hub.root, "models", "other/large",
        {"model.safetensors": samples.safetensors_bytes({"w": (100, 100)})},
        pipeline_tag="text-generation", likes=99, gated="manual", tags=["license:mit"],
    )  # fmt: skip

    def found(**asked):
        return [r.id for r in ask(lambda c: search.models(c, "", search.Filters(**asked))).rows]

    assert found(sort="likes")[0] == "other/large"
    assert "other/large" not in found(largest=100) and len(found(largest=100)) == 5
    assert found(gated=True) == ["other/large"] and len(found(gated=False)) == 5
    assert found(author="other") == ["other/large"]
    assert found(licence="apache-2.0") == [] and len(found(licence="mit")) == 6
    with pytest.raises(UsageError, match="sorted by size"):
        found(sort="size")


def test_pages_follow_each_other_without_gap_or_repeat(hub, many, ask):
    many(60)

    async def through(client):
        rows, page = [], await search.models(client, "smollm")
        rows += page.rows
        while page.next:
            page = await search.models(client, "smollm", page=page.next)
            rows += page.rows
        return rows

    rows = ask(through)
    assert [row.id for row in rows] == [f"acme/smollm-{number:04}" for number in range(60)]
    assert len(hub.requests) == 3


@pytest.mark.parametrize(
    "row",
    [
        {"id": 7}, [], None, {"id": "a/b", "tags": "x", "safetensors": [], "gated": None},
        {"id": "a/b", "safetensors": {"parameters": {"F32": "many"}}, "downloads": "x"},
        {"id": "a/b", "lastModified": 3, "pipeline_tag": {}, "library_name": []},
    ],
)  # fmt: skip
def test_a_row_of_another_form_is_left_out_or_unknown(hub, ask, row):
    hub.faults.append(Fault("status", "/api/models", status=200, body=json.dumps([row])))
    rows = ask(lambda client: search.models(client, "")).rows
    assert [(r.id, r.params, r.license, r.updated) for r in rows] in (
        [],
        [("a/b", None, None, None)],
    )


def test_data_sets_are_listed_with_size_and_licence(hub, ask):
    samples.repository(
        hub.root, "datasets", "acme/rows", {"train.jsonl": '{"text": "a"}\n'},
        tags=["license:mit", "size_categories:10K<n<100K", "format:json"], downloads=4,
    )  # fmt: skip
    (row,) = ask(lambda client: search.datasets(client, "rows")).rows
    assert (row.id, row.license, row.size, row.formats) == (
        "acme/rows", "mit", "10K<n<100K", ["json"],
    )  # fmt: skip


def test_facts_of_a_model_cost_two_small_requests(hub, ask):
    samples.model(hub.root, "acme/llama", "llama", head="license: mit")
    model = ask(lambda client: facts.model(client, "acme/llama"))
    assert model.config["architectures"] == ["LlamaForCausalLM"] and model.row.license == "mit"
    assert model.chat_template and model.remote_code == []
    assert len(model.repo.commit) == 40
    assert len(hub.requests) == 2 and sum(request.sent for request in hub.requests) < 20_000
    headers = ask(lambda client: facts.headers(client, model.repo))
    names = {name for header in headers.values() for name in header}
    assert "model.embed_tokens.weight" in names


def test_code_that_a_model_brings_is_named(hub, ask):
    config = {"auto_map": {"AutoModel": "modeling_x.X"}, "model_type": "x"}
    files = {"config.json": json.dumps(config), "modeling_x.py": "raise SystemExit"}
    samples.repository(hub.root, "models", "a/code", files)
    assert ask(lambda client: facts.model(client, "a/code")).remote_code == ["modeling_x.py"]


def test_an_adapter_names_its_base_without_a_card(hub, ask):
    config = {"base_model_name_or_path": "acme/base", "r": 4}
    samples.repository(hub.root, "models", "a/lora", {"adapter_config.json": json.dumps(config)})
    found = ask(lambda client: facts.model(client, "a/lora"))
    assert found.adapter and found.base_model == "acme/base" and found.config == {}


@pytest.mark.parametrize(
    "header", [b"", b"\0" * 8, b"\xff" * 8 + b"{}", b"\x02" + b"\0" * 7 + b"{]"]
)
def test_weights_that_are_none_are_refused(hub, ask, header):
    samples.repository(hub.root, "models", "a/bad", {"model.safetensors": header})

    async def read(client):
        found, _ = await facts.repo(client, "a/bad")
        return await facts.headers(client, found)

    with pytest.raises(SftError, match=r"a/bad/model.safetensors cannot be read"):
        ask(read)


@pytest.mark.parametrize(
    ("id", "token", "kind", "words"),
    [
        ("a/gated", None, "gated", "accept it, then give a token"),
        ("a/gated", "hf_alicetoken123", "gated", "open "),
        ("a/private", None, "missing", "no token is given"),
        ("a/none", "hf_alicetoken123", "missing", "this account may not see it"),
        ("a/open", None, None, ""),
        ("a/open@nowhere", None, "missing", "no such revision"),
    ],
)
def test_what_may_not_be_read_says_what_to_do(hub, ask, monkeypatch, id, token, kind, words):
    weights = {"model.safetensors": samples.safetensors_bytes({"w": (2, 2)}), "config.json": "{}"}
    samples.repository(hub.root, "models", "a/gated", weights, gated="manual")
    samples.repository(hub.root, "models", "a/private", weights, private=True)
    samples.repository(hub.root, "models", "a/open", weights)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    name, _, revision = id.partition("@")

    def read():
        return ask(lambda client: facts.model(client, name, revision=revision or "main"))

    if kind is None:
        assert read().repo.id == "a/open"
        return
    with pytest.raises(HubError) as caught:
        read()
    error = caught.value
    assert error.kind == kind and words in f"{error.what} {error.why} {error.remedy}"


@pytest.mark.parametrize(
    "id", ["", "../x", "a/b/c", "/etc/passwd", "a b", "a/../b", "-x/y", "a/b?c"]
)
def test_an_id_that_is_none_is_refused_before_anything_is_sent(hub, ask, id):
    with pytest.raises(UsageError, match="no name on the Hub"):
        ask(lambda client: facts.model(client, id))
    assert hub.requests == []


def test_listed_models_are_judged_from_headers_alone(hub, ask, monkeypatch):
    """U15"""
    samples.model(hub.root, "acme/llama", "llama")
    samples.repository(hub.root, "models", "a/gated", {"config.json": "{}"}, gated="auto")
    small = Memory("this host", 1 << 60, False)
    names = ["acme/llama", "a/gated", "a/none"]
    for memory, word in ((small, "fits"), (Memory("this host", 1 << 20, False), "over")):
        monkeypatch.setattr(hub_fit, "memories", lambda _, memory=memory: [memory])
        found = ask(lambda client: hub_fit.judge(client, names, RunConfig()))
        assert [found[name].word for name in names] == [word, "unknown", "unknown"]
        assert "gated" in found["a/gated"].why and "not on the Hub" in found["a/none"].why
    assert not any(request.sent > 200_000 for request in hub.requests)
