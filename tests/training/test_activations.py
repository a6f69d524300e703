"""What a layer is said to keep is what autograd keeps, counted by its own hooks."""

import pytest
import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from sft_tui.core import activations
from sft_tui.core.config import MethodConfig
from sft_tui.core.lora_targets import adapted
from sft_tui.core.model_facts import read_local
from sft_tui.core.training.fused_lora import fuse
from sft_tui.core.training.method import attach_lora
from sft_tui.core.training.model import DTYPES

ROWS, LENGTH, LAYERS, RANK = 2, 96, 6, 8
SIZES = {
    "vocab_size": 96,
    "hidden_size": 128,
    "intermediate_size": 320,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GROUPED = {**SIZES, "num_key_value_heads": 2}
GPT2 = {"vocab_size": 96, "n_embd": 128, "n_layer": LAYERS, "n_head": 4, "bos_token_id": 1,
        "eos_token_id": 2}  # fmt: skip
QUIET = {"attn_pdrop": 0.0, "resid_pdrop": 0.0, "embd_pdrop": 0.0}
PROJECTIONS = ["*_proj"]
MODELS = {
    "llama": (lambda: LlamaForCausalLM(LlamaConfig(**GROUPED)), PROJECTIONS),
    "qwen3": (lambda: Qwen3ForCausalLM(Qwen3Config(**GROUPED, head_dim=48)), PROJECTIONS),
    "gemma3": (lambda: Gemma3ForCausalLM(Gemma3TextConfig(**GROUPED, head_dim=32)), PROJECTIONS),
    "phi3": (lambda: Phi3ForCausalLM(Phi3Config(**GROUPED)), PROJECTIONS),
    "mixtral": (
        lambda: MixtralForCausalLM(MixtralConfig(**GROUPED, num_local_experts=4)),
        PROJECTIONS,
    ),
    "neox": (
        lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**SIZES)),
        ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"],
    ),
    "gpt2": (lambda: GPT2LMHeadModel(GPT2Config(**GPT2, **QUIET)), ["c_attn", "c_fc", "c_proj"]),
    "gpt2-dropout": (lambda: GPT2LMHeadModel(GPT2Config(**GPT2)), ["c_attn", "c_fc", "c_proj"]),
}


def kept_by_autograd(model, mask) -> int:
    """Returns the bytes of all storages that the decoder's forward pass saves, each once."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)  # alive, so no address returns
        return tensor

    ids = torch.randint(3, 96, mask.shape)
    base = model.base_model.model
    decoder = getattr(base, base.base_model_prefix)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        decoder(input_ids=ids, attention_mask=mask, use_cache=False)
    return sum(size for size, _ in kept.values())


def compared(kind, folder, *, precision="bf16", padded=False, eager=False, dropout=0.0,
             targets=None, fused=False):  # fmt: skip
    """Returns the bytes by the formulas and by autograd, of all layers of a model."""
    make, usual = MODELS[kind]
    method = MethodConfig(rank=RANK, dropout=dropout, target_modules=targets or usual)
    base = make().to(DTYPES[precision])
    base.save_pretrained(folder)
    if eager:
        base.set_attn_implementation("eager")
    facts = read_local(folder)
    mask = torch.ones(ROWS, LENGTH, dtype=torch.long)
    if padded:
        mask[1, LENGTH // 2 :] = 0
    model = attach_lora(base, method).train()
    if fused:
        assert fuse(model).startswith("on")
    measured = kept_by_autograd(model, mask)
    shapes = activations.shapes(facts)
    assert not isinstance(shapes, str)
    settings = activations.Settings(
        wide=2 if precision == "bf16" else 4,
        length=LENGTH,
        padded=padded,
        eager=eager,
        rank=RANK,
        dropout=dropout,
        full=False,
        fused=fused,
        on_cpu=True,
    )
    per_token = activations.kept_per_token(shapes, adapted(facts, method), settings)
    per_token += activations.probabilities_per_token(shapes, settings)
    return per_token * ROWS * LENGTH * LAYERS, measured


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("kind", MODELS)
def test_what_layers_keep_is_what_autograd_saves(kind, precision, tmp_path):
    told, measured = compared(kind, tmp_path, precision=precision)
    assert told == pytest.approx(measured, rel=0.06)


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("kind", [kind for kind in MODELS if kind != "mixtral"])
def test_fused_adapters_keep_less_and_as_much_as_is_told(kind, precision, tmp_path):
    told, measured = compared(kind, tmp_path, precision=precision, fused=True)
    assert told == pytest.approx(measured, rel=0.06)


@pytest.mark.parametrize(
    "changed",
    [
        {"padded": True},
        {"eager": True},
        {"dropout": 0.1},
        {"targets": ["q_proj"]},
        {"targets": ["*.mlp.*"]},
    ],
    ids=str,
)
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_padding_attention_dropout_and_targets_change_it_as_autograd_does(
    precision, changed, tmp_path
):
    told, measured = compared("llama", tmp_path, precision=precision, **changed)
    assert told == pytest.approx(measured, rel=0.06)
