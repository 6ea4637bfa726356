"""Joins pieces of samples: where they overlap, at the shift that fits best, and as a whole text with pauses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

#: Samples that a piece may be moved by to fit the one before.
SEARCH = 320
#: Rate that upstream counts pauses by, whatever the rate of the audio is.
PAUSE_RATE = 32000


def best_shift(end: Tensor, begin: Tensor) -> int:
    """How far into ``begin`` ``[overlap + SEARCH]`` it is most like ``end`` ``[overlap]``."""
    likeness = F.conv1d(begin[None, None], end[None, None]).flatten()
    energy = F.conv1d(begin.square()[None, None], torch.ones_like(end)[None, None]).flatten() + 1e-8
    return int((likeness / energy.sqrt()).argmax())


def splice(pieces: Sequence[Tensor], overlap: int, search: int = SEARCH) -> Tensor:
    """Pieces ``[T]``, each beginning about ``overlap`` samples before the last one ends, cross-faded into one.

    A seam shortens the whole by the overlap and the shift that was found.
    """
    parts, current = [], pieces[0].float()
    window = torch.hann_window(2 * overlap, device=current.device)
    for piece in pieces[1:]:
        end = current[-overlap:]
        following = piece.float()
        following = following[best_shift(end, following[: overlap + search]) :]
        faded = window[:overlap] * following[:overlap] + window[overlap:] * end
        parts.append(current[:-overlap])
        current = torch.cat((faded, following[overlap:]))
    return torch.cat([*parts, current]).to(pieces[0].dtype)


def quieted(samples: Tensor) -> Tensor:
    """Scaled to a peak of 1 where they are louder."""
    peak = float(samples.abs().max()) if samples.numel() else 0.0
    return samples / peak if peak > 1 else samples


def with_pauses(fragments: Sequence[Tensor], seconds: float, rate: int = PAUSE_RATE) -> Tensor:
    """Fragments ``[T]`` in order, each scaled where it is too loud and followed by so much silence."""
    silence = torch.zeros(int(rate * seconds))
    return torch.cat([part for fragment in fragments for part in (quieted(fragment), silence.to(fragment))])


def in_order(batches: Sequence[Sequence[Tensor]], numbers: Sequence[Sequence[int]]) -> list[Tensor]:
    """Fragments of batches back in the order of the text; ``numbers`` as ``text.cutting.batches`` gave them."""
    found = {
        number: item
        for batch, row in zip(batches, numbers, strict=True)
        for item, number in zip(batch, row, strict=True)
    }
    return [found[number] for number in range(len(found))]


def to_int16(samples: Tensor) -> Tensor:
    """As upstream rounds: times 32768, towards zero; a sample of exactly 1 becomes the least number."""
    scaled = (samples.float() * 32768).to(torch.int32)
    return ((scaled + 32768) % 65536 - 32768).to(torch.int16)
