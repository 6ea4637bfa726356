"""Figures with their uncertainty: means and ratios of sums, with bootstrap intervals over utterances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_ROUNDS: Final = 4000
_SEED: Final = 20


@dataclass(frozen=True)
class Figure:
    """A value, the ends of its 95 % interval and the number of utterances behind it."""

    value: float
    low: float
    high: float
    count: int

    def to_json(self) -> dict[str, Any]:
        return {name: round(value, 5) if isinstance(value, float) else value for name, value in asdict(self).items()}


def mean(values: Sequence[float]) -> Figure:
    """Mean of ``values`` that are numbers; NaN marks an utterance that has none. Raises ValueError without any."""
    kept = [value for value in values if not np.isnan(value)]
    return ratio(kept, [1.0] * len(kept))


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Figure:
    """Sum of ``numerators`` over sum of ``denominators``, utterance by utterance. Raises ValueError without any."""
    top, bottom = np.asarray(numerators, float), np.asarray(denominators, float)
    return _figure(top, bottom)


def difference(numerators: Sequence[float], others: Sequence[float], denominators: Sequence[float]) -> Figure:
    """Ratio of ``numerators`` less ratio of ``others`` over the same utterances: paired, so what they share cancels."""
    return _figure(np.asarray(numerators, float) - np.asarray(others, float), np.asarray(denominators, float))


def _figure(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> Figure:
    if not len(top) or len(top) != len(bottom):
        raise ValueError(f"nothing to average: {len(top)} values over {len(bottom)}")
    drawn = np.random.default_rng(_SEED).integers(0, len(top), (_ROUNDS, len(top)))
    values = top[drawn].sum(axis=1) / bottom[drawn].sum(axis=1)
    low, high = np.percentile(values, (2.5, 97.5))
    return Figure(float(top.sum() / bottom.sum()), float(low), float(high), len(top))
