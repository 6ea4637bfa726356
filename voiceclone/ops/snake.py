"""BigVGAN's activation: a snake between a filter that doubles the rate and one that halves it; inference only."""

from __future__ import annotations

import torch
from torch import Tensor

from voiceclone.ops import reference
from voiceclone.ops._native import NATIVE
from voiceclone.ops.conv1d import check_signal, usable

TAPS = 12


def snake(x: Tensor, alpha: Tensor, gain: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """``v + gain * sin(alpha v)^2`` at twice the rate of ``x`` ``[B, T, C]`` float32 -> ``[B, T, C]``.

    ``alpha`` and ``gain`` ``[C]`` are in linear scale (gain is 1 / beta); ``up`` and ``down`` ``[12]`` are the low-pass
    filters around it. Ends are continued with their last value. Absolute errors stay below 1e-6 of the result's size
    where ``|alpha v|`` is below 10^4.
    """
    check_signal(x, alpha.shape[0] if alpha.dim() == 1 else -1)
    for name, vector, length in (("gain", gain, x.shape[2]), ("up", up, TAPS), ("down", down, TAPS)):
        if vector.shape != (length,):
            raise ValueError(f"{name} must be [{length}], got {tuple(vector.shape)}")
    vectors = [vector.to(x).contiguous() for vector in (alpha, gain, up, down)]
    if usable(x.device):
        y: Tensor = torch.ops.voiceclone.snake.default(x, *vectors)
        return y
    return reference.snake(x, *vectors)


if NATIVE.loaded:

    @torch.library.register_fake("voiceclone::snake")  # type: ignore[untyped-decorator]
    def _snake_fake(x: Tensor, alpha: Tensor, gain: Tensor, up: Tensor, down: Tensor) -> Tensor:
        return x.new_empty(x.shape)
