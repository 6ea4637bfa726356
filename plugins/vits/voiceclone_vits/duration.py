"""How long each token lasts: the stochastic predictor of VITS, a flow, and the plain one of two convolutions."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voiceclone.nn.flow import Flip
from voiceclone.nn.relative_transformer import ChannelNorm
from voiceclone_vits.spline import rational_quadratic_spline

_LOG_2PI = math.log(2 * math.pi)


class DDSConv(nn.Module):
    """Dilated, depth-separable convolutions with residuals over ``[B, C, T]``."""

    def __init__(self, channels: int, kernel_size: int, n_layers: int, p_dropout: float = 0.0) -> None:
        super().__init__()
        self.drop = nn.Dropout(p_dropout)
        self.convs_sep = nn.ModuleList()
        for layer in range(n_layers):
            dilation = kernel_size**layer
            padding = (kernel_size - 1) * dilation // 2
            self.convs_sep.append(
                nn.Conv1d(channels, channels, kernel_size, groups=channels, dilation=dilation, padding=padding)
            )
        self.convs_1x1 = nn.ModuleList(nn.Conv1d(channels, channels, 1) for _ in range(n_layers))
        self.norms_1 = nn.ModuleList(ChannelNorm(channels) for _ in range(n_layers))
        self.norms_2 = nn.ModuleList(ChannelNorm(channels) for _ in range(n_layers))

    def forward(self, x: Tensor, x_mask: Tensor, g: Tensor | None = None) -> Tensor:
        if g is not None:
            x = x + g
        for separate, pointwise, norm_1, norm_2 in zip(
            self.convs_sep, self.convs_1x1, self.norms_1, self.norms_2, strict=True
        ):
            y = F.gelu(norm_1(separate(x * x_mask)))
            x = x + self.drop(F.gelu(norm_2(pointwise(y))))
        return x * x_mask


class ElementwiseAffine(nn.Module):
    """Shift and scale by channel: ``m + exp(logs) * x``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.m = nn.Parameter(torch.zeros(channels, 1))
        self.logs = nn.Parameter(torch.zeros(channels, 1))

    def forward(
        self, x: Tensor, x_mask: Tensor, g: Tensor | None = None, reverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        logdet = (self.logs * x_mask).sum(dim=(1, 2))
        if reverse:
            return (x - self.m) * torch.exp(-self.logs) * x_mask, -logdet
        return (self.m + torch.exp(self.logs) * x) * x_mask, logdet


class ConvFlow(nn.Module):
    """A spline on the second of two channels, its shape told by the first and by ``g`` ``[B, filter, T]``."""

    def __init__(
        self, filter_channels: int, kernel_size: int, n_layers: int = 3, bins: int = 10, tail: float = 5.0
    ) -> None:
        super().__init__()
        self.bins, self.tail, self.scale = bins, tail, 1 / math.sqrt(filter_channels)
        self.pre = nn.Conv1d(1, filter_channels, 1)
        self.convs = DDSConv(filter_channels, kernel_size, n_layers)
        self.proj = nn.Conv1d(filter_channels, 3 * bins - 1, 1)
        # An untrained flow changes nothing.
        nn.init.zeros_(self.proj.weight)
        if self.proj.bias is not None:
            nn.init.zeros_(self.proj.bias)

    def forward(
        self, x: Tensor, x_mask: Tensor, g: Tensor | None = None, reverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        x0, x1 = x.split(1, dim=1)
        shape = (self.proj(self.convs(self.pre(x0), x_mask, g)) * x_mask).transpose(1, 2)[:, None]
        widths, heights, slopes = shape.split((self.bins, self.bins, self.bins - 1), dim=-1)
        x1, log_slope = rational_quadratic_spline(
            x1, widths * self.scale, heights * self.scale, slopes, self.tail, inverse=reverse
        )
        return torch.cat((x0, x1), dim=1) * x_mask, (log_slope * x_mask).sum(dim=(1, 2))


class StochasticDurationPredictor(nn.Module):
    """Draws log durations ``[B, 1, T]`` for the encoder's output ``x`` ``[B, C, T]``, or says how likely some are."""

    def __init__(
        self,
        in_channels: int,
        filter_channels: int,
        kernel_size: int = 3,
        p_dropout: float = 0.5,
        n_flows: int = 4,
        gin_channels: int = 0,
        language_channels: int = 0,
        bins: int = 10,
        tail: float = 5.0,
        n_layers: int = 3,
    ) -> None:
        super().__init__()
        self.flows = _flows(n_flows, filter_channels, kernel_size, bins, tail, n_layers)
        self.post_pre = nn.Conv1d(1, filter_channels, 1)
        self.post_proj = nn.Conv1d(filter_channels, filter_channels, 1)
        self.post_convs = DDSConv(filter_channels, kernel_size, n_layers, p_dropout)
        self.post_flows = _flows(4, filter_channels, kernel_size, bins, tail, n_layers)
        self.pre = nn.Conv1d(in_channels, filter_channels, 1)
        self.proj = nn.Conv1d(filter_channels, filter_channels, 1)
        self.convs = DDSConv(filter_channels, kernel_size, n_layers, p_dropout)
        if gin_channels:
            self.cond = nn.Conv1d(gin_channels, filter_channels, 1)
        if language_channels:
            self.cond_lang = nn.Conv1d(language_channels, filter_channels, 1)

    def condition(self, x: Tensor, x_mask: Tensor, g: Tensor | None, language: Tensor | None) -> Tensor:
        """What every flow is told of text, speaker ``[B, gin, 1]`` and language ``[B, L, 1]``."""
        x = self.pre(x)
        if g is not None:
            x = x + self.cond(g)
        if language is not None:
            x = x + self.cond_lang(language)
        condition: Tensor = self.proj(self.convs(x, x_mask)) * x_mask
        return condition

    def forward(
        self, x: Tensor, x_mask: Tensor, noise: Tensor, g: Tensor | None = None, language: Tensor | None = None
    ) -> Tensor:
        """Log durations ``[B, 1, T]`` drawn with ``noise`` ``[B, 2, T]``, whose scale is that of the variation."""
        condition, z = self.condition(x, x_mask, g, language), noise
        first, _, *rest = self.flows
        # The spline next to the affine is trained but never used: on the way back it only changes what is dropped.
        for flow in (*reversed(rest), first):
            z, _ = flow(z, x_mask, condition, reverse=True)
        return z[:, :1]

    def negative_log_likelihood(
        self,
        x: Tensor,
        x_mask: Tensor,
        durations: Tensor,
        noise: Tensor,
        g: Tensor | None = None,
        language: Tensor | None = None,
    ) -> Tensor:
        """A bound ``[B]`` of ``durations`` ``[B, 1, T]`` in frames, dequantised with ``noise`` ``[B, 2, T]``."""
        condition = self.condition(x, x_mask, g, language)
        told = condition + self.post_proj(self.post_convs(self.post_pre(durations), x_mask)) * x_mask
        z = noise = noise * x_mask
        posterior = x.new_zeros(x.shape[0])
        for flow in self.post_flows:
            z, logdet = flow(z, x_mask, told)
            posterior = posterior + logdet
        u, z1 = z.split(1, dim=1)
        posterior = posterior + ((F.logsigmoid(u) + F.logsigmoid(-u)) * x_mask).sum(dim=(1, 2))
        log_q = (-0.5 * (_LOG_2PI + noise.square()) * x_mask).sum(dim=(1, 2)) - posterior
        z0 = (durations - u.sigmoid() * x_mask) * x_mask
        z0 = z0.clamp_min(1e-5).log() * x_mask
        prior = (-z0).sum(dim=(1, 2))
        z = torch.cat((z0, z1), dim=1)
        for flow in self.flows:
            z, logdet = flow(z, x_mask, condition)
            prior = prior + logdet
        return (0.5 * (_LOG_2PI + z.square()) * x_mask).sum(dim=(1, 2)) - prior + log_q


def _flows(count: int, filter_channels: int, kernel_size: int, bins: int, tail: float, n_layers: int) -> nn.ModuleList:
    flows: list[nn.Module] = [ElementwiseAffine(2)]
    for _ in range(count):
        flows += [ConvFlow(filter_channels, kernel_size, n_layers, bins, tail), Flip()]
    return nn.ModuleList(flows)


class DurationPredictor(nn.Module):
    """Log durations ``[B, 1, T]`` of the text encoder's output ``[B, C, T]``: always the same ones."""

    def __init__(
        self,
        in_channels: int,
        filter_channels: int = 256,
        kernel_size: int = 3,
        p_dropout: float = 0.5,
        gin_channels: int = 0,
        language_channels: int = 0,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.drop = nn.Dropout(p_dropout)
        self.conv_1 = nn.Conv1d(in_channels, filter_channels, kernel_size, padding=kernel_size // 2)
        self.norm_1 = ChannelNorm(filter_channels, eps)
        self.conv_2 = nn.Conv1d(filter_channels, filter_channels, kernel_size, padding=kernel_size // 2)
        self.norm_2 = ChannelNorm(filter_channels, eps)
        self.proj = nn.Conv1d(filter_channels, 1, 1)
        if gin_channels:
            self.cond = nn.Conv1d(gin_channels, in_channels, 1)
        if language_channels:
            self.cond_lang = nn.Conv1d(language_channels, in_channels, 1)

    def forward(self, x: Tensor, x_mask: Tensor, g: Tensor | None = None, language: Tensor | None = None) -> Tensor:
        if g is not None:
            x = x + self.cond(g)
        if language is not None:
            x = x + self.cond_lang(language)
        x = self.drop(self.norm_1(self.conv_1(x * x_mask).relu()))
        x = self.drop(self.norm_2(self.conv_2(x * x_mask).relu()))
        log_durations: Tensor = self.proj(x * x_mask) * x_mask
        return log_durations
