"""Monotonic rational-quadratic splines with straight tails (Durkan et al. 2019), the steps of the duration flow."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional as F

#: Least width, height and slope of a bin.
LEAST = 1e-3
#: What softplus turns into a slope of one less LEAST: the slope of the tails.
_TAIL_SLOPE = math.log(math.expm1(1.0 - LEAST))


def rational_quadratic_spline(
    x: Tensor, widths: Tensor, heights: Tensor, slopes: Tensor, tail: float, inverse: bool
) -> tuple[Tensor, Tensor]:
    """Elementwise spline of ``x``, and the log of its slope; outside ``[-tail, tail]`` nothing changes.

    ``widths`` and ``heights`` ``[..., bins]`` and ``slopes`` ``[..., bins - 1]`` are unnormalised: a spline an element.
    """
    inside = (x >= -tail) & (x <= tail)
    x_edges, x_sizes = _edges(widths, tail)
    y_edges, y_sizes = _edges(heights, tail)
    slope = LEAST + F.softplus(F.pad(slopes, (1, 1), value=_TAIL_SLOPE))
    clamped = x.clamp(-tail, tail)
    found = (clamped[..., None] >= (y_edges if inverse else x_edges)[..., 1:-1]).sum(dim=-1, keepdim=True)

    def pick(values: Tensor) -> Tensor:
        return values.gather(-1, found)[..., 0]

    x0, width, y0, height = pick(x_edges), pick(x_sizes), pick(y_edges), pick(y_sizes)
    mean = pick(y_sizes / x_sizes)
    left, right = pick(slope), pick(slope[..., 1:])
    bend = left + right - 2 * mean
    if inverse:
        rise = clamped - y0
        a = rise * bend + height * (mean - left)
        b = height * left - rise * bend
        c = -mean * rise
        # Rounding may push a root that just exists below zero.
        place = 2 * c / (-b - (b.square() - 4 * a * c).clamp_min(0.0).sqrt())
        out = place * width + x0
    else:
        place = (clamped - x0) / width
    across = place * (1 - place)
    below = mean + bend * across
    if not inverse:
        out = y0 + height * (mean * place.square() + left * across) / below
    above = mean.square() * (right * place.square() + 2 * mean * across + left * (1 - place).square())
    log_slope = above.log() - 2 * below.log()
    out = out.where(inside, x)
    return out, (-log_slope if inverse else log_slope).where(inside, x.new_zeros(()))


def _edges(unnormalised: Tensor, tail: float) -> tuple[Tensor, Tensor]:
    """Edges ``[..., bins + 1]`` from ``-tail`` to ``tail``, and the distances between them."""
    bins = unnormalised.shape[-1]
    sizes = LEAST + (1 - LEAST * bins) * unnormalised.softmax(dim=-1)
    inner = 2 * tail * sizes.cumsum(dim=-1)[..., :-1] - tail
    edges = F.pad(F.pad(inner, (1, 0), value=-tail), (0, 1), value=tail)
    return edges, edges.diff(dim=-1)
