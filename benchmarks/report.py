"""`python benchmarks/report.py`: writes the README's and the kernel page's figures from what the benchmarks left."""

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
    own = result["overhead_own_cores"]
    return [
        ("first audio of a sentence through gRPC, p50 / p95", _pair(first, "ttfa_p50_ms", "ttfa_p95_ms"), command),
        ("real-time factor through gRPC, p50", f"{first['rtf_p50']:.3f}", command),
        ("a unary call beyond the engine behind bare gRPC, p50", f"{over['overhead_p50_ms']:.2f} ms", command),
        ("the same, server and client on a core each", f"{own['overhead_p50_ms']:.2f} ms" if own else "", command),
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
    """Rows of `benchmarks.kernels` with a peer to beat: each op's largest case, at this processor's best.

    Shares of what the memory could do at most are for the page on kernels.
    """
    last: dict[tuple[str, str], tuple[dict[str, Any], str]] = {}
    for row in result["rows"]:
        beaten = [f"{bar['ratio']:.1f}x {name}" for name, bar in row["bars"].items() if not name.startswith("reading")]
        if beaten and row["level"] == result["rows"][0]["level"]:
            last[row["op"], row["variant"]] = row, ", ".join(beaten)
    return [
        (
            f"`{row['op']}`, {row['variant']}, {row['case']}",
            f"{_ms(row['ms'])} ms: {beaten}",
            "`python -m benchmarks.kernels`",
        )
        for row, beaten in last.values()
    ]


def kernel_table(result: dict[str, Any]) -> str:
    """Every row of `benchmarks.kernels` as Markdown, with the machine that it was measured on."""
    lines = ["| op | case | ours | ms | GB/s | GFLOP/s | of the floor | against |", "|---|---|---|---|---|---|---|---|"]
    for row in result["rows"]:
        floor = f"{100 * row['of_floor']:.0f} % of {row['floor']['name']}" if "of_floor" in row else ""
        against = [_ratio(row, name, peer["ratio"]) for name, peer in row["peers"].items()]
        against += [_ratio(row, name, bar["ratio"]) for name, bar in row["bars"].items() if name not in row["peers"]]
        against += [f"{name}: absent ({why})" for name, why in row["absent"].items()]
        threads = "" if row["threads"] == 1 or row["device"] != "cpu" else f", {row['threads']} threads"
        rates = (f"{row[name]:.1f}" if name in row else "" for name in ("gigabytes_per_second", "gigaflops"))
        cells = [
            f"`{row['op']}`", row["case"], f"{row['variant']}, {row['level']}{threads}{', cold' * row['cold']}",
            _ms(row["ms"]), *rates, floor, "<br>".join(against),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    machine = result["machine"]
    hardware = f"{machine['cpu']}, {machine['cores']} cores" + (f", {machine['gpu']}" if machine.get("gpu") else "")
    ceilings = ", ".join(
        f"{item['what']} {item['value']:.0f} {item['unit']} (threads: {item['threads']})"
        for item in result["ceilings"]
    )  # fmt: skip
    lines += ["", f"{hardware}, torch {machine['torch']}. Measured of the machine in the same run: {ceilings}."]
    return "\n".join(lines)


def _ratio(row: dict[str, Any], name: str, ratio: float) -> str:
    """A ratio, in bold where it is short of the one that is asked for."""
    bar = row["bars"].get(name)
    text = f"{ratio:.2f}x {name}"
    if bar is None:
        return text
    return (
        f"{text} (asked: {bar['wanted']:g}x)" if ratio >= bar["wanted"] else f"**{text} (asked: {bar['wanted']:g}x)**"
    )


def _ms(value: float) -> str:
    """Three figures that count."""
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


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
        elif path.stem == "kernels-cpu":
            rows += kernel_rows(result)
        elif path.stem.startswith("quality"):
            rows += quality_rows(result)
    if not rows:
        return "`make bench` measures this machine and writes `benchmarks/results`."
    lines = ["| what | figure | measured by |", "|---|---|---|", *("| " + " | ".join(row) + " |" for row in rows)]
    if machine:
        lines += ["", f"{machine['cpu']}, {machine['cores']} cores, no GPU, torch {machine['torch']}."]
    return "\n".join(lines)


def replace(page: Path, block: str, begin: str = BEGIN, end: str = END) -> None:
    """Put ``block`` between the two markers of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n{block}\n{end}{after}", encoding="utf-8")


def main() -> None:
    results = ROOT / "benchmarks" / "results"
    for device in ("cpu", "gpu"):
        path = results / f"kernels-{device}.json"
        if path.exists():
            figures = kernel_table(json.loads(path.read_text(encoding="utf-8")))
            marker = f"<!-- {device}:%s -->"
            replace(ROOT / "docs" / "kernels.md", figures, marker % "begin", marker % "end")
    block = table(results)
    replace(ROOT / "README.md", block)
    print(block)


if __name__ == "__main__":
    main()
