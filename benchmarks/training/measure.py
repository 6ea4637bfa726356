"""Process CPU time of training beside the original's formulation, calls of both in turn, the least of each."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import product
from typing import Any

import torch
from rich.console import Console
from voiceclone_vits.net import sequence_mask
from voiceclone_vits.training.alignment import align, expand
from voiceclone_vits.training.devices import OneDevice
from voiceclone_vits.training.discriminators import MultiPeriodDiscriminator
from voiceclone_vits.training.forward import Analysis, Batch, GeneratorPass
from voiceclone_vits.training.presets import preset
from voiceclone_vits.training.settings import TrainConfig
from voiceclone_vits.training.start import start_fresh
from voiceclone_vits.training.step import Networks, TrainingStep, build_networks

from benchmarks.training.original import OriginalStep, align_and_expand

#: Batch, tokens, frames: as MAS is measured elsewhere.
SHAPES = ((16, 128, 512), (32, 200, 1000))
CHANNELS = 192


def least(repeats: int, **calls: Callable[[], Any]) -> dict[str, float]:
    """Milliseconds of process CPU time of each call."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(repeats):
        for name, call in calls.items():
            began = time.process_time()
            call()
            best[name] = min(best[name], 1e3 * (time.process_time() - began))
    return best


def alignment(repeats: int, console: Console) -> list[dict[str, Any]]:
    """Score, search and expansion, forwards alone and with the gradients of the expansion; full and ragged lengths."""
    rows = []
    for shape, ragged, gradients in product(SHAPES, (False, True), (False, True)):
        case = Case(*shape, ragged, gradients)
        times = least(repeats, ours=case.ours, original=case.original)
        row = {
            "shape": shape, "ragged": ragged, "gradients": gradients,
            **{f"{name}_ms": round(value, 2) for name, value in times.items()},
            "ratio": round(times["original"] / times["ours"], 2),
        }  # fmt: skip
        console.print(row)
        rows.append(row)
    return rows


class Case:
    """One batch, aligned and expanded in both ways."""

    def __init__(self, batch: int, tokens: int, frames: int, ragged: bool, gradients: bool) -> None:
        torch.manual_seed(0)
        self.z, self.mean = torch.randn(batch, CHANNELS, frames), torch.randn(batch, CHANNELS, tokens)
        self.log_std = 0.2 * torch.randn(batch, CHANNELS, tokens)
        share = torch.linspace(0.6, 1.0, batch) if ragged else torch.ones(batch)
        self.counts, self.lengths = (share * tokens).long(), (share * frames).long()
        self.masks = sequence_mask(self.lengths, frames), sequence_mask(self.counts, tokens)
        self.gradients = gradients
        self.mean.requires_grad_(gradients)
        self.log_std.requires_grad_(gradients)

    def ours(self) -> None:
        found = align(self.z, self.mean, self.log_std, self.lengths, self.counts)
        _finish(expand(self.mean, found), expand(self.log_std, found), self.gradients)

    def original(self) -> None:
        _, m_p, logs_p = align_and_expand(self.z, self.mean, self.log_std, *self.masks)
        _finish(m_p, logs_p, self.gradients)


def _finish(m_p: torch.Tensor, logs_p: torch.Tensor, gradients: bool) -> None:
    if gradients:
        torch.autograd.backward((m_p, logs_p), (torch.ones_like(m_p), torch.ones_like(logs_p)))


def steps(repeats: int, console: Console, name: str = "small", batch: int = 2) -> dict[str, Any]:
    """A whole step of the preset's size."""
    seconds, words = 2.0, 60
    ours, original = _networks(name), _networks(name)
    config = TrainConfig(steps=1, segment_size=32 * ours.analysis.spectrogram.config.hop_length)
    pad, hop = ours.analysis.pad, ours.analysis.spectrogram.config.hop_length
    count = int(seconds * ours.analysis.spectrogram.config.sampling_rate) // hop
    torch.manual_seed(0)
    example = Batch(
        torch.randint(1, 170, (batch, words)), torch.full((batch,), words),
        0.1 * torch.randn(batch, count * hop + 2 * pad), torch.full((batch,), count),
    )  # fmt: skip
    step, peer = TrainingStep(ours, config, OneDevice("cpu")), OriginalStep(original, config)
    times = least(repeats, ours=lambda: step(example, 0), original=lambda: peer(example))
    row = {
        "preset": name, "batch": batch, "seconds_each": seconds, "tokens_each": words,
        **{f"{key}_ms": round(value, 1) for key, value in times.items()},
        "ratio": round(times["original"] / times["ours"], 2),
    }  # fmt: skip
    console.print(row)
    return row


def _networks(name: str) -> Networks:
    checkpoint = start_fresh(preset(name).checkpoint(()), seed=0).checkpoint
    config = checkpoint.config
    model = GeneratorPass(checkpoint.build(weight_norm=True), 32)
    divisor = int(preset(name).recipe.get("discriminator_divisor", 1))
    analysis = Analysis(config.audio, config.posterior.mel)
    return build_networks(model, MultiPeriodDiscriminator(divisor), None, analysis, OneDevice("cpu"))
