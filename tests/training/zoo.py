"""Small models of many architectures, built in code: two to four layers, seeded, fp32."""

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "initializer_range": 0.08,
}
QUIET = {"attn_pdrop": 0.0, "resid_pdrop": 0.0, "embd_pdrop": 0.0}
PROJECTIONS = ["*_proj"]

KINDS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "llama": ("llama", SIZES, PROJECTIONS),
    "qwen3": ("qwen3", SIZES, PROJECTIONS),
    # Tied, and every other layer sees a window shorter than most rows.
    "gemma3": (
        "gemma3_text",
        {
            **SIZES,
            "sliding_window": 6,
            "layer_types": ["sliding_attention", "full_attention"],
            "tie_word_embeddings": True,
            "query_pre_attn_scalar": 16,
        },
        PROJECTIONS,
    ),
    "gemma2": (
        "gemma2",
        {
            **SIZES,
            "sliding_window": 6,
            "attn_logit_softcapping": 0.5,
            "final_logit_softcapping": 1.5,
            "query_pre_attn_scalar": 16,
            "tie_word_embeddings": True,
        },
        PROJECTIONS,
    ),
    "gpt2": (
        "gpt2",
        {"n_embd": 64, "n_layer": 2, "n_head": 4, "initializer_range": 0.08, **QUIET},
        ["c_attn", "c_fc", "c_proj"],
    ),
    "mixtral": (
        "mixtral",
        {**SIZES, "num_local_experts": 4, "num_experts_per_tok": 2},
        PROJECTIONS,
    ),
    "qwen3_moe": (
        "qwen3_moe",
        {
            **SIZES,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 48,
            "decoder_sparse_step": 1,
        },
        PROJECTIONS,
    ),
    "qwen3_next": (
        "qwen3_next",
        {
            **SIZES,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 48,
            "shared_expert_intermediate_size": 48,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
            "linear_key_head_dim": 16,
            "linear_value_head_dim": 16,
            "layer_types": ["linear_attention", "full_attention"],
        },
        ["*_proj", "in_proj_qkvz"],
    ),
    "mamba2": (
        "mamba2",
        {
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_heads": 8,
            "head_dim": 16,
            "state_size": 16,
            "n_groups": 2,
            "chunk_size": 8,
            "initializer_range": 0.08,
        },
        ["in_proj"],
    ),
    "gpt_oss": (
        "gpt_oss",
        {
            **SIZES,
            "sliding_window": 6,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "layer_types": ["sliding_attention", "full_attention"],
        },
        PROJECTIONS,
    ),
    "opt": (
        "opt",
        {
            "hidden_size": 64,
            "word_embed_proj_dim": 64,
            "ffn_dim": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 512,
            "init_std": 0.08,
            "dropout": 0.0,
        },
        ["*_proj", "fc1", "fc2"],
    ),
    "bloom": (
        "bloom",
        {"hidden_size": 64, "n_layer": 2, "n_head": 4, "initializer_range": 0.08},
        ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"],
    ),
}
"""By name: the model type, its configuration, and the modules that get an adapter."""


SIX = ("llama", "qwen3", "gemma3", "gemma2", "gpt2", "mixtral")
"""One of each shape of a decoder that many models have."""


def build(kind: str, tokenizer: Any, **changes: Any) -> Any:
    """Returns a seeded model whose vocabulary is the tokenizer's; no id stands for padding."""
    model_type, settings, _ = KINDS[kind]
    config = AutoConfig.for_model(
        model_type,
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None,
        **{**settings, **changes},
    )
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)
