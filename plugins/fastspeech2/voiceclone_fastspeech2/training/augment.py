"""Speaker augmentation on log-mel frames: a random equaliser and a stretched frequency axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voiceclone.nn.spectrogram import LogMel, SpectrogramConfig, mel_frequencies

Floats = NDArray[np.float32]
#: Lowest log-mel value there is.
FLOOR = float(np.log(LogMel.FLOOR))


@dataclass(frozen=True, slots=True)
class Timbre:
    """One invented speaker variant: ``equaliser`` ``[n_mels]`` added to the log-mel, ``stretch`` of all frequencies."""

    equaliser: Floats
    stretch: float

    @property
    def pitch_shift(self) -> float:
        """What the stretch adds to natural-log F0."""
        return float(np.log(self.stretch))


class TimbreAugmenter:
    """Draws timbres and applies them; vocal-tract-length perturbation after Jaitly & Hinton 2013."""

    def __init__(self, config: SpectrogramConfig, equaliser_db: float = 5.0, stretch: float = 0.12) -> None:
        self.centres = mel_frequencies(config, config.n_mels + 2)[1:-1].numpy()
        self.equaliser = equaliser_db / 8.686  # decibels to nepers, the unit of the log-mel
        self.stretch = stretch

    def draw(self, rng: np.random.Generator) -> Timbre:
        n_mels = len(self.centres)
        curve = np.zeros(n_mels)
        if rng.random() < 0.6:
            place = np.arange(n_mels) / n_mels
            for order in range(1, 6):
                curve += rng.normal() * np.cos(np.pi * order * place + rng.uniform(0, 2 * np.pi)) / order**0.5
            curve *= self.equaliser * rng.random() / 1.2
        stretch = float(np.exp(rng.uniform(-self.stretch, self.stretch))) if rng.random() < 0.5 else 1.0
        return Timbre(curve.astype(np.float32), stretch)

    def apply(self, mel: Floats, timbre: Timbre) -> Floats:
        """``[F, n_mels]`` -> ``[F, n_mels]``."""
        if timbre.stretch != 1.0:
            source = np.interp(self.centres / timbre.stretch, self.centres, np.arange(len(self.centres)))
            low = np.minimum(source.astype(int), len(self.centres) - 2)
            part = (source - low).astype(np.float32)
            mel = mel[:, low] * (1 - part) + mel[:, low + 1] * part
        return np.asarray(np.maximum(mel + timbre.equaliser, FLOOR), np.float32)
