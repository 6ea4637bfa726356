"""Weights, ragged signals and tolerances that the tests of wavenet and coupling share."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from voiceclone import ops
from voiceclone.ops import WaveNetWeights
from voiceclone.ops.wavenet import Precision

needs_native = pytest.mark.skipif(not ops.describe().loaded, reason="native kernels were not built")

#: Largest error beside the largest value.
TOLERANCE: dict[Precision, float] = {"float32": 5e-6, "bfloat16": 3e-2}


def random_weights(
    hidden: int, taps: int, layers: int, dilation_rate: int, seed: int = 0, dtype: torch.dtype = torch.float32
) -> WaveNetWeights:
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64).to(dtype)

    outs = [2 * hidden if layer < layers - 1 else hidden for layer in range(layers)]
    return WaveNetWeights(
        tuple(draw(2 * hidden, hidden, taps) / (hidden * taps) ** 0.5 for _ in range(layers)),
        tuple(0.3 * draw(2 * hidden) for _ in range(layers)),
        tuple(draw(out, hidden, 1) / hidden**0.5 for out in outs),
        tuple(0.3 * draw(out) for out in outs),
        dilation_rate,
    )


def as_double(weights: WaveNetWeights) -> WaveNetWeights:
    groups = (weights.in_weights, weights.in_biases, weights.res_skip_weights, weights.res_skip_biases)
    return WaveNetWeights(*(tuple(tensor.double() for tensor in group) for group in groups), weights.dilation_rate)


def signal(batch: int, frames: int, channels: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Values with poison after each sample's end, and ragged lengths with the longest and an empty one."""
    random = torch.Generator().manual_seed(seed)
    lengths = torch.randint(0, frames + 1, (batch,), generator=random, dtype=torch.int32)
    lengths[0] = frames
    if batch > 2:
        lengths[1] = 0
    x = torch.randn(batch, frames, channels, generator=random)
    for sample, length in enumerate(lengths.tolist()):
        x[sample, length:] = float("nan")
    return x, lengths


def condition_for(weights: WaveNetWeights, batch: int, frames: int) -> Tensor:
    width = weights.layers * 2 * weights.hidden
    return torch.randn(batch, frames, width, generator=torch.Generator().manual_seed(2))


def close(got: Tensor, wanted: Tensor, precision: Precision) -> bool:
    assert got.isfinite().all()
    scale = float(wanted.abs().max()) if wanted.numel() else 0.0
    return wanted.numel() == 0 or float((got - wanted).abs().max()) <= TOLERANCE[precision] * max(scale, 1e-3)


def poison_the_allocator() -> None:
    """Freed memory full of NaN, which the next results are likely to be made in."""
    for size in (1 << 10, 1 << 14, 1 << 18):
        torch.full((size,), float("nan"))
