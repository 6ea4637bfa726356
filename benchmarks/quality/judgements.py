"""What the judges said of a piece of audio, kept by its content: the same samples are never judged twice."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Judgements:
    """One judge's verdicts in a file of JSON lines, written as they come, so that a run can be taken up again."""

    def __init__(self, folder: Path, judge: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{judge}.jsonl"
        self._known: dict[str, Any] = {}
        if self._path.is_file():
            for line in self._path.read_text(encoding="utf-8").splitlines():
                try:
                    key, value = json.loads(line)
                except ValueError:
                    continue  # a run died inside this line
                self._known[key] = value
        self._file = self._path.open("a", encoding="utf-8")
        if self._path.stat().st_size and not self._path.read_bytes().endswith(b"\n"):
            self._file.write("\n")

    def get(self, samples: NDArray[np.float32]) -> Any:
        """The verdict on ``samples``, or None."""
        return self._known.get(_key(samples))

    def put(self, samples: NDArray[np.float32], verdict: Any) -> None:
        key = _key(samples)
        self._known[key] = verdict
        self._file.write(json.dumps([key, verdict]) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _key(samples: NDArray[np.float32]) -> str:
    return hashlib.sha256(np.ascontiguousarray(samples, np.float32).tobytes()).hexdigest()


def digest(*parts: str) -> str:
    """Short name of a judge's settings: another setting is another judge."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
