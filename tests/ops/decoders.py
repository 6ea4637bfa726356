"""Small random decoders and the rows of a batch, for the tests of decode steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from voiceclone.ops import (
    DecoderCache,
    DecoderRows,
    DecoderShape,
    PackedDecoder,
    Sampling,
    SamplingRows,
    Steps,
    decode_step,
    pack_decoder,
    reference,
    sampling_rows,
)
from voiceclone.ops.pack import WeightFormat

#: GPT-SoVITS, VALL-E, XTTS and the one activation that none of them has; no number is a multiple of a tile.
SHAPES = {
    "post_relu": DecoderShape(2, 48, 2, 200, 77, 80, 40),
    "pre_relu": DecoderShape(2, 48, 3, 131, 65, 65, 40, "relu", True, 1),
    "pre_gelu_tanh": DecoderShape(2, 64, 2, 256, 77, 77, 40, "gelu_tanh", True, 2),
    "post_gelu": DecoderShape(1, 40, 5, 90, 33, 34, 40, "gelu", False, 1),
}
PAGE = 8


def random_weights(shape: DecoderShape, seed: int = 0) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    weights = {}
    for name, sizes in shape.tensors().items():
        value = torch.randn(sizes, generator=random)
        if "norm" in name:
            value = value * 0.1 + float(name.endswith("weight"))
        elif len(sizes) == 2 and name not in ("embedding", "positions"):
            value = value / sizes[1] ** 0.5
        weights[name] = value * (0.3 if name.endswith("bias") else 1.0)
    return weights


def packed_decoder(name: str, weight_format: WeightFormat) -> PackedDecoder:
    return pack_decoder(SHAPES[name], random_weights(SHAPES[name]), weight_format)


@dataclass
class Batch:
    """Everything a call writes to; pages are of 8 positions and lie in disorder, some rows share their first ones."""

    packed: PackedDecoder
    cache: DecoderCache
    rows: DecoderRows
    sampling: SamplingRows
    noise: Tensor

    @classmethod
    def make(
        cls, packed: PackedDecoder, batch: int, steps: int, *, cache_type: torch.dtype = torch.float32,
        uniform: bool = False, sampling: list[Sampling] | None = None, seed: int = 1,
    ) -> Batch:  # fmt: skip
        random = torch.Generator().manual_seed(seed)
        shape, entries = packed.shape, 4
        cache = DecoderCache.empty(shape, batch * entries + 2, PAGE, cache_type)
        for memory in cache[:2]:
            values = torch.randn(memory.shape, generator=random)
            memory.copy_((values * 40).clamp(-127, 127) if cache_type == torch.int8 else values)
        for scales in cache[2:]:
            scales.fill_(1 / 40)
        pages = torch.randperm(batch * entries, generator=random).view(batch, entries).int()
        length = torch.randint(10, 14, (batch,), generator=random)
        shared = torch.where(torch.arange(batch) % 3 == 1, 10, 0)
        for row in range(batch):
            if shared[row]:
                pages[row, :2] = torch.tensor([batch * entries, batch * entries + 1])
        state = torch.zeros(5, batch, dtype=torch.int32)
        state[0], state[1] = length, torch.randint(0, 9, (batch,), generator=random)
        state[2] = torch.randint(0, shape.inputs, (batch,), generator=random)
        state[2, 2::4] = -1
        noise = torch.rand(steps, batch, 1 if uniform else shape.vocabulary, generator=random)
        rows = DecoderRows(
            state, torch.randn(batch, shape.width, generator=random),
            torch.rand(batch, shape.vocabulary, generator=random) < 0.2, pages, shared.int(),
        )  # fmt: skip
        chosen = sampling or [VARIED[row % len(VARIED)] for row in range(batch)]
        return cls(packed, cache, rows, sampling_rows(chosen), noise if uniform else -noise.log())

    def clone(self) -> Batch:
        copy = [tensor.clone() for tensor in self.cache]
        rows = [None if tensor is None else tensor.clone() for tensor in self.rows]
        return Batch(self.packed, DecoderCache(*copy), DecoderRows(*rows), self.sampling, self.noise)  # type: ignore[arg-type]

    def only(self, row: int) -> Batch:
        """The same with one row, beside the whole cache."""
        one = slice(row, row + 1)
        state, hidden, seen, pages, shared = self.rows
        assert shared is not None
        rows = DecoderRows(
            state[:, one].clone(), hidden[one].clone(), seen[one].clone(), pages[one].clone(), shared[one].clone()
        )
        sampling = SamplingRows(self.sampling.settings[one], self.sampling.rules[one])
        return Batch(self.packed, self.clone().cache, rows, sampling, self.noise[:, one].contiguous())

    def native(self, begin: int = 0, end: int | None = None, **options: object) -> Steps:
        noise = self.noise[begin:end]
        return decode_step(self.packed, self.cache, self.rows, self.sampling, noise, **options)  # type: ignore[arg-type]

    def plain(self, stop_after: int = -1, scratch: Tensor | None = None) -> Steps:
        """By the phase machine."""
        steps, batch, _ = self.noise.shape
        shape = self.packed.shape
        found = Steps(
            torch.empty(batch, steps, dtype=torch.int32), torch.empty(batch, steps),
            torch.empty(batch, steps, shape.width),
        )  # fmt: skip
        scratch = torch.empty(batch, shape.scratch()) if scratch is None else scratch
        state, hidden, seen, pages, shared = self.rows
        reference.decode_step(
            self.packed.weights, shape.numbers(self.packed.weight_format), self.packed.epsilon, *self.cache, pages,
            shared, state, hidden, seen, *self.sampling, self.noise, *found, scratch, stop_after,
        )  # fmt: skip
        return found

    def written(self) -> list[Tensor]:
        return [*self.cache, *self.rows[:3]]


#: One row of each kind, and the ways to end.
VARIED = [
    Sampling(),
    Sampling(temperature=0.7, top_k=5, repetition_penalty=1.4),
    Sampling(top_p=0.8, repetition_penalty=1.5, end_token=3),
    Sampling(temperature=0.9, top_k=9, top_p=0.6, top_p_first=True, end_token=7, end_on_argmax=True, min_tokens=2),
    Sampling(top_k=1, max_tokens=3),
    Sampling(temperature=1.3, top_k=20, top_p=0.9),
]
