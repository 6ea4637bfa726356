"""BigVGAN's anti-aliased snake in plain torch."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def snake(x: Tensor, alpha: Tensor, gain: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """``x`` ``[B, T, C]`` doubled in rate, ``v + gain * sin(alpha v)^2``, halved again; filters of twelve taps."""
    channels = x.shape[2]
    if x.shape[1] == 0:
        return x.clone()
    wide = functional.pad(x.transpose(1, 2), (5, 5), mode="replicate")
    filters = up.expand(channels, 1, -1)
    doubled = 2.0 * functional.conv_transpose1d(wide, filters, stride=2, groups=channels)[..., 15:-15]
    bent = doubled + gain[:, None] * (doubled * alpha[:, None]).sin().square()
    bent = functional.pad(bent, (5, 6), mode="replicate")
    return functional.conv1d(bent, down.expand(channels, 1, -1), stride=2, groups=channels).transpose(1, 2)
