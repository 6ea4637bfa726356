"""The recorded calls of upstream that the repository carries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_recorded_calls() -> None:
    command = [sys.executable, str(ROOT / "tests/golden/check.py"), str(ROOT / "tests/golden/cases/gpt_sovits")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" PASS") >= 20
