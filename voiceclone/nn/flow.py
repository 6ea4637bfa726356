"""The normalising flow between VITS' prior and posterior: residual coupling layers with a channel flip after each.

Parameter names are those of the published checkpoints (``flows.0.pre``, ``flows.0.enc.in_layers.0``, ``flows.0.post``).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voiceclone.nn.wavenet import WN, Projection, fold_weight_norm, frames_of
from voiceclone.ops import CouplingWeights, PackedCoupling, coupling, pack_coupling
from voiceclone.ops.wavenet import Precision


class ResidualCouplingLayer(nn.Module):
    """``[B, C, T]`` -> ``[B, C, T]``: the first half of the channels shifts (and scales) the second half.

    The way there is ``x1 * exp(logs) + m``, the way back ``(x1 - m) * exp(-logs)``; ``mean_only`` has no ``logs``.
    A subclass may put a network before the WaveNet by overriding :meth:`hidden`.
    """

    def __init__(
        self,
        channels: int,
        hidden_channels: int,
        kernel_size: int,
        dilation_rate: int,
        n_layers: int,
        p_dropout: float = 0.0,
        gin_channels: int = 0,
        mean_only: bool = False,
        weight_norm: bool = True,
    ) -> None:
        super().__init__()
        if channels % 2:
            raise ValueError(f"channels must be even, got {channels}")
        self.half_channels = channels // 2
        self.mean_only = mean_only
        self.pre = nn.Conv1d(self.half_channels, hidden_channels, 1)
        self.enc = WN(hidden_channels, kernel_size, dilation_rate, n_layers, gin_channels, p_dropout, weight_norm)
        self.post = nn.Conv1d(hidden_channels, self.half_channels * (1 if mean_only else 2), 1)
        # An untrained layer changes nothing.
        nn.init.zeros_(self.post.weight)
        if self.post.bias is not None:
            nn.init.zeros_(self.post.bias)

    def hidden(self, x0: Tensor, x_mask: Tensor, g: Tensor | None) -> Tensor:
        """What the WaveNet reads, ``[B, hidden_channels, T]``."""
        h: Tensor = self.pre(x0) * x_mask
        return h

    def forward(
        self, x: Tensor, x_mask: Tensor, g: Tensor | None = None, reverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        """The result and the log determinant ``[B]`` of the direction taken."""
        x0, x1 = torch.split(x, self.half_channels, dim=1)
        shift = self.post(self.enc(self.hidden(x0, x_mask, g), x_mask, g)) * x_mask
        if self.mean_only:
            x1 = (x1 - shift if reverse else shift + x1) * x_mask
            return torch.cat((x0, x1), dim=1), x.new_zeros(x.shape[0])
        m, logs = shift.chunk(2, dim=1)
        logdet = logs.sum(dim=(1, 2))
        if reverse:
            return torch.cat((x0, (x1 - m) * torch.exp(-logs) * x_mask), dim=1), -logdet
        return torch.cat((x0, m + x1 * torch.exp(logs) * x_mask), dim=1), logdet

    def weights(self) -> CouplingWeights:
        """The plain weights, detached; weight norm, if there is any, is folded into them."""
        assert self.pre.bias is not None
        assert self.post.bias is not None
        return CouplingWeights(
            self.pre.weight.detach(), self.pre.bias.detach(), self.enc.weights(),
            self.post.weight.detach(), self.post.bias.detach(),
        )  # fmt: skip


class Flip(nn.Module):
    """Reverses the channels, so that the next coupling changes the half that this one read."""

    def forward(
        self, x: Tensor, x_mask: Tensor, g: Tensor | None = None, reverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        return x.flip(1), x.new_zeros(x.shape[0])


class ResidualCouplingBlock(nn.Module):
    """``[B, C, T]`` -> ``[B, C, T]``: ``n_flows`` couplings with a flip after each; ``reverse`` undoes it.

    ``x_mask`` ``[B, 1, T]``; ``g`` ``[B, gin_channels, 1 or T]``.
    """

    def __init__(
        self,
        channels: int,
        hidden_channels: int,
        kernel_size: int,
        dilation_rate: int,
        n_layers: int,
        n_flows: int = 4,
        gin_channels: int = 0,
        mean_only: bool = True,
        weight_norm: bool = True,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.n_flows = n_flows
        self.flows = nn.ModuleList()
        for _ in range(n_flows):
            self.flows.append(
                ResidualCouplingLayer(
                    channels, hidden_channels, kernel_size, dilation_rate, n_layers,
                    gin_channels=gin_channels, mean_only=mean_only, weight_norm=weight_norm,
                )
            )  # fmt: skip
            self.flows.append(Flip())

    def forward(self, x: Tensor, x_mask: Tensor, g: Tensor | None = None, reverse: bool = False) -> Tensor:
        return self.with_logdet(x, x_mask, g, reverse)[0]

    def with_logdet(
        self, x: Tensor, x_mask: Tensor, g: Tensor | None = None, reverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        """The result and the log determinant ``[B]`` of all couplings in the direction taken."""
        total = x.new_zeros(x.shape[0])
        for flow in reversed(self.flows) if reverse else self.flows:
            x, logdet = flow(x, x_mask, g, reverse)
            total = total + logdet
        return x, total

    def fold(self) -> ResidualCouplingBlock:
        """Turn weight norm into plain weights, in place: for inference, training goes on without it."""
        fold_weight_norm(self)
        return self

    def pack(self, precision: Precision = "float32") -> FusedCouplingBlock:
        """The same flow for inference, on the device it is on; later changes of this one do not reach it."""
        layers: list[PackedCoupling] = []
        projections: list[Projection | None] = []
        flipped = False
        for flow in self.flows:
            if isinstance(flow, Flip):
                flipped = not flipped
                continue
            if type(flow) is not ResidualCouplingLayer:
                raise TypeError(f"a {type(flow).__name__} has no fused form; run this flow as it is")
            weights = flow.weights()
            layers.append(pack_coupling(weights.flipped() if flipped else weights, precision))
            projections.append(Projection.of(flow.enc))
        return FusedCouplingBlock(layers, projections, flipped)


class FusedCouplingBlock(nn.Module):
    """:class:`ResidualCouplingBlock` for inference on :func:`voiceclone.ops.coupling`, one call a coupling.

    Channels keep their order throughout, because the flips are folded into the weights. Masks must be 1 up to a
    sample's end.
    """

    def __init__(self, layers: list[PackedCoupling], projections: list[Projection | None], flipped: bool) -> None:
        super().__init__()
        self.layers = layers
        self.projections = projections
        #: One flip is left over where the number of couplings is odd.
        self.flipped = flipped

    def forward(self, x: Tensor, x_mask: Tensor, g: Tensor | None = None, reverse: bool = False) -> Tensor:
        return self.with_logdet(x, x_mask, g, reverse)[0]

    def with_logdet(
        self, x: Tensor, x_mask: Tensor, g: Tensor | None = None, reverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        """The result and the log determinant ``[B]`` of all couplings in the direction taken."""
        lengths = frames_of(x_mask)
        total = x.new_zeros(x.shape[0])
        h = x.transpose(1, 2)
        if self.flipped and reverse:
            h = h.flip(2)
        order = list(zip(self.layers, self.projections, strict=True))
        for layer, projection in reversed(order) if reverse else order:
            condition = None if projection is None else projection(g)
            h, logdet = coupling(h, layer, lengths, condition, reverse=reverse)
            total = total + logdet
        if self.flipped and not reverse:
            h = h.flip(2)
        return h.transpose(1, 2), total
