"""Compares an op with its peers in one run: everything takes turns, so that a busy machine slows all of them alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

Call = Callable[[], object]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Absent:
    """A peer that is not on this machine; ``why`` stands in the results in place of a figure."""

    why: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call that needs fresh input each time: ``prepare`` runs before it and is not measured."""

    prepare: Call
    call: Call

    def __call__(self) -> object:
        return self.call()


class Work(NamedTuple):
    """What a call cannot avoid: bytes of memory to read or write once, and floating-point operations of a type."""

    bytes: int = 0
    flops: int = 0
    dtype: str = "float32"


class Sample(NamedTuple):
    """One participant's times, milliseconds: ``best`` is what ratios are made of, ``median`` is wall time."""

    best: float
    median: float
    rounds: int


class Clock(Protocol):
    """How a device's time is taken; see `cpu.py` and `gpu.py`."""

    #: "cpu" or "cuda"
    device: str
    #: Instruction set of the CPU kernels, or the GPU's compute capability.
    level: str
    #: What ``Sample.best`` is, for readers.
    figure: str

    def measure(self, calls: Mapping[str, Call], *, cold: bool, threads: int, seconds: float) -> dict[str, Sample]:
        """Times of each call, taken in turns for about ``seconds``; ``cold`` empties the caches before each."""
        ...

    def read_bandwidth(self, threads: int) -> float:
        """Bytes a second that can be read from memory."""
        ...

    def peak(self, dtype: str, threads: int) -> float:
        """Floating-point operations a second of the vendor's matrix product."""
        ...


class Timer:
    """What a module's ``rows`` measures with.

    ``timer.device`` is "cpu" or "cuda": make the tensors there. ``timer.quick`` asks for few or small cases.
    """

    def __init__(self, clock: Clock, *, only: str = "", quick: bool = False) -> None:
        self.clock = clock
        self.quick = quick
        self._only = re.compile(only)
        self._ceilings: dict[tuple[str, int], float] = {}

    @property
    def device(self) -> str:
        return self.clock.device

    def wants(self, op: str, case: str) -> bool:
        """False where ``--only`` leaves this out; ask before costly preparations."""
        return self._only.search(f"{op} {case}") is not None

    def compare(
        self,
        op: str,
        case: str,
        ours: Mapping[str, Call],
        peers: Mapping[str, Call | Absent] | None = None,
        *,
        work: Work | Mapping[str, Work] = Work(),  # noqa: B008  (immutable)
        floor: tuple[str, Call] | None = None,
        bars: Mapping[str, Mapping[str, float]] | None = None,
        notes: Mapping[str, Mapping[str, Any]] | None = None,
        threads: int = 1,
        cold: bool = False,
    ) -> Iterator[Row]:
        """One row for each variant of ``ours`` (such as "float32", "bf16"), with its ratio to each peer.

        ``work`` is what a variant must at least do, from which GB/s, GFLOP/s and the share of the floor follow; the
        floor is the slower of reading at the measured bandwidth and computing at the measured peak. ``floor`` names
        and measures another bound in the same rounds ("its convolutions alone"). ``bars`` holds by variant and peer
        the ratio that is asked for (a peer may be another variant or the floor). ``notes`` are further figures of a
        variant, such as {"int8": {"snr_db": 27.1}}.
        """
        if not self.wants(op, case):
            return
        present = {name: call for name, call in (peers or {}).items() if not isinstance(call, Absent)}
        calls: dict[str, Call] = {**ours, **present}
        if floor is not None:
            calls[floor[0]] = floor[1]
        if len(calls) != len(ours) + len(present) + (floor is not None):
            raise ValueError(f"{op} {case}: a variant, a peer and the floor must not share a name")
        found = self.clock.measure(calls, cold=cold, threads=threads, seconds=0.3 if self.quick else 8.0)
        absent = {name: call.why for name, call in (peers or {}).items() if isinstance(call, Absent)}
        for variant in ours:
            own = found[variant]
            row: Row = {"op": op, "case": case, "variant": variant, "device": self.device, "level": self.clock.level,
                        "threads": threads, "ms": own.best, "median_wall_ms": own.median, "rounds": own.rounds,
                        "figure": self.clock.figure if threads == 1 or self.device != "cpu" else "least wall time",
                        "cold": cold}  # fmt: skip
            row.update(self._bounds(own.best, work if isinstance(work, Work) else work.get(variant, Work()), threads))
            if floor is not None:
                row["floor"] = {"name": floor[0], "ms": found[floor[0]].best}
                row["of_floor"] = found[floor[0]].best / own.best
            row["peers"] = {
                name: {"ms": sample.best, "median_wall_ms": sample.median, "ratio": sample.best / own.best}
                for name, sample in found.items()
                if name in present
            }
            row["absent"] = absent
            row["bars"] = {
                name: {"wanted": wanted, "ratio": found[name].best / own.best}
                for name, wanted in ((bars or {}).get(variant) or {}).items()
                if name in found
            }
            row.update((notes or {}).get(variant, {}))
            yield row

    def _bounds(self, milliseconds: float, work: Work, threads: int) -> Row:
        row: Row = {}
        bounds = []
        if work.bytes:
            bandwidth = self._ceiling("bytes", threads)
            row |= {"gigabytes_per_second": work.bytes / milliseconds / 1e6, "read_bandwidth": bandwidth / 1e9}
            bounds.append(("reading at full bandwidth", work.bytes / bandwidth * 1e3))
        if work.flops:
            peak = self._ceiling(work.dtype, threads)
            row |= {"gigaflops": work.flops / milliseconds / 1e6, "peak_gigaflops": peak / 1e9}
            bounds.append((f"{work.dtype} matrix products at full speed", work.flops / peak * 1e3))
        if bounds:
            name, bound = max(bounds, key=lambda item: item[1])
            row |= {"floor": {"name": name, "ms": bound}, "of_floor": bound / milliseconds}
        return row

    def _ceiling(self, what: str, threads: int) -> float:
        """Measured once a run, when first asked for."""
        key = (what, threads)
        if key not in self._ceilings:
            clock = self.clock
            self._ceilings[key] = clock.read_bandwidth(threads) if what == "bytes" else clock.peak(what, threads)
        return self._ceilings[key]

    @property
    def ceilings(self) -> list[Row]:
        """What was measured of the machine itself."""
        return [
            {"what": "read bandwidth" if what == "bytes" else f"{what} matrix product", "threads": threads,
             "value": value / 1e9, "unit": "GB/s" if what == "bytes" else "GFLOP/s"}
            for (what, threads), value in self._ceilings.items()
        ]  # fmt: skip
