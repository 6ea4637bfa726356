"""Monotonic alignment search against the published Cython core, its whole call, and the package on PyPI."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmarks.kernels.peers.cython import cython_peer
from benchmarks.kernels.timer import Absent, Call, Prepared, Row, Timer, Work
from voiceclone import ops
from voiceclone.ops.mas import Layout

#: Batch, tokens, frames: a few sentences, a training batch, a batch of long sentences.
SHAPES = ((16, 128, 512), (32, 200, 1000), (64, 400, 2000))
GPU_SHAPES = ((16, 128, 512), (16, 512, 2048))
LAYOUTS: tuple[Layout, ...] = ("frames_tokens", "tokens_frames")
CORE, WHOLE, PACKAGE = "Cython core", "Cython whole call", "monotonic-alignment-search"
#: Ratios asked for, one thread.
BARS = {CORE: 4.0, WHOLE: 12.0, PACKAGE: 20.0}


def rows(timer: Timer) -> Iterator[Row]:
    gpu = timer.device == "cuda"
    for batch, tokens, frames in GPU_SHAPES if gpu else SHAPES:
        case = f"{batch} x {tokens} tokens x {frames} frames"
        if not timer.wants("mas", case) or (timer.quick and batch > 32):
            continue
        scores = torch.randn((batch, frames, tokens), generator=torch.Generator().manual_seed(0)).to(timer.device)
        band = 4 * batch * tokens * (frames - tokens + 1)  # bytes of the scores that a path can touch
        for layout in LAYOUTS:
            value = scores if layout == "frames_tokens" else scores.transpose(1, 2).contiguous()
            scratch = torch.empty_like(value)
            # Every participant finds its scores as the product that made them would leave them: just written.
            fresh = partial(scratch.copy_, value)
            yield from timer.compare(
                "mas", f"{case}, {layout}",
                {"durations": Prepared(fresh, partial(ops.mas, scratch, layout=layout)),
                 "dense path": Prepared(fresh, partial(dense, scratch, layout))},
                {} if gpu else peers(value, scratch, layout),
                floor=("reading the scores once", Prepared(fresh, scratch.sum)),
                work=Work(bytes=band), bars={"durations": BARS},
            )  # fmt: skip


def dense(value: Tensor, layout: Layout) -> Tensor:
    return ops.mas(value, layout=layout).path(layout)


def peers(value: Tensor, scratch: Tensor, layout: Layout) -> dict[str, Call | Absent]:
    """Each in the orientation it was published for; all of them make the dense path, which is all they can."""
    mask = torch.ones_like(value)
    fresh = partial(scratch.copy_, value)
    if layout == "tokens_frames":
        try:
            package = importlib.import_module("monotonic_alignment_search")
        except ImportError:
            return {PACKAGE: Absent("not installed; `make bench` brings it")}
        return {PACKAGE: Prepared(fresh, partial(package.maximum_path, scratch, mask))}
    module = cython_peer("alignment")
    if isinstance(module, Absent):
        return {CORE: module, WHOLE: module}
    path = np.zeros(value.shape, np.int32)
    lengths = [np.full(len(value), count, np.int32) for count in value.shape[1:]]

    def refill() -> None:
        path.fill(0)
        fresh()

    def whole() -> Tensor:
        copied = scratch.data.cpu().numpy().astype(np.float32)
        empty = np.zeros(copied.shape, np.int32)
        frames = mask.sum(1)[:, 0].numpy().astype(np.int32)
        tokens = mask.sum(2)[:, 0].numpy().astype(np.int32)
        module.align(empty, copied, frames, tokens)
        return torch.from_numpy(empty).to(device=scratch.device, dtype=scratch.dtype)

    fresh()
    assert torch.equal(whole(), dense(value, layout)), "the peer finds another path"
    return {
        CORE: Prepared(refill, partial(module.align, path, scratch.numpy(), *lengths)),
        WHOLE: Prepared(fresh, whole),
    }
