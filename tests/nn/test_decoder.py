"""The decoder: writing token by token is the same as having been prefilled with those tokens; slots, forks, errors."""

from __future__ import annotations

import pytest
import torch

from voiceclone.nn.decoder import Decoder
from voiceclone.ops import DecoderShape, Sampling
from voiceclone.ops.decode_step import COUNT, DONE, LENGTH, LIMIT, RUNNING
from voiceclone.ops.pack import FORMATS, WeightFormat

SHAPES = [
    DecoderShape(2, 48, 2, 96, 50, 50, 30),
    DecoderShape(2, 64, 2, 128, 50, 51, 30, "gelu_tanh", True, 2),
]
#: Largest difference of a hidden, which is about 1; prefill rounds activations to bfloat16 where the steps use int8.
TOLERANCE = {"float32": 1e-5, "bfloat16": 0.03, "int8": 0.1}


def decoder(shape: DecoderShape, weight_format: WeightFormat = "float32", slots: int = 3) -> Decoder:
    random = torch.Generator().manual_seed(0)
    weights = {
        name: torch.randn(sizes, generator=random) / (sizes[1] ** 0.5 if len(sizes) == 2 else 10)
        for name, sizes in shape.tensors().items()
    }
    for name, value in weights.items():
        value += float("norm" in name and name.endswith("weight"))
    return Decoder(shape, weights, slots=slots, capacity=24, weight_format=weight_format)


def prompt(shape: DecoderShape, count: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(count, shape.width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("weight_format", FORMATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_steps_are_what_a_prefill_would_be(shape: DecoderShape, weight_format: WeightFormat) -> None:
    model = decoder(shape, weight_format)
    x = prompt(shape, 7)
    model.prefill(0, x, prefix=3, position=2)
    found = model.run([0], [Sampling(top_k=1)], torch.ones(6, 1, 1) * 0.5)
    fed = model._dense["embedding"][found.tokens[0, :-1].long()] + model._dense["positions"][2:7]
    hiddens = model.prefill(1, torch.cat((x, fed)), prefix=3)
    assert float((hiddens[6:] - found.hiddens[0]).abs().max()) < TOLERANCE[weight_format]
    assert model.state[LENGTH].tolist() == [12, 12, 0]
    assert model.state[COUNT].tolist() == [6, 0, 0]


def test_slots_do_not_disturb_one_another() -> None:
    shape = SHAPES[0]
    model, alone = decoder(shape), decoder(shape)
    greedy, limited = Sampling(top_k=1), Sampling(top_k=1, max_tokens=3)
    for slot in range(3):
        model.prefill(slot, prompt(shape, 4 + slot, slot))
    found = model.run([2, 0], [greedy, limited], torch.ones(5, 2, 1) * 0.5)
    alone.prefill(1, prompt(shape, 6, 2))
    wanted = alone.run([1], [greedy], torch.ones(5, 1, 1) * 0.5)
    assert torch.equal(found.tokens[0], wanted.tokens[0])
    assert torch.equal(found.hiddens[0], wanted.hiddens[0])
    assert model.state[DONE].tolist() == [LIMIT, RUNNING, RUNNING]
    assert (found.tokens[1] >= 0).sum() == 3


def test_a_fork_goes_on_as_its_source_would() -> None:
    shape = SHAPES[1]
    model = decoder(shape)
    model.prefill(0, prompt(shape, 5), seen=torch.tensor([3, 4]))
    model.run([0], [Sampling(top_k=1)], torch.ones(2, 1, 1) * 0.5)
    model.fork(0, [1, 2])
    assert model.seen[2, [3, 4]].all()
    found = model.run([0, 1, 2], [Sampling(top_k=1)] * 3, torch.ones(4, 3, 1) * 0.5)
    assert torch.equal(found.tokens[0], found.tokens[1])
    assert torch.equal(found.hiddens[0], found.hiddens[2])


def test_bad_arguments() -> None:
    model = decoder(SHAPES[0])
    with pytest.raises(ValueError, match=r"x must be \[1 to 24, 48\]"):
        model.prefill(0, torch.zeros(25, 48))
    with pytest.raises(ValueError, match="slot must be 0 to 2"):
        model.prefill(3, torch.zeros(2, 48))
    with pytest.raises(ValueError, match="slots must be distinct"):
        model.run([1, 1], [Sampling()] * 2, torch.ones(1, 2, 1))
    # A slot that nobody prefilled is done.
    assert model.run([1], [Sampling()], torch.ones(2, 1, 1) * 0.5).tokens.tolist() == [[-1, -1]]
    assert model.memory_bytes() > model.packed.weights.nbytes
