"""Drawing a token from logits in plain torch, in the order of the original implementations."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Draw(NamedTuple):
    """Of one row: ``token`` -1 where the logits hold NaN; ``best`` the most likely before temperature and filters."""

    token: int
    best: int
    logprob: float


def filtered(logits: Tensor, seen: Tensor, settings: Tensor, rules: Tensor, count: int) -> tuple[Tensor, int]:
    """Logits ``[V]`` as the draw sees them, and the index of the largest one after penalty and minimum length.

    ``seen`` ``[V]`` bool; ``settings`` and ``rules`` are one row of :class:`voiceclone.ops.SamplingRows`; ``count`` is
    how many tokens the row has drawn.
    """
    temperature, top_p, penalty = settings.tolist()
    top_k, end, min_tokens, _, top_p_first, _ = rules.tolist()
    logits = torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)
    if 0 <= end < len(logits) and count < min_tokens:
        logits[end] = -torch.inf
    best = int(logits.argmax())
    if top_p_first and top_p < 1:
        logits = keep_top_p(logits, top_p, inclusive=True)
    logits = logits / max(temperature, 1e-5)
    if 0 < top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    if not top_p_first and top_p < 1:
        logits = keep_top_p(logits, top_p, inclusive=False)
    return logits, best


def keep_top_p(logits: Tensor, top_p: float, *, inclusive: bool) -> Tensor:
    """-inf for tokens once those before them (``inclusive``: and they) hold more than ``top_p``; the first stays."""
    ranked, order = logits.sort(descending=True, stable=True)
    shares = torch.softmax(ranked.double(), 0)
    total = shares.cumsum(0)
    dropped = (total if inclusive else total - shares) > top_p
    dropped[0] = False
    return logits.masked_fill(torch.zeros_like(dropped).scatter(0, order, dropped), -torch.inf)


def draw(logits: Tensor, seen: Tensor, settings: Tensor, rules: Tensor, count: int, noise: Tensor) -> Draw:
    """One token; ``noise`` ``[V]`` exponential (argmax of probability / noise) or ``[1]`` uniform (inverse of the sum)."""
    if logits.isnan().any():
        return Draw(-1, -1, 0.0)
    logits, best = filtered(logits, seen, settings, rules, count)
    shares = torch.softmax(logits, 0)
    if shares.isnan().any():
        return Draw(-1, best, 0.0)
    if len(noise) == 1:
        above = shares.double().cumsum(0) > float(noise) * float(shares.double().sum())
        token = int(above.int().argmax()) if above.any() else int(shares.nonzero()[-1])
    else:
        token = int(torch.where(shares > 0, shares / noise, -1).argmax())
    return Draw(token, best, float(torch.log_softmax(logits, 0)[token]))
