"""Comparisons of one call with what was recorded, and how large a difference may be."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

#: float32 activations and waves: this, and this times the largest recorded magnitude.
ABSOLUTE = RELATIVE = 1e-4
#: Where the original's own float32-float64 difference is known: so many times that, but no less than this.
TIMES_ROUNDING, LEAST = 10.0, 1e-6
LOSS, GRADIENT_NORM = 1e-5, 1e-4
#: Discrete results must agree unless the decision behind them was nearer to a tie than this.
MARGIN = 1e-5


@dataclass(frozen=True)
class Comparison:
    """One tensor: largest absolute and relative difference, and the absolute difference allowed."""

    tensor: str
    absolute: float
    relative: float
    tolerance: float
    passed: bool
    note: str = ""

    @property
    def severity(self) -> float:
        """Above 1 where it failed."""
        if not self.passed:
            return math.inf
        return self.absolute / self.tolerance if self.tolerance else 0.0


@dataclass
class Report:
    """The comparisons of one call; ``error`` is what stopped it."""

    comparisons: list[Comparison] = field(default_factory=list)
    error: str = ""

    @property
    def passed(self) -> bool:
        return not self.error and bool(self.comparisons) and all(item.passed for item in self.comparisons)

    def close(self, name: str, got: Tensor, expected: Tensor, rounding: float | None = None) -> None:
        """Activations and waves; ``rounding`` is the float32-float64 difference of the original, where recorded."""
        tolerance = ABSOLUTE + RELATIVE * _largest(expected)
        if rounding is not None:
            tolerance = min(tolerance, max(TIMES_ROUNDING * rounding, LEAST))
        self._compare(name, got, expected, tolerance)

    def exact(self, name: str, got: Tensor | Any, expected: Tensor | Any, margin: float | None = None) -> None:
        """Integers, codes, paths, tokens, durations and texts; a difference is forgiven where ``margin`` is tiny."""
        if not isinstance(expected, Tensor):
            same = got == expected
            note = "" if same else f"{got!r} is not {expected!r}"[:160]
            self.comparisons.append(Comparison(name, 0.0 if same else math.inf, 0.0, 0.0, same, note))
        elif margin is not None and margin < MARGIN and got.shape == expected.shape and not torch.equal(got, expected):
            self.comparisons.append(Comparison(name, 0.0, 0.0, 0.0, True, f"margin {margin:.1e} is a tie"))
        else:
            self._compare(name, got, expected, 0.0)

    def loss(self, name: str, got: Tensor | float, expected: Tensor | float) -> None:
        got, expected = _scalar(got), _scalar(expected)
        self._compare(name, got, expected, LOSS * _largest(expected))

    def gradient_norm(self, name: str, got: Tensor | float, expected: Tensor | float, scale: float = 0.0) -> None:
        """``scale``: the norm of all gradients, below whose rounding a tiny norm is noise."""
        got, expected = _scalar(got), _scalar(expected)
        self._compare(name, got, expected, GRADIENT_NORM * max(_largest(expected), 1e-3 * scale))

    def _compare(self, name: str, got: Tensor, expected: Tensor, tolerance: float) -> None:
        got, expected = got.detach().cpu(), expected.detach().cpu()
        if got.shape != expected.shape:
            note = f"shape {list(got.shape)} is not {list(expected.shape)}"
            self.comparisons.append(Comparison(name, math.inf, math.inf, tolerance, False, note))
            return
        difference = (got.double() - expected.double()).abs()
        # Where both are NaN, or the same infinity, there is no difference.
        same = (got.double() == expected.double()) | (got.double().isnan() & expected.double().isnan())
        difference = difference.masked_fill(same, 0.0)
        absolute = _largest(difference) if bool(difference.isfinite().all()) else math.inf
        relative = absolute / max(_largest(expected), 1e-30)
        self.comparisons.append(Comparison(name, absolute, relative, tolerance, absolute <= tolerance))

    def worst(self) -> Comparison | None:
        return max(self.comparisons, key=lambda item: item.severity, default=None)

    def line(self) -> str:
        """Worst tensor, its differences, its tolerance and the verdict."""
        worst = self.worst()
        if self.error or worst is None:
            return f"FAIL {self.error or 'nothing was compared'}"
        figures = f"{worst.tensor:18} abs {worst.absolute:.1e} rel {worst.relative:.1e} tol {worst.tolerance:.1e}"
        return f"{figures} {'PASS' if self.passed else 'FAIL'} {worst.note}".rstrip()

    def data(self) -> dict[str, Any]:
        """For JSON, where an infinite difference (a wrong shape, a NaN) is null."""
        status = "PASS" if self.passed else "FAIL"
        items = [{key: None if value == math.inf else value for key, value in asdict(item).items()}
                 for item in self.comparisons]  # fmt: skip
        return {"status": status, "error": self.error, "comparisons": items}


def _largest(values: Tensor) -> float:
    """Largest finite magnitude."""
    return float(values.double().abs().nan_to_num(0.0, 0.0, 0.0).max()) if values.numel() else 0.0


def _scalar(value: Tensor | float) -> Tensor:
    return value if isinstance(value, Tensor) else torch.tensor(float(value), dtype=torch.float64)
