"""Attention over a KV cache in plain torch."""

from __future__ import annotations

import torch
from torch import Tensor

#: Largest number of float8 e4m3fn; what lies beyond is stored as it.
FLOAT8_MOST = 448.0


def attention_decode(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    keys: Tensor,
    values: Tensor,
    key_scales: Tensor,
    value_scales: Tensor,
    pages: Tensor,
    lengths: Tensor,
    counts: Tensor | None,
    shared: Tensor | None,
    prefix: Tensor | None,
    mask: Tensor | None,
    scale: float,
    out: Tensor,
) -> None:
    """Append, then attend; see :func:`voiceclone.ops.attention_decode`. Computes in the wider of float32 and query's."""
    batch, tokens, heads, _ = query.shape
    size, group = keys.shape[2], heads // keys.shape[1]
    none = torch.zeros_like(lengths)
    lengths, shared = lengths.long(), (none if shared is None else shared).long()
    prefix = none if prefix is None else prefix
    counts = torch.full_like(lengths, tokens) if counts is None else counts.long()
    out.zero_()
    most = int((lengths + counts).max()) if batch else 0
    if not most or not tokens:
        return

    seen = torch.arange(most, device=query.device).expand(batch, most)
    page, offset = places(pages, shared, size, seen)
    position = lengths[:, None] + torch.arange(tokens, device=query.device)
    real = position < (lengths + counts)[:, None]
    row, token = real.nonzero(as_tuple=True)
    where = page[row, position[row, token]], offset[row, position[row, token]]
    for cache, scales, new in ((keys, key_scales, key), (values, value_scales, value)):
        store(cache, scales, *where, new[row, token])

    wide = torch.promote_types(query.dtype, torch.float32)
    held = (seen < (lengths + counts)[:, None])[:, :, None, None]
    k = read(keys, key_scales, page, offset, wide).masked_fill(~held, 0).repeat_interleave(group, 2)
    v = read(values, value_scales, page, offset, wide).masked_fill(~held, 0).repeat_interleave(group, 2)
    scores = torch.einsum("bthd,bshd->bhts", query.to(wide), k) * scale
    if mask is not None:
        scores = scores + mask[:, None, None, :most]
    limit = torch.maximum(position + 1, torch.minimum(prefix, lengths + counts)[:, None])
    scores = scores.masked_fill((seen[:, None] >= limit[:, :, None])[:, None], -torch.inf)
    blind = (scores == -torch.inf).all(-1, keepdim=True)
    weights = torch.softmax(scores, -1).masked_fill(blind, 0)
    answer = torch.einsum("bhts,bshd->bthd", weights, v)
    out.copy_(answer.masked_fill(~real[:, :, None, None], 0))


def places(pages: Tensor, shared: Tensor, size: int, position: Tensor) -> tuple[Tensor, Tensor]:
    """Page and offset of each ``position`` ``[B, N]``; past a row's table, that of its last entry."""
    own = position >= shared[:, None]
    within = torch.where(own, position - shared[:, None], position)
    entry = within // size + torch.where(own, -(-shared // size)[:, None], 0)
    return pages.long().gather(1, entry.clamp(max=pages.shape[1] - 1)), within % size


def store(cache: Tensor, scales: Tensor, page: Tensor, offset: Tensor, new: Tensor) -> None:
    """Write ``new`` ``[N, heads, D]``, rounded to the cache's type."""
    if cache.dtype == torch.int8:
        most = new.float().abs().amax(-1)
        step = torch.where(most.isfinite(), most / 127, torch.nan)
        scales[page, :, offset] = step
        new = torch.where(step[..., None] > 0, torch.round(new.float() / step[..., None]), 0)
    elif cache.dtype == torch.float8_e4m3fn:
        # Through bytes: torch assigns no float8 by index everywhere.
        rounded = new.float().clamp(-FLOAT8_MOST, FLOAT8_MOST).to(cache.dtype)
        cache.view(torch.uint8)[page, :, offset] = rounded.view(torch.uint8)
        return
    cache[page, :, offset] = new.to(cache.dtype)


def read(cache: Tensor, scales: Tensor, page: Tensor, offset: Tensor, wide: torch.dtype) -> Tensor:
    """Keys or values ``[B, N, heads, D]`` at the places ``[B, N]``."""
    if cache.dtype == torch.float8_e4m3fn:
        found = cache.view(torch.uint8)[page, :, offset].view(cache.dtype).to(wide)
    else:
        found = cache[page, :, offset].to(wide)
    return found * scales[page, :, offset].to(wide)[..., None] if cache.dtype == torch.int8 else found
