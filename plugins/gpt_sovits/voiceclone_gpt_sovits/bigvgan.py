"""BigVGAN v2, the vocoder of v3: mels to samples with snakes in place of rectifiers; published parameter names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voiceclone.nn.hifigan import same_conv1d

_FACTOR, _EPS = 2, 1e-9


@dataclass(frozen=True, slots=True)
class BigVganConfig:
    """As its config.json says; the defaults are those of the published 24 kHz one."""

    mels: int = 100
    channels: int = 1536
    rates: tuple[int, ...] = (4, 4, 2, 2, 2, 2)
    rate_kernels: tuple[int, ...] = (8, 8, 4, 4, 4, 4)
    kernels: tuple[int, ...] = (3, 7, 11)
    dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5),) * 3
    activation: str = "snakebeta"
    logarithmic: bool = True
    tanh: bool = False
    post_bias: bool = False
    taps: int = 12

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> BigVganConfig:
        """Raises KeyError or ValueError."""
        if data["resblock"] not in ("1", "2") or data["activation"] not in ("snake", "snakebeta"):
            raise ValueError(f"resblock {data['resblock']!r} or activation {data['activation']!r} is not known")
        if data["resblock"] == "2":
            raise ValueError("blocks of single convolutions are not supported")
        return cls(
            data["num_mels"], data["upsample_initial_channel"], tuple(data["upsample_rates"]),
            tuple(data["upsample_kernel_sizes"]), tuple(data["resblock_kernel_sizes"]),
            tuple(tuple(row) for row in data["resblock_dilation_sizes"]), data["activation"],
            bool(data["snake_logscale"]), bool(data.get("use_tanh_at_final", True)),
            bool(data.get("use_bias_at_final", True)),
        )  # fmt: skip


class Snake(nn.Module):
    """``x + sin(a x)^2 / b`` for each channel; plain snake has one number for both."""

    def __init__(self, channels: int, config: BigVganConfig) -> None:
        super().__init__()
        self.logarithmic = config.logarithmic
        start = torch.zeros if config.logarithmic else torch.ones
        self.alpha = nn.Parameter(start(channels))
        if config.activation == "snakebeta":
            self.beta = nn.Parameter(start(channels))

    def forward(self, x: Tensor) -> Tensor:
        alpha = self.alpha[:, None]
        beta = self.beta[:, None] if hasattr(self, "beta") else alpha
        if self.logarithmic:
            alpha, beta = alpha.exp(), beta.exp()
        return x + (1.0 / (beta + _EPS)) * (x * alpha).sin().square()


class Filtered(nn.Module):
    """An activation at twice the rate, between low-pass filters that come with the weights."""

    def __init__(self, channels: int, config: BigVganConfig) -> None:
        super().__init__()
        self.act = Snake(channels, config)
        self.upsample = _Up(config.taps)
        self.downsample = _Down(config.taps)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.downsample(self.act(self.upsample(x)))
        return out


class _Up(nn.Module):
    filter: Tensor

    def __init__(self, taps: int) -> None:
        super().__init__()
        self.register_buffer("filter", torch.zeros(1, 1, taps))

    def forward(self, x: Tensor) -> Tensor:
        taps, channels = self.filter.shape[-1], x.shape[1]
        pad = taps // _FACTOR - 1
        x = F.pad(x, (pad, pad), mode="replicate")
        x = _FACTOR * F.conv_transpose1d(x, self.filter.expand(channels, -1, -1), stride=_FACTOR, groups=channels)
        left = pad * _FACTOR + (taps - _FACTOR) // 2
        return x[..., left : -(pad * _FACTOR + (taps - _FACTOR + 1) // 2)]


class _LowPass(nn.Module):
    filter: Tensor

    def __init__(self, taps: int) -> None:
        super().__init__()
        self.register_buffer("filter", torch.zeros(1, 1, taps))

    def forward(self, x: Tensor) -> Tensor:
        taps, channels = self.filter.shape[-1], x.shape[1]
        x = F.pad(x, (taps // 2 - (taps % 2 == 0), taps // 2), mode="replicate")
        return F.conv1d(x, self.filter.expand(channels, -1, -1), stride=_FACTOR, groups=channels)


class _Down(nn.Module):
    def __init__(self, taps: int) -> None:
        super().__init__()
        self.lowpass = _LowPass(taps)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.lowpass(x)
        return out


class AmpBlock(nn.Module):
    """Pairs of a dilated and an undilated convolution, each after an activation, added to their input."""

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int], config: BigVganConfig) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(same_conv1d(channels, channels, kernel, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(same_conv1d(channels, channels, kernel) for _ in dilations)
        self.activations = nn.ModuleList(Filtered(channels, config) for _ in range(2 * len(dilations)))

    def forward(self, x: Tensor) -> Tensor:
        for index, (first, second) in enumerate(zip(self.convs1, self.convs2, strict=True)):
            x = x + second(self.activations[2 * index + 1](first(self.activations[2 * index](x))))
        return x


class BigVgan(nn.Module):
    """Weights are plain; weight norm is folded when they are loaded."""

    def __init__(self, config: BigVganConfig) -> None:
        super().__init__()
        self.config = config
        self.conv_pre = same_conv1d(config.mels, config.channels, 7)
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        channels = config.channels
        for rate, kernel in zip(config.rates, config.rate_kernels, strict=True):
            up = nn.ConvTranspose1d(channels, channels // 2, kernel, rate, padding=(kernel - rate) // 2)
            channels //= 2
            self.ups.append(nn.ModuleList([up]))
            for size, dilations in zip(config.kernels, config.dilations, strict=True):
                self.resblocks.append(AmpBlock(channels, size, dilations, config))
        self.activation_post = Filtered(channels, config)
        self.conv_post = same_conv1d(channels, 1, 7, bias=config.post_bias)

    def stage(self, number: int, x: Tensor) -> Tensor:
        """One upsampling and the mean of its blocks."""
        x = self.ups[number][0](x)  # type: ignore[index]
        count = len(self.config.kernels)
        outputs = [block(x) for block in self.resblocks[number * count : (number + 1) * count]]
        mean: Tensor = sum(outputs[1:], outputs[0]) / count
        return mean

    def forward(self, mel: Tensor) -> Tensor:
        """``[B, mels, T]`` -> ``[B, T * hop]`` in -1..1."""
        x = self.conv_pre(mel)
        for number in range(len(self.ups)):
            x = self.stage(number, x)
        x = self.conv_post(self.activation_post(x))[:, 0]
        samples: Tensor = x.tanh() if self.config.tanh else x.clamp(-1.0, 1.0)
        return samples
