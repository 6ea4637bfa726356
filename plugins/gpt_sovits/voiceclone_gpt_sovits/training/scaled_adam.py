"""ScaledAdam, which the first model is trained with: steps relative to a tensor's magnitude, which is learnt too."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class ScaledAdam(Optimizer):
    """After Povey's optimiser in icefall, in the form upstream has.

    Gradients count relative to the root mean square of their tensor. Every ``size_update_period`` steps the magnitude
    of each tensor moves too, by the gradient along the tensor itself. Where the norm of all gradients exceeds
    ``clipping_scale`` times its median over ``clipping_update_period`` steps, only that movement of the magnitude is
    scaled down: upstream's steps themselves are not, and pretrained settings rely on it.
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 3e-2, *, clipping_scale: float | None = None,
        betas: tuple[float, float] = (0.9, 0.98), scalar_lr_scale: float = 0.1, eps: float = 1e-8,
        param_min_rms: float = 1e-5, param_max_rms: float = 3.0, scalar_max: float = 10.0, size_update_period: int = 4,
        clipping_update_period: int = 100,
    ) -> None:  # fmt: skip
        super().__init__(params, {
            "lr": lr, "clipping_scale": clipping_scale, "betas": tuple(betas), "scalar_lr_scale": scalar_lr_scale,
            "eps": eps, "param_min_rms": param_min_rms, "param_max_rms": param_max_rms, "scalar_max": scalar_max,
            "size_update_period": size_update_period, "clipping_update_period": clipping_update_period,
        })  # fmt: skip

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; ``closure`` computes the loss again."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            factor = self._clipping(group, parameters)
            for parameter in parameters:
                state = self.state[parameter]
                if not state:
                    self._begin(group, parameter, state)
                self._move(group, parameter, state, factor)
                state["step"] += 1
        return loss

    @staticmethod
    def _begin(group: dict[str, Any], parameter: Tensor, state: dict[str, Any]) -> None:
        state["step"] = 0
        state["delta"] = torch.zeros_like(parameter)
        state["exp_avg_sq"] = torch.zeros_like(parameter)
        if parameter.numel() > 1:
            state["param_rms"] = parameter.square().mean().sqrt()
            state["scale_exp_avg_sq"] = torch.zeros((), device=parameter.device)
            state["scale_grads"] = torch.zeros(group["size_update_period"], device=parameter.device)

    def _clipping(self, group: dict[str, Any], parameters: list[Tensor]) -> float:
        """Up to 1; the norms are kept with the first parameter."""
        first, period = self.state[parameters[0]], group["clipping_update_period"]
        if group["clipping_scale"] is None or not first or first["step"] == 0:
            return 1.0
        total = torch.zeros((), device=parameters[0].device)
        for parameter in parameters:
            gradient = parameter.grad
            assert gradient is not None
            rms = self.state[parameter].get("param_rms", 1.0)
            total = total + (gradient * rms).square().sum()
        norm, step = total.sqrt(), first["step"]
        norms = first.setdefault("norms", torch.zeros(period, device=total.device))
        norms[step % period] = norm
        if step % period == 0:
            median = norms.sort().values[min(period - 1, period // 4 * 2)]
            first["threshold"] = float(group["clipping_scale"] * median)
        if step < period or "threshold" not in first:
            return 1.0
        return min(1.0, float(first["threshold"]) / (float(norm) + 1e-20))

    def _move(self, group: dict[str, Any], parameter: Tensor, state: dict[str, Any], factor: float) -> None:
        gradient = parameter.grad
        assert gradient is not None
        (beta1, beta2), step, delta = group["betas"], state["step"], state["delta"]
        delta.mul_(beta1)
        if parameter.numel() > 1:
            self._resize(group, parameter, gradient * factor, state)
        squares = state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        correction = 1 - beta2 ** (step + 1)
        if parameter.numel() == 1:
            denominator = (squares / correction).sqrt() + group["eps"]
            delta.add_(gradient / denominator, alpha=-group["lr"] * group["scalar_lr_scale"] * (1 - beta1))
            parameter.clamp_(-group["scalar_max"], group["scalar_max"])
        else:
            if correction < 0.99:
                squares = squares * (1.0 / correction)
            length = -group["lr"] * (1 - beta1) * state["param_rms"].clamp_min(group["param_min_rms"])
            delta.add_(gradient / (squares.sqrt() + group["eps"]) * length)
        parameter.add_(delta)

    @staticmethod
    def _resize(group: dict[str, Any], parameter: Tensor, gradient: Tensor, state: dict[str, Any]) -> None:
        """Let the magnitude of ``parameter`` move once a period; the change joins the momentum."""
        period, step = group["size_update_period"], state["step"]
        state["scale_grads"][step % period] = (parameter * gradient).sum()
        if step % period != period - 1:
            return
        state["param_rms"].copy_(parameter.square().mean().sqrt())
        if step == 0:
            return
        (beta1, beta2), rate = group["betas"], group["lr"] * group["scalar_lr_scale"]
        decay = beta2**period
        gradients, squares = state["scale_grads"], state["scale_exp_avg_sq"]
        squares.mul_(decay).add_(gradients.square().mean(), alpha=1 - decay)
        correction = 1 - decay ** ((step + 1) // period)
        change = -rate * correction**0.5 * gradients.sum() / (squares.sqrt() + group["eps"])
        change = change.masked_fill(state["param_rms"] < group["param_min_rms"], 0.0)
        change = change.masked_fill(state["param_rms"] > group["param_max_rms"], -rate * period)
        state["delta"].add_(parameter * change, alpha=1 - beta1)
