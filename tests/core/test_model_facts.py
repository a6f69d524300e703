"""Facts of a model come from headers and config.json; what is malformed is refused in words."""

import json
import struct

import pytest

from sft_tui.core import demo
from sft_tui.core.config import ModelConfig
from sft_tui.core.errors import SftError
from sft_tui.core.model_facts import (
    facts_of,
    from_headers,
    read_header,
    read_local,
)
from sft_tui.core.safetensors_header import HEADER_LIMIT_BYTES, header_length, parse_header

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 8,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 32,
    "max_position_embeddings": 128,
    "tie_word_embeddings": False,
}
EMBEDDING = {"model.embed_tokens.weight": {"dtype": "BF16", "shape": [32, 8]}}
PROJECTION = {"model.layers.0.self_attn.q_proj.weight": {"dtype": "BF16", "shape": [8, 8]}}
NORM = {"model.norm.weight": {"dtype": "F32", "shape": [8]}}


def blob(header: object, length: int | None = None) -> bytes:
    """A safetensors file without its weights: nothing here may read them."""
    data = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(data) if length is None else length) + data


@pytest.fixture
def folder(tmp_path):
    """Writes a model folder: config.json and files of any content."""

    def write(files: dict[str, bytes | dict], config: object = CONFIG):
        (tmp_path / "config.json").write_text(
            config if isinstance(config, str) else json.dumps(config)
        )
        for name, content in files.items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            (tmp_path / name).write_bytes(data)
        return tmp_path

    return write


def test_one_file_tells_parameters_dtype_and_the_sizes_of_the_configuration(folder):
    header = {"__metadata__": {"format": "pt"}, **EMBEDDING, **PROJECTION, **NORM}

    facts = read_local(folder({"model.safetensors": blob(header)}))

    assert facts.parameters == 32 * 8 + 8 * 8 + 8
    assert facts.dtype == "BF16"
    assert (facts.architecture, facts.context) == ("LlamaForCausalLM", 128)
    assert (facts.hidden, facts.intermediate, facts.vocabulary) == (8, 24, 32)
    assert (facts.layers, facts.heads, facts.kv_heads, facts.head_dim) == (1, 2, 1, 4)
    assert not facts.tied
    assert {tensor.name: tensor.size_bytes for tensor in facts.tensors} == {
        "model.embed_tokens.weight": 512,
        "model.layers.0.self_attn.q_proj.weight": 128,
        "model.norm.weight": 32,
    }


def test_shards_are_read_as_the_index_names_them_and_other_files_are_not(folder):
    path = folder(
        {
            "model-00001-of-00002.safetensors": blob(EMBEDDING),
            "model-00002-of-00002.safetensors": blob(PROJECTION),
            "adapter_model.safetensors": blob({"lora": {"dtype": "F32", "shape": [999]}}),
            "model.safetensors.index.json": {
                "weight_map": {
                    "model.embed_tokens.weight": "model-00001-of-00002.safetensors",
                    "model.layers.0.self_attn.q_proj.weight": "model-00002-of-00002.safetensors",
                }
            },
        }
    )
    assert read_local(path).parameters == 32 * 8 + 8 * 8


def test_a_nested_text_configuration_is_the_one_that_counts():
    outer = {"architectures": ["Gemma3ForConditionalGeneration"], "text_config": CONFIG}

    facts = from_headers([EMBEDDING], outer, "test")

    assert facts.config == CONFIG
    assert (facts.hidden, facts.architecture) == (8, "Gemma3ForConditionalGeneration")


def test_gpt2s_own_names_of_the_sizes_are_known():
    config = {"n_embd": 8, "n_layer": 2, "n_head": 2, "n_inner": None, "n_positions": 64}

    facts = from_headers([EMBEDDING], config, "test")

    assert (facts.hidden, facts.layers, facts.heads, facts.intermediate) == (8, 2, 2, 32)
    assert (facts.kv_heads, facts.context) == (2, 64)


@pytest.mark.parametrize(
    ("said", "head_stored", "tied"),
    [(True, False, True), (False, True, False), (None, False, True), (None, True, False)],
)
def test_a_head_is_tied_as_the_configuration_says_else_when_none_is_stored(said, head_stored, tied):
    config = {key: value for key, value in CONFIG.items() if key != "tie_word_embeddings"}
    if said is not None:
        config["tie_word_embeddings"] = said
    head = {"lm_head.weight": {"dtype": "BF16", "shape": [32, 8]}} if head_stored else {}

    assert from_headers([{**EMBEDDING, **head}], config, "test").tied == tied


