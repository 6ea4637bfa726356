"""Sample-rate conversion through soxr, whole or as a stream; both give the same samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from voiceclone.types import Samples


def resample(samples: Samples, from_rate: int, to_rate: int) -> Samples:
    """Convert float32 ``[T]`` or ``[T, C]`` from one rate (Hz) to another; the same array where they are equal."""
    if from_rate == to_rate:
        return samples
    import soxr

    return np.ascontiguousarray(soxr.resample(samples, from_rate, to_rate, quality="HQ"), np.float32)


class StreamResampler:
    """Converts a mono stream chunk by chunk; the concatenation does not depend on where the chunks were cut."""

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._stream = None
        if from_rate != to_rate:
            import soxr

            self._stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality="HQ")

    def feed(self, samples: Samples, *, last: bool = False) -> Samples:
        """Take float32 ``[T]``; return what is ready, all that is left when ``last``."""
        if self._stream is None:
            return samples
        ready: Samples = self._stream.resample_chunk(np.ascontiguousarray(samples, np.float32), last=last)
        return ready
