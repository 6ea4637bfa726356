"""The command line: `python -m benchmarks.kernels`."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import benchmarks.kernels
from benchmarks.kernels.machine import machine
from benchmarks.kernels.timer import Clock, Row, Timer
from voiceclone import ops

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def modules() -> Iterator[ModuleType]:
    """Those that measure an op, by name."""
    for found in sorted(pkgutil.iter_modules(benchmarks.kernels.__path__), key=lambda item: item.name):
        if found.name != "__main__" and not found.ispkg:
            module = importlib.import_module(f"benchmarks.kernels.{found.name}")
            if hasattr(module, "rows"):
                yield module


def measure(timer: Timer) -> Iterator[Row]:
    """The rows of every module, each one printed as soon as it is known."""
    for module in modules():
        for row in module.rows(timer):
            print(line(row), file=sys.stderr, flush=True)
            yield row


def line(row: Row) -> str:
    """A row for the terminal."""
    parts = [f"{row['op']} {row['case']} [{row['variant']}, {row['level']}]: {row['ms']:.3f} ms"]
    if "of_floor" in row:
        parts.append(f"{100 * row['of_floor']:.0f} % of {row['floor']['name']}")
    parts += [f"{peer['ratio']:.2f}x {name}" for name, peer in row["peers"].items()]
    parts += [f"{name}: absent ({why})" for name, why in row["absent"].items()]
    parts += [
        f"{'meets' if bar['ratio'] >= bar['wanted'] else 'MISSES'} {bar['wanted']:g}x {name}"
        for name, bar in row["bars"].items()
    ]
    return ", ".join(parts)


def at_level(level: str, only: str, quick: bool) -> dict[str, Any]:
    """The same in a process that may use no more than ``level`` of the processor."""
    command = [sys.executable, "-m", "benchmarks.kernels", "--out", "-", "--only", only, *(["--quick"] * quick)]
    environment = {**os.environ, "VOICECLONE_CPU": level}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def merged(result: dict[str, Any], path: Path, only: str) -> dict[str, Any]:
    """With the rows of an earlier run of the same machine that this one was told to leave out."""
    if not only or not path.exists():
        return result
    earlier: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    hardware = ("cpu", "cores", "gpu", "torch")
    if any(earlier["machine"].get(name) != result["machine"].get(name) for name in hardware):
        return result
    kept = [row for row in earlier["rows"] if not re.search(only, f"{row['op']} {row['case']}")]
    rows = sorted([*kept, *result["rows"]], key=lambda row: (row["op"], row["level"] != result["rows"][0]["level"]))
    return {**result, "rows": rows}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description=__doc__)
    parser.add_argument(
        "--only", default="", metavar="REGEX", help="measure where this matches 'OP CASE', keep the rest"
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a look, not a result")
    parser.add_argument("--gpu", action="store_true", help="measure the CUDA kernels")
    parser.add_argument("--levels", default="", help="lesser CPU levels to measure as well, such as avx2,plain")
    parser.add_argument(
        "--out", type=Path, help="JSON file (default: benchmarks/results/kernels-cpu.json); - prints it"
    )
    options = parser.parse_args(arguments)
    if not ops.describe().loaded:
        print(f"nothing to measure: {ops.describe()}", file=sys.stderr)
        return 1
    timer = Timer(clock(gpu=options.gpu), only=options.only, quick=options.quick)
    result: dict[str, Any] = {"machine": machine(), "rows": list(measure(timer)), "ceilings": timer.ceilings}
    if not result["rows"]:
        print(f"no row matches {options.only!r}", file=sys.stderr)
        return 1
    for level in filter(None, options.levels.split(",")):
        result["rows"] += at_level(level, options.only, options.quick)["rows"]
    if options.out and str(options.out) == "-":
        print(json.dumps(result))
        return 0
    path = options.out or RESULTS / f"kernels-{'gpu' if options.gpu else 'cpu'}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(merged(result, path, options.only), indent=1) + "\n", encoding="utf-8")
    return 0


def clock(*, gpu: bool) -> Clock:
    if gpu:
        import torch

        if not (torch.cuda.is_available() and ops.describe().cuda):
            raise SystemExit(f"nothing to measure: needs a CUDA device and the CUDA kernels; {ops.describe()}")
        from benchmarks.kernels.gpu import GpuClock

        return GpuClock()
    from benchmarks.kernels.cpu import CpuClock

    return CpuClock()


if __name__ == "__main__":
    raise SystemExit(main())
