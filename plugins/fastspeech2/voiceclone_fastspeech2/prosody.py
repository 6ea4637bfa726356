"""Variance predictors (after Ren et al. 2021): over phones by one bidirectional GRU, over frames by a small refiner."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from voiceclone.nn.convnext import ConvNeXtStack
from voiceclone_fastspeech2.config import AcousticConfig


@dataclass(frozen=True, slots=True)
class Prosody:
    """Per phone, all ``[B, N]``.

    ``duration`` log(1 + frames); ``pitch`` natural-log F0 minus the speaker's level; ``voicing`` logit; ``energy`` mean
    log-mel of the phone minus the mean of the speaker's spectrum.
    """

    duration: Tensor
    pitch: Tensor
    voicing: Tensor
    energy: Tensor


def position_features(phones: Tensor, mask: Tensor, pause_id: int) -> Tensor:
    """``[B, N, 5]``: place in the utterance, distance to the pauses on both sides, utterance length, pause or not."""
    count = mask.sum(dim=1, keepdim=True).clamp_min(1)
    index = torch.arange(phones.shape[1], device=phones.device)[None].expand_as(phones)
    pause = (phones == pause_id) | ~mask
    last = torch.where(pause, index, torch.full_like(index, -1)).cummax(dim=1).values
    ahead = torch.where(pause, index, torch.full_like(index, phones.shape[1]))
    following = ahead.flip(1).cummin(dim=1).values.flip(1)
    features = (
        index / count,
        torch.log1p((index - last).clamp_min(0).float()) / 3.0,
        torch.log1p((following - index).clamp_min(0).float()) / 3.0,
        torch.log(count.float()).expand_as(phones) / 4.0,
        pause.float(),
    )
    return torch.stack([feature.float() for feature in features], dim=-1)


class ProsodyPredictor(nn.Module):
    """Text features ``[B, N, C]`` and the speaker -> :class:`Prosody`."""

    def __init__(self, config: AcousticConfig) -> None:
        super().__init__()
        width = config.prosody_channels
        self.speaker = nn.Linear(config.speaker_size, 48)
        self.project = nn.Linear(config.text_channels + 48 + 5, width)
        self.rnn = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.1)
        self.heads = nn.Sequential(nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, 4))

    def forward(self, text: Tensor, positions: Tensor, speaker: Tensor, mask: Tensor) -> Prosody:
        voice = self.speaker(speaker)[:, None].expand(-1, text.shape[1], -1)
        h = self.dropout(torch.nn.functional.gelu(self.project(torch.cat([text, voice, positions], dim=-1))))
        packed = nn.utils.rnn.pack_padded_sequence(h, mask.sum(dim=1).cpu(), batch_first=True, enforce_sorted=False)
        h, _ = nn.utils.rnn.pad_packed_sequence(self.rnn(packed)[0], batch_first=True, total_length=text.shape[1])
        duration, pitch, voicing, energy = self.heads(self.dropout(h)).unbind(dim=-1)
        return Prosody(duration, pitch, voicing, energy)


class ContourRefiner(nn.Module):
    """Frame-level voicing and the pitch's deviation from the line through the phone centres."""

    def __init__(self, config: AcousticConfig, channels: int = 64) -> None:
        super().__init__()
        self.project = nn.Linear(config.text_channels + FRAME_FEATURES + 2, channels)
        self.stack = ConvNeXtStack(channels, 2, expansion=2, condition_size=config.speaker_size)
        self.head = nn.Linear(channels, 2)

    def forward(
        self, text: Tensor, places: Tensor, contour: Tensor, voicing: Tensor, speaker: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Text by frame ``[B, F, C]``, places ``[B, F, 3]``, line and phone voicing ``[B, F]``.

        Returns the voicing logit and the pitch, ``[B, F]`` each.
        """
        h = self.project(torch.cat([text, places, contour[..., None] * 2.0, voicing[..., None]], dim=-1))
        logit, residual = self.head(self.stack(h, speaker, mask[..., None].to(h.dtype))).unbind(dim=-1)
        return logit, contour + 0.3 * torch.tanh(residual)


#: Width of :func:`frame_places`.
FRAME_FEATURES = 3


def frame_places(durations: Tensor, index: Tensor) -> Tensor:
    """Where each frame lies in its phone, ``[B, F, 3]``: fraction done, frames since its start, frames to its end."""
    ends = durations.cumsum(dim=1).gather(1, index)
    length = durations.gather(1, index).float()
    into = torch.arange(index.shape[1], device=index.device)[None] - ends + length
    return torch.stack(
        (
            (into + 0.5) / length.clamp_min(1.0),
            torch.log1p(into.clamp_min(0)) / 3.0,
            torch.log1p((length - into).clamp_min(0)) / 3.0,
        ),
        dim=-1,
    )
