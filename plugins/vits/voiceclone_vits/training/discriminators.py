"""The waveform discriminators of HiFi-GAN and VITS: one looks at scales, five at periods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voiceclone.errors import ModelFilesInvalid

PERIODS = (2, 3, 5, 7, 11)
_SLOPE = 0.1
#: Kernel, stride, groups; channels follow in the classes.
_SCALE = ((15, 1, 1), (41, 4, 4), (41, 4, 16), (41, 4, 64), (41, 4, 256), (5, 1, 1))
_SCALE_CHANNELS = (16, 64, 256, 1024, 1024, 1024)
_PERIOD_CHANNELS = (32, 128, 512, 1024, 1024)

#: Scores ``[B, N]`` and feature maps of one discriminator.
Judgement = tuple[Tensor, list[Tensor]]


class NormedConv(nn.Module):
    """A convolution with weight norm whose parameters are named as the original's files name them."""

    def __init__(
        self, shape: Sequence[int], stride: int = 1, groups: int = 1
    ) -> None:
        """``shape`` of the weight ``[out, in / groups, kernel]`` or, over periods, ``[out, in, kernel, 1]``."""
        super().__init__()
        weight = torch.empty(*shape)
        nn.init.kaiming_uniform_(weight, a=5**0.5)
        bound = (shape[1] * shape[2]) ** -0.5
        self.weight_v = nn.Parameter(weight)
        self.weight_g = nn.Parameter(weight.flatten(1).norm(dim=1).view(-1, *[1] * (len(shape) - 1)))
        self.bias = nn.Parameter(torch.empty(shape[0]).uniform_(-bound, bound))
        self.stride, self.groups, self.padding = stride, groups, (shape[2] - 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        weight = torch._weight_norm(self.weight_v, self.weight_g, 0)
        if weight.dim() == 3:
            return F.conv1d(x, weight, self.bias, self.stride, self.padding, 1, self.groups)
        return F.conv2d(x, weight, self.bias, (self.stride, 1), (self.padding, 0), 1, self.groups)


class _Stack(nn.Module):
    convs: nn.ModuleList
    conv_post: NormedConv

    def judge(self, x: Tensor) -> Judgement:
        maps = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), _SLOPE)
            maps.append(x)
        x = self.conv_post(x)
        return x.flatten(1), [*maps, x]


class ScaleDiscriminator(_Stack):
    """Judges the waveform ``[B, 1, S]`` itself."""

    def __init__(self, divisor: int = 1) -> None:
        super().__init__()
        channels = [1, *(max(1, count // divisor) for count in _SCALE_CHANNELS)]
        convs = []
        for (kernel, stride, groups), inputs, outputs in zip(_SCALE, channels, channels[1:], strict=False):
            groups = max(1, groups // divisor)
            convs.append(NormedConv((outputs, inputs // groups, kernel), stride, groups))
        self.convs = nn.ModuleList(convs)
        self.conv_post = NormedConv((1, channels[-1], 3))

    def forward(self, x: Tensor) -> Judgement:
        return self.judge(x)


class PeriodDiscriminator(_Stack):
    """Judges the waveform folded at one period."""

    def __init__(self, period: int, divisor: int = 1) -> None:
        super().__init__()
        self.period = period
        channels = [1, *(max(1, count // divisor) for count in _PERIOD_CHANNELS)]
        strides = (3, 3, 3, 3, 1)
        self.convs = nn.ModuleList(
            NormedConv((outputs, inputs, 5, 1), stride)
            for stride, inputs, outputs in zip(strides, channels, channels[1:], strict=False)
        )
        self.conv_post = NormedConv((1, channels[-1], 3, 1))

    def forward(self, x: Tensor) -> Judgement:
        missing = -x.shape[-1] % self.period
        if missing:
            x = F.pad(x, (0, missing), "reflect")
        return self.judge(x.unflatten(-1, (-1, self.period)))


class MultiPeriodDiscriminator(nn.Module):
    """All six; ``divisor`` thins every channel count, for tests and small models."""

    def __init__(self, divisor: int = 1) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(
            [ScaleDiscriminator(divisor), *(PeriodDiscriminator(period, divisor) for period in PERIODS)]
        )

    def forward(self, audio: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """``[B, 1, S]`` -> scores and feature maps, one entry a discriminator."""
        judged = [discriminator(audio) for discriminator in self.discriminators]
        return [scores for scores, _ in judged], [maps for _, maps in judged]

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> MultiPeriodDiscriminator:
        """A discriminator with these weights; its width is read off their shapes. Raises ModelFilesInvalid."""
        widest = state.get("discriminators.0.convs.3.weight_v")
        if widest is None:
            raise ModelFilesInvalid(
                "these are not the weights of a multi-period discriminator: discriminators.0.convs.3.weight_v is "
                f"missing among {len(state)} tensors.",
                hint="Give the D_*.pth that belongs to the model.",
            )
        model = cls(max(1, 1024 // widest.shape[0]))
        try:
            model.load_state_dict(dict(state))
        except RuntimeError as error:
            raise ModelFilesInvalid(f"the discriminator does not fit: {error}") from error
        return model
