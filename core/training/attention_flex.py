"""Packed attention on a GPU: torch's flex attention, one call for all rows of a sequence.

A function says which keys a position sees. From it torch finds the blocks that see nothing and
leaves them out, so that a packed sequence costs what its rows cost alone.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

_Ranges = tuple[tuple[int, int, int, int], ...]
_Mod = Callable[..., torch.Tensor]


def serves(query: torch.Tensor, dropout: float) -> bool:
    """Returns whether these are what torch computes here, forward and back."""
    return query.device.type == "cuda" and query.shape[0] == 1 and not dropout


@torch.compiler.disable(recursive=False)  # compiled itself: a layer is compiled around it
def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    segments: torch.Tensor,
    scale: float,
    window: int,
    softcap: float | None,
) -> torch.Tensor:
    """Returns the attention of packed rows, (1, heads, length, dimension).

    Args:
        query: (1, heads, length, dimension).
        key: (1, key heads, length, dimension).
        value: As `key`; its dimension may be another.
        segments: As `attention.segments_mask` makes them, on the CPU.
        scale: Of the products.
        window: Keys that a query sees at most; 0 is all.
        softcap: Of the products, c tanh(products / c); None is none.
    """
    ranges: _Ranges = tuple(map(tuple, segments.view(-1, 4).tolist()))
    call = _compiled("attention") if query.device.type == "cuda" else flex_attention
    out: Any = call(
        query,
        key,
        value,
        score_mod=None if softcap is None else _capped(softcap),
        block_mask=_blocks(ranges, window, query.device),
        scale=scale,
        enable_gqa=key.shape[1] != query.shape[1],
    )
    return out


@functools.cache
def _compiled(what: str) -> Callable[..., Any]:
    """Returns what is fast only once it is compiled: uncompiled it holds all products."""
    return torch.compile({"attention": flex_attention, "blocks": create_block_mask}[what])


@functools.lru_cache(maxsize=16)  # every layer of a micro-batch asks for the same
def _blocks(ranges: _Ranges, window: int, device: torch.device) -> BlockMask:
    make = _compiled("blocks") if device.type == "cuda" else create_block_mask
    length = sum(ranges[-1][:2])
    return make(_sight(ranges, window, device), None, None, length, length, device=device)


def _sight(ranges: _Ranges, window: int, device: torch.device) -> _Mod:
    """Returns the function that says whether a query sees a key, by their positions."""
    lengths = torch.tensor([length for _, length, _, _ in ranges])
    each = [(start, begin, begin + shared, shared - start) for start, _, begin, shared in ranges]
    first, begin, until, shift = torch.tensor(each).repeat_interleave(lengths, dim=0).unbind(1)
    place = torch.arange(len(shift)) + shift  # in its row, the beginning included
    first, begin, until, place = (x.contiguous().to(device) for x in (first, begin, until, place))

    def sees(_row: Any, _head: Any, asks: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        own = (key >= first[asks]) & (key <= asks)
        seen = own | ((key >= begin[asks]) & (key < until[asks]))
        return seen & (place[asks] - place[key] < window) if window else seen

    return sees


@functools.cache
def _capped(softcap: float) -> _Mod:
    def cap(score: torch.Tensor, *_where: Any) -> torch.Tensor:
        return softcap * torch.tanh(score / softcap)

    return cap
