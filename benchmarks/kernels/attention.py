"""Attention over a KV cache against torch's own, with the keys in the processor's caches and out of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from itertools import count

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.kernels.timer import Call, Row, Timer, Work
from voiceclone.nn.kv_cache import CacheBatch, KVCache
from voiceclone.ops import attention_decode
from voiceclone.ops.attention import CACHE_TYPES

#: Rows, heads, head dimension, positions held: GPT-SoVITS; VALL-E and XTTS; GPT-SoVITS in a batch.
SHAPES = ((1, 16, 32, 500), (1, 16, 64, 1000), (16, 16, 32, 500))
GPU_SHAPES = ((1, 16, 32, 500), (16, 16, 32, 500), (64, 16, 64, 1000))
#: More than the processor's caches hold, walked over in turn.
COLD_BYTES = 96 << 20
NAMES = dict(zip(CACHE_TYPES, ("float32", "bf16", "fp16", "int8", "fp8"), strict=True))
SDPA = {torch.float32: "SDPA float32", torch.bfloat16: "SDPA bf16"}
BARS = {"float32": {"SDPA float32": 2.0}, "bf16": {"SDPA bf16": 9.0}}


def rows(timer: Timer) -> Iterator[Row]:
    for shape in GPU_SHAPES if timer.device == "cuda" else SHAPES:
        batch, heads, dim, held = shape
        case = f"{batch} rows x {heads} heads x {dim}, {held} positions"
        if not timer.wants("attention_decode", case):
            continue
        ours: dict[str, Call] = {}
        peers: dict[str, Call] = {}
        work: dict[str, Work] = {}
        for dtype in CACHE_TYPES:
            one = Layers(shape, dtype, 1, timer.device)
            ours[NAMES[dtype]] = one.call
            work[NAMES[dtype]] = Work(bytes=one.bytes)
            if dtype in SDPA:
                peers[SDPA[dtype]] = one.sdpa
        yield from timer.compare("attention_decode", f"{case}, hot", ours, peers, work=work, bars=BARS)
        if timer.device == "cuda":
            continue
        for dtype in CACHE_TYPES:
            bytes_each = 2 * math.prod(shape) * dtype.itemsize
            many = Layers(shape, dtype, max(2, COLD_BYTES // bytes_each), timer.device)
            yield from timer.compare(
                "attention_decode", f"{case}, cold", {NAMES[dtype]: many.call},
                {SDPA[dtype]: many.sdpa} if dtype in SDPA else {}, floor=("reading as much once", many.read),
                work=Work(bytes=many.bytes), bars={NAMES[dtype]: {"reading as much once": 0.9}},
            )  # fmt: skip


class Layers:
    """A step of a model with ``layers`` layers: each call attends in the next one's cache."""

    def __init__(self, shape: tuple[int, int, int, int], dtype: torch.dtype, layers: int, device: str) -> None:
        batch, heads, dim, held = shape
        half = dtype in (torch.bfloat16, torch.float16)
        self.cache = KVCache(layers, heads, dim, rows=batch, capacity=held + 1, dtype=dtype, device=device)
        self.bytes = 2 * batch * heads * (held + 1) * dim * dtype.itemsize
        for part in (self.cache.keys, self.cache.values):
            for layer in part:
                layer.copy_(torch.randn(layer.shape, device=device).mul_(30 if dtype == torch.int8 else 1))
        self.cache.key_scales.fill_(1 / 30)
        self.cache.value_scales.fill_(1 / 30)
        self.batch: CacheBatch = self.cache.batch([self.cache.open() for _ in range(batch)])
        self.batch.reserve(held + 1)
        self.batch.advance(held)
        query = torch.randn(batch, 1, heads, dim, device=device).to(dtype if half else torch.float32)
        out = torch.empty_like(query)
        self.ours = [
            partial(attention_decode, query, query, query, self.cache.layer(layer), self.batch.pages,
                    self.batch.lengths, out=out)
            for layer in range(layers)
        ]  # fmt: skip
        swapped = query.transpose(1, 2)
        self.theirs = [
            partial(F.scaled_dot_product_attention, swapped, self.cache.keys[layer], self.cache.values[layer])
            for layer in range(layers)
        ]
        flat = self.bytes // 4
        self.data = torch.ones(layers, flat, device=device) if layers > 1 else torch.ones(1, 1, device=device)
        self.turn = count()

    def call(self) -> Tensor:
        return self.ours[next(self.turn) % len(self.ours)]()

    def sdpa(self) -> Tensor:
        return self.theirs[next(self.turn) % len(self.theirs)]()

    def read(self) -> Tensor:
        return self.data[next(self.turn) % len(self.data)].sum()
