"""The loss that is trained equals torch's, computed in fp64, and keeps nothing as large."""

import pytest
import torch
import torch.nn.functional as F

from sft_tui.core.training.cross_entropy import summed_cross_entropy


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("dtype", "off"), [(torch.float32, 1e-6), (torch.bfloat16, 4e-3), (torch.float16, 5e-4)]
)
def test_sum_and_gradient_are_those_of_torch_in_fp64(dtype, off, weighted):
    torch.manual_seed(0)
    logits = (torch.randn(70, 20_000) * 4).to(dtype).requires_grad_()  # several blocks
    targets = torch.randint(20_000, (70,))
    weights = torch.rand(70) if weighted else None
    exact = logits.detach().double().requires_grad_()
    each = F.cross_entropy(exact, targets, reduction="none")
    wanted = (each if weights is None else each * weights).sum()

    before = logits.detach().clone()
    found = summed_cross_entropy(logits, targets, weights)
    (0.3 * found).backward()
    (0.3 * wanted).backward()

    assert found.dtype == torch.float32
    assert float(found.detach()) == pytest.approx(float(wanted.detach()), rel=1e-6)
    assert logits.grad.dtype == dtype
    assert (logits.grad.double() - exact.grad).norm() <= off * exact.grad.norm()
    assert torch.equal(logits.detach(), before), "the model may have kept them for its own way back"


def test_nothing_trained_is_a_loss_of_zero():
    logits = torch.randn(0, 50, requires_grad=True)
    loss = summed_cross_entropy(logits, torch.empty(0, dtype=torch.long), None)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert logits.grad.shape == (0, 50)
