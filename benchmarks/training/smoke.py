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
        "inter_channels": 32, "hidden_channels": 32, "filter_channels": 64, "n_heads": 2, "n_layers": 1,
        "kernel_size": 3, "p_dropout": 0.1, "resblock": "2", "resblock_kernel_sizes": [3],
        "resblock_dilation_sizes": [[1, 2]], "upsample_rates": [8, 8, 4], "upsample_initial_channel": 64,
        "upsample_kernel_sizes": [16, 16, 8],
    },
}  # fmt: skip
SETTINGS = {
    "batch_size": 2, "learning_rate": 1e-3, "discriminator_divisor": 32, "log_every": 10, "save_every": 100_000,
    "validate_every": 100_000, "plot_every": 100_000, "segment_size": 2048, "threads": 0,
}  # fmt: skip
_ENDS = 10


def smoke(corpus: Path, folder: Path, speaker: str, steps: int) -> dict[str, Any]:
    """Train ``steps`` steps in one piece, and again in two; the figures of both."""
    shutil.rmtree(folder, ignore_errors=True)
    return figures(whole(corpus, folder, speaker, steps), in_two(corpus, folder, speaker, steps))


def whole(corpus: Path, folder: Path, speaker: str, steps: int) -> dict[str, Any]:
    """One run in a piece: CPU seconds, and every loss by step."""
    began = time.process_time()
    trainer = _run(corpus, folder / "whole", speaker, steps)
    return {
        "cpu_seconds": round(time.process_time() - began, 1), "steps": steps, "speaker": speaker,
        "mel": [values["mel"] for _, values in trainer.history], "total": _totals(trainer),
    }  # fmt: skip


def in_two(corpus: Path, folder: Path, speaker: str, steps: int) -> dict[str, Any]:
    """The same run, stopped half way and taken up again by a new trainer."""
    first = _run(corpus, folder / "resumed", speaker, steps // 2)
    second = _run(corpus, folder / "resumed", speaker, steps)
    return {"stopped_at": steps // 2, "total": {**_totals(first), **_totals(second)}}


def figures(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    """What the two runs show; losses at either end are averages, because single batches differ."""
    mel = one["mel"]
    first, last = statistics.fmean(mel[:_ENDS]), statistics.fmean(mel[-_ENDS:])
    return {
        "steps": one["steps"], "speaker": one["speaker"], "cpu_seconds": one["cpu_seconds"],
        "mel_first": round(first, 3), "mel_last": round(last, 3), "mel_ratio": round(last / first, 4),
        "stopped_at": two["stopped_at"], "steps_compared": len(two["total"]),
        "largest_difference_after_resuming": max(abs(two["total"][step] - loss) for step, loss in one["total"].items()),
        "curve": {step: round(mel[step - 1], 3) for step in (1, *range(10, len(mel) + 1, 10))},
    }  # fmt: skip


def _run(corpus: Path, run: Path, speaker: str, steps: int) -> GanTrainer:
    run.mkdir(parents=True, exist_ok=True)
    (run / "config.json").write_text(json.dumps(CONFIG), "utf-8")
    plan = Plan(corpus, run, config=run / "config.json", speaker=speaker,
                settings={**SETTINGS, "steps": steps})  # fmt: skip
    trainer = prepare(OneDevice("cpu"), plan, Console(quiet=True))
    trainer.run(Console(quiet=True))
    return trainer


def _totals(trainer: GanTrainer) -> dict[int, float]:
    return {step: values["total"] for step, values in trainer.history}
