"""The exponential average of a model's weights, which is what training gives in the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """``decay`` 0 keeps the last weights. Young averages follow faster, so that the start is forgotten."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"decay must be in 0..1, 1 excluded, got {decay}")
        self.decay = decay
        self._live = model.state_dict()
        self.tensors: dict[str, Tensor] = {key: value.detach().clone() for key, value in self._live.items()}
        self._floats = [key for key, value in self._live.items() if value.is_floating_point()]
        self._others = [key for key in self._live if key not in self._floats]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights as they are after ``step``."""
        decay = min(self.decay, (step + 1) / (step + 10))
        averaged, live = ([tensors[key] for key in self._floats] for tensors in (self.tensors, self._live))
        torch._foreach_lerp_(averaged, live, 1.0 - decay)
        for key in self._others:
            self.tensors[key].copy_(self._live[key])

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Raises KeyError where one is missing."""
        for key, value in self.tensors.items():
            value.copy_(tensors[key])

    @contextmanager
    def in_place(self, model: nn.Module) -> Iterator[None]:
        """The model has the averaged weights inside the block."""
        kept = {key: value.detach().clone() for key, value in self._live.items()}
        model.load_state_dict(self.tensors)
        try:
            yield
        finally:
            model.load_state_dict(kept)
