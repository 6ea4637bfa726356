"""VITS as a module: text encoder, durations, flow, posterior encoder and decoder under their published names."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voiceclone.nn.hifigan import Generator
from voiceclone.nn.posterior import PosteriorEncoder
from voiceclone.nn.relative_transformer import RelativeTransformer
from voiceclone.nn.wavenet import fold_weight_norm
from voiceclone_vits.config import SpeakerKind, TextConfig, VitsConfig
from voiceclone_vits.duration import DurationPredictor, StochasticDurationPredictor
from voiceclone_vits.flows import build_flow


class Encoded(NamedTuple):
    """``x`` ``[B, H, T]``; ``m`` and ``logs`` of the prior ``[B, C, T]``; ``mask`` ``[B, 1, T]``."""

    x: Tensor
    m: Tensor
    logs: Tensor
    mask: Tensor


class TextEncoder(nn.Module):
    """Tokens ``[B, T]`` -> :class:`Encoded`."""

    def __init__(self, config: TextConfig, latent: int, gin_channels: int = 0) -> None:
        super().__init__()
        self.hidden = config.hidden
        self.emb = nn.Embedding(config.vocabulary, config.hidden)
        nn.init.normal_(self.emb.weight, 0.0, config.hidden**-0.5)
        layer = config.speaker_layer
        self.encoder = RelativeTransformer(
            config.width, config.filter, config.heads, config.layers, config.kernel_size, config.dropout,
            window=config.window, gin_channels=gin_channels if layer is not None else 0, speaker_layer=layer or 0,
        )  # fmt: skip
        self.proj = nn.Conv1d(config.width, 2 * latent, 1)

    def forward(
        self, tokens: Tensor, lengths: Tensor, g: Tensor | None = None, language: Tensor | None = None
    ) -> Encoded:
        """``lengths`` ``[B]``; ``g`` ``[B, gin, 1]``; ``language`` ``[B, L, 1]`` is put beside each token."""
        mask = sequence_mask(lengths, tokens.shape[1])
        x = self.emb(tokens).transpose(1, 2) * math.sqrt(self.hidden)
        if language is not None:
            x = torch.cat((x, language.expand(-1, -1, x.shape[2])), dim=1)
        x = self.encoder(x * mask, mask, g)
        m, logs = (self.proj(x) * mask).chunk(2, dim=1)
        return Encoded(x, m, logs, mask)


class Vits(nn.Module):
    """All parts of one model. ``weight_norm`` False makes plain weights from the start; :meth:`fold` later."""

    def __init__(self, config: VitsConfig, weight_norm: bool = True) -> None:
        super().__init__()
        self.config = config
        text, duration, posterior = config.text, config.duration, config.posterior
        gin = config.speaker_channels
        self.enc_p = TextEncoder(text, config.latent, gin)
        self.dec = Generator(config.decoder, weight_norm)
        self.enc_q = PosteriorEncoder(
            posterior.bins, config.latent, posterior.hidden, posterior.kernel_size, posterior.dilation,
            posterior.layers, gin_channels=gin, weight_norm=weight_norm,
        )  # fmt: skip
        self.flow = build_flow(config.latent, config.flow, gin, weight_norm)
        speaker = gin if duration.speaker else 0
        self.dp: StochasticDurationPredictor | DurationPredictor
        if duration.stochastic:
            self.dp = StochasticDurationPredictor(
                text.width, duration.filter, duration.kernel_size, duration.dropout, duration.flows, speaker,
                text.language_channels, duration.bins, duration.tail, duration.layers,
            )  # fmt: skip
        else:
            self.dp = DurationPredictor(
                text.width, duration.filter, duration.kernel_size, duration.dropout, speaker,
                text.language_channels, duration.norm_eps,
            )  # fmt: skip
        if config.speaker_kind is SpeakerKind.NUMBER:
            self.emb_g = nn.Embedding(config.speakers, gin)
        if text.languages:
            self.emb_l = nn.Embedding(text.languages, text.language_channels)

    def speaker(self, speakers: Tensor | None) -> Tensor | None:
        """``g`` ``[B, gin, 1]`` of numbers ``[B]`` or, where the model takes those, of vectors ``[B, gin]``."""
        if self.config.speaker_kind is SpeakerKind.ONE or speakers is None:
            return None
        if self.config.speaker_kind is SpeakerKind.VECTOR:
            return F.normalize(speakers).unsqueeze(-1)
        g: Tensor = self.emb_g(speakers).unsqueeze(-1)
        return g

    def language(self, languages: Tensor | None) -> Tensor | None:
        """``[B, L, 1]`` of language numbers ``[B]``."""
        if not self.config.text.languages or languages is None:
            return None
        embedded: Tensor = self.emb_l(languages).unsqueeze(-1)
        return embedded

    def fold(self) -> Vits:
        """Turn weight norm into plain weights, in place: for inference."""
        fold_weight_norm(self)
        return self


def sequence_mask(lengths: Tensor, longest: int) -> Tensor:
    """``[B, 1, longest]`` float: 1 inside each sample and 0 after it."""
    steps = torch.arange(longest, device=lengths.device)
    return (steps < lengths[:, None])[:, None].float()
