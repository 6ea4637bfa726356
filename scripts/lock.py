"""Locks requirements/*.in into requirements/*.txt: one resolution for Python 3.10 to 3.13, so the files agree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "requirements"
NAMES = ("runtime", "dev", "train", "quality", "bench", "bench-gpu")
OLDEST_PYTHON = "3.10"


def compile_lock(uv: str, output: Path, *arguments: str) -> str:
    command = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", OLDEST_PYTHON]
    command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "-o", str(output)]
    subprocess.run([*command, *arguments], cwd=FOLDER, check=True)
    return output.read_text("utf-8")


def main() -> None:
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        sys.exit("uv is missing: `pip install uv`, or name it with UV=/path/to/uv")
    with tempfile.TemporaryDirectory() as scratch:
        together = Path(scratch) / "all.txt"
        compile_lock(uv, together, *(f"{name}.in" for name in NAMES))
        for name in NAMES:
            pins = compile_lock(uv, Path(scratch) / f"{name}.txt", "-c", str(together), f"{name}.in")
            head = f"# Locked from {name}.in for Python {OLDEST_PYTHON} and newer; `make lock` writes this file.\n"
            (FOLDER / f"{name}.txt").write_text(head + pins, encoding="utf-8")
            print(f"requirements/{name}.txt: {len(pins.splitlines())} packages")


if __name__ == "__main__":
    main()
