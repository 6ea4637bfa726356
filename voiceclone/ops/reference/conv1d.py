"""The convolutions of HiFi-GAN in plain torch, channels last."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

#: Weight ``[out, in, taps]``, bias ``[out]`` or None, dilation.
Convolution = tuple[Tensor, Tensor | None, int]


def conv1d(x: Tensor, convolution: Convolution, slope: float, tanh: bool = False) -> Tensor:
    """``x`` ``[B, T, in]`` through leaky ReLU and a convolution of odd size that keeps T -> ``[B, T, out]``."""
    weight, bias, dilation = convolution
    active = functional.leaky_relu(x, slope).transpose(1, 2)
    padding = (weight.shape[2] - 1) // 2 * dilation
    y = functional.conv1d(active, weight, bias, padding=padding, dilation=dilation).transpose(1, 2)
    return y.tanh() if tanh else y


def resblock(x: Tensor, blocks: Sequence[Sequence[Convolution]], paired: bool, slope: float) -> Tensor:
    """Mean of residual blocks over one ``x`` ``[B, T, C]``; each adds a convolution, or a pair of them, after another."""
    total = None
    for block in blocks:
        y = x
        step = 2 if paired else 1
        for i in range(0, len(block), step):
            inner = y
            for convolution in block[i : i + step]:
                inner = conv1d(inner, convolution, slope)
            y = inner + y
        total = y if total is None else total + y
    assert total is not None
    return total / len(blocks)


def upsample(x: Tensor, weight: Tensor, bias: Tensor | None, rate: int, slope: float) -> Tensor:
    """``x`` ``[B, T, in]`` through leaky ReLU and a transposed convolution ``[in, out, taps]`` -> ``[B, T * rate, out]``."""
    padding = (weight.shape[2] - rate) // 2
    active = functional.leaky_relu(x, slope).transpose(1, 2)
    return functional.conv_transpose1d(active, weight, bias, stride=rate, padding=padding).transpose(1, 2)
