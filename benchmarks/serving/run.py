"""`python benchmarks/serving/run.py`: the same as `python -m benchmarks.serving` in the repository root."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # A script's own folder is on the path, the repository root is not.
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    from benchmarks.serving.__main__ import main

    raise SystemExit(main())
