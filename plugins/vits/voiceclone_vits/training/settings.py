"""How to train: every number of the recipe that is not the model's own, with the original's values as defaults."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

Precision = Literal["fp32", "bf16", "fp16"]
DurationDiscriminatorKind = Literal["none", "dur_disc_1", "dur_disc_2"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16")


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """``steps`` or ``minutes`` end the training, whichever comes first; 0 is no limit."""

    steps: int = 0
    minutes: float = 0.0
    batch_size: int = 16
    #: Samples that decoder and discriminators learn on at a time; a multiple of the hop.
    segment_size: int = 8192
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.8, 0.99)
    eps: float = 1e-9
    #: The learning rate is multiplied by it after each epoch.
    lr_decay: float = 0.999875
    mel_weight: float = 45.0
    kl_weight: float = 1.0
    duration_weight: float = 1.0
    adversarial_weight: float = 1.0
    feature_weight: float = 1.0
    #: Gradients above this norm are scaled down; 0: never, as the original does.
    clip_norm: float = 0.0
    #: Averaging of the generator's weights; 0: the last weights are the result.
    ema: float = 0.999
    precision: Precision = "fp32"
    #: VITS2: noise on the alignment scores, and how much less of it at each step.
    mas_noise: float = 0.0
    mas_noise_delta: float = 2e-6
    duration_discriminator: DurationDiscriminatorKind = "none"
    #: Thins the waveform discriminators, for small models; 1 is the original's width.
    discriminator_divisor: int = 1
    seed: int = 1234
    threads: int = 0
    log_every: int = 25
    save_every: int = 500
    validate_every: int = 500
    plot_every: int = 1000
    keep: int = 2

    def __post_init__(self) -> None:
        if self.steps <= 0 and self.minutes <= 0:
            raise ValueError("set steps or minutes: the training has no end")
        if self.batch_size < 1 or self.segment_size < 1:
            raise ValueError("batch_size and segment_size must be at least 1")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}")

    def mas_noise_at(self, step: int) -> float:
        """Scale of the alignment noise in ``step``."""
        return max(self.mas_noise - self.mas_noise_delta * step, 0.0) if self.mas_noise > 0 else 0.0

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"
