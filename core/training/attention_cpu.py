"""Packed attention on a CPU: torch's flash kernel forward, matrix products backward.

Going back torch's flash kernel for CPUs is many times slower than forward. Here the
probabilities are computed again from the saved logarithms of their sums (Dao et al. 2022, the
backward pass), block by block of queries, with the products that CPUs are fastest at. As an
operator of its own it stays whole where layers are compiled.
"""

import functools
import math
from collections.abc import Iterator

import torch

_BLOCK = 256
"""Queries whose probabilities are held at once: they stay in the cache."""

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


def serves(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> bool:
    """Returns whether these are what the operator computes."""
    return (
        query.device.type == "cpu"
        and query.dtype in (torch.bfloat16, torch.float32)
        and query.shape[0] == 1
        and query.shape[-1] == key.shape[-1] == value.shape[-1]
    )


def sees(first: int, last: int, shared: int, window: int) -> torch.Tensor:
    """Returns (last - first, shared + last) bool: which keys the queries of a range see.

    Args:
        first: The first query, counted from the beginning of the range.
        last: Behind the last one.
        shared: Keys of a beginning that stand before those of the range.
        window: Keys that a query sees at most, itself included; 0 is all.
    """
    mask = torch.ones(last - first, shared + last, dtype=torch.bool).tril_(shared + first)
    return mask.triu_(shared + first - window + 1) if window else mask


@functools.lru_cache(maxsize=64)  # every layer asks for the same
def _hidden(lengths: tuple[int, ...], shared: int, window: int, first: int) -> torch.Tensor:
    """Returns (queries, last keys) bool: which keys a block of ranges does not see.

    Without a window all keys before those are seen.

    Args:
        lengths: Of the ranges behind one another; of a single one, where its block ends.
        shared: Keys of the beginning that all of them go on from.
        window: Keys that a query sees at most; 0 is all.
        first: The block's first query; 0 where there are several ranges.
    """
    if len(lengths) == 1:
        seen = sees(first, lengths[0], shared, window)
    else:
        each = [sees(0, length, shared, window) for length in lengths]
        own = torch.block_diag(*(mask[:, shared:] for mask in each)).bool()
        seen = torch.cat([torch.cat([mask[:, :shared] for mask in each]), own], dim=1)
    return ~(seen if window else seen[:, shared + first :])


@torch.library.custom_op("sft_tui::segment_attention", mutates_args=())
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
    out = query.new_empty(query.shape)
    logs = query.new_empty(query.shape[:3], dtype=torch.float32)
    for start, lengths, begin, shared in _together(segments):
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


def _added(lengths: tuple[int, ...], shared: int, window: int, dtype: torch.dtype) -> torch.Tensor:
    """Returns (queries, keys) of what is added to products: -inf where a key is not seen."""
    length = sum(lengths)
    several = len(lengths) > 1  # and short, as masks that are kept have to be
    hidden = _hidden(lengths, shared, window, 0) if several else ~sees(0, length, shared, window)
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
    return query.new_empty(query.shape), query.new_empty(query.shape[:3], dtype=torch.float32)


@torch.library.custom_op("sft_tui::segment_attention_backward", mutates_args=())
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
    of_query = query.new_empty(query.shape)
    of_key = torch.zeros(key.shape, dtype=torch.float32)
    of_value = torch.zeros(value.shape, dtype=torch.float32)
    weight = (grad.float() * out.float()).sum(-1)[0]
    for start, lengths, begin, shared in _together(segments):
        length = sum(lengths)
        keys = _seen(key, start, start + length, begin, shared)[0]
        values = _seen(value, start, start + length, begin, shared)[0]
        for a in range(0, length, _BLOCK):
            b = min(a + _BLOCK, length)
            at = slice(start + a, start + b)
            block = _block(
                query[0, :, at],
                keys[:, : shared + b],
                values[:, : shared + b],
                grad[0, :, at],
                logs[0, :, at],
                weight[:, at],
                _hidden(lengths if len(lengths) > 1 else (b,), shared, window, a),
                scale,
            )
            of_query[0, :, at] = block[0]
            for total, part in ((of_key, block[1]), (of_value, block[2])):
                if shared:
                    total[0, :, begin : begin + shared] += part[:, :shared]
                total[0, :, start : start + b] += part[:, shared:]
    return of_query, of_key.to(key.dtype), of_value.to(value.dtype)


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
        query.new_empty(query.shape),
        key.new_empty(key.shape),
        value.new_empty(value.shape),
    )


