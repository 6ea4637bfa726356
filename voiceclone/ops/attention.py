"""Attention over a KV cache: appends the keys and values of new tokens and attends to all that each row holds."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from voiceclone.ops import reference
from voiceclone.ops._native import NATIVE

#: Types of a cache; int8 has a float32 scale for each position and head.
CACHE_TYPES = (torch.float32, torch.bfloat16, torch.float16, torch.int8, torch.float8_e4m3fn)
QUERY_TYPES = (torch.float32, torch.bfloat16, torch.float16)
MOST_DIM = 128
DIM_STEP = 8


class CacheLayer(NamedTuple):
    """One layer of a KV cache, dense: ``keys`` and ``values`` ``[pages, heads, page_size, D]``.

    ``key_scales`` and ``value_scales`` are float32 ``[pages, heads, page_size]`` for int8, else empty.
    """

    keys: Tensor
    values: Tensor
    key_scales: Tensor
    value_scales: Tensor


def attention_decode(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layer: CacheLayer,
    pages: Tensor,
    lengths: Tensor,
    *,
    counts: Tensor | None = None,
    shared: Tensor | None = None,
    prefix: Tensor | None = None,
    mask: Tensor | None = None,
    scale: float | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Store ``key`` and ``value`` behind what each row holds, then attend from ``query``; no gradient.

    ``query`` ``[B, T, H, D]`` and ``key``, ``value`` ``[B, T, heads, D]`` are the new tokens, float32, bfloat16 or
    float16, of any strides but dense in D, a multiple of 8 up to 128; H is a multiple of the cache's ``heads``.
    The result ``[B, T, H, D]`` has their type (``out``: where to put it).

    All these are int32 on the query's device and are read there, so that a CUDA graph serves every length:

    - ``pages`` ``[B, entries]``: the page table. A slot cache is one page a row, as long as the slot.
    - ``lengths`` ``[B]``: positions held before the call; the op does not advance them.
    - ``counts`` ``[B]``: how many of the T tokens are real (default: all). The result is zero past them.
    - ``shared`` ``[B]``: positions that stand in pages shared with other rows. They fill the first
      ``ceil(shared / page_size)`` entries; the row's own positions begin with the next entry.
    - ``prefix`` ``[B]``: the first positions, which see one another in both directions; the rest is causal.

    ``mask`` ``[B, positions]`` float32 is added to the scores by position of the key; -inf hides it. ``scale`` multiplies
    ``query . key`` (default: D ** -0.5). A token that sees nothing yields zeros.

    Sums are float32. On the CPU a token's result is the same bit for bit whatever its batch, threads, pages, sharing or
    the number of tokens that came with it. Raises ValueError for wrong shapes, and on the CPU RuntimeError for lengths
    and pages outside the cache; on a GPU, which nobody waits for, such tokens are left alone.
    """
    dim = query.shape[-1] if query.dim() == 4 else 0
    if not dim or dim % DIM_STEP or dim > MOST_DIM or query.dtype not in QUERY_TYPES:
        got = f"{query.dtype} {tuple(query.shape)}"
        raise ValueError(f"query must be [B, T, H, D], D a multiple of 8 up to {MOST_DIM}, of a floating type, got {got}")
    keys = layer.keys
    if keys.dim() != 4 or keys.shape[3] != dim or keys.dtype not in CACHE_TYPES or layer.values.shape != keys.shape:
        got = f"{keys.dtype} {tuple(keys.shape)}, {layer.values.dtype} {tuple(layer.values.shape)}"
        raise ValueError(f"the cache must be [pages, heads, page_size, {dim}] twice, got {got}")
    batch, tokens, heads, _ = query.shape
    if heads % keys.shape[1] or key.shape != (batch, tokens, keys.shape[1], dim) or value.shape != key.shape:
        got = f"query {tuple(query.shape)}, key {tuple(key.shape)}, value {tuple(value.shape)}"
        raise ValueError(f"key and value must be [B, T, {keys.shape[1]}, D] beside the query, got {got}")
    if pages.dim() != 2 or pages.shape[0] != batch or pages.dtype != torch.int32:
        raise ValueError(f"pages must be int32 [{batch}, entries], got {pages.dtype} {tuple(pages.shape)}")
    for name, numbers in (("lengths", lengths), ("counts", counts), ("shared", shared), ("prefix", prefix)):
        if numbers is not None and (numbers.dtype != torch.int32 or numbers.shape != (batch,)):
            raise ValueError(f"{name} must be int32 [{batch}], got {numbers.dtype} {tuple(numbers.shape)}")
    if mask is not None and (mask.dtype != torch.float32 or mask.dim() != 2 or mask.shape[0] != batch):
        raise ValueError(f"mask must be float32 [{batch}, positions], got {mask.dtype} {tuple(mask.shape)}")
    if out is None:
        out = torch.empty_like(query, memory_format=torch.contiguous_format)
    elif out.shape != query.shape or out.dtype != query.dtype:
        raise ValueError(f"out must be {query.dtype} {tuple(query.shape)}, got {out.dtype} {tuple(out.shape)}")
    native = NATIVE.loaded and (query.device.type == "cpu" or NATIVE.cuda)
    run = torch.ops.voiceclone.attention_decode.default if native else reference.attention_decode
    run(query, key, value, *layer, pages, lengths, counts, shared, prefix, mask,
        dim**-0.5 if scale is None else scale, out)  # fmt: skip
    return out


if NATIVE.loaded:

    @torch.library.register_fake("voiceclone::attention_decode")  # type: ignore[untyped-decorator]
    def _attention_decode_fake(*_arguments: object) -> None:
        """Nothing is returned: all results are written."""
