"""Whether a recording can be cloned from: each refusal has its own reason, lesser faults become warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voiceclone.errors import SampleClipped, SampleNotFinite, SampleSilent, SampleTooLong, SampleTooShort
from voiceclone.voices.records import SampleQuality

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voiceclone.types import Samples

MIN_SECONDS = 1.0
MAX_SECONDS = 120.0
#: A recording with more than this fraction of its samples at the ceiling has lost its waveform.
MAX_CLIPPED = 0.01
#: Below this level (dB, 0 is full scale) nothing is called sound.
SILENCE_DB = -55.0
MIN_SPEECH_SECONDS = 0.3
_WARN_CLIPPED = 0.001
_WARN_SNR_DB = 20.0
_WARN_SECONDS = 3.0
_WARN_SPEECH = 0.4
_WARN_RATE = 16_000
_MAX_SNR_DB = 100.0


def assess(samples: Samples, sample_rate: int) -> SampleQuality:
    """Measure float32 mono ``[T]`` at ``sample_rate`` Hz.

    Raises SampleNotFinite, SampleTooShort, SampleTooLong, SampleSilent, SampleClipped, in this order.
    """
    if not np.isfinite(samples).all():
        bad = int(np.count_nonzero(~np.isfinite(samples)))
        raise SampleNotFinite(f"{bad} samples of the recording are NaN or infinite.", field="data")
    seconds = len(samples) / sample_rate
    if seconds < MIN_SECONDS:
        raise SampleTooShort(
            f"The recording lasts {seconds:.2f} s; at least {MIN_SECONDS:g} s are needed.",
            field="data",
            hint="5 to 15 s of clear speech work best.",
        )
    if seconds > MAX_SECONDS:
        raise SampleTooLong(
            f"The recording lasts {seconds:.0f} s; at most {MAX_SECONDS:g} s are taken.",
            field="data",
            hint="Send the clearest part of it.",
        )
    centred = samples - samples.mean(dtype=np.float64).astype(np.float32)  # a constant offset is not sound
    power = _frame_powers(centred, sample_rate)
    speech = _speech(power)
    if np.count_nonzero(speech) * _HOP_SECONDS < MIN_SPEECH_SECONDS:
        loudest = 10 * np.log10(power.sum(axis=1).max() + 1e-12)
        raise SampleSilent(
            f"The recording is silent: its loudest moment is at {loudest:.0f} dB and less than "
            f"{MIN_SPEECH_SECONDS:g} s are above the noise.",
            field="data",
            hint="Check the microphone.",
        )
    clipped = clipped_fraction(samples)
    if clipped > MAX_CLIPPED:
        raise SampleClipped(
            f"{clipped:.1%} of the recording is clipped; at most {MAX_CLIPPED:.0%} may be.",
            field="data",
            hint="Record again at a lower level.",
        )
    snr_db, speech_fraction = _snr_db(power), float(speech.mean())
    return SampleQuality(
        snr_db=round(snr_db, 1),
        clipped_fraction=round(clipped, 5),
        speech_fraction=round(speech_fraction, 3),
        warnings=tuple(_warnings(seconds, sample_rate, clipped, snr_db, speech_fraction)),
    )


def clipped_fraction(samples: Samples) -> float:
    """Return the fraction 0..1 of ``[T]`` in flat tops: three or more samples in a row at the recording's ceiling."""
    # 1.5 steps of 16 bits: the two ceilings of two's complement differ by one.
    ceiling = min(float(np.abs(samples).max(initial=0.0)), 1.0) - 1.5 / 32768
    at = np.concatenate(([False], np.abs(samples) >= ceiling, [False]))
    edges = np.flatnonzero(at[1:] != at[:-1])
    lengths = edges[1::2] - edges[::2]
    return float(lengths[lengths >= 3].sum()) / max(len(samples), 1)


_HOP_SECONDS = 0.01


def _frame_powers(samples: Samples, sample_rate: int) -> NDArray[np.float32]:
    """Return the power spectrum ``[frames, bins]`` of 20 ms windows every 10 ms; a frame's sum is its mean square."""
    size, hop = round(sample_rate * 2 * _HOP_SECONDS), round(sample_rate * _HOP_SECONDS)
    window = np.hanning(size).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]
    spectrum = np.abs(np.fft.rfft(frames * window)).astype(np.float32) ** 2
    power: NDArray[np.float32] = spectrum * np.float32(2 / (size * float((window**2).sum())))
    return power


def _speech(power: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return for each frame ``[frames]`` whether it stands out of the recording's quietest tenth and its own peak."""
    level = 10 * np.log10(power.sum(axis=1) + 1e-12)
    loud, quiet = np.percentile(level, (95, 10))
    above: NDArray[np.bool_] = level > max(SILENCE_DB, loud - 35.0, min(quiet + 6.0, loud - 12.0))
    return above


def _snr_db(power: NDArray[np.float32]) -> float:
    """Estimate the ratio of speech to steady noise: the noise of a frequency is what its quietest moments hold."""
    # 1 / 0.105: a tenth of the frames of stationary noise lie below 0.105 of its mean power.
    noise = np.percentile(power, 10, axis=0) / 0.105
    total, floor = float(power.sum(axis=1).mean()), float(noise.sum())
    ratio = max(total - floor, total * 1e-3) / max(floor, 1e-12)
    return float(min(10 * np.log10(ratio), _MAX_SNR_DB))


def _warnings(seconds: float, rate: int, clipped: float, snr_db: float, speech_fraction: float) -> list[str]:
    found = []
    if seconds < _WARN_SECONDS:
        found.append(f"Only {seconds:.1f} s long: 5 s or more give a closer voice.")
    if rate < _WARN_RATE:
        found.append(f"Recorded at {rate} Hz: what is above {rate // 2} Hz is missing.")
    if clipped > _WARN_CLIPPED:
        found.append(f"{clipped:.2%} of the samples are clipped.")
    if snr_db < _WARN_SNR_DB:
        found.append(f"Noisy: speech is about {snr_db:.0f} dB above steady noise.")
    if speech_fraction < _WARN_SPEECH:
        found.append(f"Mostly silence: somebody speaks in {speech_fraction:.0%} of it.")
    return found
