"""A sentence's codes to samples while they are still being written: settled frames once, with faded seams."""

from __future__ import annotations

import torch
from torch import Tensor

from voiceclone_gpt_sovits.sovits import Sovits

#: Codes at the end of what is known whose frames are not given out yet: those after them would change them.
HOLD = 4
#: Frames on either side that flow and decoder are given beyond what they are asked for.
_CONTEXT = 40


class SentenceStream:
    """Renders one sentence; ``more`` is called with all codes so far. Depends on the codes and borders alone."""

    def __init__(
        self, net: Sovits, phonemes: Tensor, timbre: Tensor, generator: torch.Generator, *,
        noise_scale: float, speed: float,
    ) -> None:  # fmt: skip
        """``phonemes`` ``[L]`` of the sentence, ``timbre`` ``[1, C, 1]``."""
        self._net, self._phonemes, self._timbre, self._generator = net, phonemes, timbre, generator
        self._scale, self._speed = noise_scale, speed
        #: Frames ``[1, latent, T]`` that were given out, before the flow; they do not change any more.
        self._settled = torch.zeros(1, net.sizes.latent, 0, device=timbre.device)
        self._noise = torch.zeros(1, net.sizes.latent, 0)
        #: How the last piece would have gone on, one frame of samples.
        self._beyond: Tensor | None = None

    def more(self, codes: list[int], last: bool) -> Tensor:
        """Samples ``[T]`` of the frames that are settled now and were not; all of them with the ``last`` codes."""
        net, hop = self._net, self._net.sizes.hop
        if not codes:
            return torch.zeros(0)
        row = torch.tensor([codes], device=self._timbre.device)
        content = net.content(row, self._phonemes[None], self._timbre, speed=self._speed)
        total, before = content.m.shape[2], self._settled.shape[2]
        held = 0 if last else int(HOLD * net.sizes.stride / self._speed) + 1
        end = max(before, total - held)
        if end == before:
            return torch.zeros(0)
        missing = max(0, total - self._noise.shape[2])
        fresh = torch.randn(1, net.sizes.latent, missing, generator=self._generator)
        self._noise = torch.cat((self._noise, fresh), dim=2)
        spread = self._noise[:, :, :total].to(content.m) * torch.exp(content.logs) * self._scale
        z_p = torch.cat((self._settled, (content.m + spread)[:, :, before:]), dim=2)
        left, right = max(0, before - _CONTEXT), min(total, end + _CONTEXT)
        window = z_p[:, :, left:right]
        latent = net.flow(window, torch.ones_like(window[:, :1]), self._timbre, reverse=True)
        samples = net.samples(latent, self._timbre)[0]
        piece = samples[(before - left) * hop : (end - left) * hop]
        if self._beyond is not None:
            count = min(len(self._beyond), len(piece))
            fade = torch.linspace(0.0, 1.0, count, device=piece.device)
            head = piece[:count] * fade + self._beyond[:count] * (1.0 - fade)
            piece = torch.cat((head, piece[count:]))
        following = samples[(end - left) * hop : (end + 1 - left) * hop]
        self._beyond = following if len(following) else None
        self._settled = z_p[:, :, :end]
        return piece
