"""The coupling layer: kernels against float64, there and back, log determinants, flips, ragged batches, errors."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from voiceclone import ops
from voiceclone.ops import CouplingWeights, coupling, pack_coupling, reference
from voiceclone.ops.wavenet import PRECISIONS, Precision

sys.path.insert(0, str(Path(__file__).parent))
from wavenet_cases import as_double, close, condition_for, needs_native, poison_the_allocator, random_weights, signal

#: Channels, hidden channels, kernel size, layers, dilation rate.
SHAPES = [(20, 24, 5, 4, 1), (6, 7, 3, 3, 2), (34, 33, 1, 1, 1)]


def layer_weights(shape: tuple[int, int, int, int, int], mean_only: bool, seed: int = 5) -> CouplingWeights:
    channels, hidden, *rest = shape
    random = torch.Generator().manual_seed(seed)
    out = channels // 2 if mean_only else channels
    return CouplingWeights(
        torch.randn(hidden, channels // 2, 1, generator=random) / (channels / 2) ** 0.5,
        0.3 * torch.randn(hidden, generator=random),
        random_weights(hidden, *rest),
        0.3 * torch.randn(out, hidden, 1, generator=random) / hidden**0.5,
        0.1 * torch.randn(out, generator=random),
    )


def doubled(weights: CouplingWeights) -> CouplingWeights:
    return CouplingWeights(
        weights.pre_weight.double(), weights.pre_bias.double(), as_double(weights.wavenet),
        weights.post_weight.double(), weights.post_bias.double(), weights.swapped,
    )  # fmt: skip


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("mean_only", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("frames", [0, 1, 37, 201])
def test_agrees_with_float64(
    shape: tuple[int, int, int, int, int], mean_only: bool, reverse: bool, frames: int, precision: Precision
) -> None:
    weights = layer_weights(shape, mean_only)
    x, lengths = signal(3, frames, shape[0])
    for condition, layer in ((None, weights), (condition_for(weights.wavenet, 3, 1), weights.flipped())):
        double = None if condition is None else condition.double()
        wanted, wanted_logdet = reference.coupling(x.double(), lengths, double, doubled(layer), reverse)
        poison_the_allocator()
        found, logdet = coupling(x, pack_coupling(layer, precision), lengths, condition, reverse=reverse)
        assert close(found, wanted, precision), float((found - wanted).abs().max())
        limit = (2e-7 if precision == "float32" else 1e-3) * shape[0] * max(frames, 1)
        assert float((logdet - wanted_logdet).abs().max()) <= limit
        assert (found[1] == 0).all()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("mean_only", [False, True])
def test_back_and_there_again(mean_only: bool, precision: Precision) -> None:
    """Whatever the precision, both ways compute the same shift from the half that stays."""
    weights = pack_coupling(layer_weights(SHAPES[0], mean_only), precision)
    x = torch.randn(2, 50, 20, generator=torch.Generator().manual_seed(0))
    there, logdet = coupling(x, weights)
    back, undone = coupling(there, weights, reverse=True)
    assert (there - x).abs().max() > 0.1
    torch.testing.assert_close(back, x, rtol=0, atol=2e-6)
    torch.testing.assert_close(undone, -logdet)


def test_the_log_determinant_is_that_of_the_jacobian() -> None:
    weights = doubled(layer_weights((4, 3, 3, 1, 1), mean_only=False))
    x = torch.randn(1, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([3])
    jacobian = torch.autograd.functional.jacobian(
        lambda flat: reference.coupling(flat.view(1, 3, 4), lengths, None, weights, False)[0].flatten(), x.flatten()
    )
    _, logdet = reference.coupling(x, lengths, None, weights, False)
    torch.testing.assert_close(torch.linalg.slogdet(jacobian).logabsdet, logdet[0])


@pytest.mark.parametrize("mean_only", [False, True])
def test_a_flip_folds_into_the_weights(mean_only: bool) -> None:
    weights = layer_weights((20, 24, 5, 2, 1), mean_only)
    x = torch.randn(2, 30, 20, generator=torch.Generator().manual_seed(0))
    wanted, logdet = coupling(x.flip(2), pack_coupling(weights))
    found, folded = coupling(x, pack_coupling(weights.flipped()))
    torch.testing.assert_close(found.flip(2), wanted, rtol=0, atol=2e-6)
    torch.testing.assert_close(folded, logdet)
    twice = weights.flipped().flipped()
    assert all(torch.equal(a, b) for a, b in zip(twice.tensors(), weights.tensors(), strict=True))
    assert not twice.swapped


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_sample_alone_is_the_same_as_in_a_batch(precision: Precision) -> None:
    weights = pack_coupling(layer_weights(SHAPES[0], mean_only=False), precision)
    x, lengths = signal(16, 61, 20)
    together, logdets = coupling(x, weights, lengths)
    for sample, length in enumerate(lengths.tolist()):
        alone, logdet = coupling(x[sample : sample + 1, :length], weights)
        if ops.describe().loaded:
            assert torch.equal(alone[0], together[sample, :length])
            assert torch.equal(logdet[0], logdets[sample])
        else:
            torch.testing.assert_close(alone[0], together[sample, :length])
        assert (together[sample, length:] == 0).all()


@needs_native
def test_threads_and_segments_do_not_change_the_result() -> None:
    weights = pack_coupling(layer_weights((8, 16, 5, 2, 1), mean_only=False))
    x, lengths = signal(2, 1500, 8)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = coupling(x, weights, lengths)
        torch.set_num_threads(8)
        many = coupling(x, weights, lengths)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(one[0], many[0])
    assert torch.equal(one[1], many[1])


def test_any_strides() -> None:
    weights = pack_coupling(layer_weights(SHAPES[0], mean_only=True))
    x = torch.randn(2, 30, 20)
    wanted, _ = coupling(x, weights)
    assert torch.equal(coupling(x.transpose(1, 2).contiguous().transpose(1, 2), weights)[0], wanted)


def test_gradients() -> None:
    weights = layer_weights((6, 4, 3, 2, 1), mean_only=False)
    leaves = [tensor.requires_grad_() for tensor in weights.tensors()]
    x = torch.randn(2, 9, 6, requires_grad=True)
    y, logdet = coupling(x, pack_coupling(weights), torch.tensor([9, 4]))
    (y.square().sum() + logdet.sum()).backward()
    for leaf in (x, *leaves):
        assert leaf.grad is not None
        assert leaf.grad.abs().max() > 0


def test_wrong_channels_are_named() -> None:
    with pytest.raises(ValueError, match="x must have 20 channels"):
        coupling(torch.zeros(1, 5, 18), pack_coupling(layer_weights(SHAPES[0], mean_only=True)))


@needs_native
def test_weights_of_another_layer_are_refused() -> None:
    packed = pack_coupling(layer_weights(SHAPES[0], mean_only=True)).packed
    assert packed is not None
    lengths = torch.tensor([5], dtype=torch.int32)
    with pytest.raises(RuntimeError, match="pre or post does not fit"):
        torch.ops.voiceclone.coupling(
            torch.zeros(1, 5, 20), lengths, None, packed.blob, packed.spec, 24, False, False, False
        )
    with pytest.raises(RuntimeError, match="even number of channels"):
        torch.ops.voiceclone.coupling(
            torch.zeros(1, 5, 19), lengths, None, packed.blob, packed.spec, 24, True, False, False
        )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available() or not ops.describe().cuda, reason="needs a GPU")
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("mean_only", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_gpu_agrees_with_float64(reverse: bool, mean_only: bool, precision: Precision) -> None:
    def moved(layer: CouplingWeights) -> CouplingWeights:
        stack = layer.wavenet
        groups = (stack.in_weights, stack.in_biases, stack.res_skip_weights, stack.res_skip_biases)
        return CouplingWeights(
            layer.pre_weight.cuda(), layer.pre_bias.cuda(),
            type(stack)(*(tuple(tensor.cuda() for tensor in group) for group in groups), stack.dilation_rate),
            layer.post_weight.cuda(), layer.post_bias.cuda(), layer.swapped,
        )  # fmt: skip

    for shape in SHAPES:
        for layer in (layer_weights(shape, mean_only), layer_weights(shape, mean_only).flipped()):
            x, lengths = signal(3, 75, shape[0])
            condition: Tensor = condition_for(layer.wavenet, 3, 75)
            wanted, wanted_logdet = reference.coupling(x.double(), lengths, condition.double(), doubled(layer), reverse)
            packed = pack_coupling(moved(layer), precision)
            found, logdet = coupling(x.cuda(), packed, lengths.cuda(), condition.cuda(), reverse=reverse)
            assert close(found.cpu(), wanted, precision)
            limit = (2e-7 if precision == "float32" else 1e-3) * shape[0] * 75
            assert float((logdet.cpu() - wanted_logdet).abs().max()) <= limit
