"""How the first model's tokens are drawn: upstream's order of penalty, top-p, temperature and top-k, in plain torch."""

from __future__ import annotations

import torch
from torch import Tensor

#: What upstream's API sets where nothing is said.
TOP_K, TOP_P, TEMPERATURE, REPETITION_PENALTY = 15, 1.0, 1.0, 1.35
#: The end cannot be drawn before so many tokens.
LEAST_TOKENS = 11


def penalise(logits: Tensor, previous: Tensor, penalty: float) -> Tensor:
    """``logits`` ``[B, V]`` with those of ``previous`` ``[B, T]`` tokens made less likely, each once."""
    if penalty == 1.0 or previous.shape[1] == 0:
        return logits
    scores = logits.gather(1, previous.long())
    return logits.scatter(1, previous.long(), torch.where(scores < 0, scores * penalty, scores / penalty))


def probabilities(
    logits: Tensor, *, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    """Penalised logits ``[B, V]`` -> the distribution that a token is drawn from.

    Top-p looks at the untempered distribution and drops the token that crosses p too, never the best one; ties at the
    k-th place are kept.
    """
    if top_p is not None and top_p < 1.0:
        ordered, order = logits.sort(descending=True)
        dropped = ordered.softmax(-1).cumsum(-1) > top_p
        dropped[:, 0] = False
        logits = logits.masked_fill(dropped.scatter(1, order, dropped), -torch.inf)
    logits = logits / max(temperature, 1e-5)
    if top_k is not None:
        least = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    return logits.softmax(-1)


def draw(probability: Tensor, noise: Tensor) -> Tensor:
    """``[B, V]`` and exponential draws of that shape -> tokens ``[B]``."""
    return (probability / noise).argmax(-1)
