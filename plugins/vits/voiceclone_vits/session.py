"""One utterance being spoken: line by line through encoder and durations, piece by piece through flow and decoder."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np
import torch

from voiceclone import Chunk, Segment, Step, Timing, Utterance
from voiceclone.errors import PhonemesInvalid, TextTooLong
from voiceclone_vits.options import VitsOptions
from voiceclone_vits.streaming import LatentStream, decode_frames
from voiceclone_vits.synthesis import Controls, expand, plan, row_noise
from voiceclone_vits.text import Line

if TYPE_CHECKING:
    from torch import Tensor

    from voiceclone_vits.model import VitsModel

#: Seconds of an utterance's first chunk and of those after it. Each seam costs the decoder's context twice, so later
#: chunks are few; but each must be ready before the one in front of it has sounded.
CHUNK_SECONDS = (0.25, 0.5, 1.0, 2.0, 4.0)


class Session:
    """Deterministic: chunk borders, and so the samples, depend on the utterance alone."""

    def __init__(self, model: VitsModel, utterance: Utterance, speaker: Tensor | None) -> None:
        options = utterance.options or VitsOptions()
        limit = model.capabilities.max_input_chars
        if len(utterance.text) > limit:
            raise TextTooLong(
                f"the text has {len(utterance.text)} characters; {limit} is the limit.", field="input.text"
            )
        self._model, self._speaker = model, speaker
        self._language = model.language(utterance.language)
        lines = model.frontend.lines(utterance, options)
        beyond = max(max(line.tokens.ids) for line in lines)
        if beyond >= model.config.text.vocabulary:
            raise PhonemesInvalid(
                f"the model has {model.config.text.vocabulary} tokens, there is no number {beyond}.", field="input.text"
            )
        self._lines = deque(enumerate(lines))
        config = model.config
        self._controls = Controls(
            config.noise_scale if options.noise_scale is None else options.noise_scale,
            config.duration_noise_scale if options.duration_noise_scale is None else options.duration_noise_scale,
            config.length_scale / utterance.speaking_rate,
        )
        self._noise = row_noise([torch.Generator().manual_seed(utterance.seed % 2**63)])
        self._latent: LatentStream | None = None
        self._g: Tensor | None = None
        self._frame = self._chunks = self._position = 0
        self._timings: deque[Timing] = deque()
        self._segment: Segment | None = None

    def step(self) -> Step:
        """The next chunk: a new line's durations first, where one is due."""
        latent = self._latent or self._begin()
        config = self._model.config
        seconds = CHUNK_SECONDS[min(self._chunks, len(CHUNK_SECONDS) - 1)]
        wanted = max(1, round(seconds * config.audio.sample_rate / config.decoder.hop))
        end = min(latent.frames, self._frame + wanted)
        if latent.frames - end < wanted // 2:
            end = latent.frames  # a short rest goes along
        samples = (
            decode_frames(self._model.net, latent, self._frame, end, self._g).clamp(-1.0, 1.0).float().cpu().numpy()
        )
        self._position += len(samples)
        chunk = Chunk(np.ascontiguousarray(samples), self._due_timings(), self._segment)
        self._segment, self._frame, self._chunks = None, end, self._chunks + 1
        self._latent = latent if end < latent.frames else None
        return Step((chunk,), done=self._latent is None and not self._lines)

    def release(self) -> None:
        self._lines.clear()
        self._latent = self._g = None

    def _begin(self) -> LatentStream:
        index, line = self._lines.popleft()
        net, device = self._model.net, self._model.device
        tokens = torch.tensor([line.tokens.ids], device=device)
        planned = plan(
            net, tokens, torch.tensor([tokens.shape[1]], device=device), self._controls, self._noise,
            speakers=self._speaker, languages=self._language,
        )  # fmt: skip
        self._g, self._frame = planned.g, 0
        self._time(index, line, planned.durations[0].tolist())
        return LatentStream(net, expand(planned, self._controls, self._noise), planned.g)

    def _time(self, index: int, line: Line, durations: list[int]) -> None:
        if not sum(durations):
            durations[-1] = 1  # a line without a single frame still gets one
        samples = [count * self._model.config.decoder.hop for count in durations]
        self._timings.extend(line.events(samples, self._position))
        self._segment = Segment(index, line.span, line.text)

    def _due_timings(self) -> tuple[Timing, ...]:
        """Timings that start in the chunk just made."""
        due = []
        while self._timings and self._timings[0].start_sample < self._position:
            due.append(self._timings.popleft())
        return tuple(due)
