"""Processor time: the least of many turns is what a call costs, however busy the machine was meanwhile."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from itertools import cycle, islice

import torch

from benchmarks.kernels.timer import Call, Prepared, Sample
from voiceclone import ops

#: Shorter calls are repeated to this within one turn, so that reading the clock does not count.
_TURN_MS = 1.0
_LEAST_ROUNDS, _MOST_ROUNDS = 3, 400


class CpuClock:
    """One thread: processor time of the process. More: wall time, because what counts is when the last one is done."""

    device = "cpu"
    figure = "least processor time"

    def __init__(self) -> None:
        self.level = ops.describe().cpu or "torch"
        self._flush = torch.ones(24 << 20)  # 96 MiB, more than the caches hold

    def measure(self, calls: Mapping[str, Call], *, cold: bool, threads: int, seconds: float) -> dict[str, Sample]:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            return self._measure(calls, cold, threads, seconds)
        finally:
            torch.set_num_threads(before)

    def _measure(self, calls: Mapping[str, Call], cold: bool, threads: int, seconds: float) -> dict[str, Sample]:
        best = time.process_time_ns if threads == 1 else time.perf_counter_ns
        turns = {name: self._turns(call, cold) for name, call in calls.items()}
        figures: dict[str, list[float]] = {name: [] for name in calls}
        walls: dict[str, list[float]] = {name: [] for name in calls}
        end = time.perf_counter() + seconds
        names = list(calls)
        for turn in range(_MOST_ROUNDS):
            if turn >= _LEAST_ROUNDS and time.perf_counter() > end:
                break
            # Who goes first changes, so that nobody always follows the same neighbour.
            for name in islice(cycle(names), turn % len(names), turn % len(names) + len(names)):
                call, count = calls[name], turns[name]
                if isinstance(call, Prepared):
                    call.prepare()
                if cold:
                    self._flush.add_(1)
                wall, figure = time.perf_counter_ns(), best()
                for _ in range(count):
                    call()
                figures[name].append((best() - figure) / count / 1e6)
                walls[name].append((time.perf_counter_ns() - wall) / count / 1e6)
        return {name: Sample(min(figures[name]), statistics.median(walls[name]), len(figures[name])) for name in calls}

    def _turns(self, call: Call, cold: bool) -> int:
        """Calls in one turn, after two that warm up."""
        took = 0.0
        for _ in range(2):
            if isinstance(call, Prepared):
                call.prepare()
            start = time.perf_counter()
            call()
            took = (time.perf_counter() - start) * 1e3
        return 1 if cold or isinstance(call, Prepared) else max(1, int(_TURN_MS / max(took, 1e-4)))

    def read_bandwidth(self, threads: int) -> float:
        data = torch.ones(64 << 20)  # 256 MiB
        ways: dict[str, Call] = {"sum": data.sum, "dot": lambda: torch.dot(data, data), "max": data.max}
        found = self.measure(ways, cold=False, threads=threads, seconds=2.0)
        return data.nbytes / min(sample.best for sample in found.values()) * 1e3

    def peak(self, dtype: str, threads: int) -> float:
        size = 1024
        left, right = (torch.randn(size, size).to(getattr(torch, dtype)) for _ in range(2))
        found = self.measure({"product": lambda: left @ right}, cold=False, threads=threads, seconds=2.0)
        return 2 * size**3 / found["product"].best * 1e3
