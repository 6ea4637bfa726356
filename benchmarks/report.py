"""`python benchmarks/report.py`: writes the README's table of figures from the JSON files that the benchmarks left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- figures:begin -->", "<!-- figures:end -->"
Row = tuple[str, str, str]


def serving_rows(result: dict[str, Any]) -> list[Row]:
    """Rows of `benchmarks.serving`: what is measured, the figure, the command that repeats it."""
    command = "`python -m benchmarks.serving`"
    first, over, streams = result["first_audio"], result["overhead"], result["sustained"]
    return [
        ("first audio of a sentence through gRPC, p50 / p95", _pair(first, "ttfa_p50_ms", "ttfa_p95_ms"), command),
        ("real-time factor through gRPC, p50", f"{first['rtf_p50']:.3f}", command),
        ("a unary call beyond the engine behind bare gRPC, p50", f"{over['overhead_p50_ms']:.2f} ms", command),
        ("streams at once in real time, no chunk late", _at_least(streams), command),
    ]


def quality_rows(result: dict[str, Any]) -> list[Row]:
    """Rows of `benchmarks.quality`; the whole table is in the model card."""
    command = "`python -m benchmarks.quality`"
    words, voices, speed = result["words_closed"], result["voices"], result["speed"]
    truth, model = (100 * words[name]["all"]["value"] for name in ("ground truth", "model"))
    own = voices["model"]["all"]
    return [
        ("word errors, model / true speech", f"{model:.1f} % / {truth:.1f} %", command),
        ("similarity to its own voice less that to others", f"{own['margin']['value']:.2f}", command),
        ("nearest of 17 voices is its own", f"{100 * own['top1']['value']:.0f} %", command),
        ("real-time factor of the model, one thread", f"{speed['rtf_cpu']:.3f}", command),
    ]


def kernel_rows(result: dict[str, Any]) -> list[Row]:
    """Rows of `benchmarks.kernels`, at the best level this processor has."""
    rows = next(iter(result["levels"].values()))
    wanted = [row for row in rows if row["layout"] == "frames_tokens"]
    return [
        (
            f"aligning {row['batch']} x {row['tokens']} tokens with {row['frames']} frames, one thread",
            f"{row['milliseconds']:.2f} ms ({100 * row['of_bound']:.0f} % of the speed of reading the input)",
            "`python -m benchmarks.kernels`",
        )
        for row in wanted
    ]


def _pair(figures: dict[str, float], *names: str) -> str:
    return " / ".join(f"{figures[name]:.0f} ms" for name in names)


def _at_least(streams: dict[str, Any]) -> str:
    """The count that was sustained; "or more" where the benchmark ended without finding the limit."""
    most = max(step["streams"] for step in streams["steps"])
    return f"{streams['streams']}" + (" or more" if streams["streams"] == most else "")


def table(results: Path) -> str:
    """The Markdown block, from whatever results there are."""
    rows: list[Row] = []
    machine: dict[str, Any] = {}
    for path in sorted(results.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        if path.stem == "serving":
            rows, machine = rows + serving_rows(result), result["machine"]
        elif path.stem == "kernels":
            rows += kernel_rows(result)
        elif path.stem.startswith("quality"):
            rows += quality_rows(result)
    if not rows:
        return "`make bench` measures this machine and writes `benchmarks/results`."
    lines = ["| what | figure | measured by |", "|---|---|---|", *("| " + " | ".join(row) + " |" for row in rows)]
    if machine:
        lines += ["", f"{machine['cpu']}, {machine['cores']} cores, no GPU, torch {machine['torch']}."]
    return "\n".join(lines)


def main() -> None:
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    block = table(ROOT / "benchmarks" / "results")
    readme.write_text(f"{before}{BEGIN}\n{block}\n{END}{after}", encoding="utf-8")
    print(block)


if __name__ == "__main__":
    main()
