"""MFU: operations that were needed, by what the devices can do; unknown on a CPU."""

import pytest
import torch

from sft_tui.core.training import utilisation
from sft_tui.core.training.utilisation import Utilisation


def test_it_is_not_known_on_a_cpu(make_llama, untied, ragged, configure, train):
    assert Utilisation(make_llama(), torch.device("cpu"), "bf16", 1).of(100, 100, 1.0) is None
    (step,) = train(configure(untied, ragged(4), "train.max_steps=1")).steps
    assert step.mfu is None


def test_neither_padding_nor_what_is_shared_counts(make_llama, monkeypatch):
    monkeypatch.setattr(utilisation, "peak_flops", lambda device, precision: 1e9)
    model = make_llama()
    total = sum(weight.numel() for weight in model.parameters())
    two = Utilisation(model, torch.device("cpu"), "bf16", 2)
    expected = 6 * total * 100 / 0.5 / 2e9  # all of its weights are trained
    assert two.of(100, 160, 0.5) == pytest.approx(expected)
    assert two.of(160, 100, 0.5) == pytest.approx(expected)
