"""The posterior encoder of VITS: a spectrogram to the distribution of the latent that the decoder reads."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from voiceclone.nn.wavenet import WN


class Posterior(NamedTuple):
    """``z`` a draw, ``m`` and ``logs`` its mean and log standard deviation, each ``[B, C, T]``."""

    z: Tensor
    m: Tensor
    logs: Tensor


class PosteriorEncoder(nn.Module):
    """``[B, bins, T]`` -> :class:`Posterior`. Parameter names are those of the published checkpoints."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        hidden_channels: int,
        kernel_size: int,
        dilation_rate: int,
        n_layers: int,
        gin_channels: int = 0,
        weight_norm: bool = True,
    ) -> None:
        super().__init__()
        self.pre = nn.Conv1d(in_channels, hidden_channels, 1)
        self.enc = WN(
            hidden_channels, kernel_size, dilation_rate, n_layers, gin_channels=gin_channels, weight_norm=weight_norm
        )
        self.proj = nn.Conv1d(hidden_channels, 2 * out_channels, 1)

    def forward(self, x: Tensor, x_mask: Tensor, g: Tensor | None = None, noise: Tensor | None = None) -> Posterior:
        """``x_mask`` ``[B, 1, T]``; ``noise`` ``[B, C, T]`` stands in for the draw from a normal distribution."""
        m, logs = (self.proj(self.enc(self.pre(x) * x_mask, x_mask, g)) * x_mask).chunk(2, dim=1)
        noise = torch.randn_like(m) if noise is None else noise
        return Posterior((m + noise * torch.exp(logs)) * x_mask, m, logs)
