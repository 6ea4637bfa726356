"""A residual coupling layer around a WaveNet in plain torch, channels last."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from voiceclone.ops.reference.wavenet import WaveNetWeights, mask_of, wavenet


@dataclass(frozen=True, slots=True)
class CouplingWeights:
    """Of the two outer convolutions, ``[out, in, 1]``, and of the WaveNet between them."""

    #: ``[H, C / 2, 1]``
    pre_weight: Tensor
    #: ``[H]``
    pre_bias: Tensor
    wavenet: WaveNetWeights
    #: ``[C / 2, H, 1]``, or ``[C, H, 1]`` with the log scales below the means
    post_weight: Tensor
    #: ``[C / 2]`` or ``[C]``
    post_bias: Tensor
    #: The second half of the channels is read and the first half changed.
    swapped: bool = False

    @property
    def half(self) -> int:
        """Channels C / 2."""
        return self.pre_weight.shape[1]

    @property
    def mean_only(self) -> bool:
        """The layer shifts and does not scale."""
        return self.post_weight.shape[0] == self.half

    def flipped(self) -> CouplingWeights:
        """The layer that does on ``x`` what this one does on ``x`` with its channels in reverse order."""
        parts = 1 if self.mean_only else 2
        weight = self.post_weight.unflatten(0, (parts, self.half)).flip(1).flatten(0, 1)
        bias = self.post_bias.unflatten(0, (parts, self.half)).flip(1).flatten(0, 1)
        return CouplingWeights(
            self.pre_weight.flip(1), self.pre_bias, self.wavenet, weight, bias, swapped=not self.swapped
        )

    def tensors(self) -> tuple[Tensor, ...]:
        return (self.pre_weight, self.pre_bias, *self.wavenet.tensors(), self.post_weight, self.post_bias)


def coupling(
    x: Tensor, lengths: Tensor, condition: Tensor | None, weights: CouplingWeights, reverse: bool
) -> tuple[Tensor, Tensor]:
    """See :func:`voiceclone.ops.coupling`; with gradients for everything."""
    mask = mask_of(x, lengths)
    x = torch.where(mask, x, 0.0)
    kept, changed = x.split((weights.half, weights.half), dim=2)  # type: ignore[no-untyped-call]
    if weights.swapped:
        kept, changed = changed, kept
    h = functional.linear(kept, weights.pre_weight[:, :, 0], weights.pre_bias)
    h = wavenet(h, lengths, condition, weights.wavenet)
    shift = torch.where(mask, functional.linear(h, weights.post_weight[:, :, 0], weights.post_bias), 0.0)
    if weights.mean_only:
        logdet = x.new_zeros(x.shape[0])
        changed = changed - shift if reverse else changed + shift
    else:
        m, logs = shift.chunk(2, dim=2)
        logs = -logs if reverse else logs
        logdet = logs.sum(dim=(1, 2))
        changed = (changed - m) * logs.exp() if reverse else changed * logs.exp() + m
    return torch.cat((changed, kept) if weights.swapped else (kept, changed), dim=2), logdet
