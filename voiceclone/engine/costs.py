"""What a step takes: a running mean per model and batch size, for predictions only."""

from __future__ import annotations

#: Weight of the newest measurement.
NEWEST = 0.2


class StepCosts:
    """Predicts seconds of a step; sizes never seen take the nearest smaller one that was, scaled by nothing."""

    def __init__(self) -> None:
        self._means: dict[tuple[str, int], float] = {}

    def record(self, model: str, batch: int, seconds: float) -> None:
        """Learn that a step of ``batch`` sessions took ``seconds``."""
        key = (model, _bucket(batch))
        mean = self._means.get(key)
        self._means[key] = seconds if mean is None else mean + NEWEST * (seconds - mean)

    def predict(self, model: str, batch: int) -> float:
        """Seconds a step of ``batch`` sessions will take; 0.0 where nothing is known."""
        bucket = _bucket(batch)
        while bucket >= 0:
            mean = self._means.get((model, bucket))
            if mean is not None:
                return mean
            bucket -= 1
        return 0.0


def _bucket(batch: int) -> int:
    """Batches of 1, 2, 3-4, 5-8, ... are told apart."""
    return (batch - 1).bit_length()
