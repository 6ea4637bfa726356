"""Upstream's own way from sentences to audio, for ``compat="upstream"``: batches rendered as one, streams with repeats.

Ours renders each sentence by itself (see session.py): there sentences of a batch attend to each other, a sentence that
no end was found for loses a code, and each chunk of a stream encodes all codes before it again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from voiceclone.ops import Sampling
from voiceclone_gpt_sovits.content import Tail
from voiceclone_gpt_sovits.gpt_decoding import MOST_TOKENS, GptDecoder, Stream
from voiceclone_gpt_sovits.sovits import Sovits
from voiceclone_gpt_sovits.splicing import best_shift, quieted
from voiceclone_gpt_sovits.token_chunks import Chunks

#: Chunks of fewer codes than this are rendered with a longer overlap.
_SHORT = 10
_SEARCH = 320

#: Gives noise of a shape, and the exponential draws of n codes for some rows ``[n, B, vocabulary]``.
Noise = Callable[[tuple[int, ...]], Tensor]
Draws = Callable[[int, int], Tensor]


@dataclass(frozen=True)
class Sentence:
    """Its own phonemes ``[L]``, and those of the prompt and its own with their text features ``[F, P + L]``."""

    phonemes: Tensor
    all_phonemes: Tensor
    all_features: Tensor


class UpstreamPipeline:
    """One voice: the prompt's codes ``[P]`` or None, and the timbre ``[1, C, 1]``."""

    def __init__(
        self, gpt: GptDecoder, sovits: Sovits, prompt: Tensor | None, timbre: Tensor, sampling: Sampling, early: int,
        draws: Draws, noise: Noise,
    ) -> None:  # fmt: skip
        """``early``: codes after which a sentence is cut short; ``draws`` and ``noise`` give randomness."""
        self.gpt, self.sovits, self.prompt, self.timbre = gpt, sovits, prompt, timbre
        self.sampling = replace(sampling, max_tokens=min(early + 1, MOST_TOKENS))
        self.draws, self.noise = draws, noise

    def speak(self, batch: Sequence[Sentence], *, parallel: bool, speed: float = 1.0) -> list[Tensor]:
        """Samples ``[T]`` of each sentence; ``parallel``: decoded together. At speed 1 all become sound at once."""
        parallel = parallel and self.prompt is not None
        streams = self._decoded(batch)
        codes = []
        for stream in streams:
            kept = stream.tokens if stream.ended or not parallel else stream.tokens[:-1]
            # So many from the end: where no end was found and the last one stayed, the first one goes.
            count = 0 if self.prompt is None else stream.steps - 1
            codes.append(torch.tensor(kept[-count:], device=self.timbre.device))
        if speed != 1.0:
            return [self._rendered(row, item.phonemes, speed) for row, item in zip(codes, batch, strict=True)]
        whole = self._rendered(torch.cat(codes), torch.cat([item.phonemes for item in batch]), speed)
        hop = self.sovits.sizes.stride * self.sovits.sizes.hop
        return list(torch.split(whole, [len(row) * hop for row in codes]))

    def stream(self, sentence: Sentence, chunks: Chunks, *, overlap: int = 2, speed: float = 1.0) -> Iterator[Tensor]:
        """Samples ``[T]`` chunk by chunk; ``overlap`` in codes."""
        stream = self._decoded([sentence])[0]
        stride = self.sovits.sizes.stride
        rate = self.sovits.sizes.hop * stride / speed
        fade = math.ceil(overlap * rate)
        spoken: list[int] = []
        last, latent = None, None
        for tokens, final in _with_end(chunks, stream):
            if not tokens:
                if last is not None:
                    yield quieted(last[-fade:])
                return
            spoken += tokens
            behind = overlap + max(0, _SHORT - len(tokens)) if last is not None else overlap
            tail = None
            if latent is not None:
                tail = Tail((len(tokens) + behind) * stride, latent[:, :, -behind * stride :])
            codes = torch.tensor([spoken], device=self.timbre.device)
            content = self.sovits.content(codes, sentence.phonemes[None], self.timbre, speed=speed, tail=tail)
            z = self.sovits.latent(content, self.timbre, self.noise(tuple(content.m.shape)))
            samples = self.sovits.samples(z, self.timbre)[0]
            latent = content.unhurried
            if behind > overlap:
                samples = samples[-int((overlap + len(tokens)) * rate) :]
            given = samples
            if last is None and not final:
                given = samples[:-fade]
            elif last is not None and not final:
                samples, shift = _faded(last, samples, fade)
                given = samples[shift:-fade]
            last = samples
            yield quieted(given)

    def _decoded(self, batch: Sequence[Sentence]) -> list[Stream]:
        streams = [self.gpt.begin(item.all_phonemes, item.all_features, self.prompt, self.sampling) for item in batch]
        try:
            self.gpt.step(streams, self.draws(self.sampling.max_tokens, len(streams)))
        finally:
            for stream in streams:
                self.gpt.release(stream)
        return streams

    def _rendered(self, codes: Tensor, phonemes: Tensor, speed: float) -> Tensor:
        content = self.sovits.content(codes[None], phonemes[None], self.timbre, speed=speed)
        z = self.sovits.latent(content, self.timbre, self.noise(tuple(content.m.shape)))
        return self.sovits.samples(z, self.timbre)[0]


def _faded(last: Tensor, samples: Tensor, fade: int) -> tuple[Tensor, int]:
    """``samples`` with the end of ``last`` faded into them where they are most alike, and that place."""
    shift = best_shift(last[-fade:], samples[: fade + _SEARCH])
    window = torch.hann_window(2 * fade, device=samples.device)
    joined = window[:fade] * samples[shift : shift + fade] + window[fade:] * last[-fade:]
    return torch.cat((samples[:shift], joined, samples[shift + fade :])), shift


def _with_end(chunks: Chunks, stream: Stream) -> Iterator[tuple[list[int], bool]]:
    """Chunks with whether each is the last, which may have nothing."""
    # Of a sentence that was cut short, the last code comes with the news of its end and completes no chunk.
    late = [] if stream.ended else stream.tokens[-1:]
    for token in stream.tokens[: len(stream.tokens) - len(late)]:
        if (chunk := chunks.add(token)) is not None:
            yield chunk, False
    yield [*chunks.rest(), *late], True
