"""One-dimensional ConvNeXt blocks with optional FiLM conditioning on a speaker vector.

After Liu et al. 2022 (ConvNeXt), in the 1-D form of Vocos (Siuzdak 2023); conditioning after Perez et al. 2018 (FiLM).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution, channel MLP, residual: ``[B, T, C]`` -> ``[B, T, C]``.

    ``condition`` ``[B, S]`` scales and shifts the normalised features; ``mask`` ``[B, T, 1]`` zeroes padding before the
    convolution, so that a padded row equals the same row alone.
    """

    def __init__(self, channels: int, expansion: int = 3, kernel_size: int = 7, condition_size: int = 0) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(channels, channels, kernel_size, padding=kernel_size // 2, groups=channels)
        self.norm = nn.LayerNorm(channels, elementwise_affine=condition_size == 0)
        self.film = nn.Linear(condition_size, 2 * channels) if condition_size else None
        self.expand = nn.Linear(channels, expansion * channels)
        self.activation = nn.GELU()
        self.project = nn.Linear(expansion * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), 0.3))

    def forward(self, x: Tensor, condition: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        h = x if mask is None else x * mask
        h = self.norm(self._depthwise(h))
        if self.film is not None:
            if condition is None:
                raise ValueError("this block is conditioned: pass condition [B, S]")
            gain, bias = self.film(condition)[:, None].chunk(2, dim=-1)
            h = h * (1.0 + gain) + bias
        change: Tensor = self.scale * self.project(self.activation(self.expand(h)))
        return x + change

    def _depthwise(self, x: Tensor) -> Tensor:
        """The same convolution as a one-row image in channels-last layout: 2-8 times faster on CPU, no copies."""
        image = x.transpose(1, 2)[:, :, None].contiguous(memory_format=torch.channels_last)
        conv = self.depthwise
        padding = (0, conv.kernel_size[0] // 2)
        h = F.conv2d(image, conv.weight[:, :, None], conv.bias, padding=padding, groups=conv.groups)
        return h[:, :, 0].transpose(1, 2)


class ConvNeXtStack(nn.Module):
    """``layers`` blocks in a row, ``[B, T, C]`` -> ``[B, T, C]``."""

    def __init__(
        self, channels: int, layers: int, expansion: int = 3, kernel_size: int = 7, condition_size: int = 0
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(channels, expansion, kernel_size, condition_size) for _ in range(layers)
        )
        #: Frames to either side that reach one output frame.
        self.context = layers * (kernel_size // 2)

    def forward(self, x: Tensor, condition: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        for block in self.blocks:
            x = block(x, condition, mask)
        return x
