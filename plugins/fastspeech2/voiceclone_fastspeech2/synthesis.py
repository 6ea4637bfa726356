"""From phones and a speaker to a log-mel with exact durations: the model run freely, one utterance at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from voiceclone.text.phones import PHONES, VOWELS
from voiceclone_fastspeech2.acoustic import AcousticModel, Frames, expand_index, gather
from voiceclone_fastspeech2.prosody import frame_places
from voiceclone_fastspeech2.speaker import Speaker


@dataclass(frozen=True, slots=True)
class Controls:
    """How the prosody is bent: durations divided by ``rate``, pitch moved and scaled, noise in durations."""

    rate: float = 1.0
    pitch_semitones: float = 0.0
    pitch_range: float = 1.0
    energy: float = 0.0
    duration_noise: float = 0.0
    generator: torch.Generator | None = None


@dataclass(frozen=True, slots=True)
class Spoken:
    """``mel`` ``[1, n_mels, F]``; ``f0`` in Hz and ``voicing`` 0..1 ``[1, F]``; ``durations`` ``[1, N]``, F in sum."""

    mel: Tensor
    f0: Tensor
    voicing: Tensor
    durations: Tensor

    def without_lead_in(self, frames: int) -> Spoken:
        """The same with at most ``frames`` of the first phone, which is silence."""
        cut = int(self.durations[0, 0]) - frames
        if cut <= 0:
            return self
        durations = self.durations.clone()
        durations[0, 0] = frames
        return Spoken(self.mel[:, :, cut:], self.f0[:, cut:], self.voicing[:, cut:], durations)


def predict_mel(
    model: AcousticModel, phones: Tensor, stresses: Tensor, speaker: Speaker, controls: Controls = Controls()
) -> Spoken:
    """``phones`` and ``stresses`` ``[1, N]`` without padding."""
    text, prosody, _ = model.encode_text(phones, stresses, speaker)
    frames = torch.expm1(prosody.duration) / controls.rate
    if controls.duration_noise > 0.0:
        noise = torch.randn(frames.shape, generator=controls.generator)
        frames = frames * torch.exp(controls.duration_noise * noise)
    durations = round_durations(frames, phones)
    total = int(durations.sum())
    pitch = prosody.pitch * controls.pitch_range + controls.pitch_semitones * SEMITONE
    logit, contour = model.contour(text, durations, pitch, prosody.voicing.sigmoid(), speaker, total)
    index, frame_mask = expand_index(durations, total)
    voicing = torch.sigmoid(4.0 * logit)  # nearer to the yes or no that the decoder was trained with
    energy = gather(prosody.energy + controls.energy, index)
    grid = Frames(index, frame_mask, frame_places(durations, index), contour, voicing, energy)
    f0 = torch.exp(contour + speaker.level[:, None]).clamp(*F0_RANGE)
    return Spoken(model.decode_frames(text, grid, speaker), f0, voicing, durations)


#: Hz; outside of it there is no speech.
F0_RANGE = (40.0, 800.0)
#: One semitone in natural-log frequency.
SEMITONE = 0.05776226504666211

_VOWEL_IDS = torch.tensor([phone in VOWELS for phone in PHONES])


def round_durations(frames: Tensor, phones: Tensor) -> Tensor:
    """Fractional frames ``[1, N]`` -> whole ones; the error of each is carried into the next, so the total stays true.

    Every phone gets a frame, vowels two: shorter ones cannot be heard.
    """
    least = torch.where(_VOWEL_IDS[phones], 2, 1)
    rounded, carry = [], 0.0
    for want, low in zip(frames[0].clamp_min(0.0).tolist(), least[0].tolist(), strict=True):
        count = max(low, int(want + carry + 0.5))
        carry = min(1.0, max(-1.0, carry + want - count))
        rounded.append(count)
    return torch.tensor([rounded])
