"""Packed attention on a CPU: torch's flash kernel forward, matrix products backward.

Going back torch's flash kernel for CPUs is many times slower than forward. Here the
probabilities are computed again from the saved logarithms of their sums (Dao et al. 2022, the
backward pass), block by block of queries, with the products that CPUs are fastest at. As an
operator of its own it stays whole where layers are compiled.
"""

import math

import torch

from .attention_blocks import Group, groups, hidden_keys, sees, together

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


def serves(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> bool:
    """Returns whether these are what the operator computes."""
    return (
        query.device.type == "cpu"
        and query.dtype in (torch.bfloat16, torch.float32)
        and query.shape[0] == 1
        and query.shape[-1] == key.shape[-1] == value.shape[-1]
    )


@torch.library.custom_op("sft_tui::packed_attention", mutates_args=())
def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    segments: torch.Tensor,
    scale: float,
    window: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the attention of packed rows, (1, heads, length, dimension), and the logarithms.

    Args:
        query: (1, heads, length, dimension), bf16 or fp32.
        key: (1, key heads, length, dimension).
        value: As `key`.
        segments: As `attention.segments_mask` makes them.
        scale: Of the products.
        window: Keys that a query sees at most; 0 is all.

    Returns:
        The result and, (1, heads, length) fp32, the logarithm of each position's sum.
    """
    out = _beside(query)
    logs = query.new_empty(query.shape[:3], dtype=torch.float32)
    for start, lengths, begin, shared in together(segments.view(-1, 4).tolist()):
        length = sum(lengths)
        end = start + length
        keys = _seen(key, start, end, begin, shared)
        plain = not shared and (not window or length <= window)
        mask = None if plain else _added(lengths, shared, window, query.dtype)
        out[:, :, start:end], logs[:, :, start:end] = _flash(
            query[:, :, start:end],
            keys,
            _seen(value, start, end, begin, shared),
            0.0,
            plain,
            attn_mask=mask,
            scale=scale,
        )
    return out, logs


def _beside(each: torch.Tensor) -> torch.Tensor:
    """Returns an empty tensor as this one, with a position's heads beside each other in memory."""
    return each.new_empty(each.transpose(1, 2).shape).transpose(1, 2)


def _added(lengths: tuple[int, ...], shared: int, window: int, dtype: torch.dtype) -> torch.Tensor:
    """Returns (queries, keys) of what is added to products: -inf where a key is not seen."""
    length = sum(lengths)
    several = len(lengths) > 1  # and short, as masks that are kept have to be
    hidden = (
        hidden_keys(lengths, shared, window, 0) if several else ~sees(0, length, shared, window)
    )
    mask = torch.zeros(length, shared + length, dtype=dtype)
    mask[:, -hidden.shape[1] :].masked_fill_(hidden, float("-inf"))
    return mask


@attention.register_fake
def _(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    segments: torch.Tensor,
    scale: float,
    window: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    return _beside(query), query.new_empty(query.shape[:3], dtype=torch.float32)


@torch.library.custom_op("sft_tui::packed_attention_backward", mutates_args=())
def backward(
    grad: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    out: torch.Tensor,
    logs: torch.Tensor,
    segments: torch.Tensor,
    scale: float,
    window: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Returns the gradients of query, key and value, each of its shape."""
    heads, length, size = query.shape[1:]
    few = key.shape[1]
    ranges = tuple(map(tuple, segments.view(-1, 4).tolist()))
    found, twos = groups(ranges, heads, few, window)
    less = torch.exp2(-twos)
    grad, query = grad[0].transpose(0, 1), query[0].transpose(0, 1)
    weight = torch.linalg.vecdot(grad.float(), out[0].transpose(0, 1).float())
    logs = logs[0].T - twos * math.log(2)
    asks = _rows(_less(query, logs / scale), few)
    grads = _rows(_less(grad * less.to(grad.dtype).unsqueeze(2), weight * less), few)
    keys, values = (
        _rows(_ones(key[0].transpose(0, 1)), few),
        _rows(_ones(value[0].transpose(0, 1)), few),
    )
    of_query = query.new_empty(length * few + 1, heads // few * size)
    of_key = torch.zeros(few, length, size)
    of_value = torch.zeros(few, length, size)
    for group in found:
        parts_of = _gradients_of(
            asks[group.asks].view(-1, group.queries * heads // few, size + 2),
            keys[group.keys].view(-1, group.seen, size + 2),
            values[group.keys].view(-1, group.seen, size + 2),
            grads[group.asks].view(-1, group.queries * heads // few, size + 2),
            group,
            scale,
        )
        of_query.index_copy_(0, group.asks, parts_of[0].view(-1, heads // few * size))
        for total, parts in ((of_key, parts_of[1]), (of_value, parts_of[2])):
            for block, part in zip(group.blocks, parts.split(few), strict=True):
                own = block.last - block.start
                total[:, block.start : block.last] += part[:, -own:]
                if block.shared:
                    end = block.begin + block.shared
                    total[:, block.begin : end] += part[:, -own - block.shared : -own]
    return (
        of_query[:-1].view(1, length, heads, size).transpose(1, 2),
        of_key.to(key.dtype).unsqueeze(0),
        of_value.to(value.dtype).unsqueeze(0),
    )


def _rows(each: torch.Tensor, few: int) -> torch.Tensor:
    """Returns (length * few + 1, numbers of a key head's positions), the last row of zeros."""
    rows = each.view(each.shape[0] * few, -1)
    return torch.cat([rows, rows.new_zeros(1, rows.shape[1])])


@backward.register_fake
def _(
    grad: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    out: torch.Tensor,
    logs: torch.Tensor,
    segments: torch.Tensor,
    scale: float,
    window: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return (
        _beside(query),
        key.new_empty(key.shape),
        value.new_empty(value.shape),
    )


def _gradients_of(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    grad: torch.Tensor,
    group: Group,
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Returns the gradients that a group of blocks gives, for each block and key head.

    Query heads that share a key head are rows of one product.

    Args:
        query: (blocks * key heads, queries * heads of a key head, dimension + 2), of `_less`;
            `grad` as well.
        key: (blocks * key heads, keys, dimension + 2), of `_ones`; `value` as well.
        grad: Of the result.
        group: Says what is not seen.
        scale: Of the products.
    """
    shares = _product(query, key.transpose(1, 2), scale)
    shares.exp_()  # of what is not seen too: exp(-inf) is several times as slow
    each = shares.view(
        len(group.blocks), -1, group.queries, query.shape[1] // group.queries, group.seen
    )
    each[..., -group.hidden.shape[-1] :].masked_fill_(group.hidden, 0.0)
    change = torch.bmm(grad, value.transpose(1, 2)).mul_(shares)
    return (
        _product(change, key[..., :-2], scale),
        _product(change.transpose(1, 2), query[..., :-2], scale),
        torch.bmm(shares.transpose(1, 2), grad[..., :-2]),
    )


def _product(one: torch.Tensor, other: torch.Tensor, scale: float) -> torch.Tensor:
    """Returns their product times `scale`, which is taken before the result is rounded."""
    out = one.new_empty(one.shape[0], one.shape[1], other.shape[2])
    return out.baddbmm_(one, other, beta=0, alpha=scale)


def _less(rows: torch.Tensor, taken: torch.Tensor) -> torch.Tensor:
    """Returns rows whose product with `_ones` is less by what is taken, fp32, off each."""
    high = taken.to(rows.dtype)
    low = (taken - high).to(rows.dtype)
    return torch.cat([rows, -high.unsqueeze(-1), -low.unsqueeze(-1)], dim=-1)


def _ones(each: torch.Tensor) -> torch.Tensor:
    """Returns (heads, length, dimension + 2) with ones for what `_less` takes off."""
    return torch.cat([each, each.new_ones(1, 1, 1).expand(*each.shape[:2], 2)], dim=-1)


def _seen(each: torch.Tensor, start: int, end: int, begin: int, shared: int) -> torch.Tensor:
    """Returns the keys of a range and of the beginning before it; (..., length, dimension)."""
    own = each[..., start:end, :]
    return torch.cat([each[..., begin : begin + shared, :], own], dim=-2) if shared else own


def _setup(ctx: torch.autograd.function.FunctionCtx, inputs: object, output: object) -> None:
    query, key, value, segments, scale, window = inputs  # type: ignore[misc]
    out, logs = output  # type: ignore[misc]
    ctx.save_for_backward(query, key, value, out, logs, segments)
    ctx.scale, ctx.window = scale, window  # type: ignore[attr-defined]


def _gradients(ctx: object, grad: torch.Tensor, _: torch.Tensor) -> tuple[object, ...]:
    query, key, value, out, logs, segments = ctx.saved_tensors  # type: ignore[attr-defined]
    found = backward(grad, query, key, value, out, logs, segments, ctx.scale, ctx.window)  # type: ignore[attr-defined]
    return (*found, None, None, None)


attention.register_autograd(_gradients, setup_context=_setup)
