"""One training pass of the second model up to v2Pro, and the losses on it that need no discriminator."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from voiceclone.nn.posterior import Posterior
from voiceclone_gpt_sovits.content import Content, mask_of
from voiceclone_gpt_sovits.sovits import Sovits
from voiceclone_gpt_sovits.spectrogram import REFERENCE, mel, to_mel

#: How much the mel counts against the rest.
MEL_WEIGHT = 45.0


@dataclass(frozen=True)
class SovitsBatch:
    """Content features ``[B, content, T]``, spectrograms ``[B, bins, T]``, phonemes ``[B, L]``, and lengths ``[B]``."""

    features: Tensor
    spectrograms: Tensor
    lengths: Tensor
    phonemes: Tensor
    phoneme_lengths: Tensor
    #: Speaker embeddings, for v2Pro.
    speakers: Tensor | None = None


@dataclass(frozen=True)
class SovitsPass:
    """``samples`` ``[B, segment * hop]`` of the segments that begin at frames ``starts`` ``[B]``."""

    samples: Tensor
    starts: Tensor
    mask: Tensor
    posterior: Posterior
    z_p: Tensor
    prior: Content

    def kl(self) -> Tensor:
        """Divergence of what was heard from what was to be said, a frame."""
        logs_p, logs_q = self.prior.logs.float(), self.posterior.logs.float()
        difference = (self.z_p.float() - self.prior.m.float()).square() * torch.exp(-2.0 * logs_p)
        return ((logs_p - logs_q - 0.5 + 0.5 * difference) * self.mask).sum() / self.mask.sum()

    def mels(self, batch: SovitsBatch, frames: int) -> tuple[Tensor, Tensor]:
        """Of the segments as recorded and as made, ``[B, 128, frames]``."""
        recorded = segments(to_mel(batch.spectrograms, REFERENCE), self.starts, frames)
        return recorded, mel(self.samples, REFERENCE)

    def mel_loss(self, batch: SovitsBatch, frames: int) -> Tensor:
        return F.l1_loss(*self.mels(batch, frames)) * MEL_WEIGHT


def run(net: Sovits, batch: SovitsBatch, frames: int, noise: Tensor, places: Tensor) -> SovitsPass:
    """``noise`` ``[B, latent, T]`` of the posterior; ``places`` ``[B]`` in 0..1: where segments of ``frames`` begin.

    Codebook and content projection are frozen, as upstream trains.
    """
    timbre = net.timbre(batch.spectrograms, batch.speakers, batch.lengths)
    with torch.no_grad():
        content = net.frames(net.extract(batch.features))
    prior = net.enc_p(content, batch.lengths, batch.phonemes, batch.phoneme_lengths, net.joint_timbre(timbre))
    mask = mask_of(batch.lengths, batch.spectrograms.shape[2])
    # The timbre is to be learnt from what it makes, not from what it explains away.
    posterior = net.enc_q(batch.spectrograms, mask, timbre.detach(), noise)
    z_p = net.flow(posterior.z, mask, timbre)
    starts = (places * (batch.lengths - frames + 1)).long()
    samples = net.samples(segments(posterior.z, starts, frames), timbre)
    return SovitsPass(samples, starts, mask, posterior, z_p, prior)


def segments(x: Tensor, starts: Tensor, frames: int) -> Tensor:
    """``[B, C, T]`` -> ``[B, C, frames]`` from each row's start."""
    index = starts[:, None] + torch.arange(frames, device=x.device)
    return x.gather(2, index[:, None].expand(-1, x.shape[1], -1))
