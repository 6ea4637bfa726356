"""Float samples to 16 bits: dither that depends on the seed and the position alone, crossfades where segments join.

`csrc/host/pcm.cpp` is the same in C++: results are equal bit for bit, so sums keep their order and their type.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_MOST_CROSSFADE = 1 << 20
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def to_pcm16(samples: ArrayLike, seed: int | None = None, position: int = 0) -> NDArray[np.int16]:
    """Round float32 ``[T]`` (full scale is 1) to 16 bits; what is beyond full scale saturates, NaN is silence.

    With a ``seed``, triangular noise of one step is added first, so that quiet sound does not turn into distortion. It
    depends on the seed and the place of a sample in its stream, which for the first sample here is ``position``.
    """
    given = np.asarray(samples, np.float32)
    if given.ndim != 1:
        raise ValueError(f"samples must have one dimension, got {given.ndim}")
    if not 0 <= position < 1 << 64:
        raise ValueError(f"position must be 0 to 2**64 - 1, got {position}")
    scaled = given.astype(np.float64) * 32768.0
    if _checked_seed(seed) is not None:
        scaled += _dither(seed or 0, position, len(given))
    with np.errstate(invalid="ignore"):
        rounded = np.rint(np.clip(scaled, -32768.0, 32767.0))
    result: NDArray[np.int16] = np.nan_to_num(rounded, nan=0.0).astype(np.int16)
    return result


def _dither(seed: int, position: int, count: int) -> NDArray[np.float64]:
    """Triangular noise ``[count]`` within (-1, 1): two halves of splitmix64, which can begin anywhere."""
    first = (seed + (position + 1) * _GOLDEN) % (1 << 64)
    mixed = np.arange(count, dtype=np.uint64) * np.uint64(_GOLDEN) + np.uint64(first)
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(_FIRST)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(_SECOND)
    mixed ^= mixed >> np.uint64(31)
    total = (mixed >> np.uint64(32)) + (mixed & np.uint64(0xFFFFFFFF))
    noise: NDArray[np.float64] = total.astype(np.float64) * (1.0 / 4294967296.0) - 1.0
    return noise


class PcmChunker:
    """Turns the segments of a stream into 16-bit samples, chunk by chunk; how they were cut changes nothing.

    Neighbouring segments overlap by ``crossfade`` samples (fewer where a segment is shorter): the end of one fades into
    the beginning of the next, and where both agree nothing changes. ``seed`` dithers as :func:`to_pcm16` does.
    """

    def __init__(self, *, crossfade: int = 0, seed: int | None = None) -> None:
        if not 0 <= crossfade <= _MOST_CROSSFADE:
            raise ValueError(f"crossfade must be 0 to {_MOST_CROSSFADE} samples, got {crossfade}")
        self._crossfade = crossfade
        self._seed = _checked_seed(seed)
        self._position = 0
        self._held = self._fading = np.empty(0, np.float32)
        self._faded = 0

    @property
    def position(self) -> int:
        """Samples given out so far."""
        return self._position

    def push(self, samples: ArrayLike) -> NDArray[np.int16]:
        """Take more of the current segment, float32 ``[T]``; returns what no crossfade can change any more."""
        given = np.asarray(samples, np.float32)
        if given.ndim != 1:
            raise ValueError(f"samples must have one dimension, got {given.ndim}")
        count = min(len(given), len(self._fading) - self._faded)
        if count:
            index = np.arange(self._faded, self._faded + count).astype(np.float32)
            t = (index + np.float32(0.5)) / np.float32(len(self._fading))
            rising = t * t * (np.float32(3) - np.float32(2) * t)
            old = self._fading[self._faded : self._faded + count]
            with np.errstate(invalid="ignore", over="ignore"):
                blended = old + (given[:count] - old) * rising
            given = np.concatenate((blended, given[count:]))
            self._faded += count
        self._held = np.concatenate((self._held, given))
        return self._emit(max(0, len(self._held) - self._crossfade))

    def join(self) -> int:
        """End the segment: the next one begins under its last samples. Returns the position of that beginning."""
        self._fading, self._held, self._faded = self._held, np.empty(0, np.float32), 0
        return self._position

    def finish(self) -> NDArray[np.int16]:
        """End the stream and return the rest; what is pushed then begins anew at the position reached."""
        self._fading, self._faded = np.empty(0, np.float32), 0
        return self._emit(len(self._held))

    def _emit(self, count: int) -> NDArray[np.int16]:
        out = to_pcm16(self._held[:count], self._seed, self._position)
        self._held = self._held[count:]
        self._position += count
        return out


def _checked_seed(seed: int | None) -> int | None:
    if seed is not None and not 0 <= seed < 1 << 64:
        raise ValueError(f"seed must be 0 to 2**64 - 1, got {seed}")
    return seed
