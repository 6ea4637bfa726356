"""Builds the CPU kernels with address and undefined-behaviour checks and runs tests/native at each CPU level."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "sanitize"
#: The best one is what this processor has; a lesser one is refused by no processor.
LEVELS = ("best", "avx2", "plain")


def program(name: str) -> str:
    """The one that pip installed beside this Python before the system's."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        sys.exit(f"{name} is missing; `make setup` brings it")
    return found


def main() -> None:
    cmake = program("cmake")
    configure = [cmake, "-S", str(ROOT), "-B", str(BUILD), "-G", "Ninja", "-DVOICECLONE_SANITIZE=ON"]
    configure += [f"-DCMAKE_MAKE_PROGRAM={program('ninja')}", "-DCMAKE_BUILD_TYPE=None"]
    subprocess.run(configure, check=True, stdout=subprocess.DEVNULL)
    jobs = os.environ.get("MAX_JOBS") or str(os.cpu_count() or 1)
    subprocess.run([cmake, "--build", str(BUILD), "--parallel", jobs], check=True)
    for level in LEVELS:
        environment = {**os.environ, "VOICECLONE_CPU": level, "UBSAN_OPTIONS": "print_stacktrace=1"}
        code = subprocess.run([BUILD / "sanitize"], env=environment, timeout=600).returncode
        if code:
            sys.exit(f"a kernel failed at CPU level {level}; the report stands above")


if __name__ == "__main__":
    main()
