"""Packed attention on a CPU: torch's flash kernel forward, matrix products backward.

Going back torch's flash kernel for CPUs is many times slower than forward. Here the
probabilities are computed again from the saved logarithms of their sums (Dao et al. 2022, the
backward pass), block by block of queries, with the products that CPUs are fastest at. As an
operator of its own it stays whole where layers are compiled.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch

_BLOCK = 256
"""Queries of one product: what a step's rows have of probabilities stays in the cache."""
_AT_ONCE = 2 << 20
"""Probabilities that are held at once."""
_ROUND = 32
"""What is multiplied at once is filled up to multiples of this: for each new size a kernel is
made, which takes longer than the product."""

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
    for start, lengths, begin, shared in _together(segments.view(-1, 4).tolist()):
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
    groups, twos = _groups(ranges, heads, few, window)
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
    for group in groups:
        found = _gradients_of(
            asks[group.asks].view(-1, group.queries * heads // few, size + 2),
            keys[group.keys].view(-1, group.seen, size + 2),
            values[group.keys].view(-1, group.seen, size + 2),
            grads[group.asks].view(-1, group.queries * heads // few, size + 2),
            group,
            scale,
        )
        of_query.index_copy_(0, group.asks, found[0].view(-1, heads // few * size))
        for total, parts in ((of_key, found[1]), (of_value, found[2])):
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
    group: "_Group",
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


class _Block(NamedTuple):
    """Queries of one range, or of short ranges of one beginning."""

    first: int
    last: int
    """Behind the last one."""
    start: int
    """Of their own keys, which end with the queries."""
    begin: int
    """The beginning that they go on from."""
    shared: int
    """Its length, or 0."""


class _Group(NamedTuple):
    """Blocks of like size, whose gradients are computed at once.

    They are filled up in front to `queries` and `seen` keys, with a row of zeros: that has no
    part in any gradient but its own.
    """

    queries: int
    seen: int
    blocks: list[_Block]
    asks: torch.Tensor
    """(blocks * key heads * queries,) int64, rows of `_rows`."""
    keys: torch.Tensor
    """(blocks * key heads * seen,) int64."""
    hidden: torch.Tensor
    """(blocks, 1, queries, 1, last keys) bool, which are not seen."""


@functools.lru_cache(maxsize=8)  # every layer asks for the same
def _groups(
    ranges: tuple[tuple[int, ...], ...], heads: int, few: int, window: int
) -> tuple[list[_Group], torch.Tensor]:
    """Returns the groups of packed rows and, (length, 1) fp32, what their shares are scaled by.

    What is taken off a product is a part of it, as two more columns: so what is rounded to bf16 is
    the difference. That is near 0 where a share is near 1, and as near to 0 where all keys have a
    like share if shares are taken times the root of the number of keys, here two to the power of
    what is returned.
    """
    groups: list[_Group] = []
    filling: dict[tuple[int, int], list[tuple[_Block, torch.Tensor]]] = {}
    twos: list[float] = []
    length = sum(each[1] for each in ranges)
    for start, lengths, begin, shared in _together(ranges):
        end = start + sum(lengths)
        for first in range(start, end, _BLOCK):
            last = min(first + _BLOCK, end)
            mine = lengths if len(lengths) > 1 else (last - start,)
            hidden = _hidden(mine, shared, window, first - start)
            size = _up(last - first), _up(shared + last - start)
            some = filling.setdefault(size, [])
            some.append((_Block(first, last, start, begin, shared), hidden))
            if (len(some) + 1) * heads * math.prod(size) > _AT_ONCE:
                groups.append(_group(size, filling.pop(size), length, few, window))
            twos += [round(math.log2(shared + last - start) / 2)] * (last - first)
    groups += [_group(size, some, length, few, window) for size, some in filling.items()]
    return groups, torch.tensor(twos, dtype=torch.float32).unsqueeze(1)


def _up(count: int) -> int:
    return -(-count // _ROUND) * _ROUND


def _group(
    size: tuple[int, int],
    some: list[tuple[_Block, torch.Tensor]],
    length: int,
    few: int,
    window: int,
) -> _Group:
    queries, seen = size
    hidden = torch.zeros(len(some), 1, queries, 1, seen if window else queries, dtype=torch.bool)
    asks = torch.full((len(some), 1, queries), length)  # the row of zeros
    keys = torch.full((len(some), 1, seen), length)
    for number, (block, mask) in enumerate(some):
        rows, columns = mask.shape
        hidden[number, 0, -rows:, 0, -columns:] = mask
        own = block.last - block.start
        asks[number, 0, -rows:] = torch.arange(block.first, block.last)
        keys[number, 0, -own:] = torch.arange(block.start, block.last)
        if block.shared:
            before = torch.arange(block.begin, block.begin + block.shared)
            keys[number, 0, -own - block.shared : -own] = before
    head = torch.arange(few).unsqueeze(1)
    asks, keys = ((each * few + head).clamp_max_(length * few).flatten() for each in (asks, keys))
    return _Group(queries, seen, [block for block, _ in some], asks, keys, hidden)


def _together(
    ranges: Sequence[Sequence[int]],
) -> Iterator[tuple[int, tuple[int, ...], int, int]]:
    """Yields ranges of one block: start, lengths, the beginning and its length.

    Short branches of one beginning are cheaper in one product, of which a part is not seen.
    """
    start, lengths, begin, shared = 0, (), 0, 0
    for at, length, *before in ranges:
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
