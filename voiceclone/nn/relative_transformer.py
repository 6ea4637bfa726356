"""The transformer of Glow-TTS and VITS text encoders: post-norm, relative positions within a window, conv feed-forward.

Parameter names are those of the published checkpoints (``attn_layers.0.conv_q``, ``ffn_layers.0.conv_1``, ...).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Score of a masked pair. Not -inf: a row with nothing to attend to must stay finite.
MASKED = -1e4


class ChannelNorm(nn.Module):
    """Layer norm over the channels of ``[B, C, T]``."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.channels, self.eps = channels, eps
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.transpose(1, -1), (self.channels,), self.gamma, self.beta, self.eps).transpose(1, -1)


class RelativeAttention(nn.Module):
    """Self-attention over ``[B, C, T]``; with ``window``, keys and values of each distance up to it are added."""

    def __init__(self, channels: int, heads: int, window: int | None = None, p_dropout: float = 0.0) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"channels must be divisible by heads, got {channels} and {heads}")
        self.heads, self.head_channels, self.window = heads, channels // heads, window
        self.conv_q, self.conv_k, self.conv_v, self.conv_o = (nn.Conv1d(channels, channels, 1) for _ in range(4))
        self.drop = nn.Dropout(p_dropout)
        for conv in (self.conv_q, self.conv_k, self.conv_v):
            nn.init.xavier_uniform_(conv.weight)
        if window is not None:
            shape, spread = (1, 2 * window + 1, self.head_channels), self.head_channels**-0.5
            self.emb_rel_k = nn.Parameter(torch.randn(shape) * spread)
            self.emb_rel_v = nn.Parameter(torch.randn(shape) * spread)

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        """``hidden`` is True where a query (second last dimension) must not look, ``[B or 1, 1, T, T]``."""
        batch, channels, length = x.shape
        query, key, value = (
            conv(x).view(batch, self.heads, self.head_channels, length).transpose(2, 3)
            for conv in (self.conv_q, self.conv_k, self.conv_v)
        )
        query = query / math.sqrt(self.head_channels)
        scores = query @ key.transpose(2, 3)
        if self.window is not None:
            scores = scores + _spread(query @ self.emb_rel_k.transpose(1, 2), self.window)
        if hidden is not None:
            scores = scores.masked_fill(hidden, MASKED)
        weights = self.drop(scores.softmax(dim=-1))
        out = weights @ value
        if self.window is not None:
            out = out + _gather(weights, self.window) @ self.emb_rel_v
        result: Tensor = self.conv_o(out.transpose(2, 3).reshape(batch, channels, length))
        return result


def _spread(by_distance: Tensor, window: int) -> Tensor:
    """``[B, H, T, 2 window + 1]`` by distance -> ``[B, H, T, T]`` by position, zero beyond the window."""
    batch, heads, length, _ = by_distance.shape
    # A row one element longer than the rows it is read back as slides one step to the right with each row.
    rows = F.pad(by_distance, (0, length)).flatten(2)[..., : length * (length + 2 * window)]
    return rows.reshape(batch, heads, length, length + 2 * window)[..., window : window + length]


def _gather(by_position: Tensor, window: int) -> Tensor:
    """The inverse of :func:`_spread`."""
    batch, heads, length, _ = by_position.shape
    rows = F.pad(F.pad(by_position, (window, window)).flatten(2), (0, length))
    return rows.reshape(batch, heads, length, length + 2 * window + 1)[..., : 2 * window + 1]


class FeedForward(nn.Module):
    """Two convolutions with a ReLU between them; ``causal`` ones look only back."""

    def __init__(
        self, channels: int, filter_channels: int, kernel_size: int, p_dropout: float = 0.0, causal: bool = False
    ) -> None:
        super().__init__()
        self.padding = (kernel_size - 1, 0) if causal else ((kernel_size - 1) // 2, kernel_size // 2)
        self.conv_1 = nn.Conv1d(channels, filter_channels, kernel_size)
        self.conv_2 = nn.Conv1d(filter_channels, channels, kernel_size)
        self.drop = nn.Dropout(p_dropout)

    def forward(self, x: Tensor, x_mask: Tensor) -> Tensor:
        x = self.drop(self.conv_1(F.pad(x * x_mask, self.padding)).relu())
        out: Tensor = self.conv_2(F.pad(x * x_mask, self.padding)) * x_mask
        return out


class RelativeTransformer(nn.Module):
    """``[B, C, T]`` -> ``[B, C, T]``; with ``gin_channels`` a speaker ``g`` ``[B, gin, 1]`` enters before one layer."""

    def __init__(
        self,
        channels: int,
        filter_channels: int,
        heads: int,
        layers: int,
        kernel_size: int,
        p_dropout: float = 0.0,
        window: int | None = 4,
        gin_channels: int = 0,
        speaker_layer: int = 2,
    ) -> None:
        super().__init__()
        if gin_channels:
            if speaker_layer >= layers:
                raise ValueError(f"the speaker enters before layer {speaker_layer}, but there are {layers} layers")
            self.spk_emb_linear = nn.Linear(gin_channels, channels)
        self.speaker_layer = speaker_layer if gin_channels else None
        self.drop = nn.Dropout(p_dropout)
        self.attn_layers = nn.ModuleList(RelativeAttention(channels, heads, window, p_dropout) for _ in range(layers))
        self.norm_layers_1 = nn.ModuleList(ChannelNorm(channels) for _ in range(layers))
        self.ffn_layers = nn.ModuleList(
            FeedForward(channels, filter_channels, kernel_size, p_dropout) for _ in range(layers)
        )
        self.norm_layers_2 = nn.ModuleList(ChannelNorm(channels) for _ in range(layers))

    def forward(self, x: Tensor, x_mask: Tensor, g: Tensor | None = None) -> Tensor:
        """``x_mask`` ``[B, 1, T]`` is 1 inside each sample and 0 after it."""
        hidden = (x_mask.unsqueeze(2) * x_mask.unsqueeze(-1)) == 0
        x = x * x_mask
        parts = zip(self.attn_layers, self.norm_layers_1, self.ffn_layers, self.norm_layers_2, strict=True)
        for index, (attention, norm_1, feed_forward, norm_2) in enumerate(parts):
            if index == self.speaker_layer and g is not None:
                x = (x + self.spk_emb_linear(g.transpose(1, 2)).transpose(1, 2)) * x_mask
            x = norm_1(x + self.drop(attention(x, hidden)))
            x = norm_2(x + self.drop(feed_forward(x, x_mask)))
        return x * x_mask
