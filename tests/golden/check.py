"""Replays recorded calls of the original implementations on ours and compares every number: ``check.py PATH...``."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from checkers._case import Call, Case
    from checkers._report import Report


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="check.py", description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="folders with cases (meta.json) below them")
    parser.add_argument("--list", action="store_true", help="name the calls without running them")
    parser.add_argument("--only", metavar="REGEX", default="", help="run the calls whose 'case call' matches")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ...")
    parser.add_argument("--no-extension", action="store_true", help="run on the plain-torch ops, not the native ones")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every comparison to FILE")
    return parser.parse_args(argv)


def cases(paths: Sequence[Path]) -> Iterator[Case]:
    """Every folder with a meta.json under ``paths``, in order; a path without one is an error."""
    from checkers._case import Case

    for path in paths:
        found = sorted(path.rglob("meta.json")) if path.is_dir() else []
        if not found:
            raise SystemExit(f"check.py: there is no meta.json below {path}")
        for file in found:
            name = file.parent.relative_to(path).as_posix()
            yield Case(path.name if name == "." else name, file.parent, json.loads(file.read_text("utf-8")))


def run(call: Call) -> Report:
    """Run ``call``; what it raises becomes its failure."""
    from checkers._report import Report

    report = Report()
    try:
        call.run(report)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        report.error = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
    return report


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 1 where anything failed or a case is of no known kind, else 0."""
    options = arguments(argv)
    if options.no_extension:
        os.environ["VOICECLONE_NATIVE"] = "off"
    import torch
    from checkers._registry import find

    torch.set_num_threads(1)
    wanted, results, failures, calls = re.compile(options.only), [], 0, 0
    begin = time.monotonic()
    for case in cases(options.paths):
        checker = find(case)
        if checker is None:
            if not wanted.search(f"{case.name} "):
                continue
            failures += 1
            print(f"{case.name:40} UNKNOWN: {case.kind}", flush=True)
            results.append({"case": case.name, "call": None, "status": "UNKNOWN", "kind": case.kind})
            continue
        for call in checker(case, torch.device(options.device)):
            if not wanted.search(f"{case.name} {call.name}"):
                continue
            calls += 1
            if options.list:
                print(f"{case.name:40} {call.name}")
                continue
            report = run(call)
            failures += not report.passed
            print(f"{case.name:40} {call.name:28} {report.line()}", flush=True)
            results.append({"case": case.name, "call": call.name, **report.data()})
    if not options.list:
        print(f"{calls} calls, {failures} failed, {time.monotonic() - begin:.1f} s")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
