"""The backend proper: two models in a folder, voices from recordings, sessions that decode codes together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
import torch
from pydantic import BaseModel
from torch import Tensor

from voiceclone import Capabilities, ModelInfo, Reference, Step, Utterance
from voiceclone.errors import (
    InvalidRequest,
    LanguageUnsupported,
    ModelFilesInvalid,
    SampleNotFinite,
    SampleSilent,
    SampleTooShort,
    TextEmpty,
    TextTooLong,
)
from voiceclone.types import TextSpan
from voiceclone_gpt_sovits.content_features import SAMPLE_RATE
from voiceclone_gpt_sovits.folder import ModelFolder
from voiceclone_gpt_sovits.gpt_decoding import GptDecoder, exponential
from voiceclone_gpt_sovits.options import GptSovitsOptions
from voiceclone_gpt_sovits.session import Session
from voiceclone_gpt_sovits.sovits import mean_timbre
from voiceclone_gpt_sovits.spectrogram import REFERENCE, linear
from voiceclone_gpt_sovits.text.alphabet import alphabet
from voiceclone_gpt_sovits.text.frontend import english, spelled
from voiceclone_gpt_sovits.voice import Voice, read_voice

#: Seconds of a recording: fewest, and most that its words are taken into account of.
_LEAST_SECONDS, _MOST_SECONDS = 0.5, 10.0
#: Sentences decoded side by side, and phonemes and codes that each may have.
_SLOTS, _CAPACITY = 4, 1400
#: Codes of one step.
_STEP = 8


@dataclass(frozen=True)
class Line:
    """One sentence: where it stands, what it says, and its phonemes by number."""

    span: TextSpan
    text: str
    phonemes: list[int]


class GptSovitsModel:
    """One loaded pair of models; see :class:`voiceclone.Model` for the contract of each method."""

    def __init__(self, folder: ModelFolder, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.gpt, self.sovits = folder.build_gpt().to(self.device), folder.build_sovits().to(self.device)
        self.decoder = GptDecoder(self.gpt, slots=_SLOTS, capacity=_CAPACITY, device=self.device)
        self._features, self._speaker = folder.build_content_features(), folder.build_speaker_encoder()
        self.alphabet = alphabet(self.gpt.config.phonemes)
        self.options: type[BaseModel] = GptSovitsOptions
        self.capabilities = Capabilities(
            languages=("en", "en-US"), sample_rate=REFERENCE.sample_rate, speaking_rate=True, pronunciations=True,
            temperature=True, max_batch_size=_SLOTS,
        )  # fmt: skip

    @torch.inference_mode()
    def encode_voice(self, references: Sequence[Reference]) -> bytes:
        """The first recording is the prompt where its words are known; the timbre is the mean of all.

        Raises SampleRejected, or ModelFilesInvalid where the folder has no HuBERT.
        """
        if not references:
            raise InvalidRequest("a voice needs at least one recording.", field="samples")
        timbres = [self._timbre(_mono(reference), reference.sample_rate) for reference in references]
        first = references[0]
        codes = phonemes = None
        seconds = len(first.samples) / first.sample_rate
        if first.transcript.strip() and seconds <= _MOST_SECONDS and _english(first.language):
            lines = self.lines(first.transcript, GptSovitsOptions())
            phonemes = torch.tensor([number for line in lines for number in line.phonemes])
            codes = self._codes(_mono(first), first.sample_rate)
        return Voice(mean_timbre(timbres).cpu(), codes, phonemes).to_bytes()

    def _timbre(self, samples: Tensor, rate: int) -> Tensor:
        heard = _resampled(samples, rate, REFERENCE.sample_rate)
        heard = heard / heard.abs().max().clamp(1.0, 2.0)
        speaker = None
        if self.sovits.sizes.speaker:
            if self._speaker is None:
                raise ModelFilesInvalid("voices of v2Pro need ERes2NetV2, which is not in the model's folder.",
                                        hint="Put pretrained_eres2netv2w24s4ep4.ckpt there.")  # fmt: skip
            speaker = self._speaker.listen(_resampled(samples, rate, SAMPLE_RATE)).to(self.device)
        return self.sovits.timbre(linear(heard[None].to(self.device), REFERENCE), speaker)

    def _codes(self, samples: Tensor, rate: int) -> Tensor:
        if self._features is None:
            raise ModelFilesInvalid("a recording with its words needs HuBERT, which is not in the model's folder.",
                                    hint="Put the folder chinese-hubert-base there.")  # fmt: skip
        features = self._features(_resampled(samples, rate, SAMPLE_RATE)).to(self.device)
        return self.sovits.extract(features)[0].cpu()

    def lines(self, text: str, options: GptSovitsOptions, pronunciations: Sequence[object] = ()) -> list[Line]:
        """Raises TextEmpty, TextTooLong or InvalidRequest."""
        if len(text) > self.capabilities.max_input_chars:
            raise TextTooLong(f"the text has {len(text)} characters; {self.capabilities.max_input_chars} is the limit.",
                              field="input.text")  # fmt: skip
        if options.text_form == "phonemes":
            found = [Line(TextSpan(0, len(text)), text, self.alphabet.encode(text.split()))]
        else:
            sentences = english().analyse(text, pronunciations)  # type: ignore[arg-type]
            found = [Line(item.span, item.normalized_text, self.alphabet.encode(spelled(item))) for item in sentences]
        found = [line for line in found if line.phonemes]
        if not found:
            raise TextEmpty("the text has nothing in it that this model can say.", field="input.text")
        return found

    def open(self, utterance: Utterance) -> Session:
        """Raises InvalidRequest, LanguageUnsupported or VoiceIncompatible."""
        if not _english(utterance.language):
            raise LanguageUnsupported(f"this backend reads English, not {utterance.language!r} yet.",
                                      subject="gpt_sovits")  # fmt: skip
        options = utterance.options or GptSovitsOptions()
        lines = self.lines(utterance.text, options, utterance.pronunciations)
        sizes = self.sovits.sizes
        return Session(
            self, utterance, read_voice(utterance.voice, sizes.timbre, sizes.codes, len(self.alphabet)), lines
        )

    @torch.inference_mode()
    def step(self, sessions: Sequence[Session]) -> list[Step]:
        begun = [session.begin() for session in sessions]
        hungry = [session for session in sessions if session.hungry]
        if hungry:
            vocabulary = self.gpt.config.vocabulary
            noise = exponential(_STEP, [session.generator for session in hungry], vocabulary).to(self.device)
            self.decoder.step([session.stream for session in hungry if session.stream], noise)
        return [Step() if not ready or session.hungry else session.render()
                for session, ready in zip(sessions, begun, strict=True)]  # fmt: skip

    def release(self, session: Session) -> None:
        session.release()

    def warm_up(self) -> None:
        """Run the text frontend and both models once."""
        voice = Voice(torch.zeros(1, self.sovits.sizes.timbre, 1)).to_bytes()
        session = self.open(Utterance("Ready.", voice, options=GptSovitsOptions()))
        self.step([session])
        self.release(session)

    def memory_bytes(self) -> int:
        tensors = [tensor for net in (self.gpt, self.sovits) for tensor in (*net.parameters(), *net.buffers())]
        return sum(tensor.nbytes for tensor in tensors) + self.decoder.memory_bytes()

    def close(self) -> None:
        """Drop the weights."""
        del self.decoder, self.gpt, self.sovits


def load(info: ModelInfo, device: str) -> GptSovitsModel:
    """Factory of the backend: the files in the folder ``info.path``. Raises ModelFilesInvalid."""
    if info.path is None:
        raise ModelFilesInvalid(f"model {info.name!r} has no folder with weights.")
    return GptSovitsModel(ModelFolder.find(Path(info.path)), device)


def _english(language: str) -> bool:
    return language.replace("_", "-").split("-")[0].lower() in ("", "en")


def _mono(reference: Reference) -> Tensor:
    """Raises SampleRejected."""
    samples = np.asarray(reference.samples, np.float32)
    if not np.isfinite(samples).all():
        raise SampleNotFinite("the recording holds values that are no numbers.", field="samples")
    if len(samples) < _LEAST_SECONDS * reference.sample_rate:
        raise SampleTooShort(f"the recording is shorter than {_LEAST_SECONDS} s.", field="samples")
    if np.abs(samples).max() < 1e-4:
        raise SampleSilent("the recording is silent.", field="samples")
    return torch.from_numpy(samples.copy())


def _resampled(samples: Tensor, rate: int, wanted: int) -> Tensor:
    if rate == wanted:
        return samples
    return torch.from_numpy(np.ascontiguousarray(soxr.resample(samples.numpy(), rate, wanted)))
