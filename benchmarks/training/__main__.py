"""The command line: `python -m benchmarks.training`."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

ROOT = Path(__file__).resolve().parents[2]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("what", nargs="*", default=["alignment", "step"], choices=["alignment", "step", "smoke"])
    parser.add_argument("--corpus", type=Path, help="a corpus with a manifest, for the smoke run")
    parser.add_argument("--speaker", default="flite/slt", help="whose utterances the smoke run learns from")
    parser.add_argument("--run", type=Path, default=Path("runs/smoke"), help="working folder of the smoke run")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "training-vits.json")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    from benchmarks.training import measure, smoke

    console = Console()
    found: dict[str, Any] = json.loads(options.out.read_text("utf-8")) if options.out.is_file() else {}
    found |= {"machine": platform.processor() or platform.machine(), "torch": torch.__version__, "threads": 1}
    if "alignment" in options.what:
        found["alignment"] = measure.alignment(options.repeats, console)
    if "step" in options.what:
        found["step"] = measure.steps(max(2, options.repeats // 2), console)
    if "smoke" in options.what:
        if options.corpus is None:
            parser.error("smoke needs --corpus")
        found["smoke"] = smoke.smoke(options.corpus, options.run, options.speaker, options.steps)
        console.print({key: value for key, value in found["smoke"].items() if key != "curve"})
    options.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
