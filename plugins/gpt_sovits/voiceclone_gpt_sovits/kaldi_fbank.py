"""Filter-bank energies as Kaldi defines them, for the speaker embedding of v2Pro."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

SAMPLE_RATE, FRAME, SHIFT, N_FFT, MELS = 16000, 400, 160, 512, 80
_LOWEST_HZ, _PREEMPHASIS = 20.0, 0.97


def fbank(samples: Tensor) -> Tensor:
    """Samples ``[T]`` at 16 kHz in -1..1 -> natural logarithms ``[frames, 80]``, only of frames that are whole.

    Raises ValueError for fewer samples than one frame has.
    """
    if samples.dim() != 1 or len(samples) < FRAME:
        raise ValueError(f"samples must be [at least {FRAME}], got {list(samples.shape)}")
    frames = samples.unfold(0, FRAME, SHIFT)
    frames = frames - frames.mean(1, keepdim=True)
    before = F.pad(frames[None], (1, 0), mode="replicate")[0, :, :-1]
    window = torch.hann_window(FRAME, periodic=False, device=samples.device).pow(0.85)
    spectrum = torch.fft.rfft((frames - _PREEMPHASIS * before) * window, N_FFT).abs().square()
    energies = spectrum @ _filters().to(samples.device)
    banks: Tensor = energies.clamp_min(torch.finfo(torch.float32).eps).log()
    return banks


@lru_cache(1)
def _filters() -> Tensor:
    """``[bins, 80]``: triangles of height 1, evenly spaced on the mel scale; the highest bin is not used."""
    low, high = _mel(torch.tensor([_LOWEST_HZ, SAMPLE_RATE / 2], dtype=torch.float64)).tolist()
    step = (high - low) / (MELS + 1)
    left = low + torch.arange(MELS)[None] * step
    bins = _mel(SAMPLE_RATE / N_FFT * torch.arange(N_FFT // 2))[:, None]
    # In float32, step by step as the original: the lowest triangles have few bins.
    rising = (bins - left) / step
    falling = (left + 2.0 * step - bins) / step
    return F.pad(torch.minimum(rising, falling).clamp_min(0.0), (0, 0, 0, 1))


def _mel(hertz: Tensor) -> Tensor:
    return 1127.0 * (1.0 + hertz / 700.0).log()
