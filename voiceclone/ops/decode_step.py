"""Whole decode steps: n tokens of a small transformer for a ragged batch, sampling included, in one call."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from voiceclone.ops import reference
from voiceclone.ops._native import NATIVE
from voiceclone.ops.attention import CACHE_TYPES, CacheLayer
from voiceclone.ops.pack import DecoderShape, PackedDecoder
from voiceclone.ops.reference.decode_step import COUNT, DONE, END, FAILED, FULL, LENGTH, LIMIT, POSITION, RUNNING, TOKEN
from voiceclone.ops.sampling import SamplingRows

__all__ = [
    "COUNT", "DONE", "END", "FAILED", "FULL", "LENGTH", "LIMIT", "POSITION", "RUNNING", "TOKEN",
    "DecoderCache", "DecoderRows", "Steps", "decode_step",
]  # fmt: skip


class DecoderCache(NamedTuple):
    """The KV cache of all layers: ``keys`` and ``values`` ``[layers, pages, heads, page_size, D]``.

    ``key_scales`` and ``value_scales`` are float32 ``[layers, pages, heads, page_size]`` for int8, else empty.
    """

    keys: Tensor
    values: Tensor
    key_scales: Tensor
    value_scales: Tensor

    @classmethod
    def empty(
        cls, shape: DecoderShape, pages: int, page_size: int, dtype: torch.dtype, device: torch.device | str = "cpu"
    ) -> DecoderCache:
        if dtype not in CACHE_TYPES:
            raise ValueError(f"a cache must be of one of {CACHE_TYPES}, got {dtype}")
        sizes = (shape.layers, pages, shape.heads, page_size, shape.width // shape.heads)
        scales = sizes[:4] if dtype == torch.int8 else (0,)
        return cls(
            *(torch.zeros(sizes, dtype=dtype, device=device) for _ in range(2)),
            *(torch.zeros(scales, device=device) for _ in range(2)),
        )

    def layer(self, index: int) -> CacheLayer:
        """What :func:`voiceclone.ops.attention_decode` takes, to prefill with."""
        key_scales, value_scales = (s[index] if s.numel() else s for s in (self.key_scales, self.value_scales))
        return CacheLayer(self.keys[index], self.values[index], key_scales, value_scales)


class DecoderRows(NamedTuple):
    """What a batch of B rows carries from call to call; ``state``, ``hidden`` and ``seen`` are written.

    - ``state`` ``[5, B]`` int32, its lines LENGTH (positions in the cache), POSITION (row of the positional table for the
      next token), TOKEN (to feed next; -1 where the row was just prefilled), DONE (RUNNING, END, LIMIT, FULL: no room
      for another token, FAILED: NaN in the logits or a state outside the tables), COUNT (tokens drawn so far);
    - ``hidden`` ``[B, width]`` float32: after the final norms, what the head predicts from; given by the prefill for
      rows whose TOKEN is -1, else written;
    - ``seen`` ``[B, vocabulary]`` bool: tokens that the repetition penalty falls on; drawn tokens are added;
    - ``pages`` ``[B, entries]`` int32 and ``shared`` ``[B]`` int32 or None: as in attention_decode.
    """

    state: Tensor
    hidden: Tensor
    seen: Tensor
    pages: Tensor
    shared: Tensor | None = None


class Steps(NamedTuple):
    """What n steps made: ``tokens`` ``[B, n]`` int32, -1 after a row's last one, which is the end token where that was
    drawn; ``logprobs`` ``[B, n]`` of each in the distribution it was drawn from; ``hiddens`` ``[B, n, width]`` float32
    that each was predicted from.
    """

    tokens: Tensor
    logprobs: Tensor
    hiddens: Tensor


def decode_step(
    packed: PackedDecoder,
    cache: DecoderCache,
    rows: DecoderRows,
    sampling: SamplingRows,
    noise: Tensor,
    *,
    stop_after: int = -1,
    scratch: Tensor | None = None,
) -> Steps:
    """Draw up to n tokens for each row: n and B by ``noise``, float32 ``[n, B, vocabulary]`` (exponential draws: the
    token is argmax(probability / noise), as torch.multinomial does it) or ``[n, B, 1]`` (uniform draws in [0, 1)).

    A row that is done takes no part; the call ends early when all are. n steps in one call are the same as n calls of
    one step. On the CPU a row's results do not depend, bit for bit, on the other rows or the number of threads.

    ``stop_after`` runs only so many phases of the first step (csrc/step/step.h lists them) and leaves their results in
    ``scratch`` ``[B, packed.shape.scratch()]``: x, qkv, context, ffn, logits. No gradient.

    Raises ValueError for wrong shapes, RuntimeError for weights packed for another shape and, on the CPU, for rows
    outside their pages.
    """
    shape = packed.shape
    batch = rows.state.shape[1] if rows.state.dim() == 2 else -1
    if noise.dim() != 3 or noise.shape[1] != batch or noise.shape[2] not in (1, shape.vocabulary):
        raise ValueError(f"noise must be [n, {batch}, 1 or {shape.vocabulary}], got {tuple(noise.shape)}")
    steps = noise.shape[0]
    wanted: dict[str, tuple[Tensor, torch.dtype, tuple[int, ...]]] = {
        "state": (rows.state, torch.int32, (5, batch)),
        "hidden": (rows.hidden, torch.float32, (batch, shape.width)),
        "seen": (rows.seen, torch.bool, (batch, shape.vocabulary)),
        "pages": (rows.pages, torch.int32, (batch, rows.pages.shape[-1])),
        "settings": (sampling.settings, torch.float32, (batch, 3)),
        "rules": (sampling.rules, torch.int32, (batch, 6)),
        "noise": (noise, torch.float32, tuple(noise.shape)),
    }
    if rows.shared is not None:
        wanted["shared"] = (rows.shared, torch.int32, (batch,))
    if scratch is not None:
        wanted["scratch"] = (scratch, torch.float32, (batch, shape.scratch()))
    for name, (tensor, dtype, sizes) in wanted.items():
        if tensor.dtype != dtype or tuple(tensor.shape) != sizes or not tensor.is_contiguous():
            got = f"{tensor.dtype} {tuple(tensor.shape)}"
            raise ValueError(f"{name} must be contiguous {dtype} {list(sizes)}, got {got}")
        if tensor.device != packed.weights.device:
            raise ValueError(f"{name} must be on the weights' device {packed.weights.device}, got {tensor.device}")
    sizes = (shape.layers, shape.heads, shape.width // shape.heads)
    if cache.keys.dim() != 5 or (cache.keys.shape[0], cache.keys.shape[2], cache.keys.shape[4]) != sizes:
        got = tuple(cache.keys.shape)
        raise ValueError(f"the cache must be [{sizes[0]}, pages, {sizes[1]}, page_size, {sizes[2]}], got {got}")
    device = packed.weights.device
    found = Steps(
        torch.empty(batch, steps, dtype=torch.int32, device=device),
        torch.empty(batch, steps, device=device),
        torch.empty(batch, steps, shape.width, device=device),
    )
    scratch = torch.empty(batch, shape.scratch(), device=device) if scratch is None else scratch
    native = NATIVE.loaded and (device.type == "cpu" or NATIVE.cuda)
    run = torch.ops.voiceclone.decode_step.default if native else reference.decode_step
    run(
        packed.weights, shape.numbers(packed.weight_format), packed.epsilon, *cache, rows.pages, rows.shared, rows.state,
        rows.hidden, rows.seen, *sampling, noise, *found, scratch, stop_after,
    )  # fmt: skip
    return found


if NATIVE.loaded:

    @torch.library.register_fake("voiceclone::decode_step")  # type: ignore[untyped-decorator]
    def _decode_step_fake(*_arguments: object) -> None:
        """Nothing is returned: all results are written."""
