"""The command line: `python -m benchmarks.serving`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.serving.measure import Target, everything, overhead_alone

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def child(model: str, cores: set[int] | None = None) -> Iterator[Target]:
    """The measured process, for the time of the block; on ``cores`` alone where they are given."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "benchmarks.serving.child", model, *(map(str, sorted(cores or ())))]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True, env=environment, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        line = process.stdout.readline().split()
        if len(line) != 3:
            raise SystemExit("the server did not start; what it printed stands above")
        try:
            yield Target(f"127.0.0.1:{line[0]}", f"127.0.0.1:{line[1]}", line[2])
        finally:
            process.stdin.close()


def on_own_cores(model: str, calls: int) -> dict[str, Any]:
    """The overhead once more, server and client on a core each: a thread that moves finds its caches empty.

    Empty where this machine has no two cores, or does not let us choose.
    """
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        return {}
    everywhere = os.sched_getaffinity(0)
    theirs, ours = sorted(everywhere)[:2]
    with child(model, {theirs}) as target:
        os.sched_setaffinity(0, {ours})
        try:
            return asyncio.run(overhead_alone(target, calls))
        finally:
            os.sched_setaffinity(0, everywhere)


def machine() -> dict[str, Any]:
    """What a reader needs to know to compare: the hardware, how busy it was, and the versions."""
    names = [line.partition(":")[2].strip() for line in _cpu_info() if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("grpcio", "protobuf", "torch", "uvloop")},
    }


def _cpu_info() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--model", default="", help="model of the speech figures (default: the server's default)")
    parser.add_argument("--calls", type=int, default=300, help="calls a figure (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of each round of streams")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "serving.json")
    options = parser.parse_args(arguments)
    before = machine()
    with child(options.model) as target:
        result = {"machine": before, **asyncio.run(everything(target, options.calls, options.seconds))}
    result["overhead_own_cores"] = on_own_cores(options.model, options.calls)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
