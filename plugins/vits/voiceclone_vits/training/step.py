"""One step of adversarial training: the discriminators learn, then the generator, with nothing read back in between."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from voiceclone_vits.training.devices import Devices, unwrapped
from voiceclone_vits.training.discriminators import MultiPeriodDiscriminator
from voiceclone_vits.training.duration_discriminators import DurationDiscriminator
from voiceclone_vits.training.forward import Analysis, Batch, Draws, GeneratorPass, Pass
from voiceclone_vits.training.losses import discriminator_loss, feature_loss, generator_loss, kl_loss, mel_loss
from voiceclone_vits.training.settings import TrainConfig
from voiceclone_vits.training.slicing import cut


class Optimizer:
    """AdamW that leaves everything as it is where the gradient is not finite, and decides so on the device."""

    def __init__(self, parameters: Iterable[nn.Parameter], config: TrainConfig, scaler: torch.amp.GradScaler) -> None:
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self.inner = torch.optim.AdamW(
            self.parameters, lr=config.learning_rate, betas=config.betas, eps=config.eps, fused=True
        )
        self.scaler, self.clip_norm = scaler, config.clip_norm

    def minimise(self, loss: Tensor) -> tuple[Tensor, Tensor]:
        """One update; returns the gradient's norm, and 1.0 where it was not finite, else 0.0."""
        self.inner.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.inner)
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients, foreach=True)
        if self.clip_norm > 0:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.clip_norm, norm, foreach=True)
        broken = 1.0 - torch.isfinite(norm).float()
        if not self.scaler.is_enabled():
            # The fused kernel reads this flag itself; asking for its value here would wait for the device.
            self.inner.found_inf = broken  # type: ignore[attr-defined]
        self.scaler.step(self.inner)
        return norm.detach(), broken

    def set_rate(self, rate: float) -> None:
        for group in self.inner.param_groups:
            group["lr"] = rate


@dataclass
class Networks:
    """What learns. The first three may be wrapped for several devices."""

    generator: nn.Module
    discriminator: nn.Module
    durations: nn.Module | None
    analysis: Analysis

    @property
    def generator_pass(self) -> GeneratorPass:
        module = unwrapped(self.generator)
        if not isinstance(module, GeneratorPass):
            raise TypeError(f"expected a GeneratorPass, got {type(module).__name__}")
        return module

    def parts(self) -> dict[str, nn.Module]:
        """The bare modules by the names that checkpoints give them."""
        named = {"generator": self.generator_pass.model, "discriminator": unwrapped(self.discriminator)}
        if self.durations is not None:
            named["durations"] = unwrapped(self.durations)
        return named

    def train(self) -> None:
        for module in self.parts().values():
            module.train()


class Result(NamedTuple):
    """Scalars by name, on the device, and the pass that they come from."""

    scalars: dict[str, Tensor]
    forward: Pass


