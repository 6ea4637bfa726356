"""Monotonic alignment search in plain torch."""

from __future__ import annotations

import torch
from torch import Tensor

#: Sum of a path that cannot be, in float32; small enough for any sum of log-likelihoods that a model makes.
NEVER = -1e9


def mas(value: Tensor, frames: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Best monotonic path through ``value`` ``[B, T_mel, T_text]``; see :func:`voiceclone.ops.mas`.

    Out-of-band cells are computed and never read, which keeps the loop free of masks.
    """
    batch, mel, text = value.shape
    column = torch.arange(text, device=value.device)
    sums = value.new_full((batch, text), NEVER)
    down = torch.zeros(batch, mel, text, dtype=torch.bool, device=value.device)
    for y in range(mel):
        stay = torch.where(column == y, NEVER, sums)
        come = torch.cat((sums.new_full((batch, 1), NEVER if y else 0.0), sums[:, :-1]), dim=1)[:, :text]
        down[:, y] = (column == y) | (stay < come)
        sums = value[:, y] + torch.where(stay > come, stay, come)
    # More tokens than frames leave no path that covers all: the raw values decide each step.
    raw = torch.zeros_like(down)
    raw[:, 1:, 1:] = value[:, :-1, 1:] < value[:, :-1, :-1]
    down = torch.where((tokens > frames)[:, None, None], raw, down)

    token = tokens.long() - 1
    index = torch.full((batch, mel), -1, dtype=torch.int32, device=value.device)
    durations = torch.zeros(batch, text, dtype=torch.int32, device=value.device)
    rows = torch.arange(batch, device=value.device)
    for y in range(mel - 1, -1, -1) if text else ():
        active = (y < frames) & (tokens > 0)
        here = token.clamp(min=0)
        index[:, y] = torch.where(active, here, -1).int()
        durations[rows, here] += active.int()
        token = token - (active & (here > 0) & down[rows, y, here]).long()
    return index, durations
