"""A latent to samples piece by piece, each piece as it would be in the whole."""

from __future__ import annotations

import torch
from torch import Tensor

from voiceclone.nn.hifigan import GeneratorConfig
from voiceclone_vits.config import FlowConfig, FlowKind
from voiceclone_vits.net import Vits
from voiceclone_vits.synthesis import Prior


def decoder_context(config: GeneratorConfig) -> int:
    """Frames on either side of a frame that its samples depend on, exactly."""
    reach = 3  # the last convolution
    for kernel, rate in zip(reversed(config.rate_kernels), reversed(config.rates), strict=True):
        reach += max(
            _block_reach(config.resblock, *block) for block in zip(config.kernels, config.dilations, strict=True)
        )
        padding = (kernel - rate) // 2
        reach = max((reach + kernel - 1 - padding) // rate, (reach + rate - 1 + padding) // rate)
    return reach + 3


def _block_reach(resblock: str, kernel: int, dilations: tuple[int, ...]) -> int:
    pairs = sum(dilations) + (len(dilations) if resblock == "1" else 0)
    return kernel // 2 * pairs


def flow_context(config: FlowConfig) -> int | None:
    """Frames on either side of a frame that its latent depends on; None where that is the whole utterance."""
    if config.kind is not FlowKind.WAVENET:
        return None
    return config.flows * sum(config.kernel_size // 2 * config.dilation**layer for layer in range(config.layers))


class LatentStream:
    """The latent of one utterance, computed as far as it is asked for: the first piece of a long text comes soon."""

    def __init__(self, net: Vits, prior: Prior, g: Tensor | None) -> None:
        self._net, self._prior, self._g = net, prior, g
        self._context = flow_context(net.config.flow)
        self._z = prior.z_p.new_empty(1, prior.z_p.shape[1], 0)
        self.frames = prior.z_p.shape[2]

    def upto(self, end: int) -> Tensor:
        """Latent ``[1, C, at least end]``. Raises ValueError beyond its last frame."""
        if end > self.frames:
            raise ValueError(f"there are {self.frames} frames, {end} were asked for")
        have = self._z.shape[2]
        if have < end:
            # The first piece is as long as it must be; the rest comes at once, for every seam costs its context twice.
            goal = self.frames if self._context is None or have else end
            reach = self._context or 0
            left, right = max(0, have - reach), min(self.frames, goal + reach)
            z_p, mask = self._prior.z_p[:, :, left:right], self._prior.mask[:, :, left:right]
            z = self._net.flow(z_p, mask, self._g, reverse=True)[:, :, have - left : goal - left]
            self._z = torch.cat((self._z, z), dim=2)
        return self._z


def decode_frames(net: Vits, z: LatentStream, begin: int, end: int, g: Tensor | None) -> Tensor:
    """Samples ``[(end - begin) * hop]`` of the frames ``begin`` to ``end``."""
    reach, hop = decoder_context(net.config.decoder), net.config.decoder.hop
    left, right = max(0, begin - reach), min(z.frames, end + reach)
    piece = z.upto(right)[:, :, left:right]
    samples: Tensor = net.dec(piece.transpose(1, 2), None if g is None else g[:, :, 0])
    return samples[0, (begin - left) * hop : (end - left) * hop]
