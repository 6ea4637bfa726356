"""Looks for the compiled module ``voiceclone._host``, or says once why it is absent and what brings it."""

from __future__ import annotations

import importlib
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

#: The tensor kernels: where they are missing too, `voiceclone.ops` says so, and the remedy is the same.
_KERNELS = Path(__file__).resolve().parent.parent / "_C.abi3.so"


@dataclass(frozen=True, slots=True)
class HostStatus:
    """Whether the compiled classes are in use in this process."""

    loaded: bool
    #: Why they are not; empty where they are.
    reason: str = ""

    def __str__(self) -> str:
        return "host classes: C++" if self.loaded else f"host classes: Python ({self.reason})"


def load() -> HostStatus:
    """Import the module; warns where that fails, except where VOICECLONE_NATIVE=off asked for it."""
    if os.environ.get("VOICECLONE_NATIVE", "").lower() in ("off", "0", "false"):
        return HostStatus(False, "switched off by VOICECLONE_NATIVE")
    try:
        importlib.import_module("voiceclone._host")
    except ImportError as error:
        absent = isinstance(error, ModuleNotFoundError) and error.name == "voiceclone._host"
        reason = "never built for this Python" if absent else f"not usable here: {error}"
        if _KERNELS.exists():
            warnings.warn(
                f"voiceclone keeps its pages and converts its samples in Python: the C++ module is {reason}. The "
                "results are the same. `make setup` in a clone builds it; that needs python3-dev and pybind11.",
                RuntimeWarning,
                stacklevel=4,
            )
        return HostStatus(False, reason)
    return HostStatus(True)


HOST = load()
