"""Headers alone tell what an adapter reaches and how large it is; PEFT is the oracle."""

import json

import pytest
import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from sft_tui.core.config import MethodConfig
from sft_tui.core.errors import SftError
from sft_tui.core.lora_targets import (
    adapted,
    adapter_parameters,
    chosen_strictly,
    linear_layers,
    matches,
)
from sft_tui.core.model_facts import from_headers, read_header, read_local
from sft_tui.core.training.method import attach_lora

SIZES = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
MODELS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "llama-tied": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=True)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES, head_dim=24)),
    "gemma3": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**SIZES, head_dim=16)),
    "phi3": lambda: Phi3ForCausalLM(Phi3Config(**SIZES)),
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=96, n_embd=32, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=2)
    ),
    "mixtral": lambda: MixtralForCausalLM(MixtralConfig(**SIZES, num_local_experts=4)),
    "qwen2-moe": lambda: Qwen2MoeForCausalLM(
        Qwen2MoeConfig(**SIZES, **EXPERTS, shared_expert_intermediate_size=40)
    ),
}
ALL = {"gpt2": ["c_attn", "c_fc", "c_proj"]}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("targets", ["usual", "everything"])
def test_the_number_of_adapter_parameters_is_pefts(kind, targets, tmp_path):
    patterns = ["*"] if targets == "everything" else ALL.get(kind, ["*_proj"])
    method = MethodConfig(rank=4, target_modules=patterns)
    base = MODELS[kind]()
    base.save_pretrained(tmp_path)

    layers = adapted(read_local(tmp_path), method)

    model = attach_lora(base, method)
    reached = {name for name, module in model.named_modules() if hasattr(module, "base_layer")}
    assert {f"base_model.model.{layer.name}" for layer in layers} == reached
    assert adapter_parameters(layers, 4) == model.get_nb_trainable_parameters()[0] > 0


@pytest.mark.parametrize("kind", ["llama", "gpt2", "phi3"])
def test_inputs_and_outputs_are_those_of_the_modules(kind, tmp_path):
    base = MODELS[kind]()
    base.save_pretrained(tmp_path)
    modules = dict(base.named_modules())
    for layer in linear_layers(read_local(tmp_path)):
        with torch.no_grad():
            given = modules[layer.name](torch.zeros(1, layer.inputs))
        assert given.shape == (1, layer.outputs), layer.name


def llama_3_2_1b():
    """The shapes of Llama-3.2-1B's config.json, as a header would have them."""
    hidden, wide, keys, layers = 2048, 8192, 512, 16
    shapes = {
        "self_attn.q_proj": (hidden, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, hidden),
        "mlp.gate_proj": (wide, hidden),
        "mlp.up_proj": (wide, hidden),
        "mlp.down_proj": (hidden, wide),
    }
    header = {"model.embed_tokens.weight": {"dtype": "BF16", "shape": [128256, hidden]}}
    for layer in range(layers):
        for name, shape in shapes.items():
            header[f"model.layers.{layer}.{name}.weight"] = {"dtype": "BF16", "shape": [*shape]}
    config = {
        "hidden_size": hidden,
        "intermediate_size": wide,
        "num_hidden_layers": layers,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
        "tie_word_embeddings": True,
    }
    return header, config


def test_llama_3_2_1b_with_rank_16_has_11_272_192_adapter_parameters():
    facts = from_headers([llama_3_2_1b()[0]], llama_3_2_1b()[1], "Llama-3.2-1B")
    layers = adapted(facts, MethodConfig(rank=16, target_modules=["*_proj"]))
    assert adapter_parameters(layers, 16) == 11_272_192


@pytest.mark.parametrize("form", ["bitsandbytes", "gptq"])
def test_packed_weights_have_the_shapes_of_the_configuration(form):
    header, config = llama_3_2_1b()
    packed = {}
    for name, entry in header.items():
        out, inputs = entry["shape"]
        if not name.endswith("_proj.weight"):
            packed[name] = entry
        elif form == "gptq":  # eight 4-bit numbers in an int32
            packed[name.replace(".weight", ".qweight")] = {
                "dtype": "I32",
                "shape": [inputs // 8, out],
            }
            packed[name.replace(".weight", ".scales")] = {"dtype": "F16", "shape": [16, out]}
        else:
            packed[name] = {"dtype": "U8", "shape": [out * inputs // 2, 1]}
            packed[f"{name}.absmax"] = {"dtype": "U8", "shape": [out * inputs // 64]}
    facts = from_headers([packed], {**config, "quantization_config": {"bits": 4}}, "packed")
    layers = adapted(facts, MethodConfig(rank=16, target_modules=["*_proj"]))

    assert adapter_parameters(layers, 16) == 11_272_192


def test_patterns_that_name_nothing_reach_nothing(tmp_path):
    MODELS["llama"]().save_pretrained(tmp_path)
    facts = read_local(tmp_path)
    assert adapted(facts, MethodConfig(target_modules=["q_prj"])) == []
    left = MethodConfig(target_modules=["*_proj"], exclude_modules=["*.mlp.*", "model.layers.1.*"])
    names = sorted(layer.name for layer in adapted(facts, left))
    assert names == [f"model.layers.0.self_attn.{kind}_proj" for kind in "koqv"]


def test_names_of_old_gpt2_checkpoints_get_the_prefix_that_the_module_has(tmp_path):
    MODELS["gpt2"]().save_pretrained(tmp_path)
    header = read_header(tmp_path / "model.safetensors")
    old = {name.removeprefix("transformer."): entry for name, entry in header.items()}
    config = json.loads((tmp_path / "config.json").read_text())

    names = {layer.name for layer in linear_layers(from_headers([old], config, "old"))}

    assert names == {layer.name for layer in linear_layers(read_local(tmp_path))}
    assert "transformer.h.0.attn.c_attn" in names


@pytest.mark.parametrize(
    ("pattern", "hit"),
    [("q_proj", True), ("*_proj", True), ("*.q_proj", True), ("a.b.q_proj", True),
     ("b.q_proj", False), ("proj", False), ("a.*", True), ("a.b", False), ("a?b.q_proj", False)],
)  # fmt: skip
def test_a_pattern_is_a_last_part_or_a_whole_path(pattern, hit):
    assert matches(pattern, "a.b.q_proj") == hit


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("layers.1", "*.layers.1"),
        ("model.layer.*", "model.layers.*"),
        ("model.layers.0.MLP", "model.layers.0.mlp"),
        ("embed_token", "embed_tokens"),
    ],
)
def test_a_frozen_pattern_that_matches_nothing_is_told_what_is_written_like_it(wrong, near):
    layers = [f"model.layers.{number}{part}" for number in (0, 1) for part in ("", ".mlp")]
    names = ["model", "model.embed_tokens", "model.layers", *layers, "lm_head"]

    with pytest.raises(SftError, match="matches no module") as caught:
        chosen_strictly(names, [wrong], [], key="method.freeze")

    assert f"did you mean {near}" in caught.value.remedy
    assert caught.value.why == "the model has model, embed_tokens, layers, mlp, lm_head"
