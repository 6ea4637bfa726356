"""One utterance being spoken: sentence by sentence through the acoustic model, chunk by chunk through the vocoder."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np
import torch

from voiceclone import Chunk, Segment, Step, Timing, TimingKind, Utterance
from voiceclone.errors import LanguageUnsupported, TextEmpty, TextTooLong
from voiceclone.lipsync.events import events_from_durations
from voiceclone.nn.excitation import Excitation
from voiceclone.text.phonemes import parse_phonemes
from voiceclone.text.phones import PHONE_IDS
from voiceclone.text.types import Sentence
from voiceclone_fastspeech2.options import Fastspeech2Options
from voiceclone_fastspeech2.speaker import Speaker
from voiceclone_fastspeech2.synthesis import Controls, Spoken, predict_mel

if TYPE_CHECKING:
    from voiceclone_fastspeech2.model import Fastspeech2Model

#: Frames of an utterance's first chunk (0.26 s), its second, and all later ones (2 s). Each chunk pays for the frames
#: around it once more, so few are cheap; but streams that start together must all get a second while the first sounds.
CHUNK_FRAMES = (16, 32, 128)
#: A rest shorter than this goes along with the chunk before it.
LEAST_FRAMES = 48
#: Silence before the first word, in frames: the model learned more, but a listener waits for it.
LEAD_IN_FRAMES = 3


class Session:
    """Deterministic: chunk borders, and so the samples, depend on the utterance alone."""

    def __init__(self, model: Fastspeech2Model, utterance: Utterance, speaker: Speaker) -> None:
        self._model, self._speaker = model, speaker
        self._sentences = deque(enumerate(_sentences(model, utterance)))
        options = utterance.options or Fastspeech2Options()
        self._controls = Controls(
            rate=utterance.speaking_rate,
            pitch_semitones=utterance.pitch_semitones,
            pitch_range=options.pitch_range,
            energy=options.energy,
            duration_noise=options.variation,
            generator=torch.Generator().manual_seed(utterance.seed % 2**63),
        )
        self._spoken: Spoken | None = None
        self._excitation: Excitation | None = None
        self._frame = 0
        self._chunks = 0
        self._position = 0
        self._timings: deque[Timing] = deque()
        self._segment: Segment | None = None

    def step(self) -> Step:
        """The next chunk: a new sentence's prosody and spectrum first, where one is due."""
        if self._spoken is None or self._excitation is None:
            self._spoken, self._excitation = self._begin_sentence()
        spoken, frames = self._spoken, self._spoken.mel.shape[-1]
        end = min(frames, self._frame + CHUNK_FRAMES[min(self._chunks, len(CHUNK_FRAMES) - 1)])
        if frames - end < (LEAST_FRAMES if self._chunks else CHUNK_FRAMES[0]):
            end = frames
        decoded = self._model.vocoder.decode_chunk(
            spoken.mel, spoken.f0, spoken.voicing, self._excitation, self._frame, end
        )
        samples = decoded[0].clamp(-1.0, 1.0).numpy()
        self._position += len(samples)
        chunk = Chunk(np.ascontiguousarray(samples), self._due_timings(), self._segment)
        self._segment, self._frame, self._chunks = None, end, self._chunks + 1
        if end == frames:
            self._spoken = None
        return Step((chunk,), done=self._spoken is None and not self._sentences)

    def release(self) -> None:
        self._sentences.clear()
        self._spoken = self._excitation = None

    def _begin_sentence(self) -> tuple[Spoken, Excitation]:
        index, sentence = self._sentences.popleft()
        spoken = self._speak(sentence, lead_in=index == 0)
        hop = self._model.config.spectrogram.hop_length
        counts = (spoken.durations[0] * hop).tolist()
        self._frame = 0
        self._segment = Segment(index, sentence.span, sentence.normalized_text)
        whole = Timing(TimingKind.SENTENCE, self._position, sum(counts), sentence.normalized_text, sentence.span)
        self._timings.extend((whole, *events_from_durations(sentence.words, counts, self._position)))
        return spoken, self._model.vocoder.excite(spoken.f0, self._controls.generator)

    def _speak(self, sentence: Sentence, *, lead_in: bool) -> Spoken:
        phones = sentence.phones
        ids = torch.tensor([[PHONE_IDS[phone.symbol] for phone in phones]])
        stresses = torch.tensor([[phone.stress for phone in phones]])
        spoken = predict_mel(self._model.acoustic, ids, stresses, self._speaker, self._controls)
        return spoken.without_lead_in(LEAD_IN_FRAMES) if lead_in else spoken

    def _due_timings(self) -> tuple[Timing, ...]:
        """Timings that start in the chunk just made."""
        due = []
        while self._timings and self._timings[0].start_sample < self._position:
            due.append(self._timings.popleft())
        return tuple(due)


def _sentences(model: Fastspeech2Model, utterance: Utterance) -> list[Sentence]:
    """The utterance's sentences. Raises LanguageUnsupported, TextEmpty, TextTooLong and PhonemesInvalid."""
    language = utterance.language.lower()
    if language and not (language == "en" or language.startswith("en-")):
        raise LanguageUnsupported(
            f"this model speaks English, not {utterance.language!r}.",
            subject="fastspeech2-en",
            hint="Choose another model.",
        )
    limit = model.capabilities.max_input_chars
    if len(utterance.text) > limit:
        raise TextTooLong(f"the text has {len(utterance.text)} characters; {limit} is the limit.", field="input.text")
    if utterance.alphabet is not None:
        return [parse_phonemes(utterance.text, utterance.alphabet)]
    sentences = model.frontend.analyse(utterance.text, utterance.pronunciations)
    if not sentences:
        raise TextEmpty("the text has nothing in it that can be spoken.", field="input.text")
    return sentences
