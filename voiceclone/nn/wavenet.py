"""The non-causal WaveNet of Glow-TTS and VITS: dilated convolutions with gates, residual and skip sums.

Parameter names are those of the published checkpoints (``in_layers``, ``res_skip_layers``, ``cond_layer``).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize


def normed(conv: nn.Conv1d, wanted: bool = True) -> nn.Conv1d:
    """``conv`` with weight norm where ``wanted``; loads ``weight_g``/``weight_v`` and the names torch writes now."""
    return parametrizations.weight_norm(conv) if wanted else conv


def fold_weight_norm(module: nn.Module) -> None:
    """Replace every weight norm inside ``module`` by the plain weight that it stands for, in place."""
    for part in module.modules():
        if parametrize.is_parametrized(part, "weight"):
            parametrize.remove_parametrizations(part, "weight")


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
