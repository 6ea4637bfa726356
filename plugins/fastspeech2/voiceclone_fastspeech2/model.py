"""The backend proper: weights in, conditioning of a voice, and sessions that give one vocoder chunk a step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import BaseModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from voiceclone import Capabilities, ModelInfo, Reference, Step, TimingKind, Utterance
from voiceclone.errors import ModelFilesInvalid
from voiceclone.nn.pitch import PitchConfig, continuous_f0, track_log_f0
from voiceclone.nn.spectrogram import LogMel
from voiceclone.nn.vocoder import HarmonicVocoder
from voiceclone.text.english import EnglishFrontend
from voiceclone_fastspeech2.acoustic import AcousticModel
from voiceclone_fastspeech2.config import Fastspeech2Config
from voiceclone_fastspeech2.options import Fastspeech2Options
from voiceclone_fastspeech2.session import Session
from voiceclone_fastspeech2.voice import decode_speaker, encode_speaker, neutral_speaker

if TYPE_CHECKING:
    from voiceclone.types import Samples


class Fastspeech2Model:
    """One loaded model; see :class:`voiceclone.Model` for the contract of each method."""

    def __init__(
        self, config: Fastspeech2Config, acoustic: AcousticModel, vocoder: HarmonicVocoder, device: str = "cpu"
    ) -> None:
        self.config, self.device = config, torch.device(device)
        self.acoustic, self.vocoder = acoustic.eval().to(self.device), vocoder.eval().to(self.device)
        self.log_mel = LogMel(config.spectrogram).to(self.device)
        self.frontend = EnglishFrontend()
        self.options: type[BaseModel] = Fastspeech2Options
        self.capabilities = Capabilities(
            languages=("en", "en-US"),
            sample_rate=config.spectrogram.sample_rate,
            timings=(TimingKind.SENTENCE, TimingKind.WORD, TimingKind.PHONEME),
            speaking_rate=True,
            pitch=True,
            phoneme_input=True,
            pronunciations=True,
        )

    @torch.inference_mode()
    def encode_voice(self, references: Sequence[Reference]) -> bytes:
        """Speaker vector, average spectrum and pitch level of the recordings. Raises SampleRejected."""
        return encode_speaker(references, self.acoustic.speaker_encoder, self.log_mel)

    @torch.inference_mode()
    def open(self, utterance: Utterance) -> Session:
        """Raises TextEmpty, TextTooLong, PhonemesInvalid or VoiceIncompatible."""
        speaker = decode_speaker(utterance.voice, self.config)
        return Session(self, utterance, speaker)

    @torch.inference_mode()
    def step(self, sessions: Sequence[Session]) -> list[Step]:
        # One at a time: a batch would be faster by little and could change the last bit of a caller's samples.
        return [session.step() for session in sessions]

    def release(self, session: Session) -> None:
        session.release()

    def warm_up(self) -> None:
        """Run the text frontend, the model and the vocoder once: the first call of each is slow."""
        self.frontend.warm_up()
        with torch.inference_mode():
            session = Session(self, Utterance("Ready to speak.", b""), neutral_speaker(self.config))
            while not session.step().done:
                pass

    @torch.inference_mode()
    def resynthesise(self, samples: Samples) -> Samples:
        """Speech ``[T]`` at the model's rate through analysis and vocoder alone: the ceiling of the model's quality."""
        spectrogram = self.config.spectrogram
        samples = samples[: len(samples) // spectrogram.hop_length * spectrogram.hop_length]
        log_f0 = track_log_f0(samples, PitchConfig(spectrogram.sample_rate, spectrogram.hop_length))
        mel = self.log_mel(torch.from_numpy(np.ascontiguousarray(samples))[None])
        facts = (torch.from_numpy(values.astype(np.float32))[None] for values in (continuous_f0(log_f0), log_f0 > 0))
        output: Samples = self.vocoder(mel, *facts)[0].numpy()
        return output

    def memory_bytes(self) -> int:
        return sum(p.numel() * p.element_size() for m in (self.acoustic, self.vocoder) for p in _tensors(m))

    def close(self) -> None:
        """Drop the weights."""
        del self.acoustic, self.vocoder


def _tensors(module: nn.Module) -> list[torch.Tensor]:
    return [*module.parameters(), *module.buffers()]


def load(info: ModelInfo, device: str) -> Fastspeech2Model:
    """Factory of the backend: reads ``config.json`` and ``model.safetensors``. Raises ModelFilesInvalid."""
    if info.path is None:
        raise ModelFilesInvalid(f"model {info.name!r} has no folder with weights.")
    folder = Path(info.path)
    config = Fastspeech2Config.load(folder)
    tensors = _read(folder / "model.safetensors")
    acoustic, vocoder = AcousticModel(config), HarmonicVocoder(config.vocoder, config.spectrogram)
    for name, module in (("acoustic", acoustic), ("vocoder", vocoder)):
        prefix = f"{name}."
        state = {key.removeprefix(prefix): value.float() for key, value in tensors.items() if key.startswith(prefix)}
        try:
            module.load_state_dict(state)
        except RuntimeError as error:
            raise ModelFilesInvalid(
                f"model.safetensors does not fit config.json in the {name} part.",
                hint="The two files must come from the same training run.",
            ) from error
    return Fastspeech2Model(config, acoustic, vocoder, device)


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise ModelFilesInvalid("model.safetensors is missing from the model folder.") from error
    except (SafetensorError, OSError) as error:
        raise ModelFilesInvalid(
            f"model.safetensors cannot be read: {error}.", hint="Download or export it again."
        ) from error
