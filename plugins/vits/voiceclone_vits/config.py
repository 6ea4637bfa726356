"""Sizes and kinds of a VITS, whoever trained it; stored as JSON beside weights in this project's own layout."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any

from voiceclone.errors import ModelFilesInvalid
from voiceclone.nn.hifigan import GeneratorConfig


class FlowKind(str, Enum):
    """What couples the halves of the latent: VITS' WaveNet alone, or one of the five mixtures with transformers."""

    WAVENET = "wavenet"
    PRE_CONV = "pre_conv"
    PRE_CONV2 = "pre_conv2"
    FFT = "fft"
    MONO_INTER = "mono_layer_inter_residual"
    MONO_POST = "mono_layer_post_residual"


class SpeakerKind(str, Enum):
    """What tells the model who speaks: nothing, a number, or a vector measured from a recording."""

    ONE = "one"
    NUMBER = "number"
    VECTOR = "vector"


@dataclass(frozen=True, slots=True)
class TextConfig:
    """The text encoder; ``vocabulary`` counts tokens, ``languages`` have ``language_channels`` beside each token."""

    vocabulary: int
    hidden: int = 192
    filter: int = 768
    heads: int = 2
    layers: int = 6
    kernel_size: int = 3
    window: int = 4
    dropout: float = 0.1
    languages: int = 0
    language_channels: int = 0
    #: The speaker is added before this layer; None: the encoder does not know it.
    speaker_layer: int | None = None
    norm_eps: float = 1e-5

    @property
    def width(self) -> int:
        """Channels of the encoder's output."""
        return self.hidden + self.language_channels


@dataclass(frozen=True, slots=True)
class DurationConfig:
    """The duration predictor: ``stochastic`` or plain, its width, and whether it knows the speaker."""

    stochastic: bool = True
    filter: int = 192
    kernel_size: int = 3
    flows: int = 4
    bins: int = 10
    tail: float = 5.0
    layers: int = 3
    dropout: float = 0.5
    speaker: bool = True
    norm_eps: float = 1e-5


@dataclass(frozen=True, slots=True)
class FlowConfig:
    kind: FlowKind = FlowKind.WAVENET
    flows: int = 4
    hidden: int = 192
    layers: int = 4
    kernel_size: int = 5
    dilation: int = 1


@dataclass(frozen=True, slots=True)
class PosteriorConfig:
    """The posterior encoder; ``bins`` channels of a linear or mel spectrogram go in."""

    bins: int = 513
    mel: bool = False
    hidden: int = 192
    layers: int = 16
    kernel_size: int = 5
    dilation: int = 1


@dataclass(frozen=True, slots=True)
class AudioConfig:
    """How recordings become the posterior encoder's spectrogram. Frequencies in Hz, lengths in samples."""

    sample_rate: int = 22050
    filter_length: int = 1024
    hop_length: int = 256
    win_length: int = 1024
    mel_bins: int = 80
    mel_fmin: float = 0.0
    mel_fmax: float | None = None


@dataclass(frozen=True, slots=True)
class VitsConfig:
    """One VITS; ``latent`` are the channels between flow and decoder, ``speaker_channels`` 0 where it has one voice."""

    text: TextConfig
    latent: int = 192
    speaker_kind: SpeakerKind = SpeakerKind.ONE
    speakers: int = 0
    speaker_channels: int = 0
    duration: DurationConfig = field(default_factory=DurationConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    posterior: PosteriorConfig = field(default_factory=PosteriorConfig)
    decoder: GeneratorConfig = field(default_factory=GeneratorConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    #: Scales of the noise when a caller names none: of the latent, and of log durations.
    noise_scale: float = 0.667
    duration_noise_scale: float = 0.8
    length_scale: float = 1.0

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> VitsConfig:
        """Raises ModelFilesInvalid naming what is wrong."""
        try:
            config: VitsConfig = _build(cls, json.loads(text))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelFilesInvalid(f"config.json is no configuration of a VITS of this project: {error}.") from error
        return config


_PARTS: dict[str, type] = {
    "text": TextConfig, "duration": DurationConfig, "flow": FlowConfig, "posterior": PosteriorConfig,
    "decoder": GeneratorConfig, "audio": AudioConfig, "kind": FlowKind, "speaker_kind": SpeakerKind,
}  # fmt: skip


def _build(cls: type, data: dict[str, Any]) -> Any:
    """An instance of the dataclass ``cls`` from ``data``; lists become tuples."""
    unknown = set(data) - {item.name for item in fields(cls)}
    if unknown:
        raise ValueError(f"unknown settings {sorted(unknown)}")
    values: dict[str, Any] = {}
    for name, value in data.items():
        part = _PARTS.get(name)
        if part is not None:
            value = _build(part, value) if is_dataclass(part) else part(value)
        elif isinstance(value, list):
            value = tuple(tuple(item) if isinstance(item, list) else item for item in value)
        values[name] = value
    return cls(**values)
