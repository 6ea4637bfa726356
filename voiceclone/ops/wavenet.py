"""A whole WaveNet of gated convolutions in one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from voiceclone.ops import reference
from voiceclone.ops._native import NATIVE
from voiceclone.ops.packing import Layer, Packed, fastest_block, pack_layers, padded
from voiceclone.ops.reference import WaveNetWeights

#: What products are made of; sums are float32 always.
Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


@dataclass(frozen=True, slots=True)
class PackedWaveNet:
    """Weights as the kernels of one device read them, and as they were, for gradients and where nothing was built."""

    weights: WaveNetWeights
    packed: Packed | None
    precision: Precision


def pack_wavenet(weights: WaveNetWeights, precision: Precision = "float32") -> PackedWaveNet:
    """Lay ``weights`` out for :func:`wavenet`, on the device that they are on. Costs a copy: do it once a model."""
    check_precision(precision)
    packed = pack_for(wavenet_layers(weights, precision), weights.in_weights[0].device) if NATIVE.loaded else None
    return PackedWaveNet(weights, packed, precision)


def wavenet(
    x: Tensor, weights: PackedWaveNet, lengths: Tensor | None = None, condition: Tensor | None = None
) -> Tensor:
    """``x`` ``[B, T, H]`` float32 through a WaveNet: the sum of the layers' skips ``[B, T, H]``.

    Layer by layer, ``a = tanh(in x + c)[:H] * sigmoid(in x + c)[H:]``, ``x = x + res a``, ``result += skip a``.
    ``condition`` ``[B, 1 or T, layers * 2 * H]`` is ``c`` of all layers: a speaker or something that changes with time,
    projected once for many calls. ``lengths`` ``[B]`` are the frames of each sample (default: all); frames after that
    are neither read nor felt, and come out as zeros. A sample's result does not depend on the others, bit for bit.

    Weights of bfloat16 give products of bfloat16 where the processor or GPU has them, and float32 sums.
    Gradients come from the plain-torch definition. Raises ValueError for wrong shapes, and on the CPU for lengths
    outside of ``x``; a GPU clamps them, because looking at them would wait for the device.
    """
    plain = weights.weights
    check_signal(x, plain.hidden, "the weights' H")
    lengths = lengths_of(x, lengths)
    condition = condition_of(x, condition, plain)
    if weights.packed is None or not runs_natively(x) or needs_gradient(x, condition, *plain.tensors()):
        return reference.wavenet(x, lengths, condition, plain)
    native: Tensor = torch.ops.voiceclone.wavenet.default(
        x, lengths, condition, weights.packed.blob, weights.packed.spec
    )
    return native


def wavenet_layers(weights: WaveNetWeights, precision: Precision) -> list[Layer]:
    """The convolutions in the order that the kernel runs them; each half of a layer's channels padded by itself."""
    hidden, wide = weights.hidden, padded(weights.hidden)
    cpu = weights.in_weights[0].device.type == "cpu"
    layers: list[Layer] = []
    for index in range(weights.layers):
        weight = weights.in_weights[index]
        block = fastest_block(weight.shape[2], hidden, precision) if cpu else 1
        halves = pad_parts(weight, 2, wide), pad_parts(weights.in_biases[index], 2, wide)
        layers.append(Layer(*halves, dilation=weights.dilation_rate**index, dtype=precision, block=block))
        res_skip = zip(
            weights.res_skip_weights[index].split(hidden), weights.res_skip_biases[index].split(hidden), strict=True
        )
        layers += [Layer(weight, bias, dtype=precision) for weight, bias in res_skip]
    return layers


def pad_parts(tensor: Tensor, parts: int, wide: int) -> Tensor:
    """``tensor`` ``[parts * n, ...]`` with zeros after each part, ``[parts * wide, ...]``."""
    split = tensor.detach().unflatten(0, (parts, -1))
    out = split.new_zeros(parts, wide, *tensor.shape[1:])
    out[:, : split.shape[1]] = split
    return out.flatten(0, 1)


def pack_for(layers: list[Layer], device: torch.device) -> Packed:
    packed = pack_layers(layers)
    return Packed(packed.blob.to(device), packed.spec)


def check_precision(precision: str) -> None:
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")


def check_signal(x: Tensor, channels: int, meaning: str) -> None:
    if x.dim() != 3 or x.dtype != torch.float32:
        raise ValueError(f"x must be float32 of shape [B, T, C], got {x.dtype} {list(x.shape)}")
    if x.shape[2] != channels:
        raise ValueError(f"x must have {channels} channels ({meaning}), got {x.shape[2]}")


def lengths_of(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Lengths as the ops take them: contiguous int32 ``[B]`` beside ``x``."""
    if lengths is None:
        return torch.full((x.shape[0],), x.shape[1], dtype=torch.int32, device=x.device)
    if lengths.shape != x.shape[:1] or lengths.is_floating_point():
        raise ValueError(f"lengths must be integers of shape [{x.shape[0]}], got {lengths.dtype} {list(lengths.shape)}")
    lengths = lengths.to(device=x.device, dtype=torch.int32).contiguous()
    if lengths.device.type != "cpu" or torch.compiler.is_compiling():
        return lengths.clamp(0, x.shape[1])
    if lengths.numel() and not 0 <= int(lengths.min()) <= int(lengths.max()) <= x.shape[1]:
        raise ValueError(f"lengths must be between 0 and {x.shape[1]}, got {lengths.tolist()}")
    return lengths


def condition_of(x: Tensor, condition: Tensor | None, weights: WaveNetWeights) -> Tensor | None:
    """The condition as the ops take it: contiguous float32 beside ``x``."""
    if condition is None:
        return None
    width = weights.layers * 2 * weights.hidden
    batch, frames = x.shape[:2]
    if condition.dim() != 3 or condition.shape[0] != batch or condition.shape[2] != width:
        raise ValueError(f"condition must be [{batch}, 1 or {frames}, {width}], got {list(condition.shape)}")
    if condition.shape[1] not in (1, frames):
        raise ValueError(f"condition must have 1 frame or {frames}, got {condition.shape[1]}")
    return condition.to(device=x.device, dtype=torch.float32).contiguous()


def needs_gradient(*tensors: Tensor | None) -> bool:
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


def runs_natively(x: Tensor) -> bool:
    return x.device.type == "cpu" or NATIVE.cuda


if NATIVE.loaded:

    @torch.library.register_fake("voiceclone::wavenet")  # type: ignore[untyped-decorator]
    def _wavenet_fake(x: Tensor, lengths: Tensor, condition: Tensor | None, blob: Tensor, spec: list[int]) -> Tensor:
        return x.new_empty(x.shape)
