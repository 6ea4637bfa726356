"""Decodes the first model's codes for a ragged batch of sentences over slots of one cache, by native steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from voiceclone.nn.decoder import Decoder
from voiceclone.ops import DecoderShape, Sampling
from voiceclone.ops.decode_step import COUNT, DONE, END, RUNNING
from voiceclone.ops.pack import WeightFormat
from voiceclone_gpt_sovits import sampling as defaults
from voiceclone_gpt_sovits.gpt import POSITIONS, Gpt, Layer, mask

#: Upstream's own end of patience: a minute of speech.
MOST_TOKENS = 1500


class Prefill(NamedTuple):
    """What went into the model for one sentence, what came out ``[T, C]``, and who was hidden from whom ``[T, T]``."""

    inputs: Tensor
    outputs: Tensor
    hidden: Tensor


@dataclass
class Stream:
    """One sentence on its way. ``tokens`` has no end token; ``hiddens`` is what each draw was predicted from."""

    slot: int
    sampling: Sampling
    prompt: int
    tokens: list[int]
    #: Draws made, that of the end included.
    steps: int = 0
    done: bool = False
    #: The model ended it; False where a limit did.
    ended: bool = False


def rules(
    *, top_k: int = defaults.TOP_K, top_p: float = defaults.TOP_P, temperature: float = defaults.TEMPERATURE,
    repetition_penalty: float = defaults.REPETITION_PENALTY, end: int = 1024, most: int = MOST_TOKENS,
) -> Sampling:  # fmt: skip
    """Upstream's way of drawing codes; at most ``most`` of them."""
    return Sampling(
        max(temperature, 1e-5), top_k, top_p, repetition_penalty, end, defaults.LEAST_TOKENS, most,
        top_p_first=True, end_on_argmax=True,
    )  # fmt: skip


class GptDecoder:
    """A decoder's packed weights and a cache of ``slots``, each with room for ``capacity`` phonemes and codes."""

    def __init__(
        self, gpt: Gpt, *, slots: int = 1, capacity: int = 2048, weight_format: WeightFormat = "float32",
        device: torch.device | str = "cpu",
    ) -> None:  # fmt: skip
        config = gpt.config
        self.gpt, self.capacity = gpt, capacity
        shape = DecoderShape(
            config.layers, config.width, config.heads, config.hidden, config.vocabulary, config.vocabulary, POSITIONS
        )
        self.decoder = Decoder(
            shape, _weights(gpt), slots=slots, capacity=capacity, weight_format=weight_format, device=device
        )
        self._free = list(range(slots))

    @property
    def free(self) -> int:
        """Sentences that can still be begun."""
        return len(self._free)

    def memory_bytes(self) -> int:
        return self.decoder.memory_bytes()

    @torch.inference_mode()
    def begin(self, phonemes: Tensor, features: Tensor, prompt: Tensor | None, sampling: Sampling) -> Stream:
        """Phonemes ``[L]`` with text features ``[F, L]``, of the prompt first; its codes ``[P]`` or None.

        Raises ValueError where the sentence does not fit, IndexError where every slot is taken.
        """
        return self.begin_with_taps(phonemes, features, prompt, sampling)[0]

    @torch.inference_mode()
    def begin_with_taps(
        self, phonemes: Tensor, features: Tensor, prompt: Tensor | None, sampling: Sampling
    ) -> tuple[Stream, Prefill]:
        """The same, and what the model saw."""
        text = self.gpt.text(phonemes[None], features[None])[0]
        known = 0 if prompt is None else len(prompt)
        inputs = text if prompt is None else torch.cat((text, self.gpt.audio(prompt[None])[0]))
        room = min(self.capacity - len(inputs), POSITIONS - known)
        if room < defaults.LEAST_TOKENS:
            raise ValueError(
                f"{len(phonemes)} phonemes and {known} codes of the prompt leave no room of {self.capacity}"
            )
        sampling = replace(sampling, max_tokens=min(sampling.max_tokens or room, room))
        slot = self._free.pop()
        try:
            outputs = self.decoder.prefill(slot, inputs, prefix=len(text), position=known, seen=prompt)
        except Exception:
            self._free.append(slot)
            raise
        taps = Prefill(inputs, outputs, mask(len(text), known, inputs.device))
        return Stream(slot, sampling, known, []), taps

    @torch.inference_mode()
    def step(self, streams: Sequence[Stream], noise: Tensor) -> Tensor:
        """Draw up to n more codes for each of ``streams``; ``noise`` ``[n, B, vocabulary or 1]`` as the op takes it.

        Returns ``[B, n, C]``: what each draw was predicted from.
        """
        found = self.decoder.run([stream.slot for stream in streams], [stream.sampling for stream in streams], noise)
        for stream, row in zip(streams, found.tokens.tolist(), strict=True):
            drawn = [token for token in row if token >= 0]
            state = self.decoder.state[:, stream.slot].tolist()
            stream.steps, stream.done = state[COUNT], state[DONE] != RUNNING
            stream.ended = state[DONE] == END
            # The token of the step that ended it is none of the speech, whichever it is.
            stream.tokens += drawn[:-1] if stream.ended and drawn else drawn
        return found.hiddens

    def release(self, stream: Stream) -> None:
        """Give the slot back."""
        if stream.slot >= 0:
            self._free.append(stream.slot)
            stream.slot = -1


def exponential(steps: int, generators: Sequence[torch.Generator], vocabulary: int) -> Tensor:
    """Noise ``[steps, B, vocabulary]`` of which each row comes from its own generator, whoever else is there."""
    rows = [torch.empty(steps, vocabulary).exponential_(generator=generator) for generator in generators]
    return torch.stack(rows, dim=1)


def _weights(gpt: Gpt) -> dict[str, Tensor]:
    """Under the names that :class:`DecoderShape` gives them."""
    audio = gpt.ar_audio_position
    found = {
        "embedding": gpt.ar_audio_embedding.word_embeddings.weight,
        "positions": audio.alpha * audio.table,
        "head.weight": gpt.ar_predict_layer.weight,
    }
    for index, layer in enumerate(gpt.h.layers):
        assert isinstance(layer, Layer)
        name = f"layers.{index}."
        attention = layer.self_attn
        found[name + "qkv.weight"], found[name + "qkv.bias"] = attention.in_proj_weight, attention.in_proj_bias
        parts: dict[str, nn.Linear | nn.LayerNorm] = {
            "out": attention.out_proj, "ffn_in": layer.linear1, "ffn_out": layer.linear2,
            "norm1": layer.norm1, "norm2": layer.norm2,
        }  # fmt: skip
        for part, module in parts.items():
            found[f"{name}{part}.weight"], found[f"{name}{part}.bias"] = module.weight, module.bias
    return {name: value.detach() for name, value in found.items()}
