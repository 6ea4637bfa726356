"""The fused Gaussian score against the sum written out, its paths, and the expansion against the dense path."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from voiceclone.ops import Alignment, expand, gaussian_mas, gaussian_score, mas


def problem(batch: int, mel: int, text: int, channels: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    shapes = ((batch, mel, channels), (batch, text, channels), (batch, text, channels))
    z, mean, log_scale = (torch.randn(shape, generator=random) for shape in shapes)
    return z, mean, 0.3 * log_scale


def written_out(z: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Sum over channels of the normal distribution's log-density, float64."""
    z, mean, log_scale = (part.double() for part in (z, mean, log_scale))
    apart = (z[:, :, None] - mean[:, None]) * torch.exp(-log_scale)[:, None]
    return (-0.5 * apart**2 - log_scale[:, None] - 0.5 * math.log(2 * math.pi)).sum(3)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 17, 5, 3), (3, 60, 37, 192), (0, 4, 3, 2), (2, 0, 3, 2)])
def test_the_score_is_the_log_likelihood(shape: tuple[int, int, int, int]) -> None:
    inputs = problem(*shape)
    wanted = written_out(*inputs)
    torch.testing.assert_close(gaussian_score(*inputs).double(), wanted, rtol=1e-5, atol=1e-4 * max(1, shape[3] / 8))


@pytest.mark.parametrize("shape", [(4, 90, 20, 192), (3, 33, 33, 16), (2, 50, 1, 8)])
def test_paths_are_those_of_the_score_computed_apart(shape: tuple[int, int, int, int]) -> None:
    z, mean, log_scale = problem(*shape)
    batch, mel, text, _ = shape
    frames, tokens = torch.tensor([mel, mel - 1, mel - 7, mel][:batch]), torch.tensor([text] * batch).clamp(max=mel - 7)
    found = gaussian_mas(z, mean, log_scale, frames, tokens)
    # float64 keeps what float32 could blur: the margins of these paths are far wider than its error.
    wanted = mas(written_out(z, mean, log_scale).float(), frames, tokens, layout="frames_tokens")
    assert torch.equal(found.tokens, wanted.tokens)
    assert torch.equal(found.durations, wanted.durations)


def test_half_precision_regions_do_not_touch_the_score() -> None:
    inputs = problem(2, 40, 11, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gaussian_score(*inputs)
    assert torch.equal(found, gaussian_score(*inputs))
    assert not gaussian_mas(inputs[0].requires_grad_(), *inputs[1:]).tokens.requires_grad


def test_expansion_is_the_product_with_the_dense_path() -> None:
    z, mean, log_scale = problem(3, 40, 12, 24)
    found = gaussian_mas(z, mean, log_scale, torch.tensor([40, 25, 0]), torch.tensor([12, 7, 3]))
    one, other = mean.clone().requires_grad_(), mean.clone().requires_grad_()
    expanded, product = expand(one, found.tokens), found.path("frames_tokens") @ other
    assert torch.equal(expanded, product)
    weights = torch.randn(expanded.shape, generator=torch.Generator().manual_seed(2))
    (expanded * weights).sum().backward()
    (product * weights).sum().backward()
    torch.testing.assert_close(one.grad, other.grad)
    assert torch.equal(expand(torch.zeros(2, 0, 3), torch.full((2, 4), -1)), torch.zeros(2, 4, 3))


def test_dense_paths_in_both_layouts_and_any_type() -> None:
    found = Alignment(torch.tensor([[0, 0, 2, -1]], dtype=torch.int32), torch.tensor([[2, 0, 1]], dtype=torch.int32))
    wanted = torch.tensor([[[1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]]])
    assert torch.equal(found.path("frames_tokens", torch.int64), wanted)
    assert torch.equal(found.path("tokens_frames", torch.bool), wanted.transpose(1, 2).bool())
    empty = Alignment(torch.full((1, 4), -1, dtype=torch.int32), torch.zeros((1, 0), dtype=torch.int32))
    assert empty.path("frames_tokens").shape == (1, 4, 0)


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        (((2, 4), (2, 3, 5), (2, 3, 5)), "z must be"),
        (((2, 4, 5), (2, 3, 5), (2, 3, 4)), "mean and log_scale"),
        (((2, 4, 5), (1, 3, 5), (1, 3, 5)), "same batch and channels"),
        (((2, 4, 5), (2, 3, 6), (2, 3, 6)), "same batch and channels"),
    ],
)
def test_shapes_are_checked(shapes: tuple[tuple[int, ...], ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        gaussian_score(*(torch.zeros(shape) for shape in shapes))


def test_expansion_checks_shapes() -> None:
    with pytest.raises(ValueError, match="values must be"):
        expand(torch.zeros(2, 3, 4), torch.zeros(1, 5, dtype=torch.int32))
