"""What the flow matching of v3 and v4 is trained on: the way from noise to a mel, in small and in doubled steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from voiceclone_gpt_sovits.flow_matching import FlowMatching

#: How often a step of double length is learnt from two of the model's own; steps too short to tell from none.
SHORTCUT_SHARE, SHORTEST = 0.3, 1e-2
#: Exponents of a half that such steps have, the last one excluded.
EXPONENTS = (2, 8)


@dataclass(frozen=True)
class FlowDraws:
    """``time`` ``[B]`` uniform, ``noise`` as the mel; ``exponents`` ``[B]`` where doubled steps are learnt."""

    time: Tensor
    noise: Tensor
    exponents: Tensor | None = None

    @classmethod
    def fresh(cls, mel: Tensor, generator: torch.Generator | None = None) -> FlowDraws:
        """For a batch of mels ``[B, mels, T]``."""
        time = torch.rand(len(mel), generator=generator).to(mel)
        noise = torch.randn(mel.shape, generator=generator).to(mel)
        if float(torch.rand((), generator=generator)) >= SHORTCUT_SHARE:
            return cls(time, noise)
        return cls(time, noise, torch.randint(*EXPONENTS, (len(mel),), generator=generator).to(mel.device))


def flow_loss(
    model: FlowMatching, mel: Tensor, lengths: Tensor, known: Tensor, condition: Tensor, draws: FlowDraws
) -> Tensor:
    """Mean squared error of the velocity, on the frames after the ``known`` ``[B]`` ones alone; the mean of the rows.

    ``mel`` ``[B, mels, T]`` normalised, ``lengths`` ``[B]``, ``condition`` ``[B, C, T]``.
    """
    condition, target = condition.transpose(1, 2), (mel - draws.noise).transpose(1, 2)
    frames = torch.arange(mel.shape[2], device=mel.device)
    prompted = (frames < known[:, None])[..., None]
    x = draws.noise.transpose(1, 2) + draws.time[:, None, None] * target
    x = x.masked_fill(prompted, 0.0)
    prompt = mel.transpose(1, 2).masked_fill(~prompted, 0.0)
    step = torch.zeros_like(draws.time)
    if draws.exponents is not None:
        half = 1 / torch.pow(2, draws.exponents)
        told = half.masked_fill(half < SHORTEST, 0.0)
        with torch.no_grad():
            cached = model.estimator.prepare(condition, told)
            first = model.estimator(x, prompt, draws.time, cached, lengths)
            middle = x + half[:, None, None] * first
            second = model.estimator(middle, prompt, draws.time + half, cached, lengths)
        target, step = (first + second) / 2, 2 * half
    velocity = model.estimator(x, prompt, draws.time, model.estimator.prepare(condition, step), lengths)
    counted = (frames < lengths[:, None])[..., None] & ~prompted
    errors = (velocity - target).square().masked_fill(~counted, 0.0).sum((1, 2))
    loss: Tensor = (errors / (counted.sum((1, 2)) * mel.shape[1])).mean()
    return loss