def _block(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    grad: torch.Tensor,
    logs: torch.Tensor,
    weight: torch.Tensor,
    hidden: torch.Tensor,
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Returns the gradients that a block of queries gives.

    Query heads that share a key head are rows of one product. What is taken off a product is a
    part of it, as two more columns: so what is rounded to bf16 is the difference. That is near 0
    where a share is near 1, and as near to 0 where all keys have a like share if shares are
    taken times the root of the number of keys, here a power of two.

    Args:
        query: (heads, queries, dimension); `grad` as well.
        key: (key heads, keys, dimension); `value` as well.
        grad: Of the result.
        logs: (heads, queries).
        weight: (heads, queries), the gradient's product with the result.
        hidden: (queries, last keys) bool, which are not seen.
        scale: Of the products.
    """
    heads, queries, size = query.shape
    few, keys, _ = key.shape
    rows = query.reshape(few, -1, size)
    # Shares are computed as so many times what they are, and gradients as so much less.
    twos = round(math.log2(keys) / 2)
    grads = grad.reshape(few, -1, size) * 2.0**-twos
    shares = torch.bmm(_less(rows, (logs - twos * math.log(2)) / scale), _ones(key)).mul_(scale)
    shares.exp_()  # of what is not seen too: exp(-inf) is several times as slow
    shares.view(heads, queries, keys)[..., -hidden.shape[1] :].masked_fill_(hidden, 0.0)
    change = torch.bmm(_less(grads, weight * 2.0**-twos), _ones(value)).mul_(shares)
    return (
        torch.bmm(change, key).mul_(scale).view(heads, queries, size),
        torch.bmm(change.transpose(1, 2), rows).mul_(scale),
        torch.bmm(shares.transpose(1, 2), grads),
    )


def _less(rows: torch.Tensor, taken: torch.Tensor) -> torch.Tensor:
    """Returns rows whose product with `_ones` is less by what is taken, fp32, off each."""
    taken = -taken.reshape(*rows.shape[:2], 1)
    high = taken.to(rows.dtype)
    return torch.cat([rows, high, (taken - high).to(rows.dtype)], dim=2)


def _ones(each: torch.Tensor) -> torch.Tensor:
    """Returns (key heads, dimension + 2, keys) with ones for what `_less` takes off."""
    return torch.cat([each, each.new_ones(*each.shape[:2], 2)], dim=2).transpose(1, 2)


def _ranges(segments: torch.Tensor) -> Iterator[tuple[int, int, int, int]]:
    yield from segments.view(-1, 4).tolist()


def _together(segments: torch.Tensor) -> Iterator[tuple[int, tuple[int, ...], int, int]]:
    """Yields ranges of one block: start, lengths, the beginning and its length.

    Short branches of one beginning are cheaper in one product, of which a part is not seen.
    """
    start, lengths, begin, shared = 0, (), 0, 0
    for at, length, *before in _ranges(segments):
        fits = shared and before == [begin, shared] and sum(lengths) + length <= _BLOCK
        if lengths and not fits:
            yield start, lengths, begin, shared
            lengths = ()
        if not lengths:
            start, (begin, shared) = at, before
        lengths = (*lengths, length)
    if lengths:
        yield start, lengths, begin, shared


def _seen(each: torch.Tensor, start: int, end: int, begin: int, shared: int) -> torch.Tensor:
    own = each[:, :, start:end]
    return torch.cat([each[:, :, begin : begin + shared], own], dim=2) if shared else own


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
