"""What a reader needs to compare figures: the hardware, how busy it was, and the versions."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from voiceclone import ops

_PEERS = ("numpy", "Cython", "monotonic-alignment-search", "onnxruntime", "flashinfer-python")
_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile")


def machine() -> dict[str, Any]:
    """The processor, its load, the GPU where there is one, and the version of each package that was measured."""
    lines = _read("/proc/cpuinfo").splitlines()
    fields = dict(reversed([[part.strip() for part in line.split(":", 1)] for line in lines if ":" in line]))
    found: dict[str, Any] = {
        "cpu": fields.get("model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "flags": [flag for flag in _FLAGS if flag in fields.get("flags", "").split()],
        "load_average": os.getloadavg(),
        "native": str(ops.describe()),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "compiler": _first_line("c++", "--version"),
        **{name: _version(name) for name in _PEERS},
    }
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
        found["driver"] = _first_line("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
        found["nvcc"] = _first_line("nvcc", "--version")
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _read(path: str) -> str:
    return Path(path).read_text("utf-8") if Path(path).exists() else ""


def _first_line(program: str, *arguments: str) -> str | None:
    if shutil.which(program) is None:
        return None
    output = subprocess.run([program, *arguments], capture_output=True, text=True).stdout.strip()
    return output.splitlines()[0] if output else None
