"""One device or several: what differs between them, so that the rest of the training need not know.

Several devices are started and joined by Lightning Fabric; one needs nothing installed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from voiceclone.errors import PreconditionFailed


class Devices(Protocol):
    """The processes of one training; this one has ``rank`` of ``world``."""

    device: torch.device
    rank: int
    world: int

    def wrap(self, module: nn.Module) -> nn.Module:
        """``module`` on the device, its gradients averaged over all processes."""
        ...

    def mean(self, values: Tensor) -> Tensor:
        """The average of ``values`` over all processes."""
        ...

    def any(self, flag: bool) -> bool:
        """Whether ``flag`` is set in any process."""
        ...


class OneDevice:
    """No other process."""

    def __init__(self, device: str | torch.device) -> None:
        self.device, self.rank, self.world = torch.device(device), 0, 1

    def wrap(self, module: nn.Module) -> nn.Module:
        return module.to(self.device)

    def mean(self, values: Tensor) -> Tensor:
        return values

    def any(self, flag: bool) -> bool:
        return flag


class FabricDevices:
    """Processes that Lightning Fabric started."""

    def __init__(self, fabric: Any) -> None:
        self.fabric = fabric
        self.device, self.rank, self.world = fabric.device, fabric.global_rank, fabric.world_size

    def wrap(self, module: nn.Module) -> nn.Module:
        # Some published flows have layers that nothing reads: find_unused_parameters in run_on_devices allows them.
        wrapped: nn.Module = self.fabric.strategy.setup_module(module.to(self.device))
        return wrapped

    def mean(self, values: Tensor) -> Tensor:
        reduced: Tensor = self.fabric.all_reduce(values, reduce_op="mean")
        return reduced

    def any(self, flag: bool) -> bool:
        flags: Tensor = self.fabric.all_reduce(torch.tensor(float(flag), device=self.device), reduce_op="sum")
        return bool(flags > 0)


def unwrapped(module: nn.Module) -> nn.Module:
    """The module itself, without what averages its gradients."""
    return module.module if isinstance(module, nn.parallel.DistributedDataParallel) else module


def default_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def run_on_devices(function: Callable[..., Any], count: int, device: str, *arguments: Any) -> None:
    """Call ``function(devices, *arguments)`` in ``count`` processes, or here where one is enough.

    Under ``torchrun``, on any number of machines, its own processes are used. Raises PreconditionFailed without
    Fabric.
    """
    elastic = "TORCHELASTIC_RUN_ID" in os.environ
    if count == 1 and not elastic:
        function(OneDevice(device), *arguments)
        return
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.strategies import DDPStrategy
    except ImportError as error:
        raise PreconditionFailed(
            f"training on {count} devices needs lightning-fabric, which is not installed.",
            hint="pip install lightning-fabric, or train on one device.",
        ) from error
    strategy = DDPStrategy(start_method="popen" if elastic else "spawn", find_unused_parameters=True)
    kind = "cpu" if device == "cpu" else "cuda"
    fabric = Fabric(accelerator=kind, devices=count, strategy=strategy, num_nodes=_nodes(count) if elastic else 1)
    fabric.launch(_entered, function, *arguments)


def _nodes(count: int) -> int:
    return max(1, int(os.environ.get("WORLD_SIZE", count)) // count)


def _entered(fabric: Any, function: Callable[..., Any], *arguments: Any) -> None:
    function(FabricDevices(fabric), *arguments)
