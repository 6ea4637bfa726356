"""VITS' coupling flow, backwards: against its convolutions alone, the same flow in eager torch, and torch.compile."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.kernels.timer import Absent, Call, Row, Timer, Work
from voiceclone.nn.flow import ResidualCouplingBlock

#: Frames: a short sentence and a long one; on a GPU the length that the bar names.
FRAMES, GPU_FRAMES = (200, 1000), (400,)
CONVOLUTIONS, LIVE, FOLDED, HALF, COMPILED = (
    "its convolutions alone", "eager, weight norm live", "eager, folded", "eager, folded, bfloat16", "torch.compile",
)  # fmt: skip
#: float32 within 1.05 times its convolutions; bfloat16 against eager float32.
BARS = {"float32": {CONVOLUTIONS: 1 / 1.05}, "bfloat16": {FOLDED: 2.2}}


def rows(timer: Timer) -> Iterator[Row]:
    for frames in FRAMES if timer.device == "cpu" else GPU_FRAMES:
        case = f"192 channels, 4 x 4 layers, {frames} frames"
        if timer.wants("coupling", case):
            with torch.inference_mode():
                yield from measure(timer, case, frames)


def measure(timer: Timer, case: str, frames: int) -> Iterator[Row]:
    live = flow().to(timer.device)
    folded = copy.deepcopy(live).fold()
    half = copy.deepcopy(folded).bfloat16()
    x = torch.randn(1, 192, frames, generator=torch.Generator().manual_seed(1)).to(timer.device)
    mask = torch.ones(1, 1, frames, device=timer.device)
    ours = {name: partial(live.pack(name), x, mask, reverse=True) for name in ("float32", "bfloat16")}
    wanted = folded(x, mask, reverse=True)
    compiled: Call | Absent = Absent("left out of a quick look")
    if not timer.quick:
        compiled = partial(torch.compile(folded), x, mask, reverse=True)
        compiled()
    peers: dict[str, Call | Absent] = {
        LIVE: partial(live, x, mask, reverse=True),
        FOLDED: partial(folded, x, mask, reverse=True),
        HALF: partial(half, x.bfloat16(), mask.bfloat16(), reverse=True),
        COMPILED: compiled,
    }
    convolutions = [part for part in folded.modules() if isinstance(part, nn.Conv1d)]
    inputs = {part.in_channels: x[:, : part.in_channels].contiguous() for part in convolutions}
    operations = 2 * frames * sum(part.weight.numel() for part in convolutions)
    size = sum(part.weight.numel() for part in convolutions)
    yield from timer.compare(
        "coupling", case, ours, peers,
        floor=(CONVOLUTIONS, lambda: [part(inputs[part.in_channels]) for part in convolutions]),
        work={"float32": Work(bytes=4 * size, flops=operations), "bfloat16": Work(2 * size, operations, "bfloat16")},
        bars=BARS, notes={name: {"snr_db": decibels(call(), wanted)} for name, call in ours.items()},
    )  # fmt: skip


def flow() -> ResidualCouplingBlock:
    """The shape of VITS' published configurations, with weights in every layer."""
    random = torch.Generator().manual_seed(0)
    made = ResidualCouplingBlock(192, 192, 5, 1, 4).eval()
    for name, parameter in made.named_parameters():
        if ".post." in name:
            parameter.data = 0.05 * torch.randn(parameter.shape, generator=random)
    return made


def decibels(got: Tensor, wanted: Tensor) -> float:
    error = (got - wanted).double().square().sum()
    return 10 * math.log10(float(wanted.double().square().sum() / error.clamp(min=1e-30)))
