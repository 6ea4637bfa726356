"""The adversarial training loop: schedules, averages, logs, saves and resumes, on one device or several.

Data order, noise and dropout depend only on the seed and the step, so a run that is stopped and resumed gives the
losses of one that was not. Losses stay on the device until they are logged.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from torch import Tensor

from voiceclone.errors import ModelFilesInvalid
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
from voiceclone_vits.training.average import Average
from voiceclone_vits.training.batches import Batches, Collator, prefetch
from voiceclone_vits.training.devices import Devices
from voiceclone_vits.training.settings import TrainConfig
from voiceclone_vits.training.step import Networks, TrainingStep
from voiceclone_vits.training.validation import Validation

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

#: How often, in steps, the processes agree on whether to stop.
_AGREE = 10


class GanTrainer:
    """Trains ``networks`` in ``folder``; :meth:`run` goes on from the last checkpoint."""

    def __init__(
        self, networks: Networks, batches: Batches, collate: Collator, validation: Validation, folder: Path,
        config: TrainConfig, devices: Devices,
    ) -> None:  # fmt: skip
        self.networks, self.batches, self.collate, self.validation = networks, batches, collate, validation
        self.folder, self.config, self.devices = folder, config, devices
        self.take_step = TrainingStep(networks, config, devices)
        self.average = Average(networks.generator_pass.model, config.ema)
        self.step, self.seconds, self.best = 0, 0.0, math.inf
        #: Updates that were not made because a gradient was not finite.
        self.skipped = 0.0
        #: (step, scalars) of every logged step of this process, for figures and tests.
        self.history: list[tuple[int, dict[str, float]]] = []
        self._waiting: list[tuple[int, dict[str, Tensor]]] = []
        self._stop = False

    @property
    def progress(self) -> float:
        """0..1: the part of the budget that is used."""
        config = self.config
        return min(1.0, max(
            self.step / config.steps if config.steps else 0.0,
            self.seconds / (60.0 * config.minutes) if config.minutes else 0.0,
        ))  # fmt: skip

    def run(self, console: Console | None = None) -> Mapping[str, float]:
        """Train to the end of the budget; SIGINT and SIGTERM save and stop. Returns the last validation."""
        console = console or Console()
        first = self.devices.rank == 0
        if self.resume() and first:
            console.print(f"resumed at step {self.step} after {self.seconds / 60:.1f} min")
        self.folder.mkdir(parents=True, exist_ok=True)
        scores: Mapping[str, float] = {}
        pinned = self.devices.device.type == "cuda"
        ahead = prefetch(self.collate, self.batches, self.step, self.config.threads, pinned)
        with self._writer() as writer, stop_signals(self._end), progress_bar(console, shown=first) as bar:
            row = bar.add_task("vits", total=1.0, note="")
            bar.update(row, completed=self.progress)
            ended = self._ended()
            while not ended:
                began = time.perf_counter()
                self._learn(next(ahead))
                self.seconds += time.perf_counter() - began
                self.step += 1
                ended = self._ended()
                saves = self.step % self.config.save_every == 0 or ended
                # Every process takes part: the losses are averaged over all.
                if self.step % self.config.log_every == 0 or saves:
                    bar.update(row, note=self._log(writer))
                bar.update(row, completed=self.progress)
                if first and (self.step % self.config.validate_every == 0 or ended):
                    scores = self._validate(writer, console, last=ended)
                if first and saves:
                    self.save()
            ahead.close()
        return scores

    def _ended(self) -> bool:
        """Whether to stop now; with several processes, they look at each other every few steps."""
        wants = self.progress >= 1.0 or self._stop
        if self.devices.world == 1:
            return wants
        if self.config.steps and self.step >= self.config.steps:
            return True
        return self.step % _AGREE == 0 and self.devices.any(wants)

    def _learn(self, batch: Any) -> None:
        config = self.config
        rate = config.learning_rate * config.lr_decay ** self.batches.epoch(self.step)
        for optimizer in self.take_step.optimizers.values():
            optimizer.set_rate(rate)
        torch.manual_seed((config.seed * 1_000_003 + self.step) * 1009 + self.devices.rank)
        self.networks.train()
        result = self.take_step(batch.to(self.devices.device), self.step)
        self.average.update(self.step)
        self._waiting.append((self.step + 1, result.scalars))

    def _log(self, writer: SummaryWriter | None) -> str:
        """Read back what has gathered on the device, and hand it to TensorBoard; returns a line for the bar."""
        if not self._waiting:
            return ""
        names = list(self._waiting[0][1])
        table = self.devices.mean(torch.stack([torch.stack([row[name] for name in names]) for _, row in self._waiting]))
        last: dict[str, float] = {}
        for (step, _), values in zip(self._waiting, table.tolist(), strict=True):
            last = dict(zip(names, values, strict=True))
            self.skipped += last["skipped"]
            self.history.append((step, last))
        self._waiting.clear()
        if writer is not None:
            for name, value in last.items():
                writer.add_scalar(f"train/{name}", self.skipped if name == "skipped" else value, self.step)
            rate = self.config.learning_rate * self.config.lr_decay ** self.batches.epoch(self.step)
            writer.add_scalar("train/learning_rate", rate, self.step)
        return f"step {self.step} mel {last['mel']:.2f} kl {last['kl']:.2f} total {last['total']:.2f}"

    def _validate(self, writer: SummaryWriter | None, console: Console, last: bool) -> Mapping[str, float]:
        model = self.networks.generator_pass.model
        with self.average.in_place(model), torch.no_grad():
            model.eval()
            scores = self.validation.scores(model, self.take_step.autocast)
            every = self.config.plot_every
            if writer is not None and every > 0 and (self.step % every == 0 or last):
                self.validation.plot(model, writer, self.step)
        if writer is not None:
            for name, value in scores.items():
                writer.add_scalar(f"valid/{name}", value, self.step)
        text = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
        console.print(f"vits step {self.step} ({self.seconds / 60:.1f} min): {text}")
        if self.skipped:
            console.print(f"vits: {self.skipped:.0f} updates were not made, their gradients were not finite")
        if scores["score"] < self.best:
            self.best = scores["score"]
            write_whole(self.folder / "best", {"average": self.average.tensors}, {**self._state(), **scores})
        return scores

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = {
            "step": self.step, "seconds": self.seconds, "best": self.best, "skipped": self.skipped,
            "progress": self.progress, "scaler": self.take_step.scaler.state_dict(),
        }  # fmt: skip
        return state

    def save(self) -> Path:
        """Write a checkpoint of everything the next step depends on."""
        tensors: dict[str, Mapping[str, Tensor]] = {"average": self.average.tensors}
        for name, module in self.networks.parts().items():
            tensors[name] = module.state_dict()
            tensors[f"{name}_optimizer"] = optimizer_tensors(self.take_step.optimizers[name].inner)
        return save_checkpoint(self.folder, self.step, tensors, self._state(), keep=self.config.keep)

    def resume(self) -> bool:
        """Load the newest checkpoint of the folder; False where there is none. Raises ModelFilesInvalid."""
        checkpoints = list_checkpoints(self.folder)
        if not checkpoints:
            return False
        newest = checkpoints[-1]
        state = load_state(newest)
        try:
            for name, module in self.networks.parts().items():
                module.load_state_dict(load_tensors(newest, name))
                restore_optimizer(self.take_step.optimizers[name].inner, load_tensors(newest, f"{name}_optimizer"))
            self.average.load(load_tensors(newest, "average", self.devices.device))
        except (RuntimeError, KeyError, ValueError) as error:
            raise ModelFilesInvalid(
                f"{newest.name} is of another model: {error}",
                hint="Give another --run folder, or the options this one was begun with.",
            ) from error
        if state["scaler"]:
            self.take_step.scaler.load_state_dict(state["scaler"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        self.best, self.skipped = float(state["best"]), float(state["skipped"])
        return True

    # -- surroundings ------------------------------------------------------------------------------------------------

    def _writer(self) -> Any:
        if self.devices.rank:
            return nullcontext()
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.folder / "tensorboard"))

    def _end(self) -> None:
        self._stop = True
