"""Lays convolution weights out as csrc/common/conv1d.h reads them: float32, bfloat16 or int8, direct or blocks of four."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

DType = Literal["float32", "bfloat16", "int8"]
DTYPES: tuple[DType, ...] = ("float32", "bfloat16", "int8")
#: Inputs that stand together in four bytes.
UNIT = {"float32": 1, "bfloat16": 2, "int8": 4}
LANES, PANEL, ALIGN = 16, 32, 64
#: Integers a layer takes in a spec.
LAYER_FIELDS = 9

#: Karatsuba's three sums of two taps, and of three neighbouring inputs.
TAP_SUMS = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
INPUT_SUMS = torch.tensor([[1.0, -1.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 1.0]], dtype=torch.float64)


def nine_taps() -> Tensor:
    """``[9, 4]``: the sum of four taps at each point."""
    return torch.kron(TAP_SUMS, TAP_SUMS)


def nine_inputs() -> Tensor:
    """``[9, 7]``: the sum of seven neighbouring inputs at each point."""
    sums = torch.zeros(9, 7, dtype=torch.float64)
    for high in range(3):
        for low in range(3):
            for i in range(3):
                for j in range(3):
                    sums[3 * high + low, 2 * i + j] += INPUT_SUMS[high, i] * INPUT_SUMS[low, j]
    return sums


@dataclass(frozen=True, slots=True)
class Range:
    """Smallest and largest value of a layer's activated inputs, as sums ``[points, in]`` of blocks of four or as they are."""

    low: Tensor
    high: Tensor

    def merge(self, other: Range) -> Range:
        """Covers both."""
        return Range(torch.minimum(self.low, other.low), torch.maximum(self.high, other.high))


@dataclass(frozen=True, slots=True)
class Layer:
    """One convolution to be packed: ``y[t] = bias + sum_j weight[:, :, j] x[t + j * dilation - left]``."""

    #: ``[out, in, taps]``
    weight: Tensor
    #: ``[out]``
    bias: Tensor | None
    dilation: int = 1
    #: None: as many rows before as after, which keeps the length.
    left: int | None = None
    dtype: DType = "float32"
    #: 1: direct; 4: nine products for each four outputs and four taps.
    block: int = 1
    #: What int8 inputs span; other types need none.
    range: Range | None = None

    def offset(self) -> int:
        """Rows before t that the first tap reads."""
        return (self.weight.shape[2] - 1) // 2 * self.dilation if self.left is None else self.left


@dataclass(frozen=True, slots=True)
class Packed:
    """Layers in one block of bytes, with the integers that describe them to the kernels."""

    blob: Tensor
    spec: list[int]


def fastest_block(taps: int, channels: int, dtype: DType) -> int:
    """What measured fastest on AVX-512: see docs/kernels.md."""
    if taps < 3 or (dtype == "int8" and taps * channels < 192):
        return 1
    return 4


def pack_layers(layers: Sequence[Layer]) -> Packed:
    """One blob of all layers' weights and constants, and a spec of LAYER_FIELDS integers a layer.

    A layer's integers: type, padded in, padded out, taps, dilation, left, block, and where in the blob its weights and
    its float32 constants start, in bytes.
    """
    parts: list[Tensor] = []
    spec: list[int] = []
    size = 0

    def add(part: Tensor) -> int:
        nonlocal size
        data = part.contiguous().view(torch.uint8).flatten()
        parts.append(torch.cat((data, data.new_zeros(-len(data) % ALIGN))))
        start, size = size, size + len(parts[-1])
        return start

    for layer in layers:
        if layer.dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {layer.dtype!r}")
        weights, constants = pack_layer(layer)
        outputs, inputs, taps = layer.weight.shape
        shape = [DTYPES.index(layer.dtype), padded(inputs), padded(outputs), taps, layer.dilation]
        spec += [*shape, layer.offset(), layer.block, add(weights), add(constants)]
    return Packed(torch.cat(parts), spec)


