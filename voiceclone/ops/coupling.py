"""One residual coupling layer of a normalising flow in one call, there and back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from voiceclone.ops import reference
from voiceclone.ops._native import NATIVE
from voiceclone.ops.packing import Layer, Packed, padded
from voiceclone.ops.reference import CouplingWeights
from voiceclone.ops.wavenet import (
    Precision,
    check_precision,
    check_signal,
    condition_of,
    lengths_of,
    needs_gradient,
    pack_for,
    pad_parts,
    runs_natively,
    wavenet_layers,
)


@dataclass(frozen=True, slots=True)
class PackedCoupling:
    """Weights as the kernels of one device read them, and as they were, for gradients and where nothing was built."""

    weights: CouplingWeights
    packed: Packed | None
    precision: Precision


def pack_coupling(weights: CouplingWeights, precision: Precision = "float32") -> PackedCoupling:
    """Lay ``weights`` out for :func:`coupling`, on the device that they are on. Costs a copy: do it once a model.

    A flip of the channels between layers costs nothing when it is folded into every second layer first:
    ``pack_coupling(weights.flipped())`` works on channels in their unflipped order.
    """
    check_precision(precision)
    if not NATIVE.loaded:
        return PackedCoupling(weights, None, precision)
    parts = 1 if weights.mean_only else 2
    wide = padded(weights.half)
    post = pad_parts(weights.post_weight, parts, wide), pad_parts(weights.post_bias, parts, wide)
    layers = [
        Layer(weights.pre_weight, weights.pre_bias, dtype=precision),
        *wavenet_layers(weights.wavenet, precision),
        Layer(*post, dtype=precision),
    ]
    return PackedCoupling(weights, pack_for(layers, weights.pre_weight.device), precision)


def coupling(
    x: Tensor,
    weights: PackedCoupling,
    lengths: Tensor | None = None,
    condition: Tensor | None = None,
    *,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """``x`` ``[B, T, C]`` float32 through one coupling layer: the result ``[B, T, C]`` and its log determinant ``[B]``.

    One half of the channels, ``x0``, stays as it is; ``(m, logs) = post(wavenet(pre(x0)))`` changes the other half to
    ``x1 * exp(logs) + m``, and ``reverse`` to ``(x1 - m) * exp(-logs)``. A layer of means alone has no ``logs`` and a
    log determinant of 0. ``lengths`` ``[B]`` and ``condition`` ``[B, 1 or T, layers * 2 * H]`` are those of
    :func:`wavenet`; frames past a sample's end come out as zeros.

    Gradients come from the plain-torch definition. Raises ValueError as :func:`wavenet` does.
    """
    plain = weights.weights
    check_signal(x, 2 * plain.half, "twice what the weights read")
    lengths = lengths_of(x, lengths)
    condition = condition_of(x, condition, plain.wavenet)
    if weights.packed is None or not runs_natively(x) or needs_gradient(x, condition, *plain.tensors()):
        return reference.coupling(x, lengths, condition, plain, reverse)
    native: tuple[Tensor, Tensor] = torch.ops.voiceclone.coupling.default(
        x, lengths, condition, weights.packed.blob, weights.packed.spec,
        plain.wavenet.hidden, plain.mean_only, plain.swapped, reverse,
    )  # fmt: skip
    return native


if NATIVE.loaded:

    @torch.library.register_fake("voiceclone::coupling")  # type: ignore[untyped-decorator]
    def _coupling_fake(
        x: Tensor,
        lengths: Tensor,
        condition: Tensor | None,
        blob: Tensor,
        spec: list[int],
        hidden: int,
        mean_only: bool,
        swapped: bool,
        reverse: bool,
    ) -> tuple[Tensor, Tensor]:
        return x.new_empty(x.shape), x.new_empty(x.shape[:1])
