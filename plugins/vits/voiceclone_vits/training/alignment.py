"""Aligning tokens with frames in training: the Gaussian score in one matrix product, the search, and the expansion."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from voiceclone import ops
from voiceclone.ops.mas import Alignment, mas

_HALF_LOG_TAU = 0.5 * math.log(2.0 * math.pi)


def gaussian_score(z: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Log-likelihood of each frame under each token, ``[B, T_mel, T_text]`` float32, no gradient.

    ``z`` ``[B, C, T_mel]``; ``mean`` and ``log_std`` ``[B, C, T_text]``; see :func:`voiceclone.ops.gaussian_score`.
    """
    with torch.no_grad():
        return ops.gaussian_score(z.transpose(1, 2), mean.transpose(1, 2), log_std.transpose(1, 2))


def _factors(mean: Tensor, log_std: Tensor) -> tuple[Tensor, Tensor]:
    """``[B, 2C, T_text]``, and the part of the score that is the token's own, ``[B, 1, T_text]``."""
    mean, log_std = mean.detach().float(), log_std.detach().float()
    precision = torch.exp(-2.0 * log_std)
    weighted = mean * precision
    bias = (-_HALF_LOG_TAU - log_std).sum(1, keepdim=True) - 0.5 * (mean * weighted).sum(1, keepdim=True)
    return torch.cat((precision.mul_(-0.5), weighted), dim=1), bias


def _ragged_score(z: Tensor, mean: Tensor, log_std: Tensor, frames: Tensor, tokens: Tensor) -> Tensor:
    """As :func:`gaussian_score` without the padding, whose cells are left zero: for a CPU, a sample at a time.

    The left factor of every sample is made in the same memory: fresh pages cost a third of the product.
    """
    with torch.no_grad(), torch.autocast(z.device.type, enabled=False):
        z = z.detach().float()
        right, bias = _factors(mean, log_std)
        batch, channels, most = z.shape
        score = z.new_zeros(batch, most, right.shape[2])
        left = z.new_empty(2 * channels, most)
        for row, (mel, text) in enumerate(zip(frames.tolist(), tokens.tolist(), strict=True)):
            torch.mul(z[row], z[row], out=left[:channels])
            left[channels:] = z[row]
            torch.addmm(bias[row, :, :text], left[:, :mel].t(), right[row, :, :text], out=score[row, :mel, :text])
        return score


def align(
    z: Tensor, mean: Tensor, log_std: Tensor, frames: Tensor, tokens: Tensor, noise: Tensor | None = None,
    noise_scale: Tensor | float = 0.0,
) -> Alignment:  # fmt: skip
    """The best monotonic alignment of ``tokens`` ``[B]`` tokens with ``frames`` ``[B]`` frames.

    ``noise`` ``[B, T_mel, T_text]``, standard normal: VITS2 adds it, times ``noise_scale`` and the deviation of the
    scores over the whole padded tensor.
    """
    if noise is None:
        score = (_ragged_score(z, mean, log_std, frames, tokens)
                 if z.device.type == "cpu" else gaussian_score(z, mean, log_std))  # fmt: skip
    else:
        score = gaussian_score(z, mean, log_std)
        score = score + score.std() * noise * noise_scale
    return mas(score, frames, tokens, layout="frames_tokens")


def expand(values: Tensor, alignment: Alignment) -> Tensor:
    """Token values ``[B, C, T_text]`` -> frame values ``[B, C, T_mel]``; zeros past a sample's end. Trains."""
    return ops.expand(values.transpose(1, 2), alignment.tokens).transpose(1, 2)