def padded(channels: int) -> int:
    return -(-channels // LANES) * LANES


def pack_layer(layer: Layer) -> tuple[Tensor, Tensor]:
    """Weights and constants of one layer as bytes."""
    outputs, inputs, taps = layer.weight.shape
    pieces = -(-taps // layer.block)
    # [out, in, piece, tap of the piece], zeros where there is no tap, input or output
    weight = torch.zeros(padded(outputs), padded(inputs), pieces * layer.block, dtype=torch.float64)
    weight[:outputs, :inputs, :taps] = layer.weight.detach().cpu().double()
    weight = weight.unflatten(2, (pieces, layer.block))
    # [point, piece, in, out]
    points = torch.einsum("oipt,nt->npio", weight, nine_taps()) if layer.block == 4 else weight.permute(3, 2, 1, 0)
    bias = torch.zeros(padded(outputs))
    if layer.bias is not None:
        bias[:outputs] = layer.bias.detach().cpu().float()
    constants = [bias.view(torch.uint8)]
    if layer.dtype == "int8":
        points, more = quantise(layer, points)
        constants += more
    kind = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8}[layer.dtype]
    unit = UNIT[layer.dtype]
    order: list[Tensor] = []
    for start in range(0, padded(outputs), PANEL):
        for point, sums in enumerate(points[:, :, :, start : start + PANEL]):
            used = sums[: used_pieces(taps, layer.block, point)].to(kind)
            order.append(used.unflatten(1, (-1, unit)).transpose(2, 3).flatten().view(torch.uint8))
    return torch.cat(order), torch.cat([constant.flatten() for constant in constants])


def used_pieces(taps: int, block: int, point: int) -> int:
    """Pieces whose weight at this point is not zero by construction."""
    if block == 1:
        return taps
    lowest = int(torch.nonzero(nine_taps()[point])[0])
    return (taps - 1) // 4 + (lowest < (taps - 1) % 4 + 1)


def quantise(layer: Layer, points: Tensor) -> tuple[Tensor, list[Tensor]]:
    """``points`` ``[point, piece, in, out]`` as whole numbers of int8, and the constants that go with them.

    An input channel's step follows from its range; a weight's step from its output's largest weight, in input steps.
    """
    if layer.range is None:
        raise ValueError("int8 needs the range of the layer's inputs; calibrate first")
    count, _, inputs, _ = points.shape
    low, high = torch.zeros(2, count, inputs, dtype=torch.float64)
    known = layer.weight.shape[1]
    if layer.range.low.shape != (count, known):
        raise ValueError(f"a range must be [{count}, {known}], got {list(layer.range.low.shape)}")
    low[:, :known] = layer.range.low.cpu().double().clamp(max=0.0)
    high[:, :known] = layer.range.high.cpu().double().clamp(min=0.0)
    step = ((high - low) / 255.0).clamp(min=1e-12)
    # Zero must be a whole number, or silence would hum.
    offset = (-low / step).round()
    scaled = points * step[:, None, :, None]
    scale = (scaled.abs().amax(dim=(1, 2)) / 127.0).clamp(min=1e-30)
    whole = (scaled / scale[:, None, None]).round()
    zero = (whole * offset[:, None, :, None]).sum(dim=(1, 2))
    floats = [(1.0 / step).float(), offset.float(), scale.float()]
    return whole, [*(f.contiguous().view(torch.uint8) for f in floats), zero.int().contiguous().view(torch.uint8)]


def input_range(active: Tensor, dilation: int, block: int) -> Range:
    """What a layer's activated inputs ``[B, T, in]`` span; every T is taken as the start of a block."""
    if block == 1:
        return Range(active.amin(dim=(0, 1))[None], active.amax(dim=(0, 1))[None])
    x = torch.nn.functional.pad(active, (0, 0, 6 * dilation, 6 * dilation))
    windows = [x[:, i * dilation : x.shape[1] - (6 - i) * dilation] for i in range(7)]
    sums = nine_inputs().to(x)
    low, high = [], []
    for row in sums:
        total = torch.stack([weight * window for weight, window in zip(row, windows, strict=True) if weight]).sum(0)
        low.append(total.amin(dim=(0, 1)))
        high.append(total.amax(dim=(0, 1)))
    return Range(torch.stack(low), torch.stack(high))
