"""HiFi-GAN's generator, as VITS, SoVITS, piper and many vocoders use it: latent or mel frames to samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

#: Of every leaky ReLU but the last one, which has torch's default.
SLOPE = 0.1
LAST_SLOPE = 0.01
#: Taps of the first and the last convolution.
END_TAPS = 7


@dataclass(frozen=True, slots=True)
class GeneratorConfig:
    """Shape of a generator; the defaults are VITS's for LJSpeech."""

    #: Channels of a frame.
    inputs: int = 192
    #: Channels after the first convolution; each upsampling halves them.
    channels: int = 512
    rates: tuple[int, ...] = (8, 8, 2, 2)
    rate_kernels: tuple[int, ...] = (16, 16, 4, 4)
    #: Kernel sizes and dilations of the residual blocks of each stage.
    kernels: tuple[int, ...] = (3, 7, 11)
    dilations: tuple[tuple[int, ...], ...] = field(default=((1, 3, 5),) * 3)
    #: "1": pairs of convolutions, the second undilated; "2": single ones.
    resblock: Literal["1", "2"] = "1"
    #: Channels of the speaker vector; 0: none.
    speaker: int = 0
    #: The last convolution has a bias.
    post_bias: bool = False

    def __post_init__(self) -> None:
        if self.resblock not in ("1", "2"):
            raise ValueError(f"resblock must be '1' or '2', got {self.resblock!r}")
        if len(self.rates) != len(self.rate_kernels) or not self.rates:
            raise ValueError(
                f"rates {self.rates} and rate_kernels {self.rate_kernels} must be of one length, not empty"
            )
        if len(self.kernels) != len(self.dilations) or not self.kernels:
            raise ValueError(f"kernels {self.kernels} and dilations {self.dilations} must be of one length, not empty")
        for rate, kernel in zip(self.rates, self.rate_kernels, strict=True):
            if rate < 1 or kernel < rate or (kernel - rate) % 2:
                raise ValueError(
                    f"an upsampling kernel must exceed its rate by an even number, got {kernel} for {rate}"
                )
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise ValueError(f"kernels must be odd, got {self.kernels}")
        if self.channels >> len(self.rates) < 1:
            raise ValueError(f"channels {self.channels} cannot be halved {len(self.rates)} times")

    @property
    def hop(self) -> int:
        """Samples of one frame."""
        return math.prod(self.rates)

    def stage_channels(self, stage: int) -> int:
        """Channels after upsampling number ``stage``; -1: before the first."""
        return self.channels >> (stage + 1)


class ResBlock1(nn.Module):
    """Pairs of a dilated and an undilated convolution, each pair added to its input."""

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(same_conv1d(channels, channels, kernel, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(same_conv1d(channels, channels, kernel) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, T]`` -> the same."""
        for first, second in zip(self.convs1, self.convs2, strict=True):
            x = second(functional.leaky_relu(first(functional.leaky_relu(x, SLOPE)), SLOPE)) + x
        return x


class ResBlock2(nn.Module):
    """Dilated convolutions, each added to its input."""

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(same_conv1d(channels, channels, kernel, dilation) for dilation in dilations)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, T]`` -> the same."""
        for conv in self.convs:
            x = conv(functional.leaky_relu(x, SLOPE)) + x
        return x


class Generator(nn.Module):
    """Frames to samples in plain torch, trainable; the attributes have upstream's names, so its weights load.

    Inference runs faster on :class:`voiceclone.nn.hifigan_inference.PackedGenerator`.
    """

    def __init__(self, config: GeneratorConfig, weight_norm: bool = False) -> None:
        """``weight_norm`` parametrises the upsamplings and residual blocks as upstream trains them."""
        super().__init__()
        self.config = config
        self.conv_pre = same_conv1d(config.inputs, config.channels, END_TAPS)
        self.ups = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        block = ResBlock1 if config.resblock == "1" else ResBlock2
        for stage, (rate, kernel) in enumerate(zip(config.rates, config.rate_kernels, strict=True)):
            channels = config.stage_channels(stage)
            before = config.stage_channels(stage - 1)
            self.ups.append(nn.ConvTranspose1d(before, channels, kernel, rate, padding=(kernel - rate) // 2))
            for size, dilations in zip(config.kernels, config.dilations, strict=True):
                self.resblocks.append(block(channels, size, dilations))
        self.conv_post = same_conv1d(config.stage_channels(len(config.rates) - 1), 1, END_TAPS, bias=config.post_bias)
        self.cond = nn.Conv1d(config.speaker, config.channels, 1) if config.speaker else None
        for part in (self.ups, self.resblocks):
            part.apply(initialise)
            if weight_norm:
                part.apply(normalise)

    def forward(self, frames: Tensor, speaker: Tensor | None = None) -> Tensor:
        """Frames ``[B, T, inputs]`` and speaker vectors ``[B, speaker]`` -> samples in -1..1 ``[B, T * hop]``."""
        check_inputs(self.config, frames, speaker)
        x = self.conv_pre(frames.transpose(1, 2))
        if self.cond is not None and speaker is not None:
            x = x + self.cond(speaker[:, :, None])
        blocks = len(self.config.kernels)
        for stage, up in enumerate(self.ups):
            x = up(functional.leaky_relu(x, SLOPE))
            outputs = [block(x) for block in self.resblocks[stage * blocks : (stage + 1) * blocks]]
            x = sum(outputs[1:], outputs[0]) / blocks
        y: Tensor = self.conv_post(functional.leaky_relu(x, LAST_SLOPE))
        return y[:, 0].tanh()


def same_conv1d(inputs: int, outputs: int, kernel: int, dilation: int = 1, bias: bool = True) -> nn.Conv1d:
    """A convolution that keeps the length."""
    return nn.Conv1d(inputs, outputs, kernel, padding=(kernel - 1) // 2 * dilation, dilation=dilation, bias=bias)


def initialise(module: nn.Module) -> None:
    """Upstream's start of training: weights of standard deviation 0.01."""
    if isinstance(module, (nn.Conv1d, nn.ConvTranspose1d)):
        nn.init.normal_(module.weight, 0.0, 0.01)


def normalise(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv1d, nn.ConvTranspose1d)):
        parametrizations.weight_norm(module)


def check_inputs(config: GeneratorConfig, frames: Tensor, speaker: Tensor | None) -> None:
    """ValueError unless ``frames`` and ``speaker`` fit."""
    if frames.dim() != 3 or frames.shape[2] != config.inputs or not frames.is_floating_point():
        raise ValueError(f"frames must be floating [B, T, {config.inputs}], got {frames.dtype} {tuple(frames.shape)}")
    if (speaker is None) != (config.speaker == 0):
        raise ValueError(
            f"this generator takes speaker vectors of {config.speaker} channels, got {speaker is not None}"
        )
    if speaker is not None and speaker.shape != (frames.shape[0], config.speaker):
        raise ValueError(f"speaker must be [{frames.shape[0]}, {config.speaker}], got {tuple(speaker.shape)}")
