"""For a GPU machine: the tests marked `gpu`, compute-sanitizer on their smallest shapes, then the figures."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(*command: str, **environment: str) -> None:
    print(f"[bench-gpu] $ {' '.join(command)}", flush=True)
    code = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}).returncode
    if code:
        sys.exit(f"[bench-gpu] failed with status {code}: {' '.join(command)}")


def sanitizer() -> str | None:
    homes = [os.environ.get("CUDA_HOME"), "/usr/local/cuda"]
    beside = (shutil.which("compute-sanitizer", path=str(Path(home) / "bin")) for home in homes if home)
    return shutil.which("compute-sanitizer") or next(filter(None, beside), None)


def main() -> None:
    import torch

    from voiceclone import ops

    status = ops.describe()
    if not torch.cuda.is_available():
        sys.exit(f"[bench-gpu] no CUDA device that torch {torch.__version__} can use; nvidia-smi says what there is")
    if not (status.cuda and status.cuda_stream):
        sys.exit(f"[bench-gpu] {status}; VOICECLONE_CUDA=on make setup builds the CUDA kernels (needs nvcc)")
    print(f"[bench-gpu] {torch.cuda.get_device_name()}; {status}", flush=True)
    pytest = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "gpu", "tests/ops")
    run(*pytest)
    if tool := sanitizer():
        # torch's pool hides overruns inside a block: without it every tensor is an allocation of its own.
        run(tool, "--tool", "memcheck", "--error-exitcode", "9", *pytest, "-k", "smallest",
            PYTORCH_NO_CUDA_MEMORY_CACHING="1")  # fmt: skip
    else:
        print("[bench-gpu] compute-sanitizer is not installed: memory errors were not looked for", flush=True)
    run(sys.executable, "-m", "benchmarks.kernels", "--gpu")
    run(sys.executable, "benchmarks/report.py")


if __name__ == "__main__":
    main()
