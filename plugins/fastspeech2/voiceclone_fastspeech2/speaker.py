"""The speaker encoder: a reference mel and its pitch level in, a speaker vector and an average spectrum out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from voiceclone.nn.convnext import ConvNeXtStack
from voiceclone_fastspeech2.config import AcousticConfig


@dataclass(frozen=True, slots=True)
class Speaker:
    """Conditioning of one or more voices.

    ``vector`` ``[B, S]``; ``spectrum`` ``[B, n_mels]`` mean log-mel of the speech in the reference; ``level`` ``[B]``
    median natural-log F0 in Hz.
    """

    vector: Tensor
    spectrum: Tensor
    level: Tensor


def speech_mask(mel: Tensor, frames: Tensor) -> Tensor:
    """``[B, 1, F]`` float: 1 where a frame is inside the reference and within 5 nepers of its loudest frame."""
    inside = torch.arange(mel.shape[-1], device=mel.device) < frames[:, None]
    loudness = mel.mean(dim=1).masked_fill(~inside, -20.0)
    active = inside & (loudness > loudness.amax(dim=1, keepdim=True) - 5.0)
    return active[:, None].to(mel.dtype)


class SpeakerEncoder(nn.Module):
    """Convolutions over the mean-normalised reference, statistics pooling with attention (Okabe et al. 2018)."""

    def __init__(self, config: AcousticConfig, n_mels: int) -> None:
        super().__init__()
        channels = config.speaker_channels
        self.embed = nn.Conv1d(n_mels, channels, 5, padding=2)
        self.stack = ConvNeXtStack(channels, config.speaker_layers, expansion=2)
        self.attention = nn.Linear(channels, 1)
        self.project = nn.Sequential(
            nn.Linear(2 * channels + 2 * n_mels + 1, 2 * config.speaker_size),
            nn.GELU(),
            nn.Linear(2 * config.speaker_size, config.speaker_size),
            nn.LayerNorm(config.speaker_size),
        )

    def forward(self, mel: Tensor, frames: Tensor, level: Tensor) -> Speaker:
        """``mel`` ``[B, n_mels, F]``, ``frames`` ``[B]`` valid lengths, ``level`` ``[B]`` median log F0."""
        mask = speech_mask(mel, frames)
        weight = mask / mask.sum(dim=2, keepdim=True).clamp_min(1.0)
        spectrum = (mel * weight).sum(dim=2)
        centred = (mel - spectrum[:, :, None]) * mask
        spread = ((centred.square() * weight).sum(dim=2) + 1e-4).sqrt()
        h = self.stack(self.embed(centred).transpose(1, 2), mask=mask.transpose(1, 2))
        score = self.attention(h).masked_fill(mask.transpose(1, 2) == 0, -1e4).softmax(dim=1)
        mean = (h * score).sum(dim=1)
        deviation = (((h - mean[:, None]).square() * score).sum(dim=1) + 1e-4).sqrt()
        facts = torch.cat([mean, deviation, spectrum / 4.0 + 1.0, spread, (level[:, None] - 5.0) * 2.0], dim=1)
        return Speaker(self.project(facts), spectrum, level)
