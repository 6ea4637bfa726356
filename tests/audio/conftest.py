"""Sounds and files that the audio tests are made of."""

from __future__ import annotations

import io

import numpy as np
import soundfile
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def tone(rate: int = 24000, seconds: float = 1.5, channels: int = 1) -> Floats:
    """Two sines a channel, [T, C]; no two channels alike."""
    time = np.arange(int(rate * seconds)) / rate
    columns = [0.3 * np.sin(time * 2 * np.pi * 220 * (i + 1)) + 0.2 * np.sin(time * 700) for i in range(channels)]
    return np.stack(columns, axis=1).astype(np.float32)


def file_of(samples: Floats, rate: int, container: str, subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=container, subtype=subtype)
    return buffer.getvalue()
