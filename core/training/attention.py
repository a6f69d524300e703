"""Attention over packed rows, for every model that takes its attention from transformers.

`SEGMENTS` and `FLEX` are registered as implementations of attention. A packed batch gives them, in
place of a mask, which ranges of the sequence see what; without them they do what `sdpa` does, as
when samples are generated. transformers hands a four-dimensional mask on as it is, so the ranges
reach every layer of any architecture. `FLEX` takes torch's flex attention where that serves.
"""

import functools
import math
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from . import attention_blocks, attention_cpu, attention_flex

SEGMENTS = "segments"
FLEX = "segments_at_once"
_watched: set[int] = set()


@contextmanager
def watched_windows() -> Generator[set[int]]:
    """Gives the windows that layers ask for meanwhile; 0 is none."""
    _watched.clear()
    yield _watched


def segments_mask(segments: list[tuple[int, int, int, int]]) -> torch.Tensor:
    """Returns what a packed batch gives in place of a mask, (1, 1, segments, 4) int64.

    Args:
        segments: Ranges that cover the sequence in order, each (start, length, start of the
            beginning that it goes on from, its length or 0). A position sees that beginning and
            its own range up to itself.
    """
    return torch.tensor(segments, dtype=torch.long).reshape(1, 1, -1, 4)


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    *,
    flex: bool = False,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Computes attention as transformers asks for it.

    Args:
        module: The layer's attention; read by `sdpa`.
        query: (rows, heads, length, head dimension).
        key: (rows, key heads, length, head dimension).
        value: As `key`; its head dimension may be another.
        attention_mask: Of `segments_mask`, or what `sdpa` takes.
        dropout: Share of the probabilities that is zeroed.
        scaling: Of the products; None is 1 / sqrt(head dimension).
        sliding_window: Positions that a position sees, itself included; None sees all before.
        softcap: Of the products, as Gemma 2 has it: c tanh(products / c).
        flex: Whether packed rows take flex attention on a GPU.
        others: Such as sinks or a bias of positions: refused where packed.

    Returns:
        (rows, length, heads, head dimension), and no weights.

    Raises:
        NotImplementedError: The layer wants what is not honoured here.
    """
    scale = 1 / math.sqrt(query.shape[-1]) if scaling is None else scaling
    if attention_mask is None or attention_mask.dtype != torch.long:
        if softcap is not None:
            mask = _causal(query.shape[2], 0, None) if attention_mask is None else attention_mask
            out = _soft_capped(query, key, value, mask, scale, softcap, dropout)
            return out.transpose(1, 2).contiguous(), None
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, **others
        )
    asked = [name for name in ("s_aux", "position_bias", "cache") if others.get(name) is not None]
    if asked or others.get("is_causal") is False:
        raise NotImplementedError(f"attention with {', '.join(asked) or 'sight of what follows'}")
    window = sliding_window or 0
    _watched.add(window)
    if torch.is_autocast_enabled(query.device.type):  # which turns to what it knows alone
        wanted = torch.get_autocast_dtype(query.device.type)
        query, key, value = (each.to(wanted) for each in (query, key, value))
    if attention_cpu.serves(query, key, value) and not dropout and softcap is None:
        out, _ = attention_cpu.attention(query, key, value, attention_mask, scale, window)
    elif flex and attention_flex.serves(query, dropout):
        out = attention_flex.attention(query, key, value, attention_mask, scale, window, softcap)
    else:
        out = _by_segment(query, key, value, attention_mask, scale, window, softcap, dropout)
    return out.transpose(1, 2).contiguous(), None


def _by_segment(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    segments: torch.Tensor,
    scale: float,
    window: int,
    softcap: float | None,
    dropout: float,
) -> torch.Tensor:
    """Calls torch's attention for each range: its fastest kernel where a range is a whole row."""
    parts: list[torch.Tensor] = []
    for start, length, begin, shared in segments.view(-1, 4).tolist():
        asks = query[:, :, start : start + length]
        keys, values = (_seen(each, start, length, begin, shared) for each in (key, value))
        plain = not shared and (not window or length <= window)
        mask = None if plain else _causal(length, shared, window or None).to(query.device)
        if softcap is not None:
            mask = _causal(length, 0, None).to(query.device) if mask is None else mask
            parts.append(_soft_capped(asks, keys, values, mask, scale, softcap, dropout))
            continue
        parts.append(
            F.scaled_dot_product_attention(
                asks,
                keys,
                values,
                attn_mask=mask,
                dropout_p=dropout,
                is_causal=plain,
                scale=scale,
                enable_gqa=key.shape[1] != query.shape[1],
            )
        )
    return torch.cat(parts, dim=2)


def _seen(each: torch.Tensor, start: int, length: int, begin: int, shared: int) -> torch.Tensor:
    own = each[:, :, start : start + length]
    return torch.cat([each[:, :, begin : begin + shared], own], dim=2) if shared else own


@functools.lru_cache(maxsize=512)
def _causal(length: int, shared: int, window: int | None) -> torch.Tensor:
    """Returns (length, shared + length) bool: which keys a position sees."""
    return attention_blocks.sees(0, length, shared, window or 0)


def _soft_capped(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    scale: float,
    softcap: float,
    dropout: float,
) -> torch.Tensor:
    """Attention with capped products, which no kernel of torch has."""
    groups = query.shape[1] // key.shape[1]
    key, value = (each.repeat_interleave(groups, dim=1) for each in (key, value))
    products = softcap * torch.tanh(query @ key.transpose(2, 3) * scale / softcap)
    if mask.dtype == torch.bool:
        products = products.masked_fill(~mask, torch.finfo(products.dtype).min)
    else:
        products = products + mask
    shares = torch.softmax(products, dim=-1, dtype=torch.float32).to(query.dtype)
    return F.dropout(shares, dropout) @ value


AttentionInterface.register(SEGMENTS, attend)
AttentionInterface.register(FLEX, functools.partial(attend, flex=True))
for _name in (SEGMENTS, FLEX):  # as sdpa's; a packed batch brings its own
    AttentionMaskInterface.register(_name, sdpa_mask)
