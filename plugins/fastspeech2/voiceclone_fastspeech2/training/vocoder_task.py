"""Learning the vocoder: random slices, multi-resolution spectral losses, no discriminator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from voiceclone.nn.pitch import continuous_f0
from voiceclone.nn.spectrogram import LogMel, SpectrogramConfig, stft_magnitude
from voiceclone.nn.vocoder import HarmonicVocoder
from voiceclone_fastspeech2.training.features import FeatureStore

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class SpectralLoss(nn.Module):
    """Spectral convergence and log-magnitude distance at several resolutions (Yamamoto et al. 2020), and log-mel L1."""

    RESOLUTIONS = ((2048, 512), (1024, 256), (512, 128))

    #: About -66 dBFS: below it there is nothing to hear, and nothing worth learning.
    FLOOR = 1e-2

    def __init__(self, spectrogram: SpectrogramConfig) -> None:
        super().__init__()
        self.mel = LogMel(spectrogram)
        self.windows = nn.ParameterList(
            nn.Parameter(torch.hann_window(n_fft), requires_grad=False) for n_fft, _ in self.RESOLUTIONS
        )

    def forward(self, predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Waveforms ``[B, T]`` -> scalars ``mel``, ``convergence`` and ``magnitude``."""
        convergence, magnitude = [], []
        for (n_fft, hop), window in zip(self.RESOLUTIONS, self.windows, strict=True):
            p = stft_magnitude(predicted, n_fft, hop, window).clamp_min(self.FLOOR)
            t = stft_magnitude(target, n_fft, hop, window).clamp_min(self.FLOOR)
            convergence.append(torch.linalg.norm(t - p) / torch.linalg.norm(t).clamp_min(1e-3))
            magnitude.append((t.log() - p.log()).abs().mean())
        return {
            "mel": (self.mel(predicted) - self.mel(target)).abs().mean(),
            "convergence": torch.stack(convergence).mean(),
            "magnitude": torch.stack(magnitude).mean(),
        }


@dataclass(frozen=True, slots=True)
class VocoderBatch:
    """``audio`` ``[B, T]`` float32 in -1..1; ``f0`` in Hz and ``voicing`` 0 or 1, ``[B, T // hop_length]``."""

    audio: Tensor
    f0: Tensor
    voicing: Tensor


class VocoderTask:
    """Waveform slices of ``frames`` hops out of their own log-mel."""

    name = "vocoder"

    def __init__(self, model: HarmonicVocoder, store: FeatureStore, batch_size: int = 8, frames: int = 32) -> None:
        self.module = model
        self.store, self.batch_size, self.frames = store, batch_size, frames
        self.hop = store.config.hop_length
        self.loss = SpectralLoss(store.config)
        usable = [i for i in range(len(store)) if store.frames(i) > 2 * frames]
        self.train = [i for i in usable if store.items[i].split == "train"]
        self.valid = [i for i in usable if store.items[i].split == "valid"][::4][:24]
        if not self.train:
            raise ValueError("the corpus has no usable training utterance")

    def batch(self, rng: np.random.Generator, progress: float) -> VocoderBatch:
        rows = []
        for index in map(int, rng.choice(self.train, self.batch_size)):
            start = int(rng.integers(0, self.store.frames(index) - self.frames))
            audio, f0, voicing = self._slice(index, start, self.frames)
            rows.append((audio * float(10.0 ** (rng.uniform(-6.0, 3.0) / 20.0)), f0, voicing))
        return VocoderBatch(*(torch.stack(column) for column in zip(*rows, strict=True)))

    def _slice(self, index: int, start: int, frames: int) -> tuple[Tensor, Tensor, Tensor]:
        features = self.store[index]
        audio = features.audio[start * self.hop : (start + frames) * self.hop].astype(np.float32) / 32768.0
        f0 = continuous_f0(features.log_f0)[start : start + frames]
        voicing = (features.log_f0[start : start + frames] > 0).astype(np.float32)
        return torch.from_numpy(audio), torch.from_numpy(f0), torch.from_numpy(voicing)

    def losses(self, batch: VocoderBatch) -> Mapping[str, Tensor]:
        with torch.no_grad():
            mel = self.loss.mel(batch.audio)
        parts = self.loss(self.module(mel, batch.f0, batch.voicing), batch.audio)
        total = 2.0 * parts["mel"] + parts["convergence"] + parts["magnitude"]
        return {"total": total, **parts}

    def validate(self) -> Mapping[str, float]:
        values: dict[str, list[float]] = {}
        for index in self.valid or self.train[:8]:
            for key, value in self.losses(self._whole(index)).items():
                values.setdefault(key, []).append(float(value))
        means = {key: float(np.mean(entries)) for key, entries in values.items()}
        return {"score": means.pop("total"), **means}

    def _whole(self, index: int) -> VocoderBatch:
        return VocoderBatch(*(part[None] for part in self._slice(index, 0, min(self.store.frames(index), 192))))

    def plot(self, writer: SummaryWriter, step: int) -> None:
        batch = self._whole((self.valid or self.train)[0])
        copy = self.module(self.loss.mel(batch.audio), batch.f0, batch.voicing)
        writer.add_audio("vocoder/copy", copy[0], step, self.store.config.sample_rate)
        writer.add_audio("vocoder/original", batch.audio[0], step, self.store.config.sample_rate)