class TrainingStep:
    """Steps ``networks`` in the original's order: waveform and duration discriminators first, then the generator."""

    def __init__(self, networks: Networks, config: TrainConfig, devices: Devices) -> None:
        self.networks, self.config, self.device = networks, config, devices.device
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "fp16")
        self.optimizers = {
            name: Optimizer(module.parameters(), config, self.scaler) for name, module in networks.parts().items()
        }

    def autocast(self) -> AbstractContextManager[object]:
        kind = torch.bfloat16 if self.config.precision == "bf16" else torch.float16
        return torch.autocast(self.device.type, kind, enabled=self.config.precision != "fp32")

    def __call__(self, batch: Batch, step: int, draws: Draws | None = None) -> Result:
        """Learn from ``batch`` once; ``draws`` stands in for the random numbers."""
        networks, config = self.networks, self.config
        segment = networks.generator_pass.segment_frames
        hop = networks.analysis.spectrogram.config.hop_length
        with torch.no_grad():
            spectrogram, mel = networks.analysis(batch)
        with self.autocast():
            out: Pass = networks.generator(batch, spectrogram, config.mas_noise_at(step), draws)
        pad = networks.analysis.pad
        waveform = batch.padded_audio[:, None, pad : batch.padded_audio.shape[1] - pad]
        real = cut(waveform, out.starts * hop, segment * hop)
        scalars: dict[str, Tensor] = {}
        self._judges_learn(out, real, scalars)
        total = self._generator_losses(out, real, cut(mel, out.starts, segment), scalars)
        self._minimise("generator", total, scalars)
        self.scaler.update()
        return Result({name: value.detach() for name, value in scalars.items()}, out)

    def _minimise(self, name: str, loss: Tensor, scalars: dict[str, Tensor]) -> None:
        norm, broken = self.optimizers[name].minimise(loss)
        scalars[f"grad_norm_{name}"] = norm
        scalars["skipped"] = scalars.get("skipped", 0.0) + broken

    def _judges_learn(self, out: Pass, real: Tensor, scalars: dict[str, Tensor]) -> None:
        networks = self.networks
        if networks.durations is not None:
            judge = _duration_judge(networks)
            predicted = _predicted(out).detach()
            with self.autocast():
                true, false = networks.durations(out.encoded, out.token_mask, out.log_durations, predicted)
            loss = discriminator_loss(judge.as_judgements(true), judge.as_judgements(false))
            scalars["duration_discriminator"] = loss
            self._minimise("durations", loss, scalars)
        with self.autocast():
            # Both at once: half the launches of two calls.
            scores, _ = networks.discriminator(torch.cat((real, out.audio.detach().to(real.dtype))))
        halves = [score.chunk(2) for score in scores]
        loss = discriminator_loss([half[0] for half in halves], [half[1] for half in halves])
        scalars["discriminator"] = loss
        self._minimise("discriminator", loss, scalars)

    def _generator_losses(self, out: Pass, real: Tensor, real_mel: Tensor, scalars: dict[str, Tensor]) -> Tensor:
        networks, config = self.networks, self.config
        judge = unwrapped(networks.discriminator)
        # The judges' own gradients would be computed only to be thrown away.
        with _frozen(judge), self.autocast():
            with torch.no_grad():
                _, real_maps = judge(real)
            scores, maps = judge(out.audio.to(real.dtype))
        mel = networks.analysis.spectrogram(out.audio[:, 0])
        scalars["mel"] = mel_loss(real_mel, mel) * config.mel_weight
        scalars["kl"] = kl_loss(out.z_p, out.logs_q, out.m_p, out.logs_p, out.frame_mask) * config.kl_weight
        scalars["duration"] = out.duration_loss * config.duration_weight
        scalars["adversarial"] = generator_loss(scores) * config.adversarial_weight
        scalars["feature"] = feature_loss(real_maps, maps) * config.feature_weight
        names = ["mel", "kl", "duration", "adversarial", "feature"]
        if networks.durations is not None:
            durations = _duration_judge(networks)
            with _frozen(durations), self.autocast():
                (false,) = durations(out.encoded, out.token_mask, _predicted(out))
            scalars["duration_adversarial"] = generator_loss(durations.as_judgements(false))
            names.append("duration_adversarial")
        scalars["total"] = torch.stack([scalars[name] for name in names]).sum()
        return scalars["total"]


def _duration_judge(networks: Networks) -> DurationDiscriminator:
    module = unwrapped(networks.durations) if networks.durations is not None else None
    if not isinstance(module, DurationDiscriminator):
        raise TypeError("the training has no duration discriminator")
    return module


def _predicted(out: Pass) -> Tensor:
    if out.predicted_log_durations is None:
        raise ValueError("a duration discriminator needs GeneratorPass(predicts=True)")
    return out.predicted_log_durations


class _frozen:
    """The parameters of a module take no gradient inside the block; what flows through it still does."""

    def __init__(self, module: nn.Module) -> None:
        self.parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]

    def __enter__(self) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(False)

    def __exit__(self, *_: object) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(True)


def build_networks(
    generator: GeneratorPass, discriminator: MultiPeriodDiscriminator, durations: DurationDiscriminator | None,
    analysis: Analysis, devices: Devices,
) -> Networks:  # fmt: skip
    """All parts on ``devices``."""
    return Networks(
        devices.wrap(generator), devices.wrap(discriminator), devices.wrap(durations) if durations else None,
        analysis.to(devices.device),
    )  # fmt: skip
