"""A latent to samples piece by piece, each piece as it would be in the whole."""

from __future__ import annotations

import torch
from torch import Tensor

from voiceclone.nn.hifigan_inference import PackedGenerator
from voiceclone_vits.config import FlowConfig, FlowKind
from voiceclone_vits.net import Vits
from voiceclone_vits.synthesis import Flow, Prior


def flow_context(config: FlowConfig) -> int | None:
    """Frames on either side of a frame that its latent depends on; None where that is the whole utterance."""
    if config.kind is not FlowKind.WAVENET:
        return None
    return int(config.flows * sum(config.kernel_size // 2 * config.dilation**layer for layer in range(config.layers)))


class LatentStream:
    """The latent of one utterance, computed as far as it is asked for: the first piece of a long text comes soon."""

    def __init__(self, net: Vits, prior: Prior, g: Tensor | None, flow: Flow | None = None) -> None:
        self._flow, self._prior, self._g = flow or net.flow, prior, g
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
            z = self._flow(z_p, mask, self._g, reverse=True)[:, :, have - left : goal - left]
            self._z = torch.cat((self._z, z), dim=2)
        return self._z


def fused_flow(net: Vits) -> Flow:
    """The flow on fused kernels where it has a fused form and they were measured, else as it is."""
    wavenets = net.config.flow.kind is FlowKind.WAVENET
    on_cpu = next(net.parameters()).device.type == "cpu"
    flow: Flow = net.flow.pack() if wavenets and on_cpu else net.flow
    return flow


def decode_frames(decoder: PackedGenerator, z: LatentStream, begin: int, end: int, g: Tensor | None) -> Tensor:
    """Samples ``[(end - begin) * hop]`` of the frames ``begin`` to ``end``: the bits that the whole would have."""
    reach = min(z.frames, decoder.needed(begin, end)[1])
    known = z.upto(reach)[:, :, :reach].transpose(1, 2)
    return decoder.piece(known, begin, end, None if g is None else g[:, :, 0])[0]
