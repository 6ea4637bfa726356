"""How an utterance differs from the true one: pitch, timing and spectrum along the best alignment of the two."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_RATE: Final = 16_000
_HOP: Final = 256
_CEPSTRA: Final = 13
#: Frames this far below the loudest one, in dB, at either end are silence.
_SILENCE_DB: Final = 40.0


@dataclass(frozen=True)
class Prosody:
    """One utterance against the truth. NaN where fewer than ten frames are voiced in both.

    ``f0_correlation`` of log F0; ``f0_error`` mean absolute and ``f0_level`` median difference (said less true), in
    semitones; ``voicing_error`` share of frames voiced in one only; ``duration_ratio`` of the speech without silence at
    its ends; ``mel_l1`` in nepers; ``mcd`` in dB.
    """

    f0_correlation: float
    f0_error: float
    f0_level: float
    voicing_error: float
    duration_ratio: float
    mel_l1: float
    mcd: float


@dataclass(frozen=True, eq=False)
class Analysis:
    """Log-mel ``[F, 80]`` and F0 in Hz ``[F]`` (0 unvoiced) of the speech in an utterance, 16 ms a frame."""

    mel: Floats
    f0: Floats


def analyse(samples: Floats) -> Analysis:
    """Analyse 16 kHz ``samples`` ``[T]``, silence at the ends left out."""
    import pyworld
    import torch

    usable = np.ascontiguousarray(samples[: len(samples) // _HOP * _HOP], np.float32)
    with torch.inference_mode():
        mel = _log_mel()(torch.from_numpy(usable)[None])[0].T.numpy()
    wave = usable.astype(np.float64)
    # Twice as fine as the mel, so that every second estimate falls on the centre of a mel frame.
    rough, times = pyworld.dio(wave, _RATE, f0_floor=55.0, f0_ceil=520.0, frame_period=1000.0 * _HOP / 2 / _RATE)
    f0 = pyworld.stonemask(wave, rough, times, _RATE)[1::2][: len(mel)]
    power = np.square(usable).reshape(-1, _HOP).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 10 ** (-_SILENCE_DB / 10))
    first, last = (int(loud[0]), int(loud[-1]) + 1) if len(loud) else (0, len(mel))
    return Analysis(mel[first:last].astype(np.float32), f0[first:last].astype(np.float32))


@cache
def _log_mel() -> Any:
    from voiceclone.nn.spectrogram import LogMel, SpectrogramConfig

    return LogMel(SpectrogramConfig(sample_rate=_RATE, hop_length=_HOP))


def warp_path(cost: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column indices of the cheapest monotonic path through ``cost`` ``[N, M]``, corner to corner."""
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0.0
    # By anti-diagonals: all cells of one depend on the two before it only.
    for diagonal in range(rows + columns - 1):
        i = np.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
        j = diagonal - i
        before = np.minimum(np.minimum(total[i, j + 1], total[i + 1, j]), total[i, j])
        total[i + 1, j + 1] = cost[i, j] + before
    i, j = rows, columns
    path = [(i - 1, j - 1)]
    while (i, j) != (1, 1):
        i, j = min(((i - 1, j - 1), (i - 1, j), (i, j - 1)), key=lambda cell: total[cell])
        path.append((i - 1, j - 1))
    at = np.asarray(path[::-1], np.int64)
    return at[:, 0], at[:, 1]


def compare(said: Analysis, truth: Analysis) -> Prosody:
    """Judge ``said`` by ``truth``."""
    cost = np.abs(said.mel[:, None] - truth.mel[None]).mean(axis=-1)
    i, j = warp_path(cost)
    cepstra = _cepstra(said.mel)[i] - _cepstra(truth.mel)[j]
    voiced = (said.f0[i] > 0) & (truth.f0[j] > 0)
    correlation = error = level = float("nan")
    if voiced.sum() >= 10:
        a, b = (12.0 * np.log2(f0[at][voiced]) for f0, at in ((said.f0, i), (truth.f0, j)))
        error = float(np.abs(a - b).mean())
        level = float(np.median(a - b))
        if a.std() > 0 and b.std() > 0:
            correlation = float(np.corrcoef(a, b)[0, 1])
    return Prosody(
        f0_correlation=correlation,
        f0_error=error,
        f0_level=level,
        voicing_error=float(((said.f0[i] > 0) != (truth.f0[j] > 0)).mean()),
        duration_ratio=len(said.mel) / len(truth.mel),
        mel_l1=float(cost[i, j].mean()),
        mcd=float((10.0 / np.log(10.0) * np.sqrt(2.0 * np.square(cepstra).sum(axis=1))).mean()),
    )


def _cepstra(mel: Floats) -> Floats:
    """Cepstral coefficients 1..13 ``[F, 13]`` of log-mels ``[F, M]``; level and so the loudness is left out."""
    count = mel.shape[1]
    place = (np.arange(count) + 0.5) / count
    basis = np.cos(np.pi * np.arange(1, _CEPSTRA + 1)[:, None] * place) * (2.0 / count)
    cepstra: Floats = (mel @ basis.T).astype(np.float32)
    return cepstra
