"""The kernel benchmark on small shapes: ratios, bars, absent peers, partial runs, and the tables made from them."""

from __future__ import annotations

import importlib.util
import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks.kernels import __main__ as command
from benchmarks.kernels import mas
from benchmarks.kernels.cpu import CpuClock
from benchmarks.kernels.timer import Absent, Call, Prepared, Sample, Timer, Work
from voiceclone import ops

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not ops.describe().loaded, reason="native kernels were not built")


class FixedClock:
    """Times that are known, so that what is made of them can be checked."""

    device, level, figure = "cpu", "avx2", "least processor time"

    def __init__(self, **milliseconds: float) -> None:
        self.milliseconds = milliseconds

    def measure(self, calls: Mapping[str, Call], *, cold: bool, threads: int, seconds: float) -> dict[str, Sample]:
        return {name: Sample(self.milliseconds[name], 2 * self.milliseconds[name], 7) for name in calls}

    def read_bandwidth(self, threads: int) -> float:
        return 10e9

    def peak(self, dtype: str, threads: int) -> float:
        return {"float32": 100e9, "bfloat16": 400e9}[dtype]


@pytest.fixture
def report() -> ModuleType:
    spec = importlib.util.spec_from_file_location("report", ROOT / "benchmarks" / "report.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def nothing() -> None:
    """A call whose time the clock makes up."""


def compared(**options: Any) -> list[dict[str, Any]]:
    timer = Timer(FixedClock(fused=2.0, bf16=1.0, eager=8.0, bound=1.5))
    calls = {"fused": nothing, "bf16": nothing}
    return list(timer.compare("op", "8 x 8", calls, {"eager": nothing, "other": Absent("not here")}, **options))


def test_ratios_bars_and_absent_peers() -> None:
    bars = {"fused": {"eager": 3.0, "other": 2.0}, "bf16": {"eager": 10.0, "fused": 1.5}}
    fused, bf16 = compared(bars=bars)
    assert fused["peers"] == {"eager": {"ms": 8.0, "median_wall_ms": 16.0, "ratio": 4.0}}
    assert fused["bars"] == {"eager": {"wanted": 3.0, "ratio": 4.0}}, "an absent peer is never guessed"
    assert fused["absent"] == {"other": "not here"}
    assert bf16["bars"] == {"eager": {"wanted": 10.0, "ratio": 8.0}, "fused": {"wanted": 1.5, "ratio": 2.0}}
    assert "meets 3x eager" in command.line(fused)
    assert "MISSES 10x eager" in command.line(bf16)


def test_the_floor_is_the_slower_of_reading_and_computing() -> None:
    work = {"fused": Work(bytes=5_000_000, flops=80_000_000), "bf16": Work(5_000_000, 80_000_000, "bfloat16")}
    fused, bf16 = compared(work=work)
    assert fused["floor"] == {"name": "float32 matrix products at full speed", "ms": pytest.approx(0.8)}
    assert bf16["floor"] == {"name": "reading at full bandwidth", "ms": pytest.approx(0.5)}
    assert fused["of_floor"] == pytest.approx(0.4)
    assert fused["gigabytes_per_second"] == pytest.approx(2.5)
    assert fused["gigaflops"] == pytest.approx(40.0)
    (row, _) = compared(floor=("bound", nothing), work=Work(bytes=1))
    assert row["floor"] == {"name": "bound", "ms": 1.5}
    assert row["of_floor"] == 0.75


def test_names_must_differ() -> None:
    timer = Timer(FixedClock(a=1.0))
    with pytest.raises(ValueError, match="share a name"):
        list(timer.compare("op", "", {"a": nothing}, {"a": nothing}))


def test_what_is_not_wanted_is_not_measured() -> None:
    timer = Timer(FixedClock(), only="^mas .*tokens_frames")
    assert not timer.wants("mas", "2 x 8, frames_tokens")
    assert list(timer.compare("attention", "tokens_frames", {"a": nothing})) == []


def test_the_clock_measures_the_call_and_not_its_preparation() -> None:
    def work() -> None:
        end = time.process_time() + 0.004
        while time.process_time() < end:
            pass

    def prepare() -> None:
        end = time.process_time() + 0.02
        while time.process_time() < end:
            pass

    found = CpuClock().measure({"one": work, "two": Prepared(prepare, work)}, cold=False, threads=1, seconds=0.01)
    for sample in found.values():
        assert 4.0 <= sample.best < 20.0
        assert sample.rounds == 3


def test_every_op_of_the_folder_is_found() -> None:
    assert "benchmarks.kernels.mas" in [module.__name__ for module in command.modules()]


def test_the_search_is_measured_and_its_tables_are_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, report: ModuleType
) -> None:
    monkeypatch.setattr(mas, "SHAPES", ((2, 8, 30), (1, 5, 9)))
    monkeypatch.setattr(CpuClock, "read_bandwidth", lambda self, threads: 1e10)
    path = tmp_path / "kernels-cpu.json"
    assert command.main(["--quick", "--only", "^mas", "--out", str(path)]) == 0
    result = json.loads(path.read_text())
    assert [(row["case"], row["variant"]) for row in result["rows"] if "frames_tokens" in row["case"]] == [
        (f"{shape}, frames_tokens", variant)
        for shape in ("2 x 8 tokens x 30 frames", "1 x 5 tokens x 9 frames")
        for variant in ("durations", "dense path")
    ]
    for row in result["rows"]:
        assert row["ms"] > 0
        assert {*row["peers"], *row["absent"]}, "a peer is measured or said to be absent"
    assert {"cpu", "cores", "torch", "load_average"} <= set(result["machine"])
    text = report.kernel_table(result)
    assert text.count("| `mas` |") == len(result["rows"])
    # A second run of one case replaces that case and keeps the rest.
    assert command.main(["--quick", "--only", "^mas 1 x 5", "--out", str(path)]) == 0
    again = json.loads(path.read_text())["rows"]
    assert sorted(row["case"] for row in again) == sorted(row["case"] for row in result["rows"])
    assert command.main(["--only", "no such op", "--out", str(path)]) == 1


def test_a_missed_bar_is_bold(report: ModuleType) -> None:
    rows = compared(bars={"bf16": {"eager": 10.0}, "fused": {"eager": 2.0}})
    machine = {"cpu": "A", "cores": 2, "torch": "2"}
    text = report.kernel_table({"rows": rows, "machine": machine, "ceilings": []})
    assert "**8.00x eager (asked: 10x)**" in text
    assert re.search(r"(?<!\*)4\.00x eager \(asked: 2x\)(?!\*)", text)
    assert "other: absent (not here)" in text


def test_a_page_keeps_what_is_outside_the_markers(report: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- cpu:begin -->\nold\n<!-- cpu:end -->\nbelow\n")
    report.replace(page, "new", "<!-- cpu:begin -->", "<!-- cpu:end -->")
    assert page.read_text() == "above\n<!-- cpu:begin -->\nnew\n<!-- cpu:end -->\nbelow\n"
