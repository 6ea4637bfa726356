"""The acoustic model: phones, prosody and a speaker in, log-mel frames out.

After FastSpeech 2 (Ren et al. 2021) with ConvNeXt blocks; pitch is relative to the reference's own level, the output is
relative to the reference's average spectrum, so that an unseen voice keeps both.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from voiceclone.nn.convnext import ConvNeXtStack
from voiceclone.text.phones import PAUSE, PHONE_IDS
from voiceclone_fastspeech2.config import AcousticConfig, Fastspeech2Config
from voiceclone_fastspeech2.harmonics import HarmonicPrior
from voiceclone_fastspeech2.prosody import (
    FRAME_FEATURES,
    ContourRefiner,
    Prosody,
    ProsodyPredictor,
    frame_places,
    position_features,
)
from voiceclone_fastspeech2.speaker import Speaker, SpeakerEncoder


@dataclass(frozen=True, slots=True)
class Frames:
    """The grid the frame decoder works on, ``[B, F]`` each but ``places`` ``[B, F, 3]``.

    ``index`` is the phone of each frame, ``pitch`` natural-log F0 minus the speaker's level, ``voicing`` 0..1,
    ``energy`` as in :class:`Prosody`.
    """

    index: Tensor
    mask: Tensor
    places: Tensor
    pitch: Tensor
    voicing: Tensor
    energy: Tensor


def expand_index(durations: Tensor, total: int) -> tuple[Tensor, Tensor]:
    """Durations in frames ``[B, N]`` -> phone index ``[B, F]`` and mask ``[B, F]``."""
    ends = durations.cumsum(dim=1)
    frame = torch.arange(total, device=durations.device)[None].expand(durations.shape[0], -1).contiguous()
    index = torch.searchsorted(ends, frame, right=True)
    return index.clamp_max(durations.shape[1] - 1), frame < ends[:, -1:]


def gather(values: Tensor, index: Tensor) -> Tensor:
    """``[B, N]`` or ``[B, N, C]`` by ``[B, F]`` -> ``[B, F]`` or ``[B, F, C]``."""
    if values.dim() == 2:
        return values.gather(1, index)
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[-1]))


def interpolate_pitch(pitch: Tensor, voiced: Tensor, durations: Tensor, total: int) -> Tensor:
    """Phone pitch ``[B, N]`` -> a contour ``[B, F]`` through the centres of the voiced phones (bool ``[B, N]``)."""
    ends = durations.cumsum(dim=1).float()
    centres = ends - durations.float() / 2
    frame = torch.arange(total, device=pitch.device).float() + 0.5
    index = torch.arange(pitch.shape[1], device=pitch.device)[None].expand_as(durations)
    voiced = voiced & (durations > 0)
    last = torch.where(voiced, index, torch.full_like(index, -1)).cummax(dim=1).values
    upcoming = torch.where(voiced, index, torch.full_like(index, pitch.shape[1]))
    upcoming = upcoming.flip(1).cummin(dim=1).values.flip(1)
    # First phone whose centre lies at or behind the frame; its voiced neighbours on both sides carry the line.
    at = torch.searchsorted(centres.contiguous(), frame[None].expand(pitch.shape[0], -1).contiguous())
    none = pitch.shape[1]
    right = torch.cat([upcoming, torch.full_like(upcoming[:, :1], none)], dim=1).gather(1, at)
    left = torch.cat([torch.full_like(last[:, :1], -1), last], dim=1).gather(1, at)
    left_ok, right_ok = left >= 0, right < none
    left_c, right_c = left.clamp_min(0), right.clamp_max(none - 1)
    span = (centres.gather(1, right_c) - centres.gather(1, left_c)).clamp_min(1e-3)
    part = ((frame[None] - centres.gather(1, left_c)) / span).clamp(0.0, 1.0)
    part = torch.where(left_ok, torch.where(right_ok, part, 0.0), 1.0)
    contour = torch.lerp(pitch.gather(1, left_c), pitch.gather(1, right_c), part)
    return torch.where(left_ok | right_ok, contour, 0.0)


class AcousticModel(nn.Module):
    """Text encoder, prosody, frame decoder and speaker encoder of one model."""

    def __init__(self, config: Fastspeech2Config) -> None:
        super().__init__()
        sizes: AcousticConfig = config.acoustic
        n_mels = config.spectrogram.n_mels
        self.speaker_encoder = SpeakerEncoder(sizes, n_mels)
        self.phone = nn.Embedding(sizes.phones, sizes.text_channels, padding_idx=0)
        self.stress = nn.Embedding(sizes.stresses, sizes.text_channels)
        self.positions = nn.Linear(5, sizes.text_channels)
        self.text = ConvNeXtStack(sizes.text_channels, sizes.text_layers, condition_size=sizes.speaker_size)
        self.prosody = ProsodyPredictor(sizes)
        self.refiner = ContourRefiner(sizes)
        self.harmonics = HarmonicPrior(config.spectrogram, sizes.f0_min, sizes.f0_max)
        self.frame_in = nn.Linear(sizes.text_channels + FRAME_FEATURES + 3 + n_mels, sizes.frame_channels)
        self.frame = ConvNeXtStack(sizes.frame_channels, sizes.frame_layers, condition_size=sizes.speaker_size)
        self.norm = nn.LayerNorm(sizes.frame_channels)
        self.head = nn.Linear(sizes.frame_channels, n_mels)
        self.comb_gain = nn.Linear(sizes.frame_channels, n_mels)
        self.spectrum_gain = nn.Parameter(torch.full((n_mels,), 0.8))

    def encode_text(self, phones: Tensor, stresses: Tensor, speaker: Speaker) -> tuple[Tensor, Prosody, Tensor]:
        """``phones`` and ``stresses`` ``[B, N]`` (0 pads) -> features ``[B, N, C]``, prosody, mask ``[B, N]``."""
        mask = phones > 0
        positions = position_features(phones, mask, PHONE_IDS[PAUSE])
        h = self.phone(phones) + self.stress(stresses) + self.positions(positions)
        h = self.text(h, speaker.vector, mask[..., None].to(h.dtype))
        return h, self.prosody(h, positions, speaker.vector, mask), mask

    def contour(
        self, text: Tensor, durations: Tensor, pitch: Tensor, voicing: Tensor, speaker: Speaker, total: int
    ) -> tuple[Tensor, Tensor]:
        """Phone pitch and voicing (0..1) ``[B, N]`` -> frame voicing logit and pitch ``[B, F]``."""
        index, mask = expand_index(durations, total)
        line = interpolate_pitch(pitch, voicing > 0.5, durations, total)
        places = frame_places(durations, index)
        refined: tuple[Tensor, Tensor] = self.refiner(
            gather(text, index), places, line, gather(voicing, index), speaker.vector, mask
        )
        return refined

    def decode_frames(self, text: Tensor, frames: Frames, speaker: Speaker) -> Tensor:
        """Log-mel ``[B, n_mels, F]``; zero where ``frames.mask`` is False."""
        comb = self.harmonics(frames.pitch + speaker.level[:, None]) * frames.voicing[..., None]
        scalars = torch.stack((frames.pitch * frames.voicing * 2.0, frames.voicing, frames.energy / 2.0), dim=-1)
        h = self.frame_in(torch.cat([gather(text, frames.index), frames.places, scalars, comb], dim=-1))
        mask = frames.mask[..., None].to(h.dtype)
        h = self.norm(self.frame(h, speaker.vector, mask))
        voiced = comb * torch.sigmoid(self.comb_gain(h))
        mel: Tensor = self.head(h) + voiced + self.spectrum_gain * speaker.spectrum[:, None]
        return (mel * mask).transpose(1, 2)
