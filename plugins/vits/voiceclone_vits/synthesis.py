"""Inference: tokens to durations to a latent to samples, for a ragged batch whose rows never hear each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from voiceclone_vits.duration import StochasticDurationPredictor
from voiceclone_vits.net import Encoded, Vits, sequence_mask


@dataclass(frozen=True, slots=True)
class Controls:
    """Scales of the noise in the latent and in log durations; ``length_scale`` 2 is half as fast."""

    noise_scale: float = 0.667
    duration_noise_scale: float = 0.8
    length_scale: float = 1.0


class Planned(NamedTuple):
    """What is known before the flow.

    ``log_durations`` ``[B, 1, T]``, None where durations were given; ``w`` ``[B, 1, T]`` frames before rounding,
    ``durations`` ``[B, T]`` whole ones, ``frames`` ``[B]`` their sum, at least 1; ``g`` ``[B, gin, 1]`` the speaker.
    """

    encoded: Encoded
    log_durations: Tensor | None
    w: Tensor
    durations: Tensor
    frames: Tensor
    g: Tensor | None


class Prior(NamedTuple):
    """By frame: ``index`` ``[B, F]`` of its token (-1: none); ``m``, ``logs`` and a draw ``z_p`` ``[B, C, F]``."""

    index: Tensor
    m: Tensor
    logs: Tensor
    z_p: Tensor
    mask: Tensor


#: Gives ``[B, channels, steps]`` of a normal distribution, the row's own whatever its batch.
Draw = Callable[[Tensor], Tensor]


def row_noise(generators: list[torch.Generator]) -> Draw:
    """Noise drawn row by row, each from its own generator on the CPU: a seed sounds the same in any batch."""

    def draw(like: Tensor) -> Tensor:
        rows = [torch.randn(like.shape[1:], generator=generator) for generator in generators]
        return torch.stack(rows).to(like)

    return draw


def plan(
    net: Vits, tokens: Tensor, lengths: Tensor, controls: Controls, noise: Draw, *,
    speakers: Tensor | None = None, languages: Tensor | None = None, durations: Tensor | None = None,
) -> Planned:  # fmt: skip
    """How long each of ``tokens`` ``[B, T]`` lasts, or as many frames as ``durations`` ``[B, T]`` say.

    ``speakers`` ``[B]`` numbers, or vectors ``[B, gin]`` where the model takes those; ``languages`` ``[B]``.
    """
    g, language = net.speaker(speakers), net.language(languages)
    encoded = net.enc_p(tokens, lengths, g, language)
    x, mask = encoded.x, encoded.mask
    log_durations = None
    if durations is None:
        heard = g if net.config.duration.speaker else None
        if isinstance(net.dp, StochasticDurationPredictor):
            drawn = noise(x.new_empty(x.shape[0], 2, x.shape[2])) * controls.duration_noise_scale
            log_durations = net.dp(x, mask, drawn, heard, language)
        else:
            log_durations = net.dp(x, mask, heard, language)
        w = torch.exp(log_durations) * mask * controls.length_scale
    else:
        w = durations[:, None].to(x) * mask
    whole = w.ceil()[:, 0].long()
    return Planned(encoded, log_durations, w, whole, whole.sum(dim=1).clamp_min(1), g)


def expand(planned: Planned, controls: Controls, noise: Draw) -> Prior:
    """The prior of each frame, and a draw of it."""
    ends = planned.durations.cumsum(dim=1)
    longest = int(planned.frames.max())
    steps = torch.arange(longest, device=ends.device).expand(ends.shape[0], -1)
    index = torch.searchsorted(ends, steps.contiguous(), right=True)
    mask = sequence_mask(planned.frames, longest)
    # A row without a single frame still gets one, of no token.
    spoken = (steps < ends[:, -1:])[:, None]
    at = index.clamp_max(ends.shape[1] - 1)[:, None].expand(-1, planned.encoded.m.shape[1], -1)
    m, logs = (stats.gather(2, at) * spoken for stats in (planned.encoded.m, planned.encoded.logs))
    z_p = m + noise(m) * torch.exp(logs) * controls.noise_scale
    return Prior(index.masked_fill(~spoken[:, 0], -1), m, logs, z_p, mask)


def decode(net: Vits, z: Tensor, frames: Tensor, g: Tensor | None, *, leak: bool = False) -> list[Tensor]:
    """Latents ``[B, C, F]`` of ``frames`` ``[B]`` -> samples ``[frames * hop]`` of each row.

    Rows are decoded one by one: padding behind a row would sound through the decoder's biases into its last frames.
    ``leak`` decodes the padded batch as the originals do, which is what their recorded outputs hold; every row then has
    the length of the longest.
    """
    vector = None if g is None else g[:, :, 0]
    if leak:
        masked = z * sequence_mask(frames.clamp_max(z.shape[2]), z.shape[2])
        return list(net.dec(masked.transpose(1, 2), vector))
    rows = []
    for row, count in enumerate(frames.clamp_max(z.shape[2]).tolist()):
        speaker = None if vector is None else vector[row : row + 1]
        rows.append(net.dec(z[row : row + 1, :, :count].transpose(1, 2), speaker)[0])
    return rows


class Converted(NamedTuple):
    """``z`` the source's latent, ``z_p`` without its speaker, ``z_hat`` with the target's; ``samples`` of each row."""

    z: Tensor
    z_p: Tensor
    z_hat: Tensor
    samples: list[Tensor]


def convert(
    net: Vits, spectrogram: Tensor, frames: Tensor, source: Tensor, target: Tensor, noise: Draw, *, leak: bool = False
) -> Converted:
    """Speech ``[B, bins, F]`` of one speaker said by another: numbers ``[B]`` or vectors ``[B, gin]`` of both."""
    g_source, g_target = net.speaker(source), net.speaker(target)
    mask = sequence_mask(frames, spectrogram.shape[2])
    drawn = noise(spectrogram.new_empty(spectrogram.shape[0], net.config.latent, spectrogram.shape[2]))
    z = net.enc_q(spectrogram, mask, g_source, drawn).z
    z_p = net.flow(z, mask, g_source)
    z_hat = net.flow(z_p, mask, g_target, reverse=True)
    return Converted(z, z_p, z_hat, decode(net, z_hat, frames, g_target, leak=leak))
