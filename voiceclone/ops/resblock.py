"""HiFi-GAN's residual blocks with packed weights: all blocks of a stage in one call; inference only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from voiceclone.ops import packing, reference
from voiceclone.ops._native import NATIVE
from voiceclone.ops.conv1d import check_device, check_signal, pack_for, usable
from voiceclone.ops.packing import DType, Packed, Range
from voiceclone.ops.reference import Convolution


@dataclass(frozen=True, slots=True)
class PackedResblock:
    """The weights of a stage's residual blocks for :func:`resblock`."""

    channels: int
    paired: bool
    depths: list[int]
    native: Packed | None
    plain: Sequence[Sequence[Convolution]] | None


def pack_resblock(
    blocks: Sequence[Sequence[Convolution]],
    *,
    paired: bool,
    dtype: DType = "float32",
    block: int | None = None,
    ranges: Sequence[Range] | None = None,
) -> PackedResblock:
    """Packs ``blocks`` of convolutions (weight ``[C, C, odd taps]``, bias, dilation) in the order they run.

    ``paired``: each second convolution's result is added to what the one before it read (HiFi-GAN's kind 1); else each
    convolution's result is added to what it read itself (kind 2). int8 needs one range a convolution; ``block`` as in
    :func:`voiceclone.ops.pack_conv1d`.
    """
    layers = [convolution for chain in blocks for convolution in chain]
    if not blocks or not all(blocks) or (paired and any(len(chain) % 2 for chain in blocks)):
        raise ValueError("blocks must hold convolutions, in pairs where paired")
    channels = layers[0][0].shape[0]
    for weight, _, _ in layers:
        if weight.dim() != 3 or weight.shape[:2] != (channels, channels) or weight.shape[2] % 2 == 0:
            raise ValueError(f"a weight must be [{channels}, {channels}, odd taps], got {tuple(weight.shape)}")
    if ranges is not None and len(ranges) != len(layers):
        raise ValueError(f"got {len(ranges)} ranges for {len(layers)} convolutions")
    depths = [len(chain) for chain in blocks]
    device = layers[0][0].device
    if not usable(device):
        return PackedResblock(channels, paired, depths, None, blocks)
    packable = [
        packing.Layer(
            weight,
            bias,
            dilation,
            dtype=dtype,
            block=packing.fastest_block(weight.shape[2], channels, dtype) if block is None else block,
            range=None if ranges is None else ranges[n],
        )
        for n, (weight, bias, dilation) in enumerate(layers)
    ]
    return PackedResblock(channels, paired, depths, pack_for(device, packable), None)


def resblock(x: Tensor, packed: PackedResblock, *, slope: float = 0.1, start: int = 0) -> Tensor:
    """Mean of the residual blocks over ``x`` ``[B, T, C]`` float32 -> ``[B, T, C]``.

    ``slope`` is that of the leaky ReLU before each convolution. ``start`` is the number of the first row where a signal
    is given in pieces: rows that see the same inputs then get the same bits whatever the piece.
    """
    check_signal(x, packed.channels)
    if packed.native is None:
        assert packed.plain is not None
        return reference.resblock(x, packed.plain, packed.paired, slope)
    check_device(x, packed.native)
    native = packed.native
    return torch.ops.voiceclone.resblock.default(
        x, native.blob, native.spec, packed.depths, packed.paired, slope, start
    )


if NATIVE.loaded:

    @torch.library.register_fake("voiceclone::resblock")  # type: ignore[untyped-decorator]
    def _resblock_fake(
        x: Tensor, blob: Tensor, spec: list[int], depths: list[int], paired: bool, slope: float, start: int
    ) -> Tensor:
        return x.new_empty(x.shape)
