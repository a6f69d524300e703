"""What this machine has: the Hub's cache, folders, adapters and GGUF files."""

import json

import pytest

from sft_tui.core.hub import local
from tests.loopback_hub import samples

COMMIT = "a" * 40


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))

    def put(name, files, ref="main", commit=COMMIT):
        folder = tmp_path / "hub" / f"models--{'--'.join(name.split('/'))}"
        place = folder / "snapshots" / commit
        place.mkdir(parents=True)
        for path, content in files.items():
            (place / path).write_bytes(content if isinstance(content, bytes) else content.encode())
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / ref).write_text(commit)
        return place

    return put


WEIGHTS = samples.safetensors_bytes({"w": (4, 8)})
WHOLE = {"config.json": "{}", "model.safetensors": WEIGHTS}


def test_cached_models_are_listed_with_what_they_lack(cache):
    cache("a/whole", WHOLE)
    cache("a/tokenizer-only", {"config.json": "{}", "tokenizer.json": "{}"})
    cache("a/old", {"config.json": "{}", "pytorch_model.bin": "x"})
    shards = {f"model-0000{n}-of-00003.safetensors": WEIGHTS for n in (1, 3)}
    cache("a/partial", {"config.json": "{}", **shards})
    cache("b/adapter", {"adapter_config.json": json.dumps({"base_model_name_or_path": "a/whole"})})
    found = {model.name: model for model in local.cached()}
    assert {name: model.not_trainable for name, model in found.items()} == {
        "a/whole": None,
        "a/tokenizer-only": "only some files are here",
        "a/old": "no safetensors, only pytorch_model.bin",
        "a/partial": "2 of 3 weight files",
        "b/adapter": None,
    }
    assert found["a/whole"].size_bytes == len(WEIGHTS) + 2
    assert (found["b/adapter"].kind, found["b/adapter"].base) == ("adapter", "a/whole")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (WEIGHTS[:-1], f"it has {len(WEIGHTS) - 1:,} bytes, and its header names {len(WEIGHTS):,}"),
        (WEIGHTS + b"x", f"it has {len(WEIGHTS) + 1:,} bytes, and its header names"),
        (WEIGHTS[:20], "it ends within its header"),
        (b"", "it ends before its header"),
        (b"x" * 100, "no safetensors"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "is a Git LFS pointer"),
    ],
)
def test_a_weight_file_that_is_cut_off_is_not_whole(cache, content, why):
    place = cache("a/cut", {**WHOLE, "model.safetensors": content})
    (model,) = local.cached()
    assert model.not_trainable == local.why_unusable(place)
    assert str(model.not_trainable).startswith("model.safetensors is damaged: ")
    assert why in str(model.not_trainable)


def test_a_revision_is_found_by_name_and_by_commit(cache):
    place = cache("a/b", WHOLE, ref="v1.0")
    assert local.snapshot("a/b", "v1.0") == local.snapshot("a/b", COMMIT) == place
    assert local.snapshot("a/b") is None and local.snapshot("a/none") is None
    assert local.id_of(place) == "a/b" and local.id_of(place.parent) is None


@pytest.mark.parametrize("ref", ["../../../../etc", "x\n", "", "\0", "b" * 40])
def test_a_damaged_reference_leads_nowhere(cache, tmp_path, ref):
    cache("a/b", WHOLE)
    (tmp_path / "hub" / "models--a--b" / "refs" / "main").write_text(ref)
    assert local.snapshot("a/b") is None
    (model,) = local.cached()
    assert "refs/main is damaged: `sft-tui download a/b`" in str(model.not_trainable)


def test_folders_adapters_and_gguf_files_are_found_in_a_folder(tmp_path):
    for name, files in {
        "model": WHOLE,
        "adapter": {"adapter_config.json": '{"base_model_name_or_path": "a/b"}'},
        "broken": {"adapter_config.json": "{"},
        "other": {"notes.txt": "x"},
    }.items():
        (tmp_path / name).mkdir()
        for path, content in files.items():
            place = tmp_path / name / path
            place.write_bytes(content if isinstance(content, bytes) else content.encode())
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    found = {(m.kind, m.folder.name, m.base) for m in local.in_folder(tmp_path)}
    assert found == {
        ("gguf", tmp_path.name, None),
        ("folder", "model", None),
        ("adapter", "adapter", "a/b"),
        ("adapter", "broken", None),
    }


def test_a_cache_that_is_not_there_is_empty(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    assert local.cached() == [] and local.incomplete() == []
