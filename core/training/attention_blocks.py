"""Which queries of packed rows are multiplied with which keys at once, and what they do not see."""

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
def hidden_keys(lengths: tuple[int, ...], shared: int, window: int, first: int) -> torch.Tensor:
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


class Block(NamedTuple):
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


class Group(NamedTuple):
    """Blocks of like size, whose gradients are computed at once.

    They are filled up in front to `queries` and `seen` keys, with a row of zeros: that has no
    part in any gradient but its own.
    """

    queries: int
    seen: int
    blocks: list[Block]
    asks: torch.Tensor
    """(blocks * key heads * queries,) int64, rows of the tables that `attention_cpu` makes."""
    keys: torch.Tensor
    """(blocks * key heads * seen,) int64."""
    hidden: torch.Tensor
    """(blocks, 1, queries, 1, last keys) bool, which are not seen."""


@functools.lru_cache(maxsize=2)  # every layer asks for the same, some with a window
def groups(
    ranges: tuple[tuple[int, ...], ...], heads: int, few: int, window: int
) -> tuple[list[Group], torch.Tensor]:
    """Returns the groups of packed rows and, (length, 1) fp32, what their shares are scaled by.

    What is taken off a product is a part of it, as two more columns: so what is rounded to bf16 is
    the difference. That is near 0 where a share is near 1, and as near to 0 where all keys have a
    like share if shares are taken times the root of the number of keys, here two to the power of
    what is returned.
    """
    found: list[Group] = []
    filling: dict[tuple[int, int], list[tuple[Block, torch.Tensor]]] = {}
    twos: list[float] = []
    length = sum(each[1] for each in ranges)
    for start, lengths, begin, shared in together(ranges):
        end = start + sum(lengths)
        for first in range(start, end, _BLOCK):
            last = min(first + _BLOCK, end)
            mine = lengths if len(lengths) > 1 else (last - start,)
            hidden = hidden_keys(mine, shared, window, first - start)
            size = _up(last - first), _up(shared + last - start)
            some = filling.setdefault(size, [])
            some.append((Block(first, last, start, begin, shared), hidden))
            if (len(some) + 1) * heads * math.prod(size) > _AT_ONCE:
                found.append(_group(size, filling.pop(size), length, few, window))
            twos += [round(math.log2(shared + last - start) / 2)] * (last - first)
    found += [_group(size, some, length, few, window) for size, some in filling.items()]
    return found, torch.tensor(twos, dtype=torch.float32).unsqueeze(1)


def _up(count: int) -> int:
    return -(-count // _ROUND) * _ROUND


def _group(
    size: tuple[int, int],
    some: list[tuple[Block, torch.Tensor]],
    length: int,
    few: int,
    window: int,
) -> Group:
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
    return Group(queries, seen, [block for block, _ in some], asks, keys, hidden)


def together(
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
