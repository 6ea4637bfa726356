"""What the first model is trained on: the next code and, with rejected rows, a preference between two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from voiceclone_gpt_sovits.gpt import Gpt, mask

#: Strength of the preference, and how many of the likeliest codes count as a hit.
BETA, TOP = 0.2, 3


@dataclass(frozen=True)
class TextBatch:
    """Phonemes ``[B, L]``, text features ``[B, F, L]`` and lengths ``[B]``; ``padding`` is where the padding lies.

    Upstream pads on the right but hides the left, so that the first phonemes of shorter rows are lost and zeros are
    read in their place; ``hides`` "left" with ``padding`` on the right does the same.
    """

    phonemes: Tensor
    features: Tensor
    lengths: Tensor
    hides: Literal["left", "right"] = "right"


@dataclass(frozen=True)
class Prediction:
    """``logits`` ``[B, T + 1, V]`` of ``targets`` ``[B, T + 1]``: all codes, then the end, also in the padding."""

    logits: Tensor
    targets: Tensor

    def loss(self) -> Tensor:
        """Summed over all codes and rows, so that long rows weigh more."""
        return F.cross_entropy(self.logits.transpose(1, 2), self.targets, reduction="sum")

    def accuracy(self, end: int) -> Tensor:
        """Share of the codes, ends aside, that were among the likeliest."""
        hits = (self.logits.topk(TOP, dim=-1).indices == self.targets[..., None]).any(-1)
        counted = self.targets != end
        return hits[counted].float().mean() if bool(counted.any()) else hits.new_zeros((), dtype=torch.float32)

    def log_probability(self) -> Tensor:
        """Of each whole row ``[B]``."""
        return self.logits.log_softmax(-1).gather(2, self.targets[..., None])[..., 0].sum(-1)


def predict(gpt: Gpt, text: TextBatch, codes: Tensor, lengths: Tensor) -> Prediction:
    """One pass over rows of ``codes`` ``[B, T]`` with ``lengths`` ``[B]``."""
    end = gpt.config.end
    audio_padding = torch.arange(codes.shape[1], device=codes.device) >= lengths[:, None]
    targets = F.pad(codes.long().masked_fill(audio_padding, end), (0, 1), value=end)
    positions = torch.arange(text.phonemes.shape[1], device=codes.device)
    longest = text.phonemes.shape[1]
    if text.hides == "left":
        text_padding = positions < longest - text.lengths[:, None]
    else:
        text_padding = positions >= text.lengths[:, None]
    inputs = torch.cat((gpt.text(text.phonemes, text.features), gpt.audio(targets[:, :-1])), dim=1)
    hidden = mask(longest, codes.shape[1], codes.device) | torch.cat((text_padding, audio_padding), dim=1)[:, None]
    outputs, _ = gpt.run(inputs, hidden[:, None])
    return Prediction(gpt.head(outputs[:, longest - 1 :]), targets)


def preference(chosen: Prediction, rejected: Prediction) -> Tensor:
    """Low where ``chosen`` is likelier than ``rejected``; the mean of the rows."""
    return -F.logsigmoid(BETA * (chosen.log_probability() - rejected.log_probability())).mean()
