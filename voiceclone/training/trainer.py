"""The training loop: a task gives batches and losses, the trainer schedules, averages, logs, saves and resumes.

Data order and dropout depend only on the seed and the step, so a run that is stopped and resumed gives the losses of
one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from voiceclone.training.checkpoint import (
    list_checkpoints,
    load_state,
    load_tensors,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
    write_whole,
)
from voiceclone.training.surroundings import progress_bar, stop_signals

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Task(Protocol):
    """What is learned: one module, how its batches are drawn, and what its losses are."""

    @property
    def name(self) -> str: ...

    @property
    def module(self) -> nn.Module: ...

    def batch(self, rng: np.random.Generator, progress: float) -> Any:
        """Draw one batch; ``progress`` runs from 0 to 1 over the training."""
        ...

    def losses(self, batch: Any) -> Mapping[str, Tensor]:
        """Scalars by name; ``total`` is minimised."""
        ...

    def validate(self) -> Mapping[str, float]:
        """Scores of ``module`` as it is now (the averaged weights); the checkpoint with the least ``score`` is kept."""
        ...

    def plot(self, writer: SummaryWriter, step: int) -> None:
        """Pictures and sounds for TensorBoard."""
        ...


@dataclass(frozen=True, slots=True)
class TrainerConfig:
    """When to stop (whichever of ``steps`` and ``minutes`` comes first) and how to get there."""

    steps: int = 0
    minutes: float = 0.0
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    warmup_steps: int = 100
    clip_norm: float = 2.0
    ema: float = 0.998
    seed: int = 1
    threads: int = 1
    save_every: int = 250
    validate_every: int = 250
    plot_every: int = 1000


class Trainer:
    """Trains ``task`` in ``folder``; calling :meth:`run` again goes on from the last checkpoint."""

    def __init__(self, task: Task, folder: Path, config: TrainerConfig) -> None:
        if config.steps <= 0 and config.minutes <= 0:
            raise ValueError("set steps or minutes: the training has no end")
        self.task, self.folder, self.config = task, folder, config
        self.optimizer = torch.optim.AdamW(
            [p for p in task.module.parameters() if p.requires_grad],
            lr=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay,
        )  # fmt: skip
        self.average = {key: value.detach().clone() for key, value in task.module.state_dict().items()}
        self.step = 0
        self.seconds = 0.0
        self.best = math.inf
        #: Steps whose gradient was not finite and changed nothing: more than a few mean that the data is broken.
        self.skipped = 0
        self._stop = False

    @property
    def progress(self) -> float:
        """0..1: the part of the budget that is used."""
        parts = (
            self.step / self.config.steps if self.config.steps else 0.0,
            self.seconds / (60.0 * self.config.minutes) if self.config.minutes else 0.0,
        )
        return min(1.0, max(parts))

    def resume(self) -> bool:
        """Load the newest checkpoint of ``folder``; False where there is none."""
        checkpoints = list_checkpoints(self.folder)
        if not checkpoints:
            return False
        state = load_state(checkpoints[-1])
        self.task.module.load_state_dict(load_tensors(checkpoints[-1], "model"))
        self.average = load_tensors(checkpoints[-1], "average")
        restore_optimizer(self.optimizer, load_tensors(checkpoints[-1], "optimizer"))
        self.step, self.seconds, self.best = int(state["step"]), float(state["seconds"]), float(state["best"])
        self.skipped = int(state.get("skipped", 0))
        return True

    def run(self, console: Console | None = None) -> Mapping[str, float]:
        """Train to the end of the budget; SIGINT and SIGTERM save and stop. Returns the last validation."""
        console = console or Console()
        torch.set_num_threads(self.config.threads)
        if self.resume():
            console.print(f"{self.task.name}: resumed at step {self.step} after {self.seconds / 60:.1f} min")
        self.folder.mkdir(parents=True, exist_ok=True)
        scores: Mapping[str, float] = {}
        from torch.utils.tensorboard import SummaryWriter

        with (
            SummaryWriter(str(self.folder / "tensorboard")) as writer,
            stop_signals(self._end),
            progress_bar(console) as bar,
        ):
            row = bar.add_task(self.task.name, total=1.0, note="")
            bar.update(row, completed=self.progress)
            while self.progress < 1.0 and not self._stop:
                began = time.perf_counter()
                values = self._train_step()
                self.seconds += time.perf_counter() - began
                self.step += 1
                bar.update(row, completed=self.progress, note=f"step {self.step} loss {values['total']:.3f}")
                if self.step % 25 == 0:
                    for key, value in values.items():
                        writer.add_scalar(f"{self.task.name}/train/{key}", value, self.step)
                last = self.progress >= 1.0 or self._stop
                if self.step % self.config.validate_every == 0 or last:
                    scores = self._validate(writer, console)
                if self.step % self.config.save_every == 0 or last:
                    self.save()
        return scores

    def save(self) -> None:
        tensors = {
            "model": self.task.module.state_dict(),
            "average": self.average,
            "optimizer": optimizer_tensors(self.optimizer),
        }
        save_checkpoint(self.folder, self.step, tensors, self._state())

    def _state(self) -> dict[str, float]:
        return {
            "seconds": self.seconds, "best": self.best, "progress": self.progress, "skipped": self.skipped,
        }  # fmt: skip

    def _train_step(self) -> dict[str, float]:
        config = self.config
        rate = 0.5 * (1.0 + math.cos(math.pi * self.progress)) * min(1.0, (self.step + 1) / config.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * rate
        torch.manual_seed(config.seed * 1_000_003 + self.step)
        batch = self.task.batch(np.random.default_rng([config.seed, self.step]), self.progress)
        self.task.module.train()
        losses = self.task.losses(batch)
        self.optimizer.zero_grad(set_to_none=True)
        losses["total"].backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.task.module.parameters(), config.clip_norm)
        if torch.isfinite(norm):
            self.optimizer.step()
        else:
            self.skipped += 1
        decay = min(config.ema, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for key, value in self.task.module.state_dict().items():
                if value.is_floating_point():
                    self.average[key].lerp_(value, 1.0 - decay)
                else:
                    self.average[key].copy_(value)
        names, tensors = zip(*losses.items(), strict=True)
        scalars = torch.stack([value.detach() for value in tensors]).tolist()
        values = dict(zip(names, scalars, strict=True))
        return {**values, "grad_norm": float(norm), "rate": rate, "skipped": float(self.skipped)}

    def _validate(self, writer: SummaryWriter, console: Console) -> Mapping[str, float]:
        module = self.task.module
        live = {key: value.detach().clone() for key, value in module.state_dict().items()}
        module.load_state_dict(self.average)
        module.eval()
        with torch.no_grad():
            scores = self.task.validate()
            if self.step % self.config.plot_every == 0 or self.progress >= 1.0:
                self.task.plot(writer, self.step)
        module.load_state_dict(live)
        for key, value in scores.items():
            writer.add_scalar(f"{self.task.name}/valid/{key}", value, self.step)
        text = "  ".join(f"{key} {value:.4f}" for key, value in scores.items())
        console.print(f"{self.task.name} step {self.step} ({self.seconds / 60:.1f} min): {text}")
        if self.skipped:
            console.print(f"{self.task.name}: {self.skipped} steps changed nothing, their gradients were not finite")
        if scores["score"] < self.best:
            self.best = scores["score"]
            write_whole(self.folder / "best", {"average": self.average}, {**self._state(), "step": self.step, **scores})
        return scores

    def _end(self) -> None:
        self._stop = True
