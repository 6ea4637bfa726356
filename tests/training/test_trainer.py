"""The trainer: a stopped and resumed run equals one in a piece, and checkpoints are whole or absent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from voiceclone.errors import ModelFilesInvalid
from voiceclone.training.checkpoint import list_checkpoints, load_state, load_tensors, save_checkpoint
from voiceclone.training.trainer import Trainer, TrainerConfig

pytest.importorskip("tensorboard", reason="the training extra is not installed")
QUIET = Console(quiet=True)


class Line:
    """Fits a line with dropout, so that the random state matters."""

    name = "line"

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module = nn.Sequential(nn.Linear(3, 16), nn.Dropout(0.3), nn.Linear(16, 1))
        self.seen: list[float] = []

    def batch(self, rng: np.random.Generator, progress: float) -> tuple[Tensor, Tensor]:
        x = torch.from_numpy(rng.normal(size=(8, 3)).astype(np.float32))
        return x, x.sum(dim=1, keepdim=True)

    def losses(self, batch: tuple[Tensor, Tensor]) -> Mapping[str, Tensor]:
        loss = (self.module(batch[0]) - batch[1]).square().mean()
        if self.module.training:
            self.seen.append(float(loss.detach()))
        return {"total": loss}

    def validate(self) -> Mapping[str, float]:
        return {"score": float(self.losses(self.batch(np.random.default_rng(9), 0.0))["total"])}

    def plot(self, writer: Any, step: int) -> None:
        writer.add_scalar("line/plotted", 1.0, step)


def config(**changes: Any) -> TrainerConfig:
    return TrainerConfig(**{"steps": 30, "save_every": 10, "validate_every": 10, "warmup_steps": 2, **changes})


def test_learns_and_keeps_the_best(tmp_path: Path) -> None:
    task = Line()
    before = task.validate()["score"]
    scores = Trainer(task, tmp_path, config(steps=300, learning_rate=0.02)).run(QUIET)
    assert scores["score"] < 0.2 * before
    assert load_state(tmp_path / "best")["score"] <= scores["score"] + 1e-6


def test_resumed_run_equals_an_unbroken_one(tmp_path: Path) -> None:
    whole, first, second = Line(), Line(), Line()
    Trainer(whole, tmp_path / "a", config()).run(QUIET)

    class Interrupted(Trainer):
        def _train_step(self) -> dict[str, float]:
            values = super()._train_step()
            self._stop = self.step + 1 >= 14
            return values

    Interrupted(first, tmp_path / "b", config()).run(QUIET)
    assert load_state(list_checkpoints(tmp_path / "b")[-1])["step"] == 14
    Trainer(second, tmp_path / "b", config()).run(QUIET)
    assert first.seen + second.seen == pytest.approx(whole.seen, rel=1e-6)
    assert len(whole.seen) == 30


def test_a_budget_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="steps or minutes"):
        Trainer(Line(), tmp_path, TrainerConfig())


def test_half_written_checkpoints_do_not_count(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 5, {"model": {"w": torch.ones(2)}}, {"seconds": 1.0})
    (tmp_path / "step-00000009.partial").mkdir()
    (tmp_path / "step-00000008").mkdir()
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000005"]


def test_old_checkpoints_are_removed(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        save_checkpoint(tmp_path, step, {"model": {"w": torch.full((2,), float(step))}}, {}, keep=2)
    assert [load_state(path)["step"] for path in list_checkpoints(tmp_path)] == [3, 4]


def test_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 1, {"model": {"w": torch.ones(2)}}, {})
    (path / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(ModelFilesInvalid, match=r"model\.safetensors"):
        load_tensors(path, "model")
    (path / "state.json").write_text("{")
    with pytest.raises(ModelFilesInvalid, match="step-00000001"):
        load_state(path)
