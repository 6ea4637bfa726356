"""Training as the original formulates it, on the same networks: the peer that ours is measured against."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from voiceclone_vits.duration import StochasticDurationPredictor
from voiceclone_vits.net import sequence_mask
from voiceclone_vits.training import losses
from voiceclone_vits.training.forward import Batch
from voiceclone_vits.training.settings import TrainConfig
from voiceclone_vits.training.slicing import cut, segment_starts
from voiceclone_vits.training.step import Networks


def score(z: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Log-likelihoods ``[B, T_text, T_mel]`` as the sum of four terms, two of them products."""
    with torch.no_grad():
        precision = torch.exp(-2 * log_std)
        constant = torch.sum(-0.5 * math.log(2 * math.pi) - log_std, [1])[:, :, None]
        square = torch.matmul(precision.transpose(1, 2), -0.5 * z**2)
        mixed = torch.matmul((mean * precision).transpose(1, 2), z)
        means = torch.sum(-0.5 * (mean**2) * precision, [1])[:, :, None]
        return constant + square + mixed + means


def align_and_expand(
    z: Tensor, mean: Tensor, log_std: Tensor, frame_mask: Tensor, token_mask: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Path ``[B, T_text, T_mel]`` by the Cython search that forks install, and what it expands by products."""
    from monotonic_alignment_search import maximum_path

    mask = token_mask.transpose(1, 2) * frame_mask
    attention: Tensor = maximum_path(score(z, mean, log_std), mask).detach().to(z.dtype)
    return attention, torch.matmul(mean, attention), torch.matmul(log_std, attention)


class OriginalStep:
    """One step in the original's words: every norm and loss read back, the judges' gradients computed and dropped."""

    def __init__(self, networks: Networks, config: TrainConfig) -> None:
        self.networks, self.config = networks, config
        parts = networks.parts()
        self.model, self.judge = networks.generator_pass.model, parts["discriminator"]
        self.optimizers = [
            torch.optim.AdamW(part.parameters(), config.learning_rate, config.betas, config.eps)
            for part in (self.model, self.judge)
        ]

    def __call__(self, batch: Batch) -> float:
        networks, model, judge = self.networks, self.model, self.judge
        segment, hop = networks.generator_pass.segment_frames, networks.analysis.spectrogram.config.hop_length
        spectrogram, mel = networks.analysis(batch)
        text = model.enc_p(batch.tokens, batch.token_counts)
        frame_mask = sequence_mask(batch.frames, spectrogram.shape[2])
        posterior = model.enc_q(spectrogram, frame_mask)
        z_p = model.flow(posterior.z, frame_mask)
        attention, m_p, logs_p = align_and_expand(z_p, text.m, text.logs, frame_mask, text.mask)
        durations = attention.sum(2)[:, None]
        x = text.x.detach()
        if isinstance(model.dp, StochasticDurationPredictor):
            noise = torch.randn(x.shape[0], 2, x.shape[2])
            duration = (model.dp.negative_log_likelihood(x, text.mask, durations, noise) / text.mask.sum()).sum()
        else:
            target = torch.log(durations + 1e-6) * text.mask
            duration = ((model.dp(x, text.mask) - target) ** 2).sum() / text.mask.sum()
        starts = segment_starts(torch.rand(x.shape[0]), batch.frames, segment)
        generated = model.dec(cut(posterior.z, starts, segment).transpose(1, 2))[:, None]
        pad = networks.analysis.pad
        real = cut(batch.padded_audio[:, None, pad : batch.padded_audio.shape[1] - pad], starts * hop, segment * hop)
        (true, _), (false, _) = judge(real), judge(generated.detach())
        loss = losses.discriminator_loss(true, false)
        for scores in (*true, *false):
            scores.detach().square().mean().item()
        self._update(1, loss)
        (_, real_maps), (scores, maps) = judge(real), judge(generated)
        heard = networks.analysis.spectrogram(generated[:, 0])
        total = (
            losses.generator_loss(scores) + losses.feature_loss(real_maps, maps) + duration
            + self.config.mel_weight * F.l1_loss(cut(mel, starts, segment), heard)
            + losses.kl_loss(z_p, posterior.logs, m_p, logs_p, frame_mask)
        )  # fmt: skip
        self._update(0, total)
        return float(total.detach())

    def _update(self, index: int, loss: Tensor) -> None:
        optimizer = self.optimizers[index]
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norms = [parameter.grad.norm(2).item() for group in optimizer.param_groups for parameter in group["params"]
                 if parameter.grad is not None]  # fmt: skip
        np.sqrt(np.sum(np.square(norms)))
        optimizer.step()
