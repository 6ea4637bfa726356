"""Decode steps of GPT-SoVITS' published size against eager torch as the original runs it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from benchmarks.kernels.peers.eager_decoder import EagerDecoder
from benchmarks.kernels.timer import Call, Prepared, Row, Timer, Work
from voiceclone import ops
from voiceclone.ops import DecoderCache, DecoderRows, DecoderShape, PackedDecoder, Sampling
from voiceclone.ops.pack import WeightFormat

SHAPE = DecoderShape(layers=24, width=512, heads=16, hidden=2048, vocabulary=1025, inputs=1025, positions=4000)
CONTEXT = 500
#: Tokens of one call, theirs and ours.
STEPS = 4
#: Names of the variants: format of the weights, type of the cache.
VARIANTS: dict[str, tuple[WeightFormat, torch.dtype]] = {
    "float32": ("float32", torch.float32),
    "bf16": ("bfloat16", torch.bfloat16),
    "int8": ("int8", torch.bfloat16),
    "int8, int8 cache": ("int8", torch.int8),
}
EAGER = "eager float32"
#: Ratios asked for, by batch and variant.
BARS = {1: {"bf16": {EAGER: 5.0}, "int8": {EAGER: 8.0}}, 16: {"bf16": {EAGER: 8.0}}}


def rows(timer: Timer) -> Iterator[Row]:
    weights: dict[str, Tensor] = {}
    packed: dict[WeightFormat, PackedDecoder] = {}
    for batch in (1, 16):
        for threads in (1,) if timer.device == "cuda" else (1, 2):
            case = f"{batch} rows, context {CONTEXT}, {threads} thread{'s' * (threads > 1)}"
            if not timer.wants("decode_step", case) or (timer.quick and batch > 1):
                continue
            weights = weights or random_weights()
            for weight_format, _ in VARIANTS.values():
                if weight_format not in packed:
                    packed[weight_format] = ops.pack_decoder(SHAPE, weights, weight_format).to(timer.device)
            kept = torch.randn(SHAPE.layers, batch, CONTEXT, SHAPE.width, generator=torch.Generator().manual_seed(1))
            ours = {
                name: ours_at(packed[weight_format], kept.to(timer.device), cache_type)
                for name, (weight_format, cache_type) in VARIANTS.items()
            }
            peers: dict[str, Call] = {
                f"eager {name}": theirs_at(weights, kept.to(timer.device), dtype, timer.device)
                for name, dtype in (("float32", torch.float32), ("bf16", torch.bfloat16))
            }
            bars = BARS[batch] if threads == 1 and timer.device == "cpu" else {}
            for row in timer.compare(
                "decode_step", f"{case}, {STEPS} tokens", ours, peers, bars=bars, threads=threads,
                work={name: work(packed[kind], batch, cache_type) for name, (kind, cache_type) in VARIANTS.items()},
            ):  # fmt: skip
                row["tokens_per_second"] = 1e3 * batch * STEPS / row["ms"]
                yield row


def work(packed: PackedDecoder, batch: int, cache_type: torch.dtype) -> Work:
    """Each step reads the layers, the head and every row's cache."""
    tables = 4 * SHAPE.width * (SHAPE.inputs + SHAPE.positions)
    cache = 2 * SHAPE.layers * batch * (CONTEXT + STEPS // 2) * SHAPE.width * cache_type.itemsize
    return Work(bytes=STEPS * (packed.weights.nbytes - tables + cache))


def random_weights() -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(0)
    weights = {}
    for name, sizes in SHAPE.tensors().items():
        value = torch.randn(sizes, generator=random)
        weights[name] = value / sizes[1] ** 0.5 if len(sizes) == 2 else 0.1 * value
        if "norm" in name and name.endswith("weight"):
            weights[name] += 1
    weights["head.bias"].zero_()  # the original has none
    return weights


def ours_at(packed: PackedDecoder, kept: Tensor, cache_type: torch.dtype) -> Call:
    batch, device = kept.shape[1], kept.device
    cache = DecoderCache.empty(SHAPE, batch, CONTEXT + STEPS, cache_type, device)
    split = kept.unflatten(-1, (SHAPE.heads, -1)).transpose(2, 3)
    for memory, scales in ((cache.keys, cache.key_scales), (cache.values, cache.value_scales)):
        if scales.numel():
            scales[..., :CONTEXT] = split.abs().amax(-1) / 127
            memory[..., :CONTEXT, :] = (split / scales[..., :CONTEXT, None]).round().to(torch.int8)
        else:
            memory[..., :CONTEXT, :] = split.to(cache_type)
    state = torch.zeros(5, batch, dtype=torch.int32, device=device)
    rows = DecoderRows(
        state, torch.zeros(batch, SHAPE.width, device=device),
        torch.zeros(batch, SHAPE.vocabulary, dtype=torch.bool, device=device),
        torch.arange(batch, dtype=torch.int32, device=device)[:, None],
    )  # fmt: skip
    sampling = ops.sampling_rows([Sampling(top_k=15, repetition_penalty=1.35, top_p_first=True)] * batch, device)
    noise = torch.empty(STEPS, batch, SHAPE.vocabulary, device=device)

    def prepare() -> None:
        noise.exponential_()
        state.zero_()
        state[0], state[1], state[2] = CONTEXT, CONTEXT, 5

    return Prepared(prepare, partial(ops.decode_step, packed, cache, rows, sampling, noise))


def theirs_at(weights: dict[str, Tensor], kept: Tensor, dtype: torch.dtype, device: str) -> Call:
    moved = {name: value.to(device) for name, value in weights.items()}
    decoder = EagerDecoder(SHAPE, moved, kept, kept, dtype)
    token = torch.full((kept.shape[1],), 5, device=device)
    return partial(decoder.run, token, token[:, None].repeat(1, 100), STEPS)
