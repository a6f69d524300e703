"""Attention over packed rows: every row as if it were alone, forward and backward."""

import math
from itertools import pairwise

import pytest
import torch

from sft_tui.core.training import attention, attention_blocks, attention_cpu, attention_flex

SEGMENTS = [(0, 20, 0, 0), (20, 30, 0, 20), (50, 1, 0, 20), (51, 549, 0, 0), (600, 300, 51, 549)]
"""A beginning with two branches, and a long one with one; more queries than a block holds."""


def drawn(heads: int, keys: int, dtype: torch.dtype, size: int = 16) -> list[torch.Tensor]:
    torch.manual_seed(0)
    counts = (heads, keys, keys)
    made = [torch.randn(1, 900, n, size).transpose(1, 2).to(dtype) for n in counts]
    return [tensor.requires_grad_() for tensor in made]


def by_hand(query, key, value, scale, window, softcap=None):
    """Each position's sight, taken from the ranges one by one, in double precision."""
    sees = torch.zeros(900, 900, dtype=torch.bool)
    for start, length, begin, shared in SEGMENTS:
        for n in range(length):
            seen = [*range(begin, begin + shared), *range(start, start + n + 1)]
            sees[start + n, seen[-window:] if window else seen] = True
    groups = query.shape[1] // key.shape[1]
    key, value = (x.double().repeat_interleave(groups, 1) for x in (key, value))
    products = query.double() @ key.transpose(2, 3) * scale
    if softcap:
        products = softcap * torch.tanh(products / softcap)
    return products.masked_fill(~sees, -math.inf).softmax(-1) @ value


def off(found, expected) -> list[float]:
    pairs = zip(found, expected, strict=True)
    return [float((a.double() - b).norm() / b.norm()) for a, b in pairs]


@pytest.mark.parametrize("window", [0, 7, 300])
@pytest.mark.parametrize(
    ("dtype", "limit"), [(torch.float32, 1e-6), (torch.bfloat16, 6e-3)], ids=["fp32", "bf16"]
)
def test_a_row_sees_its_beginning_and_itself(dtype, limit, window):
    given = drawn(4, 2, dtype)
    grad = torch.randn(1, 4, 900, 16).to(dtype)
    mask = attention.segments_mask(SEGMENTS)
    ours, _ = attention_cpu.attention(*given, mask, 0.25, window)
    exact = [tensor.detach().double().requires_grad_() for tensor in given]
    theirs = by_hand(*exact, 0.25, window)

    found = (ours, *torch.autograd.grad(ours, given, grad))
    expected = (theirs, *torch.autograd.grad(theirs, exact, grad.double()))

    assert max(off(found, expected)) < limit


@pytest.mark.parametrize("window", [0, 25])
def test_rows_of_like_size_give_the_gradients_that_each_gives_alone(window, monkeypatch):
    lengths = [33, 64, 40, 50, 31, 30, 61]
    ranges = tuple((sum(lengths[:n]), length, 0, 0) for n, length in enumerate(lengths))
    torch.manual_seed(0)
    given = [torch.randn(1, n, sum(lengths), 16, requires_grad=True) for n in (4, 2, 2)]
    grad = torch.randn(1, 4, sum(lengths), 16)
    found: list[tuple[torch.Tensor, ...]] = []
    for at_once, groups in ((attention_blocks._AT_ONCE, 2), (1, len(lengths))):
        monkeypatch.setattr(attention_blocks, "_AT_ONCE", at_once)
        attention_blocks.groups.cache_clear()
        assert len(attention_blocks.groups(ranges, 4, 2, window)[0]) == groups
        ours, _ = attention_cpu.attention(
            *given, attention.segments_mask(list(ranges)), 0.25, window
        )
        found.append(torch.autograd.grad(ours, given, grad))
    attention_blocks.groups.cache_clear()

    assert max(off(*found)) < 1e-6


@pytest.mark.parametrize("softcap", [None, 0.8])
def test_other_devices_and_caps_take_torchs_attention_range_by_range(softcap):
    given = [tensor.detach().double().requires_grad_() for tensor in drawn(4, 2, torch.float32)]
    mask = attention.segments_mask(SEGMENTS)
    module = torch.nn.Module()
    ours, _ = attention.attend(
        module, *given, mask, scaling=0.25, sliding_window=300, softcap=softcap
    )
    theirs = by_hand(*given, 0.25, 300, softcap).transpose(1, 2)

    assert max(off([ours], [theirs])) < 1e-6


@pytest.mark.parametrize("softcap", [None, 0.8])
@pytest.mark.parametrize("window", [0, 7, 300])
def test_flex_attention_sees_the_same(window, softcap):
    """Forward, as torch has no way back for it on a CPU."""
    given = [tensor.detach() for tensor in drawn(4, 2, torch.float32)]
    mask = attention.segments_mask(SEGMENTS)
    ours = attention_flex.attention(*given, mask, 0.25, window, softcap)

    assert max(off([ours], [by_hand(*given, 0.25, window, softcap)])) < 1e-6


@pytest.mark.parametrize("asked", [{"s_aux": torch.ones(4)}, {"is_causal": False}])
def test_what_is_not_honoured_is_refused(asked):
    with pytest.raises(NotImplementedError):
        attention.attend(
            torch.nn.Module(),
            *drawn(4, 2, torch.float32),
            attention.segments_mask(SEGMENTS),
            **asked,
        )


def test_the_operator_is_sound_for_compiled_layers():
    """Its shapes without data, its gradient and its schema, as torch checks them."""
    torch.manual_seed(0)
    given = [torch.randn(1, n, 12, 8, requires_grad=True) for n in (4, 2, 2)]
    mask = attention.segments_mask([(0, 5, 0, 0), (5, 3, 0, 5), (8, 4, 0, 5)])
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(attention_cpu.attention, (*given, mask, 0.3, 0), test_utils=tests)


def test_ranges_cover_the_sequence():
    assert SEGMENTS[0][0] == 0 and sum(SEGMENTS[-1][:2]) == 900
    assert all(sum(a[:2]) == b[0] for a, b in pairwise(SEGMENTS))
