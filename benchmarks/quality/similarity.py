"""The judge of voices: resemblyzer's speaker embeddings against the recordings that the voices were cloned from."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.intervals import Figure, mean
from benchmarks.quality.judgements import Judgements, digest

Vectors = NDArray[np.float32]


class SpeakerJudge:
    """Embeds 16 kHz audio as unit vectors ``[256]``; verdicts are kept in ``cache``."""

    def __init__(self, cache: Path) -> None:
        """Raises ImportError without resemblyzer."""
        self._judgements = Judgements(cache, f"voice-{digest(version('resemblyzer'))}")
        self._encoder: Any = None

    def embed(self, utterances: Sequence[NDArray[np.float32]], advance: Callable[[], None] = lambda: None) -> Vectors:
        """``[N, 256]`` of ``utterances`` ``[T]``; ``advance`` is called once for each."""
        rows = []
        for samples in utterances:
            row = self._judgements.get(samples)
            if row is None:
                row = [round(float(value), 6) for value in self._embed(samples)]
                self._judgements.put(samples, row)
            rows.append(row)
            advance()
        return np.asarray(rows, np.float32)

    def _embed(self, samples: NDArray[np.float32]) -> Vectors:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its dependencies announce their own deprecations
            from resemblyzer import VoiceEncoder, preprocess_wav

            if self._encoder is None:
                self._encoder = VoiceEncoder("cpu", verbose=False)
            vector: Vectors = self._encoder.embed_utterance(preprocess_wav(samples))
        return vector


@dataclass(frozen=True)
class VoiceScore:
    """One utterance against every reference: cosine to its own voice, mean cosine to others, nearest identity."""

    speaker: str
    own: float
    others: float
    nearest: str
    #: Whether ``nearest`` is the identity that was meant.
    right: bool


def compare(
    vectors: Vectors, speakers: Sequence[str], references: Vectors, voices: Sequence[str], bases: Sequence[str]
) -> list[VoiceScore]:
    """Score unit ``vectors`` ``[N, D]`` of ``speakers`` against unit ``references`` ``[V, D]`` of ``voices``.

    ``bases`` ``[V]`` are the identities: a voice made from the same base as the right one counts neither as another nor
    as a miss.
    """
    cosines = vectors @ references.T
    result = []
    for row, speaker in zip(cosines, speakers, strict=True):
        at = list(voices).index(speaker)
        others = [value for value, base in zip(row, bases, strict=True) if base != bases[at]]
        nearest = bases[int(row.argmax())]
        result.append(VoiceScore(speaker, float(row[at]), float(np.mean(others)), nearest, nearest == bases[at]))
    return result


def summarise(scores: Sequence[VoiceScore]) -> dict[str, Figure]:
    """own, others, margin (their difference) and top1 over ``scores``."""
    return {
        "own": mean([score.own for score in scores]),
        "others": mean([score.others for score in scores]),
        "margin": mean([score.own - score.others for score in scores]),
        "top1": mean([float(score.right) for score in scores]),
    }
