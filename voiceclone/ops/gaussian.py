"""Alignment of frames with a Gaussian for each token: the score as one matrix product, the search, the expansion."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from voiceclone.ops.mas import Alignment, mas


def gaussian_score(z: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Log-likelihood ``[B, T_mel, T_text]`` of each frame under each token's diagonal Gaussian, float32.

    ``z`` is ``[B, T_mel, D]``; ``mean`` and ``log_scale`` (log of the standard deviation) are ``[B, T_text, D]``. The
    square is multiplied out, so that ``[z^2, z]`` times ``[-1/2 s, mean s]`` with ``s = exp(-2 log_scale)`` is one
    product of depth ``2 D``, and what depends on the token alone is its bias. It is computed in float32 under autocast
    too: half precision would tie the scores of neighbours (and so does TF32, where torch was told to use it).
    """
    if z.dim() != 3 or mean.dim() != 3 or mean.shape != log_scale.shape:
        shapes = [list(part.shape) for part in (z, mean, log_scale)]
        raise ValueError(f"z must be [B, T_mel, D], mean and log_scale [B, T_text, D], got {shapes}")
    if z.shape[0] != mean.shape[0] or z.shape[2] != mean.shape[2]:
        raise ValueError(f"z {list(z.shape)} and mean {list(mean.shape)} must have the same batch and channels")
    with torch.autocast(z.device.type, enabled=False):
        z, mean, log_scale = z.float(), mean.float(), log_scale.float()
        precision = torch.exp(-2 * log_scale)
        weighted = mean * precision
        bias = -(log_scale + 0.5 * mean * weighted).sum(2) - 0.5 * math.log(2 * math.pi) * z.shape[2]
        weight = torch.cat((-0.5 * precision, weighted), dim=2)
        return torch.baddbmm(bias[:, None, :], torch.cat((z * z, z), dim=2), weight.transpose(1, 2))


def gaussian_mas(
    z: Tensor, mean: Tensor, log_scale: Tensor, frames: Tensor | None = None, tokens: Tensor | None = None
) -> Alignment:
    """Align the frames ``z`` ``[B, T_mel, D]`` with tokens whose Gaussians have ``mean`` and ``log_scale``
    ``[B, T_text, D]``, as VITS and Glow-TTS train; lengths as in :func:`voiceclone.ops.mas`. No gradient."""
    with torch.no_grad():
        return mas(gaussian_score(z, mean, log_scale), frames, tokens, layout="frames_tokens")


def expand(values: Tensor, tokens: Tensor) -> Tensor:
    """What each frame's token has: ``values`` ``[B, T_text, C]`` by ``tokens`` ``[B, T_mel]`` -> ``[B, T_mel, C]``.

    ``tokens`` are those of an :class:`Alignment`; frames past the end (-1) get zeros. The same as multiplying by the
    dense path, bit for bit, at the cost of a copy. Gradients add up in ``values``.
    """
    if values.dim() != 3 or tokens.dim() != 2 or values.shape[0] != tokens.shape[0]:
        raise ValueError(f"values must be [B, T_text, C], tokens [B, T_mel], got {[*values.shape]}, {[*tokens.shape]}")
    batch, text, channels = values.shape
    # One more row, of zeros, is what -1 points to: cheaper than masking the longer result.
    table = torch.cat((values.reshape(batch * text, channels), values.new_zeros(1, channels)))
    first = torch.arange(0, batch * text, max(text, 1), device=tokens.device)[:batch, None] if text else 0
    rows = torch.where(tokens < 0, batch * text, tokens + first)
    return table.index_select(0, rows.reshape(-1)).view(batch, tokens.shape[1], channels)
