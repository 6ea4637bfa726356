"""Random segments of a batch: the decoder and the discriminators learn on short pieces, all cut in one gather."""

from __future__ import annotations

import torch
from torch import Tensor


def segment_starts(draws: Tensor, frames: Tensor, segment: int) -> Tensor:
    """Uniform ``draws`` ``[B]`` in 0..1 -> first frames ``[B]``, so that ``segment`` frames fit where there are as many.

    A sample shorter than the segment starts at 0.
    """
    return (draws * (frames - segment + 1).clamp_min(1).to(draws.dtype)).long()


def cut(values: Tensor, starts: Tensor, segment: int) -> Tensor:
    """``[B, C, T]`` -> ``[B, C, segment]`` from ``starts`` ``[B]`` on; zeros where a sample ends early."""
    if values.shape[2] < segment:
        values = torch.nn.functional.pad(values, (0, segment - values.shape[2]))
    index = starts[:, None] + torch.arange(segment, device=starts.device)
    return values.gather(2, index[:, None].expand(-1, values.shape[1], -1))
