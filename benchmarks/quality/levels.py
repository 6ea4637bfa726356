"""Plain facts about a waveform that a listener would notice first: loudness, clipping, silence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_RATE: Final = 16_000
_BLOCK: Final = 160
_SILENCE_DB: Final = 40.0


@dataclass(frozen=True)
class Levels:
    """``speech_dbfs`` RMS of the blocks that are not silent; seconds of silence at both ends and inside."""

    seconds: float
    speech_dbfs: float
    peak: float
    clipped_samples: int
    leading_silence: float
    trailing_silence: float
    inner_silence: float


def measure(samples: NDArray[np.float32]) -> Levels:
    """Levels of 16 kHz ``samples`` ``[T]`` in 10 ms blocks; silence is 40 dB below the loudest block."""
    power = np.square(samples[: len(samples) // _BLOCK * _BLOCK], dtype=np.float64).reshape(-1, _BLOCK).mean(axis=1)
    peak = float(np.abs(samples).max()) if len(samples) else 0.0
    if not len(power) or power.max() <= 0.0:
        seconds = len(samples) / _RATE
        return Levels(seconds, float("-inf"), peak, 0, seconds, 0.0, 0.0)
    loud = power > power.max() * 10 ** (-_SILENCE_DB / 10)
    where = np.flatnonzero(loud)
    first, last = int(where[0]), int(where[-1])
    block = _BLOCK / _RATE
    return Levels(
        seconds=len(samples) / _RATE,
        speech_dbfs=float(10 * np.log10(power[loud].mean())),
        peak=peak,
        clipped_samples=int((np.abs(samples) >= 0.999).sum()),
        leading_silence=first * block,
        trailing_silence=(len(power) - 1 - last) * block,
        inner_silence=float((~loud[first : last + 1]).sum()) * block,
    )
