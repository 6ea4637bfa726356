"""Codes and phonemes to what the voice is to say at each frame; parameter names are those of the published files."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voiceclone.nn.relative_transformer import MASKED, RelativeTransformer
from voiceclone_gpt_sovits.sizes import EncoderSizes

#: Heads of the attention from frames to phonemes.
_HEADS = 4


def mask_of(lengths: Tensor, longest: int) -> Tensor:
    """``[B, 1, longest]``: 1 up to each row's length."""
    return (torch.arange(longest, device=lengths.device) < lengths[:, None])[:, None].float()


class CrossAttention(nn.Module):
    """Frames ``[B, C, T]`` look at phonemes ``[B, C, L]``."""

    def __init__(self, channels: int, heads: int = _HEADS) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"channels must be divisible by heads, got {channels} and {heads}")
        self.heads = heads
        self.conv_q, self.conv_k, self.conv_v, self.conv_o = (nn.Conv1d(channels, channels, 1) for _ in range(4))

    def weights(self, x: Tensor, context: Tensor, x_mask: Tensor, context_mask: Tensor) -> Tensor:
        """Who looks at what, ``[B, heads, T, L]``."""
        query, key = (
            part.unflatten(1, (self.heads, -1)).transpose(2, 3) for part in (self.conv_q(x), self.conv_k(context))
        )
        scores = query / math.sqrt(query.shape[-1]) @ key.transpose(2, 3)
        seen = context_mask[:, :, None] * x_mask[..., None]
        weights: Tensor = scores.masked_fill(seen == 0, MASKED).softmax(-1)
        return weights

    def forward(self, x: Tensor, context: Tensor, x_mask: Tensor, context_mask: Tensor) -> Tensor:
        value = self.conv_v(context).unflatten(1, (self.heads, -1)).transpose(2, 3)
        attended = self.weights(x, context, x_mask, context_mask) @ value
        result: Tensor = self.conv_o(attended.transpose(2, 3).flatten(1, 2))
        return result


class Meeting(nn.Module):
    """Where codes, phonemes and the timbre meet."""

    def __init__(self, channels: int, joint: int) -> None:
        super().__init__()
        self.cross_attention = CrossAttention(joint)
        self.c_pre, self.text_pre = nn.Conv1d(channels, joint, 1), nn.Conv1d(channels, joint, 1)
        self.c_post = nn.Conv1d(joint, channels, 1)

    def inputs(self, frames: Tensor, frames_mask: Tensor, text: Tensor, text_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Both sides in the width where they meet."""
        return self.c_pre(frames * frames_mask), self.text_pre(text * text_mask)

    def forward(self, frames: Tensor, frames_mask: Tensor, text: Tensor, text_mask: Tensor, timbre: Tensor) -> Tensor:
        frames, text = self.inputs(frames, frames_mask, text, text_mask)
        attended = self.cross_attention(frames * frames_mask, text * text_mask, frames_mask, text_mask)
        out: Tensor = self.c_post((attended + frames + timbre) * frames_mask)
        return out


class Tail(NamedTuple):
    """Of a growing utterance, what is rendered: its last ``frames``, joined to the ``previous`` end ``[B, C, T]``."""

    frames: int | None = None
    previous: Tensor | None = None


class Content(NamedTuple):
    """``x`` ``[B, C, T]`` what is said, ``m`` and ``logs`` the prior it gives, ``mask`` ``[B, 1, T]``; ``unhurried`` is
    ``x`` before the speed changed its length.
    """

    x: Tensor
    m: Tensor
    logs: Tensor
    mask: Tensor
    unhurried: Tensor


class ContentEncoder(nn.Module):
    """Upstream's ``enc_p``."""

    def __init__(self, sizes: EncoderSizes, content: int, latent: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.ssl_proj = nn.Conv1d(content, sizes.channels, 1)
        self.encoder_ssl, self.encoder_text, self.encoder2 = (
            RelativeTransformer(sizes.channels, sizes.filters, sizes.heads, layers, sizes.kernel, dropout)
            for layers in (sizes.layers_codes, sizes.layers_text, sizes.layers_joint)
        )
        self.text_embedding = nn.Embedding(sizes.alphabet, sizes.channels)
        self.mrte = Meeting(sizes.channels, sizes.joint)
        self.proj = nn.Conv1d(sizes.channels, 2 * latent, 1)

    def text(self, phonemes: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Phonemes ``[B, L]`` -> encoded ``[B, C, L]`` and their mask."""
        mask = mask_of(lengths, phonemes.shape[1])
        return self.encoder_text(self.text_embedding(phonemes).transpose(1, 2) * mask, mask), mask

    def heard(self, content: Tensor, mask: Tensor) -> Tensor:
        """Content features ``[B, content, T]`` -> encoded ``[B, C, T]``."""
        encoded: Tensor = self.encoder_ssl(self.ssl_proj(content * mask) * mask, mask)
        return encoded

    def forward(
        self, content: Tensor, lengths: Tensor, phonemes: Tensor, phoneme_lengths: Tensor, timbre: Tensor, *,
        speed: float = 1.0, tail: Tail | None = None,
    ) -> Content:  # fmt: skip
        mask = mask_of(lengths, content.shape[2])
        text, text_mask = self.text(phonemes, phoneme_lengths)
        x = self.encoder2(self.mrte(self.heard(content, mask), mask, text, text_mask, timbre) * mask, mask)
        if tail is not None:
            x, mask = _tail(x, mask, tail)
        unhurried = x
        if speed != 1.0:
            x = F.interpolate(x, size=int(x.shape[-1] / speed) + 1, mode="linear")
            mask = F.interpolate(mask, size=x.shape[-1], mode="nearest")
        m, logs = (self.proj(x) * mask).chunk(2, dim=1)
        return Content(x, m, logs, mask, unhurried)

    def alignment(self, content: Tensor, lengths: Tensor, phonemes: Tensor, phoneme_lengths: Tensor) -> Tensor:
        """How much each frame looks at each phoneme, the mean of all heads: ``[B, T, L]``."""
        mask = mask_of(lengths, content.shape[2])
        text, text_mask = self.text(phonemes, phoneme_lengths)
        frames, text = self.mrte.inputs(self.heard(content, mask), mask, text, text_mask)
        return self.mrte.cross_attention.weights(frames * mask, text * text_mask, mask, text_mask).mean(1)


def _tail(x: Tensor, mask: Tensor, tail: Tail) -> tuple[Tensor, Tensor]:
    if tail.frames is not None:
        x, mask = x[:, :, -tail.frames :], mask[:, :, -tail.frames :]
    if tail.previous is not None:
        overlap = tail.previous.shape[-1]
        window = torch.sin(torch.arange(2 * overlap, device=x.device) * torch.pi / (2 * overlap))
        joined = window[:overlap] * x[:, :, :overlap] + window[overlap:] * tail.previous
        x = torch.cat((joined, x[:, :, overlap:]), dim=2)
    return x, mask
