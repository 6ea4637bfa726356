"""GPU time: events around a replayed CUDA graph, or around the call itself where it cannot be captured."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

import torch

from benchmarks.kernels.timer import Call, Prepared, Sample

_ROUNDS = 50
_WARM_UP = 3


class GpuClock:
    """Medians, because a GPU's clock is its own: nobody else takes it away, but it wanders with its temperature."""

    device = "cuda"
    figure = "median GPU time"

    def __init__(self) -> None:
        major, minor = torch.cuda.get_device_capability()
        self.level = f"sm_{major}{minor}"
        size = torch.cuda.get_device_properties(0).L2_cache_size
        self._flush = torch.empty(2 * size, dtype=torch.uint8, device="cuda")
        torch.backends.cuda.matmul.allow_tf32 = False

    def measure(self, calls: Mapping[str, Call], *, cold: bool, threads: int, seconds: float) -> dict[str, Sample]:
        ready = {name: _captured(call) for name, call in calls.items()}
        times: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(_ROUNDS):
            for name, call in ready.items():
                original = calls[name]
                if isinstance(original, Prepared):
                    original.prepare()
                if cold:
                    self._flush.zero_()
                start, end = _event(), _event()
                start.record()
                call()
                end.record()
                end.synchronize()
                times[name].append(start.elapsed_time(end))
        medians = {name: statistics.median(found) for name, found in times.items()}
        return {name: Sample(median, median, _ROUNDS) for name, median in medians.items()}

    def read_bandwidth(self, threads: int) -> float:
        data = torch.ones(1 << 28, device="cuda")  # 1 GiB
        found = self.measure({"sum": data.sum}, cold=False, threads=1, seconds=2.0)
        return data.nbytes / found["sum"].best * 1e3

    def peak(self, dtype: str, threads: int) -> float:
        size = 8192
        left, right = (torch.randn(size, size, device="cuda").to(getattr(torch, dtype)) for _ in range(2))
        found = self.measure({"product": lambda: left @ right}, cold=False, threads=1, seconds=2.0)
        return 2 * size**3 / found["product"].best * 1e3


def _event() -> torch.cuda.Event:
    event: torch.cuda.Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    return event


def _captured(call: Call) -> Call:
    """A replay of the call's graph; the call itself where it waits for the device or reads from it."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARM_UP):
            if isinstance(call, Prepared):
                call.prepare()
            call()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            call()
    except RuntimeError:
        torch.cuda.synchronize()
        return call
    return graph.replay
