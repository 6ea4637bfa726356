"""A rendered utterance with its exact phone times, and what is done to it on the way into a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceclone.text.phones import PAUSE, PAUSE_STRESS, VOWELS
from voiceclone.training.manifest import Word

SAMPLE_RATE: Final = 16_000
#: Loudness of the phones that are not pauses, as root mean square.
TARGET_RMS: Final = 10 ** (-23 / 20)
PEAK_LIMIT: Final = 0.95
#: Longest silence kept at either end, seconds.
SILENCE_LIMIT: Final = 0.25

_INNER_MARKS: Final = ",;:-"
_FINAL_MARKS: Final = ".!?"


class EngineMissing(RuntimeError):
    """A speech synthesizer is not installed. The message names the command that installs it."""


class UnknownSymbol(ValueError):
    """An engine spoke a phone that its table does not map to the inventory."""


@dataclass(frozen=True)
class Segment:
    """One phone as an engine gave it: `end` in seconds, `word` the index of its word or -1."""

    phone: str
    end: float
    stress: int = 0
    word: int = -1


@dataclass(frozen=True)
class Speech:
    """Float32 samples in [-1, 1] at 16 kHz with P phones; the last of the P `ends` is the duration in seconds."""

    samples: NDArray[np.float32]
    phones: tuple[str, ...]
    stresses: tuple[int, ...]
    ends: tuple[float, ...]
    words: tuple[Word, ...]


def assemble(samples: NDArray[np.float32], segments: Sequence[Segment], words: Sequence[str], text: str) -> Speech:
    """Joins samples and segments: neighbouring pauses become one, no phone is empty, pauses carry punctuation.

    Raises ValueError where the engine found nothing to speak in `text`.
    """
    if not segments:
        raise ValueError(f"nothing to speak in {text!r}")
    duration = len(samples) / SAMPLE_RATE
    merged: list[Segment] = []
    for segment in segments:
        start = merged[-1].end if merged else 0.0
        segment = replace(segment, end=min(max(segment.end, start), duration))
        if merged and segment.phone == PAUSE == merged[-1].phone:
            merged[-1] = replace(merged[-1], end=segment.end)
        else:
            merged.append(segment)
    merged[-1] = replace(merged[-1], end=duration)
    _fill_empty(merged)
    stresses = [segment.stress if segment.phone in VOWELS else 0 for segment in merged]
    phones = [segment.phone for segment in merged]
    for index, stress in pause_stresses(phones, text).items():
        stresses[index] = stress
    return Speech(
        samples, tuple(phones), tuple(stresses), tuple(segment.end for segment in merged), _word_runs(merged, words)
    )


def _fill_empty(segments: list[Segment]) -> None:
    """Gives a phone without duration the last third of the phone before it (or the first third of the next)."""
    for index, segment in enumerate(segments):
        start = segments[index - 1].end if index else 0.0
        if segment.end - start >= 1 / SAMPLE_RATE:
            continue
        if index:
            before = segments[index - 2].end if index > 1 else 0.0
            segments[index - 1] = replace(segments[index - 1], end=start - (start - before) / 3)
        else:
            segments[0] = replace(segment, end=segments[1].end / 3)


def _word_runs(segments: Sequence[Segment], words: Sequence[str]) -> tuple[Word, ...]:
    runs: list[Word] = []
    last = -1
    for index, segment in enumerate(segments):
        if segment.word < 0:
            last = -1
        elif segment.word == last:
            runs[-1] = replace(runs[-1], phone_count=runs[-1].phone_count + 1)
        else:
            runs.append(Word(words[segment.word], index, 1))
            last = segment.word
    return tuple(runs)


def pause_stresses(phones: Sequence[str], text: str) -> dict[int, int]:
    """Stress value of every pause in `phones`, by index.

    The first is the start of the utterance, the last its final mark; an inner pause takes the mark that made it
    when there are as many pauses as marks, and counts as a comma otherwise.
    """
    pauses = [index for index, phone in enumerate(phones) if phone == PAUSE]
    marks = [mark for mark in text.rstrip(" \"'") if mark in _INNER_MARKS + _FINAL_MARKS]
    final = marks.pop() if marks and marks[-1] in _FINAL_MARKS and text.rstrip(" \"'")[-1] in _FINAL_MARKS else "."
    stresses: dict[int, int] = {}
    if pauses and pauses[0] == 0:
        stresses[pauses.pop(0)] = PAUSE_STRESS[""]
    if pauses and pauses[-1] == len(phones) - 1:
        stresses[pauses.pop()] = PAUSE_STRESS[final]
    for position, index in enumerate(pauses):
        stresses[index] = PAUSE_STRESS[marks[position]] if len(marks) == len(pauses) else PAUSE_STRESS[","]
    return stresses


def resample(samples: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """`samples` [N] stretched or squeezed to [length] through the spectrum, without aliasing."""
    spectrum = np.fft.rfft(samples.astype(np.float64))
    kept = np.zeros(length // 2 + 1, dtype=np.complex128)
    bins = min(len(spectrum), len(kept))
    kept[:bins] = spectrum[:bins]
    stretched = np.fft.irfft(kept, n=length) * (length / len(samples))
    return stretched.astype(np.float32)


def warp(speech: Speech, factor: float) -> Speech:
    """Another speaker: pitch and formants go up by `factor`, and all times shrink by it."""
    samples = resample(speech.samples, round(len(speech.samples) / factor))
    ratio = len(samples) / len(speech.samples)
    return replace(speech, samples=samples, ends=tuple(end * ratio for end in speech.ends))


def clip_silence(speech: Speech, limit: float = SILENCE_LIMIT) -> Speech:
    """Cuts the silence at either end down to `limit` seconds; nothing inside is touched."""
    cut = round(limit * SAMPLE_RATE)
    first = round(speech.ends[0] * SAMPLE_RATE) - cut if speech.phones[0] == PAUSE else 0
    last_start = speech.ends[-2] if len(speech.ends) > 1 else 0.0
    stop = round(last_start * SAMPLE_RATE) + cut if speech.phones[-1] == PAUSE else len(speech.samples)
    first, stop = max(first, 0), min(stop, len(speech.samples))
    ends = [end - first / SAMPLE_RATE for end in speech.ends]
    ends[-1] = (stop - first) / SAMPLE_RATE
    return replace(speech, samples=speech.samples[first:stop], ends=tuple(ends))


def normalise(speech: Speech) -> Speech:
    """Brings the phones that are not pauses to -23 dBFS, or to a peak of 0.95 where that comes first."""
    spoken = np.zeros(len(speech.samples), dtype=bool)
    start = 0
    for phone, end in zip(speech.phones, speech.ends, strict=True):
        stop = round(end * SAMPLE_RATE)
        spoken[start:stop] = phone != PAUSE
        start = stop
    loudness = float(np.sqrt(np.mean(np.square(speech.samples[spoken], dtype=np.float64))))
    peak = float(np.abs(speech.samples).max())
    gain = min(TARGET_RMS / max(loudness, 1e-6), PEAK_LIMIT / max(peak, 1e-6))
    return replace(speech, samples=(speech.samples * gain).astype(np.float32))
