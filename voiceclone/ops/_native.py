"""Loads the native kernels, or says once why they are absent and what brings them."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

LIBRARY = Path(__file__).resolve().parent.parent / "_C.abi3.so"


@dataclass(frozen=True, slots=True)
class NativeStatus:
    """What the native kernels can do in this process."""

    loaded: bool
    #: Why they are not loaded; empty where they are.
    reason: str = ""
    #: Instruction set of the CPU kernels: "avx512", "avx2" or "plain"; VOICECLONE_CPU=plain|avx2 lowers it.
    cpu: str = ""
    #: The library holds CUDA kernels; true on a machine without a GPU too.
    cuda: bool = False
    #: torch gives CUDA streams to the kernels; False beside a CPU-only torch.
    cuda_stream: bool = False

    def __str__(self) -> str:
        if not self.loaded:
            return f"native kernels: none ({self.reason})"
        cuda = "none" if not self.cuda else "built" if self.cuda_stream else "built, but this torch has no CUDA"
        return f"native kernels: CPU {self.cpu}, CUDA {cuda}"


def load() -> NativeStatus:
    """Register ``torch.ops.voiceclone.*``; warns where that fails, except where VOICECLONE_NATIVE=off asked for it."""
    if os.environ.get("VOICECLONE_NATIVE", "").lower() in ("off", "0", "false"):
        return NativeStatus(False, "switched off by VOICECLONE_NATIVE")
    try:
        torch.ops.load_library(LIBRARY)  # type: ignore[no-untyped-call]
    except OSError as error:
        # dlopen's text for a file that is there names the symbol that this torch lacks; for one that is not, a path.
        reason = f"they do not fit torch {torch.__version__}: {error}" if LIBRARY.exists() else "they were never built"
        warnings.warn(
            f"voiceclone runs on its slower plain-torch kernels, because the native ones are missing: {reason}. "
            "`make setup` in a clone, or `pip install --no-build-isolation .` beside the installed torch, builds them.",
            RuntimeWarning,
            stacklevel=4,
        )
        return NativeStatus(False, reason)
    return NativeStatus(
        loaded=True,
        cpu=torch.ops.voiceclone.cpu_level(),
        cuda=torch._C._dispatch_has_kernel_for_dispatch_key("voiceclone::mas", "CUDA"),
        cuda_stream=torch.ops.voiceclone.has_cuda_stream(),
    )


NATIVE = load()
