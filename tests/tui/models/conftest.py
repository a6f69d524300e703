"""A Hub of the test's own for the screen of models, its cache, and models in all sizes."""

import json
import math
import shutil
from pathlib import Path

import pytest

from sft_tui.core.hub import client as hub_client
from tests.loopback_hub import LoopbackHub, samples

TOKENS = {"hf_canary0123456789": "carol"}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The current folder, and a Hub's cache, both empty."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(tmp_path / "hf" / "stored_tokens"))
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def hub(folder, tmp_path, monkeypatch):
    """An empty Hub that this process and its children know."""
    from huggingface_hub import constants, hf_api

    root = tmp_path / "hub"
    root.mkdir()
    with LoopbackHub(root, TOKENS) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(hf_api.api, "endpoint", running.url)
        yield running


@pytest.fixture
def impatient(monkeypatch):
    """Waits a second where a user waits ten."""
    monkeypatch.setattr(hub_client, "READ_S", 1.0)
    monkeypatch.setattr(hub_client, "WHOLE_S", 1.5)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """The files of a model that can be trained."""
    place = tmp_path_factory.mktemp("tiny") / "model"
    samples.save_model(place)
    return place


@pytest.fixture
def cached(folder, tiny, tmp_path):
    """Puts models into the Hub's cache, as downloads would."""

    def put(*names: str, without: str = "") -> None:
        for name in names:
            place = tmp_path / "hf" / "hub" / f"models--{name.replace('/', '--')}"
            shutil.copytree(tiny, place / "snapshots" / COMMIT)
            if without:
                (place / "snapshots" / COMMIT / without).unlink()
            (place / "refs").mkdir()
            (place / "refs" / "main").write_text(COMMIT)

    return put


@pytest.fixture
def on_hub(hub, tiny):
    """Puts models that can be trained on the Hub."""

    def put(*names: str, **facts) -> None:
        for name in names:
            facts = {"pipeline_tag": "text-generation", "tags": ["license:mit"], **facts}
            shutil.copytree(tiny, samples.repository(hub.root, "models", name, {}, **facts),
                            dirs_exist_ok=True)  # fmt: skip

    return put


@pytest.fixture
def many(hub):
    """Puts a number of models on the Hub that hold nearly nothing."""

    def put(count: int, name: str = "acme/smollm-{:04}") -> None:
        weights = samples.safetensors_bytes({"w": (2, 2)})
        for number in range(count):
            samples.repository(
                hub.root, "models", name.format(number), {"model.safetensors": weights},
                pipeline_tag="text-generation", downloads=count - number,
            )  # fmt: skip

    return put


@pytest.fixture
def headers_only(hub):
    """Puts a model on the Hub whose headers say more than its file holds."""

    def put(name: str, hidden: int, layers: int, **facts) -> None:
        config = {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden,
            "intermediate_size": 4 * hidden, "num_hidden_layers": layers,
            "num_attention_heads": hidden // 64, "num_key_value_heads": hidden // 64,
            "vocab_size": 32000, "max_position_embeddings": 4096, "tie_word_embeddings": True,
            "hidden_act": "silu",
        }  # fmt: skip
        shapes = {"model.embed_tokens.weight": (32000, hidden), "model.norm.weight": (hidden,)}
        for layer in range(layers):
            stem = f"model.layers.{layer}."
            for part in "qkvo":
                shapes[f"{stem}self_attn.{part}_proj.weight"] = (hidden, hidden)
            shapes[f"{stem}mlp.gate_proj.weight"] = (4 * hidden, hidden)
            shapes[f"{stem}mlp.up_proj.weight"] = (4 * hidden, hidden)
            shapes[f"{stem}mlp.down_proj.weight"] = (hidden, 4 * hidden)
            for norm in ("input_layernorm", "post_attention_layernorm"):
                shapes[f"{stem}{norm}.weight"] = (hidden,)
        place = samples.repository(
            hub.root, "models", name, {"config.json": json.dumps(config)},
            pipeline_tag="text-generation", **facts,
        )  # fmt: skip
        header, end = {}, 0
        for tensor, shape in shapes.items():
            begin, end = end, end + 2 * math.prod(shape)
            header[tensor] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
        raw = json.dumps(header).encode()
        (place / "model.safetensors").write_bytes(len(raw).to_bytes(8, "little") + raw)

    return put


@pytest.fixture
def models(drive):
    """Runs a scenario on the step Model, once this machine was looked through."""

    def run(scenario, size=(120, 36), **options) -> None:
        async def whole(eyes) -> None:
            await eyes.press("2")
            await eyes.until(lambda: eyes.app.screen._scanned, why="a look through this machine")
            await eyes.pilot.pause()
            await scenario(eyes)

        drive(whole, size, **options)

    return run


def names(eyes) -> list[str]:
    """Returns the names that the table lists."""
    return [key.value for key in eyes.app.screen.table.rows]


async def search(eyes, words: str) -> None:
    await eyes.press("slash", *(_KEYS.get(letter, letter) for letter in words))


_KEYS = {"/": "slash", "-": "minus", ".": "full_stop", "_": "underscore", " ": "space",
         "~": "tilde"}  # fmt: skip


@pytest.fixture
def listed():
    return names


@pytest.fixture
def look_for():
    return search
