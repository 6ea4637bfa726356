"""How each row of a decode step draws its tokens and when it ends, as the tensors that the op reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class SamplingRows(NamedTuple):
    """One row each: ``settings`` ``[B, 3]`` float32, ``rules`` ``[B, 6]`` int32; columns as in csrc/step/step.h."""

    settings: Tensor
    rules: Tensor


@dataclass(frozen=True, slots=True)
class Sampling:
    """One row's way of drawing tokens. The defaults draw from the model's own distribution, without end.

    The penalty on tokens seen comes first (a negative logit times it, a positive one divided by it, once however often
    a token was seen), then the end token is made impossible before ``min_tokens``. Then temperature, top-k, top-p, as
    VALL-E and XTTS do; with ``top_p_first`` top-p, temperature, top-k, as GPT-SoVITS does, where top-p also drops the
    token that crosses p (the most likely one stays). Ties at the k-th place are kept.
    """

    temperature: float = 1.0
    #: 0 is off; 1 is greedy.
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    #: Sampling it ends the row; -1: nothing does.
    end_token: int = -1
    #: The end token cannot be drawn before this many others.
    min_tokens: int = 0
    #: The row ends after so many tokens; 0: no limit.
    max_tokens: int = 0
    top_p_first: bool = False
    #: The row also ends where the end token is the most likely one but another was drawn (GPT-SoVITS, lifeiteng's VALL-E).
    end_on_argmax: bool = False

    def __post_init__(self) -> None:
        if not self.temperature >= 0 or not self.repetition_penalty > 0 or not self.top_p >= 0:
            raise ValueError(f"temperature and top_p must be at least 0 and repetition_penalty above it, got {self}")
        if min(self.top_k, self.min_tokens, self.max_tokens) < 0 or self.end_token < -1:
            raise ValueError(f"top_k, min_tokens and max_tokens must be at least 0 and end_token -1, got {self}")


def sampling_rows(rows: Sequence[Sampling], device: torch.device | str = "cpu") -> SamplingRows:
    """The tensors for a batch."""
    settings = [(row.temperature, row.top_p, row.repetition_penalty) for row in rows]
    rules = [
        (row.top_k, row.end_token, row.min_tokens, row.max_tokens, row.top_p_first, row.end_on_argmax) for row in rows
    ]
    return SamplingRows(
        torch.tensor(settings, dtype=torch.float32, device=device).view(-1, 3),
        torch.tensor(rules, dtype=torch.int32, device=device).view(-1, 6),
    )
