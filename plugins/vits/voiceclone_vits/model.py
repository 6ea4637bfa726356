"""The backend proper: a checkpoint in, voices, sessions that give one chunk a step, and voice conversion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soxr
import torch
from pydantic import BaseModel
from torch import Tensor

from voiceclone import Capabilities, ModelInfo, Reference, Step, Utterance
from voiceclone.errors import InvalidRequest, LanguageUnsupported, ModelFilesInvalid, PreconditionFailed
from voiceclone.types import Samples
from voiceclone_vits.checkpoint import Checkpoint, read_checkpoint
from voiceclone_vits.config import SpeakerKind
from voiceclone_vits.options import VitsOptions
from voiceclone_vits.session import Session
from voiceclone_vits.symbols import Alphabet
from voiceclone_vits.synthesis import convert, row_noise
from voiceclone_vits.text import TextFrontend
from voiceclone_vits.training.forward import spectrogram_config
from voiceclone_vits.training.spectrogram import Spectrogram
from voiceclone_vits.voice import check_references, number_voice, read_voice, vector_voice


class VitsModel:
    """One loaded model; see :class:`voiceclone.Model` for the contract of each method."""

    def __init__(self, checkpoint: Checkpoint, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.config, self.speakers, self.vectors = checkpoint.config, checkpoint.speakers, checkpoint.vectors
        self.net = checkpoint.build().to(self.device)
        self.frontend = TextFrontend(checkpoint.symbols, checkpoint.languages)
        self.languages = checkpoint.languages
        self.options: type[BaseModel] = VitsOptions
        ipa = checkpoint.symbols.alphabet is Alphabet.IPA
        self.capabilities = Capabilities(
            languages=("en", "en-US") if self.frontend.reads_english else checkpoint.languages,
            sample_rate=self.config.audio.sample_rate,
            timings=self.frontend.timings,
            cloning=False,
            speaking_rate=True,
            phoneme_input=ipa,
            pronunciations=ipa and self.frontend.reads_english,
        )

    def encode_voice(self, references: Sequence[Reference]) -> bytes:
        """The default speaker, whoever is heard: a model with fixed speakers clones nobody. Raises SampleRejected."""
        check_references(references)
        return self.speaker_voice("")

    def speaker_voice(self, name: str) -> bytes:
        """One of the model's own speakers, by name or number, as a voice; "" is its first. Raises InvalidRequest."""
        if self.config.speaker_kind is SpeakerKind.VECTOR:
            vectors = self.vectors or {"0": torch.ones(self.config.speaker_channels)}
            return vector_voice(vectors[self._named(name, list(vectors))])
        names = list(self.speakers) or ["0"]
        return number_voice(names.index(self._named(name, names)))

    def _named(self, name: str, names: Sequence[str]) -> str:
        if not name:
            return names[0]
        if name in names:
            return name
        if name.isdecimal() and int(name) < len(names):
            return names[int(name)]
        shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        raise InvalidRequest(f"the model has no speaker {name!r}.", field="options.speaker", hint=f"It has: {shown}.")

    def language(self, code: str) -> Tensor | None:
        """``[1]`` number of the language, for models of several; None for others. Raises LanguageUnsupported."""
        if not self.config.text.languages:
            return None
        wanted = code.lower().replace("_", "-")
        for number, known in enumerate(self.languages):
            known = known.lower().replace("_", "-")
            if not wanted or wanted in (known, known.split("-")[0]) or known == wanted.split("-")[0]:
                return torch.tensor([number], device=self.device)
        raise LanguageUnsupported(f"this model speaks {', '.join(self.languages)}, not {code!r}.", subject="vits")

    @torch.inference_mode()
    def open(self, utterance: Utterance) -> Session:
        """Raises InvalidRequest, LanguageUnsupported or VoiceIncompatible."""
        options = utterance.options or VitsOptions()
        voice = self.speaker_voice(options.speaker) if options.speaker else utterance.voice
        speaker = read_voice(voice, self.config)
        return Session(self, utterance, None if speaker is None else speaker.to(self.device))

    @torch.inference_mode()
    def step(self, sessions: Sequence[Session]) -> list[Step]:
        # One at a time: a caller's samples must not depend on who else is speaking.
        return [session.step() for session in sessions]

    def release(self, session: Session) -> None:
        session.release()

    @torch.inference_mode()
    def convert(self, samples: Samples, sample_rate: int, source: bytes, target: bytes, seed: int = 0) -> Samples:
        """Speech ``[T]`` of the voice ``source`` said by ``target``, at the model's rate.

        Raises PreconditionFailed where the model knows one speaker only, SampleRejected, VoiceIncompatible.
        """
        if self.config.speaker_kind is SpeakerKind.ONE:
            raise PreconditionFailed("the model has one speaker, so there is no other to convert to.", subject="vits")
        check_references([Reference(samples, sample_rate)])
        speakers = [read_voice(voice, self.config) for voice in (source, target)]
        here, there = (speaker.to(self.device) for speaker in speakers if speaker is not None)
        audio = self.config.audio
        mono = np.asarray(samples, np.float32)
        if sample_rate != audio.sample_rate:
            mono = soxr.resample(mono, sample_rate, audio.sample_rate)
        analyse = Spectrogram(spectrogram_config(audio)).to(self.device)
        linear = analyse.linear(torch.from_numpy(np.ascontiguousarray(mono))[None].to(self.device))
        heard = analyse.mel(linear) if self.config.posterior.mel else linear
        frames = torch.tensor([heard.shape[2]], device=self.device)
        noise = row_noise([torch.Generator().manual_seed(seed % 2**63)])
        result: Samples = convert(self.net, heard, frames, here, there, noise).samples[0].clamp(-1, 1).cpu().numpy()
        return result

    def warm_up(self) -> None:
        """Run the text frontend and every part of the model once: the first call of each is slow."""
        self.frontend.warm_up()
        tokens = " ".join(str(number % self.config.text.vocabulary) for number in range(24))
        session = self.open(Utterance(tokens, self.speaker_voice(""), options=VitsOptions(text_form="ids")))
        while not self.step([session])[0].done:
            pass
        self.release(session)

    def memory_bytes(self) -> int:
        tensors = [*self.net.parameters(), *self.net.buffers()]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def close(self) -> None:
        """Drop the weights."""
        del self.net


def load(info: ModelInfo, device: str) -> VitsModel:
    """Factory of the backend: reads whatever VITS is at ``info.path``. Raises ModelFilesInvalid."""
    if info.path is None:
        raise ModelFilesInvalid(f"model {info.name!r} has no folder with weights.")
    return VitsModel(read_checkpoint(Path(info.path)), device)
