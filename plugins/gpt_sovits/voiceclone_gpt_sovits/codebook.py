"""Content features to codes and back: one codebook, the nearest entry."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Codebook(nn.Module):
    """``embed`` ``[codes, C]``; the other buffers belong to how upstream once trained it and are kept as they are."""

    embed: Tensor

    def __init__(self, codes: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("inited", torch.ones(1))
        self.register_buffer("cluster_size", torch.zeros(codes))
        self.register_buffer("embed", torch.zeros(codes, channels))


class _Layer(nn.Module):
    def __init__(self, codes: int, channels: int) -> None:
        super().__init__()
        self._codebook = Codebook(codes, channels)


class _Residual(nn.Module):
    def __init__(self, codes: int, channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([_Layer(codes, channels)])


class Quantizer(nn.Module):
    """Features ``[B, C, T]`` <-> codes ``[B, T]``."""

    def __init__(self, codes: int, channels: int) -> None:
        super().__init__()
        self.vq = _Residual(codes, channels)

    @property
    def table(self) -> Tensor:
        layer = self.vq.layers[0]
        assert isinstance(layer, _Layer)
        return layer._codebook.embed

    def encode(self, features: Tensor) -> Tensor:
        """The nearest entry of each frame, in squared distance."""
        x, table = features.transpose(1, 2).float(), self.table
        distance = x.square().sum(-1, keepdim=True) - 2 * x @ table.t() + table.square().sum(-1)
        return (-distance).argmax(-1)

    def decode(self, codes: Tensor) -> Tensor:
        """Raises ValueError for a code that is none."""
        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < len(self.table):
            raise ValueError(f"codes must be 0 to {len(self.table) - 1}, got {int(codes.min())} to {int(codes.max())}")
        return F.embedding(codes, self.table).transpose(1, 2)
