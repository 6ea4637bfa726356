"""The losses of VITS and VITS2, each a float32 scalar on the device of its inputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def kl_loss(z_p: Tensor, logs_q: Tensor, m_p: Tensor, logs_p: Tensor, mask: Tensor) -> Tensor:
    """KL of the posterior, sampled and carried through the flow, from the expanded prior.

    All ``[B, C, T]``, deviations as logarithms, ``mask`` ``[B, 1, T]``. Summed over channels, averaged over frames.
    """
    z_p, logs_q, m_p, logs_p, mask = (value.float() for value in (z_p, logs_q, m_p, logs_p, mask))
    kl = logs_p - logs_q - 0.5 + 0.5 * (z_p - m_p).square() * torch.exp(-2.0 * logs_p)
    return (kl * mask).sum() / mask.sum()


def mel_loss(target: Tensor, generated: Tensor) -> Tensor:
    """Mean distance of two log-mels ``[B, M, T]``."""
    return (target.float() - generated.float()).abs().mean()


def log_durations(durations: Tensor, mask: Tensor) -> Tensor:
    """Frames a token ``[B, T]`` -> ``[B, 1, T]``, the logarithm that the predictors learn, 0 in the padding."""
    return torch.log(durations.float()[:, None] + 1e-6) * mask


def duration_error(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Squared error of log durations ``[B, 1, T]``, averaged over the tokens of the batch."""
    return (predicted.float() - target.float()).square().sum() / mask.float().sum()


def discriminator_loss(real: Sequence[Tensor], generated: Sequence[Tensor]) -> Tensor:
    """Least squares: real scores towards 1, generated ones towards 0; summed over the discriminators."""
    parts = [
        (1.0 - r.float()).square().mean() + g.float().square().mean() for r, g in zip(real, generated, strict=True)
    ]
    return torch.stack(parts).sum()


def generator_loss(generated: Sequence[Tensor]) -> Tensor:
    """Least squares: generated scores towards 1; summed over the discriminators."""
    return torch.stack([(1.0 - g.float()).square().mean() for g in generated]).sum()


def feature_loss(real: Sequence[Sequence[Tensor]], generated: Sequence[Sequence[Tensor]]) -> Tensor:
    """Twice the mean distance of the discriminators' feature maps, summed over maps; no gradient to the real ones."""
    parts = [
        (r.detach().float() - g.float()).abs().mean()
        for row, other in zip(real, generated, strict=True)
        for r, g in zip(row, other, strict=True)
    ]
    return 2.0 * torch.stack(parts).sum()
