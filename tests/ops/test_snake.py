"""The anti-aliased snake: kernels against float64, odd shapes, ends, batches, errors."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from voiceclone import ops
from voiceclone.ops import reference

needs_native = pytest.mark.skipif(not ops.describe().loaded, reason="native kernels were not built")
SHAPES = [(1, 5), (2, 16), (3, 17), (31, 32), (32, 16), (33, 40), (1000, 24), (0, 3), (65, 1)]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """torch's own threads wait for each other by spinning, which takes minutes where other processes run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def arguments(time: int, channels: int, batch: int = 2, size: float = 1.0) -> tuple[Tensor, ...]:
    random = torch.Generator().manual_seed(time)
    x = torch.randn(batch, time, channels, generator=random) * size
    alpha, gain = torch.rand(channels, generator=random) * 3, torch.rand(channels, generator=random)
    return x, alpha, gain, *(torch.randn(12, generator=random) / 4 for _ in range(2))


@pytest.mark.parametrize("shape", SHAPES)
def test_against_float64(shape: tuple[int, int]) -> None:
    values = arguments(*shape)
    got = ops.snake(*values)
    wanted = reference.snake(*(value.double() for value in values))
    assert got.shape == wanted.shape
    assert got.numel() == 0 or float((got - wanted).abs().max()) < 5e-6


def test_large_angles() -> None:
    values = arguments(200, 16, size=300.0)
    wanted = reference.snake(*(value.double() for value in values))
    # The angle itself has an error of 1000 * 2^-24 already.
    assert float((ops.snake(*values) - wanted).abs().max()) < 2e-3


def test_batch_and_threads_change_no_bit() -> None:
    values = arguments(5000, 24, batch=3)
    try:
        whole = ops.snake(*values)
        assert torch.equal(ops.snake(values[0][1:2], *values[1:]), whole[1:2])
        torch.set_num_threads(3)
        assert torch.equal(ops.snake(values[0][:1], *values[1:]), whole[:1])
    finally:
        torch.set_num_threads(1)


@needs_native
@pytest.mark.parametrize("level", ["avx2", "plain", "off"])
def test_lesser_machines(level: str) -> None:
    """The same tests in a process that was told to use less than this processor has."""
    environment = {**os.environ, **({"VOICECLONE_NATIVE": "off"} if level == "off" else {"VOICECLONE_CPU": level})}
    environment["OMP_NUM_THREADS"] = "1"
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", "not lesser", __file__]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stdout[-2000:]


def test_wrong_arguments() -> None:
    x, alpha, gain, up, down = arguments(9, 4)
    with pytest.raises(ValueError, match="x must be float32"):
        ops.snake(x.double(), alpha, gain, up, down)
    with pytest.raises(ValueError, match=r"gain must be \[4\]"):
        ops.snake(x, alpha, gain[:3], up, down)
    with pytest.raises(ValueError, match=r"down must be \[12\]"):
        ops.snake(x, alpha, gain, up, down[:11])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("shape", SHAPES)
def test_the_gpu_agrees_with_the_cpu(shape: tuple[int, int]) -> None:
    values = arguments(*shape)
    wanted = reference.snake(*(value.double() for value in values))
    got = ops.snake(*(value.cuda() for value in values)).cpu()
    assert got.numel() == 0 or float((got - wanted).abs().max()) < 5e-6
