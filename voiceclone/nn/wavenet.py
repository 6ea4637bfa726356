"""The non-causal WaveNet of Glow-TTS and VITS: dilated convolutions with gates, residual and skip sums.

Parameter names are those of the published checkpoints (``in_layers``, ``res_skip_layers``, ``cond_layer``).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from voiceclone.ops import PackedWaveNet, WaveNetWeights, pack_wavenet, wavenet
from voiceclone.ops.wavenet import Precision


def normed(conv: nn.Conv1d, wanted: bool = True) -> nn.Conv1d:
    """``conv`` with weight norm where ``wanted``; loads ``weight_g``/``weight_v`` and the names torch writes now."""
    return parametrizations.weight_norm(conv) if wanted else conv


def frames_of(x_mask: Tensor) -> Tensor:
    """Lengths ``[B]`` of a mask ``[B, 1, T]`` that is 1 up to each sample's end and 0 after it."""
    return x_mask.sum(dim=(1, 2)).int()


def fold_weight_norm(module: nn.Module) -> None:
    """Replace every weight-normed convolution inside ``module`` by a plain one, in place.

    torch's own removal would break copies of the module, which share the class that it edits.
    """
    for parent in list(module.modules()):
        for name, conv in list(parent.named_children()):
            if isinstance(conv, nn.Conv1d) and parametrize.is_parametrized(conv, "weight"):
                setattr(parent, name, plain(conv))


def plain(conv: nn.Conv1d) -> nn.Conv1d:
    """A convolution that does what ``conv`` does, without weight norm."""
    (kernel,), (stride,), (dilation,) = conv.kernel_size, conv.stride, conv.dilation
    assert isinstance(conv.padding, tuple)
    new = nn.Conv1d(
        conv.in_channels, conv.out_channels, kernel, stride, conv.padding[0], dilation, conv.groups,
        bias=conv.bias is not None, device=conv.weight.device, dtype=conv.weight.dtype,
    )  # fmt: skip
    with torch.no_grad():
        new.weight.copy_(conv.weight)
        if new.bias is not None and conv.bias is not None:
            new.bias.copy_(conv.bias)
    return new.train(conv.training)


