"""The kernel benchmark, on small shapes: each figure is there, and the README's table can be made from them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.kernels import __main__ as kernels
from voiceclone import ops

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not ops.describe().loaded, reason="native kernels were not built")


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    monkeypatch.setattr(kernels, "SHAPES", ((2, 8, 30), (1, 5, 9)))
    return kernels.measure(rounds=3)


def test_each_shape_and_layout_is_measured(rows: list[dict[str, Any]]) -> None:
    assert [(row["batch"], row["layout"]) for row in rows] == [
        (batch, layout) for batch in (2, 1) for layout in kernels.LAYOUTS
    ]
    for row in rows:
        assert row["milliseconds"] > 0
        assert row["gigabytes_per_second"] == pytest.approx(
            row["batch"] * row["tokens"] * row["frames"] * 4 / row["milliseconds"] / 1e6
        )


def test_the_table_of_the_readme_can_be_made(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("report", ROOT / "benchmarks" / "report.py")
    assert spec is not None
    assert spec.loader is not None
    report = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(report)
    (tmp_path / "kernels.json").write_text(json.dumps({"machine": {}, "levels": {"avx2": rows, "plain": []}}))
    table = report.table(tmp_path)
    assert "aligning 2 x 8 tokens with 30 frames" in table
    assert table.count("`python -m benchmarks.kernels`") == 2, "one row a shape"
