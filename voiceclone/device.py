"""Which device a model runs on; torch is asked only where a GPU is there to be used."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache

from voiceclone.errors import PluginError


def pick_device(wanted: str, kinds: Sequence[str]) -> str:
    """The device for a backend that runs on ``kinds`` (best first): "cpu", "cuda", "cuda:1"; ``wanted`` may be "auto".

    Raises PluginError where the backend or this machine lacks the device that was asked for.
    """
    if wanted != "auto":
        kind = wanted.partition(":")[0]
        if kind not in kinds:
            raise PluginError(f"this backend does not run on {wanted}.", hint=f"It runs on {', '.join(kinds)}.")
        if kind != "cpu" and not _is_here(kind):
            raise PluginError(f"this machine has no usable {kind} device.", hint="Use --device cpu or auto.")
        return wanted
    for kind in kinds:
        if kind == "cpu" or _is_here(kind):
            return kind
    raise PluginError(f"this machine has none of the devices the backend runs on ({', '.join(kinds)}).")


@cache
def _is_here(kind: str) -> bool:
    """True where torch can use a device of ``kind``; where there is no NVIDIA driver, torch is not asked."""
    if kind == "cuda" and not _driver_sees_gpu():
        return False
    try:
        import torch
    except ImportError:
        return False
    module = getattr(torch.backends, kind, None) if kind == "mps" else getattr(torch, kind, None)
    return bool(module is not None and module.is_available())


def _driver_sees_gpu() -> bool:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        try:
            driver = ctypes.CDLL("nvcuda.dll")
        except OSError:
            return False
    count = ctypes.c_int(0)
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
