"""The normalising flows of VITS2: couplings that hear the whole utterance through a transformer."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from voiceclone_vits.config import FlowConfig, FlowKind

from voiceclone.nn.flow import Flip, ResidualCouplingBlock, ResidualCouplingLayer
from voiceclone.nn.relative_transformer import ChannelNorm, FeedForward, RelativeAttention, RelativeTransformer
from voiceclone.nn.wavenet import normed


class PreConvCoupling(ResidualCouplingLayer):
    """A transformer over the half that is read, added to it, before the WaveNet."""

    def __init__(self, latent: int, config: FlowConfig, gin_channels: int, weight_norm: bool) -> None:
        super().__init__(
            latent, config.hidden, config.kernel_size, config.dilation, config.layers,
            gin_channels=gin_channels, mean_only=True, weight_norm=weight_norm,
        )  # fmt: skip
        half = self.half_channels
        self.pre_transformer = RelativeTransformer(half, half, 2, 2, 3, 0.1, window=None)
        # The published checkpoints hold this one too, though nothing ever reads it.
        self.post_transformer = RelativeTransformer(config.hidden, config.hidden, 2, 2, 3, 0.1, window=None)

    def hidden(self, x0: Tensor, x_mask: Tensor, g: Tensor | None) -> Tensor:
        h: Tensor = self.pre(self.pre_transformer(x0 * x_mask, x_mask) + x0) * x_mask
        return h


class PreConv2Coupling(ResidualCouplingLayer):
    """A transformer with relative positions between the first convolution and the WaveNet."""

    def __init__(self, latent: int, config: FlowConfig, gin_channels: int, weight_norm: bool) -> None:
        super().__init__(
            latent, config.hidden, config.kernel_size, config.dilation, config.layers,
            gin_channels=gin_channels, mean_only=True, weight_norm=weight_norm,
        )  # fmt: skip
        hidden = config.hidden
        self.pre_transformer = RelativeTransformer(hidden, hidden, 2, 1, config.kernel_size)

    def hidden(self, x0: Tensor, x_mask: Tensor, g: Tensor | None) -> Tensor:
        h = self.pre(x0) * x_mask
        out: Tensor = h + self.pre_transformer(h * x_mask, x_mask)
        return out


class CausalTransformer(nn.Module):
    """Post-norm transformer that looks only back; the speaker gates what enters each layer."""

    def __init__(
        self, channels: int, filter_channels: int, heads: int, layers: int, kernel_size: int, gin_channels: int,
        weight_norm: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.channels = channels
        if gin_channels:
            self.cond_pre = nn.Conv1d(channels, 2 * channels, 1)
            self.cond_layer = normed(nn.Conv1d(gin_channels, 2 * channels * layers, 1), weight_norm)
        self.self_attn_layers = nn.ModuleList(RelativeAttention(channels, heads) for _ in range(layers))
        self.norm_layers_0 = nn.ModuleList(ChannelNorm(channels) for _ in range(layers))
        self.ffn_layers = nn.ModuleList(
            FeedForward(channels, filter_channels, kernel_size, causal=True) for _ in range(layers)
        )
        self.norm_layers_1 = nn.ModuleList(ChannelNorm(channels) for _ in range(layers))

    def forward(self, x: Tensor, x_mask: Tensor, g: Tensor | None = None) -> Tensor:
        length, channels = x.shape[2], self.channels
        later = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)[None, None]
        gates = self.cond_layer(g).split(2 * channels, dim=1) if g is not None else None
        x = x * x_mask
        parts = zip(self.self_attn_layers, self.norm_layers_0, self.ffn_layers, self.norm_layers_1, strict=True)
        for index, (attention, norm_0, feed_forward, norm_1) in enumerate(parts):
            if gates is not None:
                gate = self.cond_pre(x) + gates[index]
                x = gate[:, :channels].tanh() * gate[:, channels:].sigmoid()
            x = norm_0(x + attention(x, later))
            x = norm_1(x + feed_forward(x, x_mask))
        return x * x_mask


class TransformerCoupling(nn.Module):
    """A coupling whose network is a causal transformer alone.

    As published: one layer of four heads, because the originals passed their sizes in another order than they meant.
    """

    def __init__(self, latent: int, config: FlowConfig, gin_channels: int, weight_norm: bool) -> None:
        super().__init__()
        self.half_channels = latent // 2
        self.pre = nn.Conv1d(self.half_channels, config.hidden, 1)
        self.enc = CausalTransformer(
            config.hidden, 768, config.layers, config.dilation, config.kernel_size, gin_channels, weight_norm
        )
        self.post = nn.Conv1d(config.hidden, self.half_channels, 1)
        _start_as_identity(self.post)

    def forward(
        self, x: Tensor, x_mask: Tensor, g: Tensor | None = None, reverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        x0, x1 = x.split(self.half_channels, dim=1)
        h = self.pre(x0) * x_mask
        shift = self.post(self.enc(h, x_mask, g) + h) * x_mask
        x1 = (x1 - shift if reverse else shift + x1) * x_mask
        return torch.cat((x0, x1), dim=1), x.new_zeros(x.shape[0])


class MonoTransformerLayer(nn.Module):
    """A coupling of a small transformer; with ``residual`` its input is added once more to its output."""

    def __init__(self, latent: int, residual: bool) -> None:
        super().__init__()
        self.half_channels, self.residual = latent // 2, residual
        self.pre_transformer = RelativeTransformer(self.half_channels, self.half_channels, 2, 2, 3, 0.1, window=None)
        self.post = nn.Conv1d(self.half_channels, self.half_channels, 1)
        _start_as_identity(self.post)

    def forward(
        self, x: Tensor, x_mask: Tensor, g: Tensor | None = None, reverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        x0, x1 = x.split(self.half_channels, dim=1)
        if not self.residual:
            shift = self.post(self.pre_transformer(x0 * x_mask, x_mask) + x0) * x_mask
            x1 = (x1 - shift if reverse else shift + x1) * x_mask
            return torch.cat((x0, x1), dim=1), x.new_zeros(x.shape[0])
        if reverse:
            x0 = x0 / 2
        shift = self.post(self.pre_transformer(x0, x_mask)) * x_mask
        logdet = x.new_full((x.shape[0],), math.log(2.0) * x.shape[1] * x.shape[2])
        if reverse:
            return torch.cat((x0, (x1 - shift) / 2 * x_mask), dim=1), -logdet
        return x + torch.cat((x0, shift + x1 * x_mask), dim=1), logdet


def _start_as_identity(conv: nn.Conv1d) -> None:
    nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def build_flow(latent: int, config: FlowConfig, gin_channels: int, weight_norm: bool = True) -> ResidualCouplingBlock:
    """The flow that ``config`` describes, of ``latent`` channels."""
    block = ResidualCouplingBlock(
        latent, config.hidden, config.kernel_size, config.dilation, config.layers, n_flows=config.flows,
        gin_channels=gin_channels, mean_only=True, weight_norm=weight_norm,
    )  # fmt: skip
    if config.kind is FlowKind.WAVENET:
        return block
    steps: list[nn.Module] = []
    for index in range(config.flows):
        if config.kind is FlowKind.PRE_CONV:
            steps += [PreConvCoupling(latent, config, gin_channels, weight_norm), Flip()]
        elif config.kind is FlowKind.PRE_CONV2:
            steps += [PreConv2Coupling(latent, config, gin_channels, weight_norm), Flip()]
        elif config.kind is FlowKind.FFT:
            steps += [TransformerCoupling(latent, config, gin_channels, weight_norm), Flip()]
        else:
            residual = config.kind is FlowKind.MONO_POST
            steps += [block.flows[2 * index], Flip(), MonoTransformerLayer(latent, residual)]
    block.flows = nn.ModuleList(steps)
    return block
