"""What huggingface_hub learns about repositories without downloading their files."""

from .samples import VOCABULARY


def test_a_list_is_read_page_by_page_in_the_order_asked_for(hub, client):
    answer = client(
        hub,
        """
        from huggingface_hub import HfApi
        models = HfApi().list_models(sort="downloads", expand=["downloads", "gated"])
        answer = [(model.id, model.downloads, model.gated) for model in models]
        """,
    )

    assert answer[:3] == [
        ["acme/tiny-llama", 9000, False],
        ["acme/gated-llama", 8000, "manual"],
        ["acme/tiny-qwen", 5000, False],
    ]
    assert len(answer) == 8
    assert [request.path for request in hub.requests] == ["/api/models"] * 2


def test_filters_are_the_servers_and_all_of_them_count(hub, client):
    answer = client(
        hub,
        """
        from huggingface_hub import HfApi
        api = HfApi()
        names = lambda **filters: [model.id for model in api.list_models(sort="likes", **filters)]
        answer = {
            "words": names(search="LLAMA acme"),
            "tags": names(filter=["safetensors", "llama"], gated=False),
            "author": names(author="alice"),
            "small": names(num_parameters="min:26K,max:27K"),
            "task": names(pipeline_tag="text-generation", filter="pytorch"),
            "limit": names(limit=2),
            "datasets": [d.id for d in api.list_datasets(search="chat", sort="downloads")],
        }
        """,
    )

    assert answer == {
        "words": ["acme/gated-llama", "acme/tiny-llama", "acme/sharded-llama"],
        "tags": ["acme/tiny-llama", "acme/sharded-llama"],
        "author": ["alice/tiny-adapter"],
        "small": ["acme/gated-llama", "acme/tiny-llama"],
        "task": ["acme/old-pickled"],
        "limit": ["acme/tiny-qwen", "acme/gated-llama"],
        "datasets": ["acme/chat", "acme/gated-chat"],
    }


def test_a_private_repository_is_listed_for_its_owner_alone(hub, http):
    def seen(token):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        rows = http.get("/api/models?search=private", headers=headers).json()
        return [row["id"] for row in rows]

    assert [seen(token) for token in (None, "hf_bob", "hf_alice")] == [
        [],
        [],
        ["alice/private-llama"],
    ]


def test_the_facts_of_a_model_come_from_its_files(hub, client):
    answer = client(
        hub,
        """
        from huggingface_hub import HfApi
        api = HfApi()
        info = api.model_info("acme/tiny-llama", expand=["safetensors", "config", "tags", "sha"])
        whole = api.model_info("acme/tiny-llama", files_metadata=True)
        metadata = api.get_safetensors_metadata("acme/tiny-llama")
        sharded = api.get_safetensors_metadata("acme/sharded-llama")
        one = api.get_sharded_safetensors_metadata("acme/sharded-llama")
        answer = {
            "parameters": info.safetensors.parameters,
            "counted": metadata.parameter_count,
            "sharded": [len(sharded.files_metadata), sharded.parameter_count, one.parameter_count],
            "config": info.config,
            "tags": info.tags,
            "same": info.sha == whole.sha,
            "licence": whole.card_data.license,
            "weights": [s.lfs.size == s.size for s in whole.siblings if s.lfs],
            "gguf": api.model_info("acme/tiny-gguf", expand=["gguf"]).gguf,
            "adapter": api.model_info("alice/tiny-adapter").config["peft"],
        }
        """,
    )

    assert answer["parameters"] == answer["counted"] == {"F32": 26_912}
    assert answer["sharded"][0] > 2
    assert answer["sharded"][1] == answer["sharded"][2]
    assert answer["config"]["architectures"] == ["LlamaForCausalLM"]
    assert "<|im_start|>" in answer["config"]["chat_template_jinja"]
    assert {"safetensors", "license:apache-2.0", "conversational"} <= {*answer["tags"]}
    assert answer["same"]
    assert answer["licence"] == "apache-2.0"
    assert answer["weights"] == [True]
    assert answer["gguf"] == {"total": VOCABULARY * 32, "architecture": "llama"}
    assert answer["adapter"]["base_model_name_or_path"] == "acme/tiny-llama"


def test_a_broken_weights_file_costs_its_facts_alone(own_hub, http):
    folder = own_hub.root / "models" / "acme" / "broken"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"\xff" * 40)

    row = http.get(f"{own_hub.url}/api/models/acme/broken").json()

    assert "safetensors" not in row
    assert row["tags"] == ["safetensors"]


def test_an_unknown_property_is_refused(http):
    assert http.get("/api/models?expand=weight").status_code == 400


def test_a_tree_is_listed_by_folder_or_as_a_whole(hub, client):
    answer = client(
        hub,
        """
        from huggingface_hub import HfApi
        from huggingface_hub.errors import RemoteEntryNotFoundError
        api, where = HfApi(), {"repo_id": "acme/configured", "repo_type": "dataset"}
        def paths(**options):
            return sorted(entry.path for entry in api.list_repo_tree(**where, **options))
        try:
            missing = paths(path_in_repo="absent")
        except RemoteEntryNotFoundError:
            missing = "EntryNotFound"
        infos = api.get_paths_info(**where, paths=["english", "README.md", "no"], expand=True)
        answer = {
            "top": paths(),
            "folder": paths(path_in_repo="english"),
            "whole": len(paths(recursive=True)),
            "missing": missing,
            "infos": [[type(info).__name__, info.path] for info in infos],
            "branches": [ref.name for ref in api.list_repo_refs(**where).branches],
            "commits": len(api.list_repo_commits(**where)),
        }
        """,
    )

    assert answer == {
        "top": ["README.md", "english", "german"],
        "folder": [
            "english/test.parquet",
            "english/train-00000.parquet",
            "english/train-00001.parquet",
        ],
        "whole": 7,
        "missing": "EntryNotFound",
        "infos": [["RepoFolder", "english"], ["RepoFile", "README.md"]],
        "branches": ["main"],
        "commits": 1,
    }


def test_a_revision_with_a_slash_is_one_part_of_the_path(own_hub, client):
    folder = own_hub.root / "models" / "acme" / "branched"
    (folder / ".revisions" / "feature%2Fnew").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / ".revisions" / "feature%2Fnew" / "config.json").write_text('{"new": true}')

    answer = client(
        own_hub,
        """
        from huggingface_hub import HfApi
        from huggingface_hub.errors import RevisionNotFoundError
        api = HfApi()
        new, main = (api.model_info("acme/branched", revision=r) for r in ("feature/new", "main"))
        try:
            api.model_info("acme/branched", revision="absent")
            absent = "found"
        except RevisionNotFoundError:
            absent = "RevisionNotFound"
        place = api.hf_hub_download("acme/branched", "config.json", revision="feature/new")
        answer = [new.sha != main.sha, absent, open(place).read()]
        """,
    )

    assert answer == [True, "RevisionNotFound", '{"new": true}']
