"""A decoder as the original GPT-SoVITS runs it: eager torch, one token a call, keys and values joined by torch.cat."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from voiceclone.ops import DecoderShape


class EagerDecoder:
    """Post-norm, ReLU, no final norm; greedy under a repetition penalty with top-k, as the original's defaults."""

    def __init__(
        self, shape: DecoderShape, weights: Mapping[str, Tensor], keys: Tensor, values: Tensor, dtype: torch.dtype
    ) -> None:
        """``keys`` and ``values`` ``[layers, B, context, width]``: what was prefilled."""
        self.shape = shape
        self.weights = {
            name: value.to(dtype if value.dim() == 2 and name.startswith("layers") else torch.float32)
            for name, value in weights.items()
        }
        self.dtype = dtype
        self.keys = [layer.to(dtype) for layer in keys]
        self.values = [layer.to(dtype) for layer in values]
        self.context = keys.shape[2]

    @torch.inference_mode()
    def run(self, token: Tensor, history: Tensor, steps: int) -> Tensor:
        """``steps`` tokens after ``token`` ``[B]``; ``history`` ``[B, N]`` is what the penalty falls on."""
        keys, values = list(self.keys), list(self.values)
        drawn = []
        for step in range(steps):
            x = self.weights["embedding"][token] + self.weights["positions"][self.context + step]
            x = x[:, None].to(self.dtype)
            for layer in range(self.shape.layers):
                x = self._layer(layer, x, keys, values)
            logits = functional.linear(x[:, -1].float(), self.weights["head.weight"])
            token = self._sample(logits, history)
            history = torch.cat((history, token[:, None]), 1)
            drawn.append(token)
            if bool((logits.argmax(1) == self.shape.vocabulary).any()):  # the original looks at every token for an end
                break
        return torch.stack(drawn, 1)

    def _layer(self, layer: int, x: Tensor, keys: list[Tensor], values: list[Tensor]) -> Tensor:
        name, batch, heads = f"layers.{layer}.", len(x), self.shape.heads
        query, key, value = self._linear(name + "qkv", x).chunk(3, -1)
        keys[layer] = torch.cat((keys[layer], key), 1)
        values[layer] = torch.cat((values[layer], value), 1)
        split = [part.view(batch, part.shape[1], heads, -1).transpose(1, 2)
                 for part in (query, keys[layer], values[layer])]  # fmt: skip
        context = functional.scaled_dot_product_attention(*split).transpose(1, 2).reshape(batch, 1, -1)
        x = self._norm(name + "norm1", x + self._linear(name + "out", context))
        ffn = self._linear(name + "ffn_out", self._linear(name + "ffn_in", x).relu())
        return self._norm(name + "norm2", x + ffn)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return functional.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"].to(self.dtype))

    def _norm(self, name: str, x: Tensor) -> Tensor:
        weight, bias = (self.weights[f"{name}.{part}"].to(self.dtype) for part in ("weight", "bias"))
        return functional.layer_norm(x, weight.shape, weight, bias)

    def _sample(self, logits: Tensor, history: Tensor) -> Tensor:
        score = logits.gather(1, history)
        logits.scatter_(1, history, torch.where(score < 0, score * 1.35, score / 1.35))
        ranked, order = logits.sort(descending=True)
        beyond = ranked.softmax(-1).cumsum(-1) > 1.0
        beyond[:, 0] = False
        logits = logits.masked_fill(beyond.scatter(1, order, beyond), -torch.inf)
        pivot = logits.topk(15).values[:, -1:]
        shares = torch.where(logits < pivot, -torch.inf, logits).softmax(-1)
        return (shares / torch.empty_like(shares).exponential_(1)).argmax(-1)
