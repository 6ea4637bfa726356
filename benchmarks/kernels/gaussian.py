"""The Gaussian score in one product and the expansion by gather, against the products that VITS writes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from benchmarks.kernels.timer import Row, Timer, Work
from voiceclone import ops

#: Batch, tokens, frames; channels as VITS has them.
SHAPES = ((16, 128, 512), (32, 200, 1000))
CHANNELS = 192


def rows(timer: Timer) -> Iterator[Row]:
    for batch, tokens, frames in SHAPES:
        case = f"{batch} x {tokens} tokens x {frames} frames x {CHANNELS}"
        if not (timer.wants("gaussian_score", case) or timer.wants("expand", case)):
            continue
        random = torch.Generator().manual_seed(0)
        sizes = (frames, tokens, tokens)
        parts = [torch.randn((batch, size, CHANNELS), generator=random).to(timer.device) for size in sizes]
        z, mean, log_scale = parts[0], parts[1], 0.1 * parts[2]
        torch.testing.assert_close(
            ops.gaussian_score(z, mean, log_scale), by_four(z, mean, log_scale), rtol=1e-3, atol=0.1
        )
        yield from timer.compare(
            "gaussian_score", case,
            {"one product": partial(ops.gaussian_score, z, mean, log_scale)},
            {"four terms, as VITS": partial(by_four, z, mean, log_scale)},
            work=Work(bytes=4 * batch * frames * tokens, flops=4 * batch * frames * tokens * CHANNELS),
        )  # fmt: skip
        aligned = ops.gaussian_mas(z, mean, log_scale)
        path = aligned.path("frames_tokens")
        yield from timer.compare(
            "expand", case,
            {"gather": partial(ops.expand, mean, aligned.tokens)},
            {"product with the dense path": partial(torch.matmul, path, mean)},
            work=Work(bytes=4 * batch * frames * CHANNELS),
        )  # fmt: skip


def by_four(z: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """The log-likelihood as the sum of two products and two reductions, each a temporary of the full size."""
    precision = torch.exp(-2 * log_scale)
    constant = torch.sum(-0.5 * math.log(2 * math.pi) - log_scale, 2)[:, None]
    square = torch.matmul(-0.5 * z**2, precision.transpose(1, 2))
    mixed = torch.matmul(z, (mean * precision).transpose(1, 2))
    means = torch.sum(-0.5 * mean**2 * precision, 2)[:, None]
    return constant + square + mixed + means
