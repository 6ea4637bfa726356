"""Sizes of the acoustic model and the vocoder, as they are stored beside the weights."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from voiceclone.errors import ModelFilesInvalid
from voiceclone.nn.spectrogram import SpectrogramConfig
from voiceclone.nn.vocoder import VocoderConfig
from voiceclone.text.phones import PHONES, STRESS_COUNT


@dataclass(frozen=True, slots=True)
class AcousticConfig:
    """FastSpeech 2-family model (Ren et al. 2021) on ConvNeXt blocks, conditioned on a reference mel."""

    phones: int = len(PHONES)
    stresses: int = STRESS_COUNT
    text_channels: int = 160
    text_layers: int = 4
    prosody_channels: int = 128
    speaker_channels: int = 128
    speaker_layers: int = 3
    speaker_size: int = 160
    frame_channels: int = 192
    frame_layers: int = 6
    #: Lowest and highest F0 in Hz of the harmonic prior.
    f0_min: float = 50.0
    f0_max: float = 560.0


@dataclass(frozen=True, slots=True)
class Fastspeech2Config:
    spectrogram: SpectrogramConfig = field(default_factory=SpectrogramConfig)
    acoustic: AcousticConfig = field(default_factory=AcousticConfig)
    vocoder: VocoderConfig = field(default_factory=VocoderConfig)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Fastspeech2Config:
        """Raises ModelFilesInvalid naming what is wrong."""
        try:
            data = json.loads(text)
            return cls(
                SpectrogramConfig(**data["spectrogram"]),
                AcousticConfig(**data["acoustic"]),
                VocoderConfig(**data["vocoder"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFilesInvalid(
                f"config.json is not a fastspeech2 configuration: {error}.",
                hint="It must hold the objects spectrogram, acoustic and vocoder, as written by the trainer.",
            ) from error

    @classmethod
    def load(cls, folder: Path) -> Fastspeech2Config:
        path = folder / "config.json"
        if not path.is_file():
            raise ModelFilesInvalid("config.json is missing from the model folder.", hint="Was training finished?")
        return cls.from_json(path.read_text(encoding="utf-8"))
