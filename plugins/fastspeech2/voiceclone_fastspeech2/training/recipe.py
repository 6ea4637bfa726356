"""The whole recipe: corpus, features, two trainings, and a model folder out of their best averages."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console
from safetensors.torch import save_file

from voiceclone.errors import ModelFilesInvalid
from voiceclone.nn.vocoder import HarmonicVocoder
from voiceclone.training.checkpoint import list_checkpoints, load_tensors
from voiceclone.training.trainer import Trainer, TrainerConfig
from voiceclone_fastspeech2.acoustic import AcousticModel
from voiceclone_fastspeech2.config import Fastspeech2Config
from voiceclone_fastspeech2.training.acoustic_task import AcousticTask
from voiceclone_fastspeech2.training.features import FeatureStore
from voiceclone_fastspeech2.training.vocoder_task import VocoderTask

Part = Literal["acoustic", "vocoder"]
PARTS: tuple[Part, ...] = ("acoustic", "vocoder")


@dataclass(frozen=True, slots=True)
class Budget:
    """How long one part trains: whichever of the two ends first; 0 is no limit."""

    steps: int = 0
    minutes: float = 0.0


def train_part(
    part: Part, corpus: Path, run: Path, config: Fastspeech2Config, budget: Budget, *, seed: int = 1, console: Console
) -> None:
    """Train one part below ``run``; goes on where an earlier call stopped."""
    run.mkdir(parents=True, exist_ok=True)
    (run / "config.json").write_text(config.to_json(), encoding="utf-8")
    store = FeatureStore(corpus, run / "features", config.spectrogram)
    torch.manual_seed(seed)
    if part == "acoustic":
        task: AcousticTask | VocoderTask = AcousticTask(AcousticModel(config), store)
        schedule = TrainerConfig(steps=budget.steps, minutes=budget.minutes, seed=seed)
    else:
        task = VocoderTask(HarmonicVocoder(config.vocoder, config.spectrogram), store)
        schedule = TrainerConfig(
            steps=budget.steps, minutes=budget.minutes, seed=seed, betas=(0.8, 0.99), ema=0.999, clip_norm=10.0,
            save_every=1000, validate_every=1000, plot_every=2000,
        )  # fmt: skip
    Trainer(task, run / part, schedule).run(console)


def export(run: Path, target: Path, *, choose: Literal["best", "last"] = "best") -> str:
    """Write ``config.json`` and ``model.safetensors`` (half precision) into ``target``; returns the revision.

    Raises ModelFilesInvalid where a part was never trained.
    """
    tensors = {}
    for part in PARTS:
        checkpoint = run / part / "best"
        if choose == "last" or not checkpoint.is_dir():
            found = list_checkpoints(run / part)
            if not found:
                raise ModelFilesInvalid(f"{part} has no checkpoint.", hint=f"Train it first: --part {part}.")
            checkpoint = found[-1]
        for name, value in load_tensors(checkpoint, "average").items():
            tensors[f"{part}.{name}"] = value.half() if value.is_floating_point() else value
    target.mkdir(parents=True, exist_ok=True)
    save_file(tensors, target / "model.safetensors")
    (target / "model.safetensors").chmod(0o644)  # safetensors writes for the owner alone; a package is read by others
    config = (run / "config.json").read_text(encoding="utf-8")
    (target / "config.json").write_text(config, encoding="utf-8")
    digest = hashlib.sha256((target / "model.safetensors").read_bytes() + config.encode()).hexdigest()
    (target / "revision.json").write_text(json.dumps({"revision": digest[:12]}) + "\n", encoding="utf-8")
    return digest[:12]
