"""The timbre of a reference spectrogram as one vector; parameter names are those of the published files."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LinearNorm(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.fc = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(x)
        return out


class ConvNorm(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out


class GatedConv(nn.Module):
    """``[B, C, T]`` -> the same: half of the outputs gates the other, added to the input."""

    def __init__(self, channels: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.conv1 = ConvNorm(channels, 2 * channels, kernel)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        gated: Tensor = self.drop(F.glu(self.conv1(x), dim=1))
        return x + gated


class TimbreAttention(nn.Module):
    """Self-attention added to its input; scores are scaled by the whole width, not by that of a head."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.w_qs, self.w_ks, self.w_vs, self.fc = (nn.Linear(width, width) for _ in range(4))
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        """``[B, T, C]``; ``padding`` ``[B, T]`` is True past each row's end."""
        query, key, value = (
            part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.w_qs, self.w_ks, self.w_vs)
        )
        scores = query @ key.transpose(2, 3) / math.sqrt(x.shape[-1])
        weights = self.drop(scores.masked_fill(padding[:, None, None], -torch.inf).softmax(-1))
        attended: Tensor = self.fc((weights @ value).transpose(1, 2).flatten(2))
        dropped: Tensor = self.drop(attended)
        return x + dropped


class TimbreEncoder(nn.Module):
    """Spectrogram ``[B, bins, T]`` -> ``[B, timbre, 1]``, the mean of what each frame says."""

    def __init__(
        self, bins: int, width: int, outputs: int, kernel: int = 5, heads: int = 2, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.bins = bins
        self.spectral = nn.Sequential(
            LinearNorm(bins, width), nn.Mish(), nn.Dropout(dropout),
            LinearNorm(width, width), nn.Mish(), nn.Dropout(dropout),
        )  # fmt: skip
        self.temporal = nn.Sequential(GatedConv(width, kernel, dropout), GatedConv(width, kernel, dropout))
        self.slf_attn = TimbreAttention(width, heads, dropout)
        self.fc = LinearNorm(width, outputs)

    def forward(self, spectrogram: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Bins above those that are known are not read; ``lengths`` ``[B]`` of the rows, where they differ."""
        x = spectrogram[:, : self.bins].transpose(1, 2)
        if lengths is None:
            lengths = torch.full((x.shape[0],), x.shape[1], device=x.device)
        padding = torch.arange(x.shape[1], device=x.device) >= lengths[:, None]
        # Frames past the end come in as zeros, yet leave the first layers as something else.
        x = self.spectral(x.masked_fill(padding[..., None], 0.0))
        x = self.temporal(x.transpose(1, 2)).transpose(1, 2).masked_fill(padding[..., None], 0.0)
        x = self.fc(self.slf_attn(x, padding)).masked_fill(padding[..., None], 0.0)
        mean: Tensor = (x / lengths[:, None, None]).sum(1)[..., None]
        return mean
