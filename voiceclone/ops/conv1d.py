"""Convolutions over channels-last signals with packed weights: of one length, and upsampling ones; inference only."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from voiceclone.ops import packing, reference
from voiceclone.ops._native import NATIVE
from voiceclone.ops.packing import DType, Packed, Range


@dataclass(frozen=True, slots=True)
class PackedConv1d:
    """A convolution's weights for :func:`conv1d`: packed where kernels run them, as they are elsewhere."""

    inputs: int
    outputs: int
    native: Packed | None
    plain: reference.Convolution | None


@dataclass(frozen=True, slots=True)
class PackedUpsample:
    """A transposed convolution's weights for :func:`upsample`."""

    inputs: int
    outputs: int
    rate: int
    native: Packed | None
    plain: tuple[Tensor, Tensor | None] | None


def pack_conv1d(
    weight: Tensor,
    bias: Tensor | None,
    *,
    dilation: int = 1,
    dtype: DType = "float32",
    block: int | None = None,
    range: Range | None = None,
) -> PackedConv1d:
    """Packs ``weight`` ``[out, in, taps]``, taps odd, for its device.

    ``dtype`` is the products' type on a CPU; int8 needs the ``range`` that :func:`voiceclone.ops.packing.input_range`
    measures with the same ``block``. ``block`` is 1 (direct), 4 (nine products for each four outputs and four taps), or
    None for what is fastest.
    """
    if weight.dim() != 3 or weight.shape[2] % 2 == 0:
        raise ValueError(f"weight must be [out, in, odd taps], got {tuple(weight.shape)}")
    outputs, inputs, taps = weight.shape
    if not usable(weight.device):
        return PackedConv1d(inputs, outputs, None, (weight.detach(), bias, dilation))
    block = packing.fastest_block(taps, inputs, dtype) if block is None else block
    layer = packing.Layer(weight, bias, dilation, None, dtype, block, range)
    return PackedConv1d(inputs, outputs, pack_for(weight.device, [layer]), None)


def pack_upsample(
    weight: Tensor, bias: Tensor | None, rate: int, *, dtype: DType = "float32", range: Range | None = None
) -> PackedUpsample:
    """Packs a transposed convolution ``[in, out, taps]`` of stride ``rate`` and padding ``(taps - rate) / 2``."""
    if weight.dim() != 3 or rate < 1 or weight.shape[2] < rate or (weight.shape[2] - rate) % 2:
        raise ValueError(
            f"weight must be [in, out, taps] with taps - rate even, got {tuple(weight.shape)} and rate {rate}"
        )
    inputs, outputs, _ = weight.shape
    if not usable(weight.device):
        return PackedUpsample(inputs, outputs, rate, None, (weight.detach(), bias))
    layer = upsample_layer(weight, bias, rate, dtype, range)
    return PackedUpsample(inputs, outputs, rate, pack_for(weight.device, [layer]), None)


def conv1d(x: Tensor, packed: PackedConv1d, *, slope: float = 1.0, tanh: bool = False, start: int = 0) -> Tensor:
    """``x`` ``[B, T, in]`` float32 through leaky ReLU (``slope`` 1: none), the convolution, and tanh if asked.

    Returns ``[B, T, out]``. ``start`` is the number of the first row where a signal is given in pieces: rows that see
    the same inputs then get the same bits whatever the piece.
    """
    check_signal(x, packed.inputs)
    if packed.native is None:
        assert packed.plain is not None
        return reference.conv1d(x, packed.plain, slope, tanh)
    check_device(x, packed.native)
    native = packed.native
    return torch.ops.voiceclone.conv1d.default(x, native.blob, native.spec, packed.outputs, slope, start, tanh)


def upsample(x: Tensor, packed: PackedUpsample, *, slope: float = 1.0) -> Tensor:
    """``x`` ``[B, T, in]`` float32 through leaky ReLU and the transposed convolution -> ``[B, T * rate, out]``."""
    check_signal(x, packed.inputs)
    if packed.native is None:
        assert packed.plain is not None
        return reference.upsample(x, *packed.plain, packed.rate, slope)
    check_device(x, packed.native)
    native = packed.native
    return torch.ops.voiceclone.upsample.default(x, native.blob, native.spec, packed.rate, packed.outputs, slope)


def upsample_layer(weight: Tensor, bias: Tensor | None, rate: int, dtype: DType, range: Range | None) -> packing.Layer:
    """A transposed convolution as one with ``rate`` times the outputs: those of output phase 0, then 1, ..."""
    inputs, outputs, taps = weight.shape
    padding = (taps - rate) // 2
    least = -((taps - 1 - padding) // rate)
    most = (rate - 1 + padding) // rate
    unrolled = torch.zeros(rate, outputs, inputs, most - least + 1, dtype=weight.dtype, device=weight.device)
    for phase in torch.arange(rate).tolist():
        for offset in torch.arange(least, most + 1).tolist():
            tap = phase + padding - rate * offset
            if 0 <= tap < taps:
                unrolled[phase, :, :, offset - least] = weight.detach()[:, :, tap].T
    biases = None if bias is None else bias.detach().repeat(rate)
    return packing.Layer(unrolled.flatten(0, 1), biases, 1, -least, dtype, 1, range)


def usable(device: torch.device) -> bool:
    """Whether the native kernels run on tensors of this device."""
    return NATIVE.loaded and (device.type == "cpu" or (device.type == "cuda" and NATIVE.cuda))


def pack_for(device: torch.device, layers: list[packing.Layer]) -> Packed:
    """Packed on ``device``; CUDA's kernels are direct and float32 whatever the layers ask for."""
    if device.type != "cpu":
        layers = [
            packing.Layer(layer.weight, layer.bias, layer.dilation, layer.left, "float32", 1) for layer in layers
        ]
    packed = packing.pack_layers(layers)
    return Packed(packed.blob.to(device), packed.spec)


def check_signal(x: Tensor, channels: int) -> None:
    if x.dim() != 3 or x.shape[2] != channels or x.dtype != torch.float32:
        raise ValueError(f"x must be float32 [B, T, {channels}], got {x.dtype} {tuple(x.shape)}")


def check_device(x: Tensor, packed: Packed) -> None:
    if x.device != packed.blob.device:
        raise ValueError(f"x is on {x.device}, but the weights were packed for {packed.blob.device}")


if NATIVE.loaded:

    @torch.library.register_fake("voiceclone::conv1d")  # type: ignore[untyped-decorator]
    def _conv1d_fake(
        x: Tensor, blob: Tensor, spec: list[int], outputs: int, slope: float, start: int, tanh: bool
    ) -> Tensor:
        return x.new_empty((x.shape[0], x.shape[1], outputs))

    @torch.library.register_fake("voiceclone::upsample")  # type: ignore[untyped-decorator]
    def _upsample_fake(x: Tensor, blob: Tensor, spec: list[int], rate: int, outputs: int, slope: float) -> Tensor:
        return x.new_empty((x.shape[0], x.shape[1] * rate, outputs))
