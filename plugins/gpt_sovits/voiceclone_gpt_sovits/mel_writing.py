"""A whole text's mel in v3 and v4: solved piece by piece, each after the end of the one before, and vocoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from voiceclone_gpt_sovits.flow_matching import SovitsFlow
from voiceclone_gpt_sovits.spectrogram import denormalised
from voiceclone_gpt_sovits.splicing import splice
from voiceclone_gpt_sovits.vocoders import Vocoder

#: Gives noise of a shape.
Noise = Callable[[tuple[int, ...]], Tensor]


@dataclass(frozen=True, slots=True)
class Window:
    """Frames solved at once: up to ``reference`` of them known, ``whole`` in all; ``overlap`` of batched ones."""

    reference: int
    whole: int
    overlap: int = 12


#: v3's and v4's.
WINDOW_V3, WINDOW_V4 = Window(468, 934), Window(500, 1000)


@dataclass(frozen=True)
class Prompt:
    """The reference as what is known: its normalised mel ``[1, mels, P]`` and its condition ``[1, C, P]``."""

    mel: Tensor
    condition: Tensor

    @classmethod
    def of(cls, mel: Tensor, condition: Tensor, window: Window) -> Prompt:
        """Both cut to their common length, and that to its end."""
        known = min(mel.shape[2], condition.shape[2])
        mel, condition = mel[:, :, :known], condition[:, :, :known]
        return cls(mel[:, :, -window.reference :], condition[:, :, -window.reference :])

    @property
    def frames(self) -> int:
        return self.mel.shape[2]


def write_mel(
    model: SovitsFlow,
    condition: Tensor,
    prompt: Prompt,
    window: Window,
    steps: int,
    noise: Noise,
    guidance: float = 0.0,
) -> Tensor:
    """Condition ``[1, C, T]`` -> normalised mel ``[1, mels, T]``; each piece begins with the end of the last one."""
    length, found = window.whole - prompt.frames, []
    for begin in range(0, condition.shape[2], length):
        piece = condition[:, :, begin : begin + length]
        under = torch.cat((prompt.condition, piece), dim=2).transpose(1, 2)
        solved = model.cfm.solve(
            under, prompt.mel, noise((1, prompt.mel.shape[1], under.shape[1])), steps, guidance=guidance
        )[:, :, prompt.frames :]  # fmt: skip
        found.append(solved)
        kept = prompt.frames
        prompt = Prompt(solved[:, :, -kept:], piece[:, :, -kept:])
    return torch.cat(found, dim=2)


def speak(
    model: SovitsFlow, vocoder: Vocoder, condition: Tensor, prompt: Prompt, window: Window, steps: int, noise: Noise
) -> Tensor:
    """Condition ``[1, C, T]`` -> samples ``[T * hop]``."""
    return vocoder.run(denormalised(write_mel(model, condition, prompt, window, steps, noise)))[0]


def speak_batched(
    model: SovitsFlow, vocoder: Vocoder, conditions: Sequence[Tensor], prompt: Prompt, window: Window, steps: int,
    noise: Noise,
) -> list[Tensor]:  # fmt: skip
    """Conditions ``[1, C, T]`` of several sentences, solved side by side as upstream does -> samples of each.

    All are one row of frames, cut into equal pieces that overlap and are spliced again; each piece begins anew from the
    reference.
    """
    length, overlap = window.whole - prompt.frames, window.overlap
    row = F.pad(torch.cat(tuple(conditions), dim=2), (overlap, 0))
    pieces, begin = [], 0
    while begin == 0 or row.shape[2] > begin:
        piece = row[:, :, begin : begin + length]
        missing = length - piece.shape[2]
        pieces.append(F.pad(piece, (0, missing)))
        begin += length - overlap
    batch = torch.cat(pieces)
    under = torch.cat((prompt.condition.expand(len(batch), -1, -1), batch), dim=2).transpose(1, 2)
    solved = model.cfm.solve(under, prompt.mel, noise((len(batch), prompt.mel.shape[1], under.shape[1])), steps)
    mel = solved[:, :, -length:].transpose(0, 1).flatten(1)[None]
    samples = vocoder.run(denormalised(mel))[0]
    whole = splice(torch.split(samples, length * vocoder.hop), overlap * vocoder.hop)
    whole = whole[overlap * vocoder.hop : len(whole) - missing * vocoder.hop]
    counts = [condition.shape[2] * vocoder.hop for condition in conditions]
    found = []
    for count in counts:
        found.append(whole[:count])
        whole = whole[count:]
    return found
