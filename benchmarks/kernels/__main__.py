"""The command line: `python -m benchmarks.kernels`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from voiceclone import ops
from voiceclone.ops.mas import Layout

ROOT = Path(__file__).resolve().parents[2]
#: Batch, tokens, frames: a few sentences, a training batch, a batch of long sentences.
SHAPES = ((16, 128, 512), (32, 200, 1000), (64, 400, 2000))
LAYOUTS: tuple[Layout, ...] = ("frames_tokens", "tokens_frames")


def cpu_milliseconds(work: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Lower quartile of each one's processor time over rounds that take turns, each with cold caches.

    Processor time of this thread and the lower quartile, because a machine is seldom idle.
    """
    cold = torch.ones(16 << 20)  # 64 MiB
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, call in work.items():
            cold.add_(1)
            before = time.thread_time_ns()
            call()
            times[name].append((time.thread_time_ns() - before) / 1e6)
    return {name: statistics.quantiles(found, n=4)[0] for name, found in times.items()}


def measure(rounds: int) -> list[dict[str, Any]]:
    """One row a shape and layout, on one thread. The bound is reading ``value`` once, measured in the same rounds."""
    torch.set_num_threads(1)
    rows = []
    for batch, tokens, frames in SHAPES:
        for layout in LAYOUTS:
            shape = (batch, frames, tokens) if layout == "frames_tokens" else (batch, tokens, frames)
            value = torch.randn(shape, generator=torch.Generator().manual_seed(0))
            found = cpu_milliseconds({"mas": partial(ops.mas, value, layout=layout), "read": value.sum}, rounds)
            rows.append({
                "op": "mas", "batch": batch, "tokens": tokens, "frames": frames, "layout": layout,
                "milliseconds": found["mas"], "of_bound": found["read"] / found["mas"],
                "gigabytes_per_second": value.nbytes / found["mas"] / 1e6,
            })  # fmt: skip
    return rows


def at_level(level: str, rounds: int) -> list[dict[str, Any]]:
    """The same in a process that may use no more than ``level`` of the processor."""
    command = [sys.executable, "-m", "benchmarks.kernels", "--rows", "--rounds", str(rounds)]
    environment = {**os.environ, "VOICECLONE_CPU": level}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="rounds a figure (default: %(default)s)")
    parser.add_argument("--rows", action="store_true", help="only print the rows of this process")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "kernels.json")
    options = parser.parse_args(arguments)
    status = ops.describe()
    if not status.loaded:
        print(f"nothing to measure: {status}", file=sys.stderr)
        return 1
    if options.rows:
        print(json.dumps(measure(options.rounds)))
        return 0
    machine = {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__,
               "load_average": os.getloadavg()}  # fmt: skip
    levels = {level: at_level(level, options.rounds) for level in dict.fromkeys((status.cpu, "avx2", "plain"))}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"machine": machine, "levels": levels}, indent=1) + "\n", encoding="utf-8")
    for level, rows in levels.items():
        for row in rows:
            shape = f"{row['batch']} x {row['tokens']} x {row['frames']}"
            speed = f"{row['gigabytes_per_second']:5.1f} GB/s, {100 * row['of_bound']:3.0f} % of reading once"
            print(f"{row['op']} {level:6} {row['layout']:13} {shape:15} {row['milliseconds']:8.2f} ms, {speed}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
