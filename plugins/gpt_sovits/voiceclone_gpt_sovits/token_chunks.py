"""Where a growing row of codes is cut into chunks that are rendered while the rest is still being decoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor

from voiceclone_gpt_sovits.gpt import Gpt

#: The code of silence.
MUTE = 486
#: Codes that must be there beyond a chunk's length before a pause is looked for.
_BEYOND = 2


class Chunks(Protocol):
    """Takes codes one by one and gives chunks back when they are whole."""

    def add(self, token: int) -> list[int] | None: ...

    def rest(self) -> list[int]:
        """What no chunk has had yet, once all codes are there."""
        ...


class FixedChunks:
    """Every ``length`` codes."""

    def __init__(self, length: int) -> None:
        self._length = max(1, length)
        self._open: list[int] = []

    def add(self, token: int) -> list[int] | None:
        self._open.append(token)
        if len(self._open) < self._length:
            return None
        return self._taken(self._length)

    def rest(self) -> list[int]:
        return self._taken(len(self._open))

    def _taken(self, count: int) -> list[int]:
        chunk, self._open = self._open[:count], self._open[count:]
        return chunk


class MuteChunks:
    """After at least ``length`` codes, at the place that is most like silence, where one is like it enough.

    Upstream's chunk goes on to the newest code although the next one begins at the place of the cut, so that codes are
    spoken twice; ``compat="upstream"`` does the same.
    """

    def __init__(
        self, length: int, similarity: Tensor, threshold: float = 0.0, compat: Literal["", "upstream"] = ""
    ) -> None:
        """``similarity`` ``[codes]`` of each code to silence, as :func:`mute_similarity` gives it."""
        self._length, self._similarity, self._threshold = length, similarity, threshold
        self._repeats = compat == "upstream"
        self._open: list[int] = []

    def add(self, token: int) -> list[int] | None:
        self._open.append(token)
        if len(self._open) < self._length + _BEYOND:
            return None
        scores = self._similarity[torch.tensor(self._open)] - self._threshold
        scores = scores.masked_fill(scores < 0, -1.0)
        scores = torch.cat((scores[:-1] + scores[1:], scores[-1:]))
        best = int(scores.argmax())
        if scores[best] < 0 or best + 1 < self._length:
            return None
        chunk = self._open if self._repeats else self._open[: best + 1]
        self._open = self._open[best + 1 :]
        return list(chunk)

    def rest(self) -> list[int]:
        chunk, self._open = self._open, []
        return chunk


def mute_similarity(gpt: Gpt, mute: int = MUTE) -> Tensor:
    """Cosine ``[codes]`` between each code's embedding and that of silence."""
    table = gpt.ar_audio_embedding.word_embeddings.weight.detach()
    return torch.cosine_similarity(table[mute][None], table, dim=-1)


def split(chunks: Chunks, tokens: Sequence[int]) -> list[list[int]]:
    """All chunks of ``tokens``."""
    found = [chunk for token in tokens if (chunk := chunks.add(token)) is not None]
    rest = chunks.rest()
    return [*found, rest] if rest else found
