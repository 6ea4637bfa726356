"""A short training on a corpus: does the mel loss halve, and does a stopped and resumed run give the same losses?"""

from __future__ import annotations

import json
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from voiceclone_vits.training.devices import OneDevice
from voiceclone_vits.training.recipe import Plan, prepare
from voiceclone_vits.training.trainer import GanTrainer

#: A VITS small enough for 300 steps on one core in some minutes, in the original's own words.
CONFIG = {
    "data": {
        "sampling_rate": 16000, "filter_length": 1024, "hop_length": 256, "win_length": 1024, "n_mel_channels": 80,
        "add_blank": True, "n_speakers": 0,
    },
    "model": {
        "inter_channels": 48, "hidden_channels": 48, "filter_channels": 96, "n_heads": 2, "n_layers": 2,
        "kernel_size": 3, "p_dropout": 0.1, "resblock": "2", "resblock_kernel_sizes": [3, 5],
        "resblock_dilation_sizes": [[1, 2], [2, 6]], "upsample_rates": [8, 8, 4], "upsample_initial_channel": 128,
        "upsample_kernel_sizes": [16, 16, 8],
    },
}  # fmt: skip
SETTINGS = {
    "batch_size": 4, "learning_rate": 5e-4, "discriminator_divisor": 16, "log_every": 10, "save_every": 100_000,
    "validate_every": 100_000, "plot_every": 100_000, "segment_size": 4096,
}  # fmt: skip
#: Losses at either end are averages of so many steps: single batches differ.
_ENDS = 10


def smoke(corpus: Path, folder: Path, speaker: str, steps: int) -> dict[str, Any]:
    """Train ``steps`` steps in one piece, and again in two; the figures of both."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG), "utf-8")
    began = time.process_time()
    whole = _run(corpus, folder, "whole", speaker, steps)
    seconds = time.process_time() - began
    stopped_at = steps // 2
    first = _run(corpus, folder, "resumed", speaker, stopped_at)
    second = _run(corpus, folder, "resumed", speaker, steps)
    resumed = {**_totals(first), **_totals(second)}
    same = _totals(whole)
    mel = [values["mel"] for _, values in whole.history]
    return {
        "steps": steps, "speaker": speaker, "cpu_seconds": round(seconds, 1),
        "mel_first": round(statistics.fmean(mel[:_ENDS]), 3), "mel_last": round(statistics.fmean(mel[-_ENDS:]), 3),
        "mel_ratio": round(statistics.fmean(mel[-_ENDS:]) / statistics.fmean(mel[:_ENDS]), 4),
        "stopped_at": stopped_at, "resumed_steps_compared": len(resumed),
        "largest_difference_after_resuming": max(abs(resumed[step] - same[step]) for step in same),
        "curve": {step: round(values["mel"], 3) for step, values in whole.history if step % 10 == 0 or step == 1},
    }  # fmt: skip


def _run(corpus: Path, folder: Path, name: str, speaker: str, steps: int) -> GanTrainer:
    plan = Plan(corpus, folder / name, config=folder / "config.json", speaker=speaker,
                settings={**SETTINGS, "steps": steps})  # fmt: skip
    trainer = prepare(OneDevice("cpu"), plan, Console(quiet=True))
    trainer.run(Console(quiet=True))
    return trainer


def _totals(trainer: GanTrainer) -> dict[int, float]:
    return {step: values["total"] for step, values in trainer.history}