class WN(nn.Module):
    """``[B, H, T]`` -> ``[B, H, T]``: the sum of what each layer passes on beside its residual.

    Layer ``i`` has dilation ``dilation_rate ** i``. ``x_mask`` ``[B, 1, T]`` is 1 inside each sample and 0 after it.
    ``g`` is ``[B, gin_channels, 1]`` (a speaker) or ``[B, gin_channels, T]`` (something that changes with time).
    """

    def __init__(
        self,
        hidden_channels: int,
        kernel_size: int,
        dilation_rate: int,
        n_layers: int,
        gin_channels: int = 0,
        p_dropout: float = 0.0,
        weight_norm: bool = True,
    ) -> None:
        super().__init__()
        if kernel_size % 2 != 1:
            raise ValueError(f"kernel_size must be odd, got {kernel_size}")
        self.hidden_channels = hidden_channels
        self.kernel_size = kernel_size
        self.dilation_rate = dilation_rate
        self.n_layers = n_layers
        self.gin_channels = gin_channels
        self.in_layers = nn.ModuleList()
        self.res_skip_layers = nn.ModuleList()
        self.drop = nn.Dropout(p_dropout)
        if gin_channels:
            self.cond_layer = normed(nn.Conv1d(gin_channels, 2 * hidden_channels * n_layers, 1), weight_norm)
        for layer in range(n_layers):
            dilation = dilation_rate**layer
            padding = (kernel_size - 1) * dilation // 2
            conv = nn.Conv1d(hidden_channels, 2 * hidden_channels, kernel_size, dilation=dilation, padding=padding)
            self.in_layers.append(normed(conv, weight_norm))
            # The last layer has nothing to hand its residual to.
            out = 2 * hidden_channels if layer < n_layers - 1 else hidden_channels
            self.res_skip_layers.append(normed(nn.Conv1d(hidden_channels, out, 1), weight_norm))

    def forward(self, x: Tensor, x_mask: Tensor, g: Tensor | None = None) -> Tensor:
        hidden = self.hidden_channels
        conditions: list[Tensor | None] = [None] * self.n_layers
        if self.gin_channels:
            if g is None:
                raise ValueError(f"this WaveNet is conditioned: pass g [B, {self.gin_channels}, 1 or T]")
            conditions = list(self.cond_layer(g).split(2 * hidden, dim=1))
        skipped: Tensor | None = None
        for layer, (conv, res_skip) in enumerate(zip(self.in_layers, self.res_skip_layers, strict=True)):
            gates = conv(x)
            condition = conditions[layer]
            if condition is not None:
                gates = gates + condition
            passed = res_skip(self.drop(gates[:, :hidden].tanh() * gates[:, hidden:].sigmoid()))
            if layer < self.n_layers - 1:
                x = (x + passed[:, :hidden]) * x_mask
                passed = passed[:, hidden:]
            skipped = passed if skipped is None else skipped + passed
        return torch.zeros_like(x) if skipped is None else skipped * x_mask

    def fold(self) -> WN:
        """Turn weight norm into plain weights, in place: for inference, training goes on without it."""
        fold_weight_norm(self)
        return self

    def weights(self) -> WaveNetWeights:
        """The plain weights, detached; weight norm, if there is any, is folded into them."""
        convs = [*self.in_layers, *self.res_skip_layers]
        weight = [conv.weight.detach() for conv in convs]
        bias = [conv.bias.detach() for conv in convs]
        count = self.n_layers
        return WaveNetWeights(
            tuple(weight[:count]), tuple(bias[:count]), tuple(weight[count:]), tuple(bias[count:]), self.dilation_rate
        )

    def pack(self, precision: Precision = "float32") -> FusedWN:
        """The same network for inference, on the device it is on; later changes of this one do not reach it."""
        return FusedWN(pack_wavenet(self.weights(), precision), Projection.of(self))


class Projection:
    """The conditioning convolution of a WaveNet, for all its layers at once; the last ``g`` is kept with its result."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.weight = weight
        self.bias = bias
        self._last: tuple[Tensor, int, Tensor] | None = None

    @classmethod
    def of(cls, network: WN) -> Projection | None:
        """None where the network has no conditioning."""
        if not network.gin_channels:
            return None
        layer = network.cond_layer
        assert layer.bias is not None
        return cls(layer.weight.detach()[:, :, 0].clone(), layer.bias.detach().clone())

    def __call__(self, g: Tensor | None) -> Tensor:
        """``g`` ``[B, gin_channels, 1 or T]`` -> ``[B, 1 or T, layers * 2 * H]``."""
        if g is None:
            raise ValueError(f"this WaveNet is conditioned: pass g [B, {self.weight.shape[1]}, 1 or T]")
        last = self._last
        # The same speaker speaks many sentences.
        if last is not None and last[0] is g and last[1] == g._version:
            return last[2]
        condition = nn.functional.linear(g.transpose(1, 2), self.weight, self.bias)
        if not g.requires_grad and not g.is_inference():
            self._last = (g, g._version, condition)
        return condition


class FusedWN(nn.Module):
    """:class:`WN` for inference on :func:`voiceclone.ops.wavenet`; its masks must be 1 up to a sample's end."""

    def __init__(self, packed: PackedWaveNet, projection: Projection | None) -> None:
        super().__init__()
        self.packed = packed
        self.projection = projection

    def forward(self, x: Tensor, x_mask: Tensor, g: Tensor | None = None) -> Tensor:
        condition = None if self.projection is None else self.projection(g)
        return wavenet(x.transpose(1, 2), self.packed, frames_of(x_mask), condition).transpose(1, 2)
