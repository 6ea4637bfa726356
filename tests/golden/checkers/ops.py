"""Checkers of single operations: what the originals computed, against ``voiceclone.ops``."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from checkers._case import Call, Case
from checkers._registry import checks
from checkers._report import Report


@checks(r"/vits", r"monotonic_align\.core\.maximum_path_c")
def monotonic_alignment(case: Case, device: torch.device) -> Iterator[Call]:
    """Paths and durations of monotonic alignment search, bit for bit."""
    for facts in case.meta["cases"]:
        yield Call(
            f"{facts['id']} {facts.get('name', '')}".strip(),
            lambda report, key=facts["id"]: _align(case, key, device, report),
        )


def _align(case: Case, key: str, device: torch.device, report: Report) -> None:
    from voiceclone.ops import mas

    prefix = f"{key}/"
    io = {
        name.removeprefix(prefix): value.to(device) for name, value in case.tensors().items() if name.startswith(prefix)
    }
    aligned = mas(io["value"], io["t_mel"], io["t_text"], layout="frames_tokens")
    report.exact("path", aligned.path("frames_tokens", torch.int8), io["path"])
    report.exact("durations", aligned.durations.to(io["durations"].dtype), io["durations"])
