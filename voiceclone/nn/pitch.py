"""Fundamental frequency by normalised cross-correlation and a Viterbi search, in numpy.

After the NCCF of RAPT (Talkin 1995) and its continuous use in Ghahremani et al. 2014; frames line up with
:class:`voiceclone.nn.spectrogram.LogMel`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PitchConfig:
    sample_rate: int = 16000
    hop_length: int = 256
    f_min: float = 55.0
    f_max: float = 520.0
    #: Correlation window in samples.
    window: int = 400
    #: Candidates per octave; the winner is refined by a parabola.
    candidates_per_octave: int = 36
    #: Cost of one octave's jump between neighbouring frames.
    jump_cost: float = 6.0
    #: Cost of turning voicing on or off.
    voicing_cost: float = 0.35
    #: Correlation at which voiced and unvoiced cost the same.
    voicing_threshold: float = 0.4
    #: Preference for the shorter of two equally good periods.
    octave_bias: float = 0.06


def track_pitch(samples: Array, config: PitchConfig = PitchConfig()) -> tuple[Array, NDArray[np.bool_]]:
    """F0 in Hz ``[F]`` and voicing ``[F]`` of mono ``samples`` ``[T]``, ``F = T // hop_length``.

    Unvoiced frames hold 0. Silence and noise give no voiced frames; nothing is raised on an empty input.
    """
    frames = len(samples) // config.hop_length
    if frames == 0:
        return np.zeros(0, np.float32), np.zeros(0, bool)
    correlation = _correlate(samples, frames, config)
    octaves = np.log2(config.f_max / config.f_min)
    count = int(octaves * config.candidates_per_octave) + 1
    f0_grid = config.f_min * 2.0 ** (np.arange(count) / config.candidates_per_octave)
    lags = config.sample_rate / f0_grid
    low = np.floor(lags).astype(int)
    fraction = (lags - low).astype(np.float32)
    scores = correlation[:, low] * (1 - fraction) + correlation[:, low + 1] * fraction
    scores -= (config.octave_bias * np.log2(config.f_max / f0_grid) / octaves).astype(np.float32)
    path = _search(scores, config)
    voiced = path >= 0
    f0 = np.zeros(frames, np.float32)
    for frame in np.flatnonzero(voiced):
        f0[frame] = config.sample_rate / _refine(correlation[frame], lags[path[frame]])
    return f0, voiced


def _correlate(samples: Array, frames: int, config: PitchConfig) -> Array:
    """NCCF ``[F, lags]`` of windows centred on each frame's hop."""
    longest = int(config.sample_rate / config.f_min) + 3
    size = config.window + longest
    n_fft = 1 << (size + config.window - 1).bit_length()
    start = (config.hop_length - size) // 2
    padded = np.concatenate([np.zeros(max(0, -start), np.float32), samples, np.zeros(size, np.float32)])
    # Sharp pulses would correlate only at exact lags, between the candidates: keep what lies below about 1 kHz.
    kernel = np.hanning(config.sample_rate // 750 + 2)
    padded = np.convolve(padded - padded.mean(), kernel / kernel.sum(), "same").astype(np.float32)
    offsets = np.arange(frames) * config.hop_length + start + max(0, -start)
    blocks = np.lib.stride_tricks.sliding_window_view(padded, size)[offsets]
    head = blocks[:, : config.window]
    product = np.fft.rfft(blocks, n_fft) * np.conj(np.fft.rfft(head, n_fft))
    cross = np.fft.irfft(product, n_fft)[:, :longest].astype(np.float32)
    power = np.concatenate([np.zeros((frames, 1)), np.cumsum(blocks.astype(np.float64) ** 2, axis=1)], axis=1)
    energy = (power[:, config.window : config.window + longest] - power[:, :longest]).clip(0.0)
    floor = (1e-3 * config.window * 1e-3) + 1e-3 * power[:, -1:].max()  # keeps faint noise from looking periodic
    return np.asarray(cross / np.sqrt((energy[:, :1] + floor) * (energy + floor)), np.float32)


def _search(scores: Array, config: PitchConfig) -> NDArray[np.int64]:
    """Best candidate per frame ``[F]``, -1 where unvoiced."""
    frames, count = scores.shape
    reach = config.candidates_per_octave // 3
    shifts = np.arange(-reach, reach + 1)
    costs = (config.jump_cost * np.abs(shifts) / config.candidates_per_octave).astype(np.float32)
    padded = np.full(count + 2 * reach, -np.inf, np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    best, silent = scores[0].copy(), np.float32(config.voicing_threshold)
    back = np.zeros((frames, count + 1), np.int64)
    for frame in range(1, frames):
        padded[reach : reach + count] = best
        options = windows - costs
        pick = options.argmax(axis=1)
        stay = options[np.arange(count), pick]
        rise = silent - config.voicing_cost
        top = int(best.argmax())
        fall = best[top] - config.voicing_cost
        back[frame, :count] = np.where(stay >= rise, np.arange(count) + pick - reach, count)
        back[frame, count] = count if silent >= fall else top
        best = np.maximum(stay, rise) + scores[frame]
        silent = max(silent, fall) + np.float32(config.voicing_threshold)
    path = np.empty(frames, np.int64)
    path[-1] = count if silent >= best.max() else int(best.argmax())
    for frame in range(frames - 1, 0, -1):
        path[frame - 1] = back[frame, path[frame]]
    path[path == count] = -1
    return path


def _refine(correlation: Array, lag: float) -> float:
    """Peak of the parabola through the best whole lag next to ``lag``."""
    near = round(lag)
    lower, upper = max(1, near - 3), min(len(correlation) - 2, near + 3)
    peak = lower + int(correlation[lower : upper + 1].argmax())
    left, centre, right = correlation[peak - 1 : peak + 2]
    if centre <= max(left, right):
        return float(peak)  # the edge of the search, not a peak: a parabola would point anywhere
    return float(peak + 0.5 * (left - right) / (left - 2 * centre + right))


def track_log_f0(samples: Array, config: PitchConfig = PitchConfig()) -> Array:
    """Natural-log F0 ``[F]`` of mono ``samples`` ``[T]``, 0 where unvoiced."""
    f0, voiced = track_pitch(samples, config)
    return np.where(voiced, np.log(np.where(voiced, f0, 1.0)), 0.0).astype(np.float32)


def median_level(log_f0: Array) -> float | None:
    """Median of the voiced frames of a natural-log F0 ``[F]``; None where fewer than five are voiced."""
    values = log_f0[log_f0 > 0]
    return float(np.median(values)) if len(values) >= 5 else None


def continuous_f0(log_f0: Array) -> Array:
    """Natural-log F0 ``[F]``, 0 where unvoiced -> Hz ``[F]``, unvoiced stretches bridged; 150 Hz if all are."""
    voiced = np.flatnonzero(log_f0 > 0)
    if not len(voiced):
        return np.full(len(log_f0), 150.0, np.float32)
    return np.exp(np.interp(np.arange(len(log_f0)), voiced, log_f0[voiced])).astype(np.float32)
