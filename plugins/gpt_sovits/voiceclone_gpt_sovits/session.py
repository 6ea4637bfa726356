"""One utterance being spoken: sentence by sentence, codes from the first model and samples from the second in turns."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np
import torch

from voiceclone import Chunk, Segment, Step, Utterance
from voiceclone_gpt_sovits.gpt import text_features
from voiceclone_gpt_sovits.gpt_decoding import MOST_TOKENS, Stream, rules
from voiceclone_gpt_sovits.options import GptSovitsOptions
from voiceclone_gpt_sovits.streaming import HOLD, SentenceStream
from voiceclone_gpt_sovits.voice import Voice

if TYPE_CHECKING:
    from voiceclone.types import Samples
    from voiceclone_gpt_sovits.model import GptSovitsModel, Line

#: Codes that a sentence may have for each phoneme, and beyond: where the model finds no end, this is it.
_CODES_A_PHONEME, _CODES_MORE = 12, 40
#: Later chunks have more codes, so that few seams are paid for.
_GROWTH, _LONGEST = 2, 128
_PAUSE_SECONDS = 0.2


class Session:
    """Deterministic: chunk borders, and so the samples, depend on the utterance alone."""

    def __init__(self, model: GptSovitsModel, utterance: Utterance, voice: Voice, lines: list[Line]) -> None:
        self.options: GptSovitsOptions = utterance.options or GptSovitsOptions()
        self._model, self._voice = model, voice
        self._lines = deque(enumerate(lines))
        self._speed = utterance.speaking_rate
        self._temperature = self.options.temperature if utterance.temperature is None else utterance.temperature
        self.generator = torch.Generator().manual_seed(utterance.seed % 2**63)
        self.stream: Stream | None = None
        self._sound: SentenceStream | None = None
        self._segment: Segment | None = None
        self._given, self._wanted = 0, self.options.min_chunk_length
        self.truncated = False

    @property
    def hungry(self) -> bool:
        """Needs more codes before anything can be heard."""
        if self.stream is None or self.stream.done:
            return False
        return len(self.stream.tokens) < self._given + self._wanted + HOLD

    @property
    def finished(self) -> bool:
        return self.stream is None and not self._lines

    def begin(self) -> bool:
        """Take the next sentence where there is none; False where the model has no room for it now."""
        if self.stream is not None or not self._lines:
            return True
        if not self._model.decoder.free:
            return False
        index, line = self._lines.popleft()
        voice, device = self._voice, self._model.device
        own = torch.tensor(line.phonemes, device=device)
        known = own if voice.phonemes is None else torch.cat((voice.phonemes.to(device), own))
        most = min(MOST_TOKENS, _CODES_MORE + _CODES_A_PHONEME * len(own))
        sampling = rules(
            top_k=self.options.top_k, top_p=self.options.top_p, temperature=self._temperature,
            repetition_penalty=self.options.repetition_penalty, end=self._model.gpt.config.end, most=most,
        )  # fmt: skip
        prompt = None if voice.codes is None else voice.codes.to(device)
        features = text_features(self._model.gpt.config, len(known), device=device)
        self.stream = self._model.decoder.begin(known, features, prompt, sampling)
        self._sound = SentenceStream(
            self._model.sovits, own, voice.timbre.to(device), self.generator,
            noise_scale=self.options.noise_scale, speed=self._speed,
        )  # fmt: skip
        self._segment, self._given = Segment(index, line.span, line.text), 0
        return True

    def render(self) -> Step:
        """The samples that the codes so far allow."""
        if self.stream is None or self._sound is None:
            return Step(done=self.finished)
        last = self.stream.done
        samples = self._sound.more(self.stream.tokens, last).clamp(-1.0, 1.0).float().cpu().numpy()
        self._given = max(self._given, len(self.stream.tokens) - (0 if last else HOLD))
        self._wanted = min(self._wanted * _GROWTH, _LONGEST)
        if last:
            self.truncated |= not self.stream.ended
            self._model.decoder.release(self.stream)
            self.stream = self._sound = None
            if self._lines:
                pause = np.zeros(int(_PAUSE_SECONDS * self._model.capabilities.sample_rate), np.float32)
                samples = np.concatenate((samples, pause))
        return Step(self._chunks(samples), done=self.finished, truncated=self.finished and self.truncated)

    def _chunks(self, samples: Samples) -> tuple[Chunk, ...]:
        if not len(samples):
            return ()
        chunk = Chunk(np.ascontiguousarray(samples, np.float32), (), self._segment)
        self._segment = None
        return (chunk,)

    def release(self) -> None:
        if self.stream is not None:
            self._model.decoder.release(self.stream)
        self._lines.clear()
        self.stream = self._sound = None
