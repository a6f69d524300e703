"""LoRA as one step gives what PEFT's own layers give, and leaves to PEFT what it does not serve."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers.pytorch_utils import Conv1D

from sft_tui.core.training.fused_lora import fuse


class Two(nn.Module):
    """A linear layer and GPT-2's kind of one."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(12, 20)
        self.second = Conv1D(8, 20)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.tanh(self.first(x)))


def adapted(dtype=torch.float32, **options):
    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["first", "second"], **options)
    model = get_peft_model(Two().to(dtype), config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.2)
    return model


def gradients(model, x):
    model.zero_grad()
    x = x.clone().requires_grad_()
    out = model(x)
    out.float().square().sum().backward()
    return [out, x.grad, *(p.grad.clone() for p in model.parameters() if p.requires_grad)]


def off(found, expected) -> float:
    pairs = zip(found, expected, strict=True)
    return max(float((a.float() - b.float()).norm() / b.float().norm()) for a, b in pairs)


@pytest.mark.parametrize(
    ("dtype", "limit"), [(torch.float32, 1e-6), (torch.bfloat16, 2e-2)], ids=["fp32", "bf16"]
)
def test_result_and_gradients_are_pefts(dtype, limit):
    model = adapted(dtype)
    x = torch.randn(3, 5, 12).to(dtype)
    plain = gradients(model, x)
    exact = gradients(adapted(torch.float32), x.float())

    assert fuse(model) == "on: 2 of 2 adapters"
    fused = gradients(model, x)

    assert off(fused, plain) < limit
    assert off(fused, exact) < 1.5 * off(plain, exact) + 1e-6, "rounds no worse than PEFT"
    assert [tensor.dtype for tensor in fused] == [tensor.dtype for tensor in plain]


def test_the_base_and_a_merged_model_answer_as_before():
    model = adapted()
    x = torch.randn(2, 12)
    tuned = model(x)
    with model.disable_adapter():
        base = model(x)
    fuse(model)
    with model.disable_adapter():
        assert torch.equal(model(x), base)
    model.merge_adapter()
    torch.testing.assert_close(model(x), tuned)


@pytest.mark.parametrize(
    ("options", "why"), [({"use_dora": True}, "DoRA"), ({"lora_dropout": 0.1}, "dropout")], ids=str
)
def test_what_it_does_not_serve_is_left_to_peft(options, why):
    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules=["first"], **options)
    assert fuse(get_peft_model(Two(), config)) == f"off: PEFT's own for {why}"


def test_a_trained_base_is_left_to_peft():
    model = adapted()
    model.base_model.model.first.base_layer.weight.requires_grad_(True)
    assert fuse(model) == "on: 1 of 2 adapters; PEFT's own for bases that are trained"
