"""A recorded case and the calls it is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from checkers._report import Report


@dataclass(frozen=True)
class Case:
    """One folder with a meta.json; ``name`` is for people alone."""

    name: str
    folder: Path
    meta: dict[str, Any]

    @property
    def implementation(self) -> str:
        """The original that was run, such as "jaywalnut310/vits"; empty where none is named."""
        value = self.meta.get("repo") or self.meta.get("upstream") or ""
        return (
            value
            if isinstance(value, str)
            else " ".join(map(str, value.values() if isinstance(value, dict) else value))
        )

    @property
    def kind(self) -> str:
        """What a checker is chosen by, for people."""
        facts = (self.implementation, self.meta.get("class"), self.meta.get("version"), self.meta.get("function"))
        return " | ".join(str(fact) for fact in facts if fact) or "no implementation named"

    def tensors(self, file: str = "io.safetensors") -> dict[str, Tensor]:
        return load_file(self.folder / file)


@dataclass(frozen=True)
class Call:
    """One recorded call; ``run`` replays it and enters every comparison into the report."""

    name: str
    run: Callable[[Report], None]
