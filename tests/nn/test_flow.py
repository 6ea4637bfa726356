"""The coupling flow and its WaveNet as modules: packed against plain, weight norm, flips, conditions."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from voiceclone.nn.flow import ResidualCouplingBlock, ResidualCouplingLayer
from voiceclone.nn.wavenet import WN


def trained(block: ResidualCouplingBlock, seed: int = 0) -> ResidualCouplingBlock:
    """With weights everywhere: an untrained flow changes nothing. Log scales stay small, as training keeps them."""
    random = torch.Generator().manual_seed(seed)
    for name, parameter in block.named_parameters():
        size = 0.1 if ".post." in name else 1.0
        parameter.data = size * torch.randn(parameter.shape, generator=random) / (parameter[0].numel() or 1) ** 0.5
    return block.eval()


def batch(channels: int, frames: int = 41) -> tuple[Tensor, Tensor]:
    mask = (torch.arange(frames) < torch.tensor([frames, frames // 2, 1])[:, None])[:, None].float()
    return torch.randn(3, channels, frames, generator=torch.Generator().manual_seed(1)) * mask, mask


@pytest.mark.parametrize("mean_only", [False, True])
@pytest.mark.parametrize("flows", [1, 2, 3])
@pytest.mark.parametrize("gin", [0, 5])
@pytest.mark.parametrize("reverse", [False, True])
def test_packed_is_the_same_flow(mean_only: bool, flows: int, gin: int, reverse: bool) -> None:
    block = trained(ResidualCouplingBlock(10, 12, 5, 2, 3, flows, gin, mean_only))
    x, mask = batch(10)
    packed = block.pack()
    for g in (None,) if not gin else (torch.randn(3, gin, 1), torch.randn(3, gin, 41)):
        with torch.no_grad():
            wanted, wanted_logdet = block.with_logdet(x, mask, g, reverse)
        found, logdet = packed.with_logdet(x, mask, g, reverse)
        scale = float(wanted.abs().max())
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * max(1.0, scale))
        torch.testing.assert_close(logdet, wanted_logdet, rtol=1e-4, atol=1e-3)


def test_half_the_precision_is_near() -> None:
    block = trained(ResidualCouplingBlock(16, 32, 5, 1, 4))
    x, mask = batch(16, 120)
    with torch.no_grad():
        wanted = block(x, mask, reverse=True)
    error = block.pack("bfloat16")(x, mask, reverse=True) - wanted
    assert 10 * torch.log10(wanted.square().sum() / error.square().sum()) > 40
    assert error.abs().max() > 0


def test_back_and_there_again() -> None:
    packed = trained(ResidualCouplingBlock(10, 12, 5, 1, 4)).pack()
    x, mask = batch(10)
    there = packed(x, mask)
    assert (there - x).abs().max() > 0.1
    torch.testing.assert_close(packed(there, mask, reverse=True), x, rtol=0, atol=1e-4)


def test_an_untrained_flow_changes_nothing_but_trains() -> None:
    block = ResidualCouplingBlock(10, 12, 5, 1, 2)
    x, mask = batch(10)
    y = block(x, mask)
    torch.testing.assert_close(y, x)
    y.square().sum().backward()
    first = block.flows[0]
    assert isinstance(first, ResidualCouplingLayer)
    assert first.post.weight.grad is not None
    assert first.post.weight.grad.abs().max() > 0


def test_folding_leaves_copies_alone() -> None:
    network = WN(6, 3, 1, 2, gin_channels=2).eval()
    copied = copy.deepcopy(network)
    x, mask = batch(6)
    g = torch.randn(3, 2, 1)
    with torch.no_grad():
        wanted = copied(x, mask, g)
        torch.testing.assert_close(network.fold()(x, mask, g), wanted)
        assert torch.equal(copied(x, mask, g), wanted)
    assert not [name for name, _ in network.named_parameters() if "parametrizations" in name]
    assert [name for name, _ in copied.named_parameters() if "parametrizations" in name]


def test_published_names_load() -> None:
    network = WN(6, 3, 1, 2, gin_channels=2)
    old = {}
    for name, value in network.state_dict().items():
        name = name.replace("parametrizations.weight.original0", "weight_g")
        old[name.replace("parametrizations.weight.original1", "weight_v")] = value + 1.0
    assert "in_layers.0.weight_g" in old
    network.load_state_dict(old)
    assert torch.equal(
        network.state_dict()["in_layers.0.parametrizations.weight.original0"], old["in_layers.0.weight_g"]
    )


def test_a_condition_is_projected_again_when_it_changes() -> None:
    network = WN(6, 3, 1, 2, gin_channels=2).eval()
    packed = network.pack()
    x, mask = batch(6)
    g = torch.randn(3, 2, 1)
    first = packed(x, mask, g)
    assert torch.equal(packed(x, mask, g), first)
    g.add_(1.0)
    with torch.no_grad():
        torch.testing.assert_close(packed(x, mask, g), network(x, mask, g), rtol=0, atol=1e-5)


@pytest.mark.parametrize("packed", [False, True])
def test_a_missing_condition_is_named(packed: bool) -> None:
    network: nn.Module = WN(6, 3, 1, 2, gin_channels=2)
    x, mask = batch(6)
    with pytest.raises(ValueError, match=r"pass g \[B, 2, 1 or T\]"):
        (network.pack() if packed else network)(x, mask)  # type: ignore[operator]


def test_a_layer_with_more_in_it_is_not_packed() -> None:
    class WithMore(ResidualCouplingLayer):
        pass

    block = ResidualCouplingBlock(10, 12, 5, 1, 1)
    block.flows[0] = WithMore(10, 12, 5, 1, 1)
    with pytest.raises(TypeError, match="a WithMore has no fused form"):
        block.pack()


@pytest.mark.parametrize(("arguments", "message"), [((6, 4, 1, 2), "kernel_size must be odd"), ((), "even")])
def test_impossible_sizes_are_named(arguments: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WN(*arguments) if arguments else ResidualCouplingLayer(5, 4, 3, 1, 1)
