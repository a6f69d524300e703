"""Decides what is trained: an adapter beside a frozen base, or the base's own weights."""

from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers.pytorch_utils import Conv1D

from ..config import MethodConfig
from ..lora_targets import chosen_strictly
from .report import Report


def attach(base: Any, method: MethodConfig, report: Report) -> Any:
    """Returns the model to train: with an adapter, or itself, what is frozen marked as such.

    Raises:
        SftError: A pattern matches nothing; the message lists near misses.
    """
    if method.kind == "full":
        return unfreeze(base, method.freeze)
    model = attach_lora(base, method)
    if missed := unreached_experts(base, method):
        report.warn(
            "experts_not_trained",
            f"the experts of this model are fused into parameters, such as {missed[0]}, that "
            "method.target_modules does not reach",
            f"to train them as well, set method.target_parameters to [{', '.join(_ends(missed))}]",
        )
    return model


def unfreeze(base: Any, frozen: list[str]) -> Any:
    """Makes every weight trainable except those within modules that the patterns name.

    Raises:
        SftError: A pattern matches no module, or nothing is left to train.
    """
    names = [name for name, _ in base.named_modules() if name]
    base.requires_grad_(True)
    if frozen:
        for name in chosen_strictly(names, frozen, [], key="method.freeze"):
            base.get_submodule(name).requires_grad_(False)
    return base


def attach_lora(base: Any, method: MethodConfig) -> Any:
    """Freezes the base and attaches fp32 LoRA adapters to the modules that the patterns name.

    At the start the adapted model equals the base: B is zero, or what the start of A and B adds
    was taken from the weights (pissa, olora). The scale is alpha / rank, with rsLoRA
    alpha / sqrt(rank).

    Raises:
        SftError: A pattern matches no module.
    """
    names = match_modules(base, method.target_modules, method.exclude_modules)
    modules = dict(base.named_modules())
    adapter = LoraConfig(
        r=method.rank,
        lora_alpha=method.alpha,  # pyright: ignore[reportArgumentType] (a float works)
        lora_dropout=method.dropout,
        target_modules=names,
        target_parameters=_parameters(base, method.target_parameters) or None,
        use_rslora=method.rslora,
        use_dora=method.dora,
        init_lora_weights=True if method.init == "default" else method.init,
        # GPT-2's Conv1D keeps its weight transposed.
        fan_in_fan_out=all(isinstance(modules[name], Conv1D) for name in names),
        bias="none",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(base, adapter, autocast_adapter_dtype=True)


def match_modules(model: torch.nn.Module, targets: list[str], excluded: list[str]) -> list[str]:
    """Returns the full names of the linear modules that the patterns match.

    `lora_targets` has the rule.

    Raises:
        SftError: A pattern matches nothing; the message lists near misses.
    """
    names = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D)
    ]
    return chosen_strictly(names, targets, excluded)


def _parameters(model: torch.nn.Module, patterns: list[str]) -> list[str]:
    if not patterns:
        return []
    return chosen_strictly(_fused(model), patterns, [], key="method.target_parameters")


def _fused(model: torch.nn.Module) -> list[str]:
    """Returns the names of parameters that hold one matrix for each expert."""
    return [name for name, parameter in model.named_parameters() if parameter.dim() == 3]


def unreached_experts(model: torch.nn.Module, method: MethodConfig) -> list[str]:
    """Returns the fused parameters that get no adapter though modules beside them do."""
    reached = _parameters(model, method.target_parameters)
    return [
        name.replace(".base_layer", "")
        for name in _fused(model)
        if name not in reached and not name.startswith("lora_")
    ]


def _ends(names: list[str]) -> list[str]:
    """Returns the last parts of names, each once."""
    return list(dict.fromkeys(name.rpartition(".")[2] for name in names))


def count_parameters(model: Any) -> tuple[int, int]:
    """Returns how many parameters are trained, and how many there are; a 4-bit weight is one."""
    trained = total = 0
    for parameter in model.parameters():
        # bitsandbytes packs two weights into a byte.
        packed = getattr(parameter, "quant_state", None)
        count = packed.shape.numel() if packed is not None else parameter.numel()
        total += count
        trained += count if parameter.requires_grad else 0
    return trained, total
