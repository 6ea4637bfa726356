"""A WaveNet with gates in plain torch, channels last."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class WaveNetWeights:
    """Of each layer, ``[out, in, taps]`` as torch's convolutions have them; weight norm is folded already."""

    #: ``[2 H, H, K]``: the tanh half, then the sigmoid half.
    in_weights: tuple[Tensor, ...]
    #: ``[2 H]``
    in_biases: tuple[Tensor, ...]
    #: ``[2 H, H, 1]``: the residual half, then the skip half; the last layer has the skip half alone.
    res_skip_weights: tuple[Tensor, ...]
    #: ``[2 H]``, the last ``[H]``
    res_skip_biases: tuple[Tensor, ...]
    #: Layer ``i`` has dilation ``dilation_rate ** i``.
    dilation_rate: int = 1

    @property
    def hidden(self) -> int:
        """Channels H."""
        return self.in_weights[0].shape[1]

    @property
    def layers(self) -> int:
        return len(self.in_weights)

    def tensors(self) -> tuple[Tensor, ...]:
        return (*self.in_weights, *self.in_biases, *self.res_skip_weights, *self.res_skip_biases)


def mask_of(x: Tensor, lengths: Tensor) -> Tensor:
    """``[B, T, 1]``: whether a frame of ``x`` ``[B, T, C]`` lies inside its sample."""
    return (torch.arange(x.shape[1], device=x.device) < lengths[:, None])[:, :, None]


def wavenet(x: Tensor, lengths: Tensor, condition: Tensor | None, weights: WaveNetWeights) -> Tensor:
    """See :func:`voiceclone.ops.wavenet`; with gradients for everything."""
    mask = mask_of(x, lengths)[:, :, 0][:, None]
    h = torch.where(mask, x.transpose(1, 2), 0.0)
    hidden, total = weights.hidden, torch.zeros_like(h)
    for layer in range(weights.layers):
        taps, dilation = weights.in_weights[layer].shape[2], weights.dilation_rate**layer
        padding = (taps - 1) // 2 * dilation
        gates = functional.conv1d(
            h, weights.in_weights[layer], weights.in_biases[layer], padding=padding, dilation=dilation
        )
        if condition is not None:
            gates = gates + condition[:, :, layer * 2 * hidden : (layer + 1) * 2 * hidden].transpose(1, 2)
        active = gates[:, :hidden].tanh() * gates[:, hidden:].sigmoid()
        passed = functional.conv1d(active, weights.res_skip_weights[layer], weights.res_skip_biases[layer])
        if layer + 1 < weights.layers:
            h = torch.where(mask, h + passed[:, :hidden], 0.0)
            passed = passed[:, hidden:]
        total = total + passed
    return torch.where(mask, total, 0.0).transpose(1, 2)