def test_what_the_configuration_does_not_tell_is_none_not_a_guess():
    facts = from_headers([EMBEDDING], {}, "test")
    assert facts.hidden is facts.layers is facts.vocabulary is facts.quantisation is None


def test_packed_weights_are_recognised_by_their_dtype():
    packed = {"model.layers.0.self_attn.q_proj.weight": {"dtype": "U8", "shape": [3200, 1]}}
    config = {**CONFIG, "quantization_config": {"quant_method": "bitsandbytes"}}

    facts = from_headers([EMBEDDING, packed], config, "test")

    assert facts.packed
    assert facts.quantisation == {"quant_method": "bitsandbytes"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "ends before its header"),
        (b"\x10\0\0", "ends before its header"),
        (blob({}, length=HEADER_LIMIT_BYTES + 1), "is the most"),
        (b"PK\x03\x04" + b"\xff" * 64, "no safetensors"),
        (blob({}, length=1), "no safetensors"),
        (blob(EMBEDDING)[:-5], "not whole"),
        (blob(b"\xff\xfe\x00 not text"), "no JSON object"),
        (blob(b"[" * 100_000), "no JSON object"),
        (blob([1, 2]), "no JSON object"),
        (blob({}), "names no tensor"),
        (blob({"__metadata__": {"format": "pt"}}), "names no tensor"),
        (blob({"a": 5}), "no dtype and shape"),
        (blob({"a": {"dtype": "F32"}}), "no dtype and shape"),
        (blob({"a": {"dtype": "F32", "shape": [2, -1]}}), "no dtype and shape"),
        (blob({"a": {"dtype": "F32", "shape": [True, 2.0]}}), "no dtype and shape"),
        (blob({"a": {"dtype": "F99", "shape": [2]}}), "F99"),
        (blob({"a\x1b[31m": {"dtype": "F99\x1b[31m", "shape": [2]}}), "F99, which"),
    ],
)
def test_a_malformed_file_is_refused_in_words(folder, content, why):
    with pytest.raises(SftError) as caught:
        read_local(folder({"model.safetensors": content}))
    assert why in caught.value.why
    assert caught.value.remedy
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("config", ["", "[]", "{", '"text"'])
def test_a_configuration_that_is_no_object_is_refused(folder, config):
    with pytest.raises(SftError, match=r"config\.json"):
        read_local(folder({"model.safetensors": blob(EMBEDDING)}, config))


@pytest.mark.parametrize(
    "index",
    [
        {},
        {"weight_map": []},
        {"weight_map": {"a": "../elsewhere.safetensors"}},
        {"weight_map": {"a": "/etc/passwd"}},
        {"weight_map": {"a": 7}},
    ],
)
def test_an_index_names_files_beside_it_or_is_refused(folder, index):
    with pytest.raises(SftError, match="weight_map"):
        read_local(folder({"model.safetensors.index.json": index}))


def test_a_shard_that_is_missing_is_named(folder):
    path = folder({"model.safetensors.index.json": {"weight_map": {"a": "gone.safetensors"}}})
    with pytest.raises(SftError, match=r"gone\.safetensors.*No such file"):
        read_local(path)


def test_the_header_is_all_that_is_read(folder, tmp_path):
    # The weights of a header may not be there at all.
    huge = {"a": {"dtype": "BF16", "shape": [100_000, 100_000], "data_offsets": [0, 2 * 10**10]}}
    assert read_local(folder({"model.safetensors": blob(huge)})).parameters == 10**10
    assert read_header(tmp_path / "model.safetensors") == huge


def test_a_reader_of_its_own_can_give_bytes():
    data = blob(EMBEDDING)
    length = header_length(data[:8], "remote")
    assert parse_header(data[8:], length, "remote") == EMBEDDING


def test_a_hub_id_without_a_hub_and_a_name_that_is_none_are_refused():
    for name, why in (("nobody/has-this-model", "not reachable"), ("no such name!", "no name")):
        with pytest.raises(SftError, match=why):
            facts_of(ModelConfig(name=name))


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(SftError, match="not a model"):
        facts_of(ModelConfig(name=str(tmp_path)))


def test_demo_is_read_from_its_converted_folder(folder, monkeypatch):
    path = folder({"model.safetensors": blob(EMBEDDING)})
    monkeypatch.setattr(demo, "converted_folder", lambda: path)
    assert facts_of(ModelConfig(name="demo")).parameters == 256
