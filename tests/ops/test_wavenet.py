"""The WaveNet: kernels against float64, ragged batches, segments, both precisions, gradients, errors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from voiceclone import ops
from voiceclone.ops import WaveNetWeights, pack_wavenet, reference, wavenet
from voiceclone.ops.wavenet import PRECISIONS, Precision

sys.path.insert(0, str(Path(__file__).parent))
from wavenet_cases import as_double, close, condition_for, needs_native, poison_the_allocator, random_weights, signal

#: Hidden channels, kernel size, layers, dilation rate.
SHAPES = [(16, 5, 4, 1), (14, 3, 5, 2), (16, 5, 16, 1), (7, 1, 1, 1), (33, 7, 2, 3), (48, 5, 1, 1)]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("frames", [0, 1, 37, 203])
def test_agrees_with_float64(shape: tuple[int, int, int, int], frames: int, precision: Precision) -> None:
    weights = random_weights(*shape)
    x, lengths = signal(3, frames, shape[0])
    packed = pack_wavenet(weights, precision)
    for condition in (None, condition_for(weights, 3, 1), condition_for(weights, 3, frames) if frames > 1 else None):
        double = None if condition is None else condition.double()
        wanted = reference.wavenet(x.double(), lengths, double, as_double(weights))
        poison_the_allocator()
        found = wavenet(x, packed, lengths, condition)
        assert close(found, wanted, precision), float((found - wanted).abs().max())
        assert (found[1] == 0).all()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_sample_alone_is_the_same_as_in_a_batch(precision: Precision) -> None:
    weights = random_weights(20, 5, 3, 2)
    x, lengths = signal(16, 61, 20)
    condition = condition_for(weights, 16, 61)
    packed = pack_wavenet(weights, precision)
    together = wavenet(x, packed, lengths, condition)
    for sample, length in enumerate(lengths.tolist()):
        one = slice(sample, sample + 1)
        alone = wavenet(x[one, :length], packed, None, condition[one, :length].contiguous())
        if ops.describe().loaded:
            assert torch.equal(alone[0], together[sample, :length])
        else:
            torch.testing.assert_close(alone[0], together[sample, :length])
        assert (together[sample, length:] == 0).all()


@needs_native
@pytest.mark.parametrize("precision", PRECISIONS)
def test_threads_and_segments_do_not_change_the_result(precision: Precision) -> None:
    weights = random_weights(16, 5, 2, 1)
    x, lengths = signal(2, 1500, 16)
    packed = pack_wavenet(weights, precision)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = wavenet(x, packed, lengths)
        torch.set_num_threads(8)  # more than samples: time is cut
        assert torch.equal(wavenet(x, packed, lengths), one)
    finally:
        torch.set_num_threads(before)


@needs_native
def test_a_chunk_that_starts_at_a_whole_block_is_the_same_as_in_the_whole() -> None:
    weights = random_weights(16, 5, 4, 1)
    x = torch.randn(1, 600, 16, generator=torch.Generator().manual_seed(3))
    packed = pack_wavenet(weights)
    whole = wavenet(x, packed)
    halo = 40
    chunk = wavenet(x[:, 200 - halo : 400 + halo], packed)
    assert torch.equal(chunk[:, halo:-halo], whole[:, 200:400])


def test_any_strides() -> None:
    weights = random_weights(14, 3, 2, 1)
    packed = pack_wavenet(weights)
    x = torch.randn(2, 30, 14)
    wanted = wavenet(x, packed)
    assert torch.equal(wavenet(x.transpose(1, 2).contiguous().transpose(1, 2), packed), wanted)
    wide = torch.zeros(2, 60, 28)
    wide[:, ::2, ::2] = x
    assert torch.equal(wavenet(wide[:, ::2, ::2], packed), wanted)


def test_gradients() -> None:
    weights = random_weights(4, 3, 2, 1)
    leaves = [tensor.requires_grad_() for tensor in weights.tensors()]
    x = torch.randn(2, 9, 4, requires_grad=True)
    condition = condition_for(weights, 2, 1).requires_grad_()
    lengths = torch.tensor([9, 5])
    wavenet(x, pack_wavenet(weights), lengths, condition).square().sum().backward()
    for leaf in (x, condition, *leaves):
        assert leaf.grad is not None
        assert leaf.grad.abs().max() > 0
    assert x.grad is not None
    assert (x.grad[1, 5:] == 0).all()
    doubled = as_double(random_weights(4, 3, 2, 1))
    assert torch.autograd.gradcheck(
        lambda x, c: reference.wavenet(x, lengths, c, doubled),
        (x.detach().double().requires_grad_(), condition.detach().double().requires_grad_()),
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(2, 9)}, "x must be float32 of shape"),
        ({"x": torch.zeros(2, 9, 4).double()}, "x must be float32 of shape"),
        ({"x": torch.zeros(2, 9, 5)}, "x must have 4 channels"),
        ({"lengths": torch.tensor([9, 10])}, "lengths must be between 0 and 9"),
        ({"lengths": torch.tensor([9.0, 1.0])}, "lengths must be integers"),
        ({"lengths": torch.tensor([9])}, "lengths must be integers of shape"),
        ({"condition": torch.zeros(2, 1, 15)}, "condition must be"),
        ({"condition": torch.zeros(2, 3, 16)}, "condition must have 1 frame or 9"),
    ],
)
def test_wrong_arguments_are_named(change: dict[str, Tensor], message: str) -> None:
    arguments = {"x": torch.zeros(2, 9, 4), **change}
    with pytest.raises(ValueError, match=message):
        wavenet(weights=pack_wavenet(random_weights(4, 3, 2, 1)), **arguments)


def test_an_unknown_precision_is_named() -> None:
    with pytest.raises(ValueError, match="precision must be one of float32, bfloat16"):
        pack_wavenet(random_weights(4, 3, 2, 1), "float16")  # type: ignore[arg-type]


@needs_native
def test_a_wrong_spec_is_refused() -> None:
    packed = pack_wavenet(random_weights(4, 3, 2, 1)).packed
    assert packed is not None
    x, lengths = torch.zeros(1, 5, 4), torch.tensor([5], dtype=torch.int32)
    wrong = {
        "three convolutions a layer": packed.spec[:9],
        "does not fit": packed.spec[9:] + packed.spec[9 : 2 * 9],
    }
    for message, spec in wrong.items():
        with pytest.raises(RuntimeError, match=message):
            torch.ops.voiceclone.wavenet(x, lengths, None, packed.blob, spec)
    with pytest.raises(RuntimeError, match="layer 0"):
        torch.ops.voiceclone.wavenet(x, lengths, None, packed.blob[:64], packed.spec)


@needs_native
@pytest.mark.parametrize("level", ["avx2", "plain", "off"])
def test_on_lesser_machines(level: str) -> None:
    """Wavenet and coupling in a process that was told to use less than this processor has."""
    environment = {**os.environ, **({"VOICECLONE_NATIVE": "off"} if level == "off" else {"VOICECLONE_CPU": level})}
    probe = "from voiceclone import ops; import sys; sys.stderr.write(str(ops.describe()))"
    code = f"import pytest, sys; {probe}; sys.exit(pytest.main(sys.argv[1:]))"
    files = [__file__, __file__.replace("test_wavenet", "test_coupling")]
    chosen = "(agrees_with_float64 and 37 and not gpu) or alone or strides"
    arguments = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", chosen, *files]
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stdout[-2000:]
    assert " passed" in result.stdout
    if level == "off":
        assert "none (switched off" in result.stderr
    elif ops.describe().cpu != "plain":
        assert f"CPU {level}" in result.stderr


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available() or not ops.describe().cuda, reason="needs a GPU")
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_gpu_agrees_with_float64(shape: tuple[int, int, int, int], precision: Precision) -> None:
    weights = random_weights(*shape)
    on_gpu = WaveNetWeights(
        *(tuple(tensor.cuda() for tensor in group) for group in (
            weights.in_weights, weights.in_biases, weights.res_skip_weights, weights.res_skip_biases
        )),
        weights.dilation_rate,
    )  # fmt: skip
    packed = pack_wavenet(on_gpu, precision)
    for frames in (1, 37, 203):
        x, lengths = signal(3, frames, shape[0])
        condition = condition_for(weights, 3, frames)
        wanted = reference.wavenet(x.double(), lengths, condition.double(), as_double(weights))
        found = wavenet(x.cuda(), packed, lengths.cuda(), condition.cuda())
        assert close(found.cpu(), wanted, precision)
        graph = torch.cuda.CUDAGraph()
        x, lengths, condition = x.cuda(), lengths.cuda(), condition.cuda()
        with torch.cuda.graph(graph):
            again = wavenet(x, packed, lengths, condition)
        again.fill_(float("nan"))
        graph.replay()
        assert torch.equal(again, found)
