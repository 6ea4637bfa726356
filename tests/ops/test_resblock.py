"""Residual blocks: kernels against float64, both kinds, pieces with context, batches, threads, errors."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from voiceclone import ops
from voiceclone.ops import packing, reference
from voiceclone.ops.packing import DType
from voiceclone.ops.reference import Convolution

NATIVE = ops.describe().loaded
needs_native = pytest.mark.skipif(not NATIVE, reason="native kernels were not built")
Blocks = list[list[Convolution]]

#: Channels, kernels, dilations, paired, rows.
SHAPES = [(32, (3, 7, 11), (1, 3, 5), True, 1000), (16, (3, 5, 7), (2, 6, 3, 12), False, 700), (20, (3,), (1, 3), True, 1),
          (40, (11, 3), (5,), True, 333), (8, (5,), (1,), False, 17), (64, (3, 7), (1, 3), True, 0)]  # fmt: skip
#: Signal to noise in dB of the added part.
LEAST = {"bfloat16": 40.0, "int8": 30.0}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """torch's own threads wait for each other by spinning, which takes minutes where other processes run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def blocks_of(channels: int, kernels: tuple[int, ...], dilations: tuple[int, ...], paired: bool) -> Blocks:
    random = torch.Generator().manual_seed(0)

    def convolution(taps: int, dilation: int) -> Convolution:
        weight = torch.randn(channels, channels, taps, generator=random) / (channels * taps) ** 0.5
        return weight, torch.randn(channels, generator=random) * 0.1, dilation

    return [
        [convolution(taps, each) for dilation in dilations for each in ((dilation, 1) if paired else (dilation,))]
        for taps in kernels
    ]


def double(blocks: Blocks) -> Blocks:
    return [[(w.double(), None if b is None else b.double(), d) for w, b, d in chain] for chain in blocks]


def ranges_of(x: Tensor, blocks: Blocks, paired: bool, block: int) -> list[packing.Range]:
    """What each convolution sees while the reference runs."""
    found = []
    for chain in blocks:
        y = x
        for n, (weight, bias, dilation) in enumerate(chain):
            start = y if not paired or n % 2 == 0 else inner
            found.append(packing.input_range(functional.leaky_relu(start, 0.1), dilation, block))
            inner = reference.conv1d(start, (weight, bias, dilation), 0.1)
            if not paired or n % 2:
                y = y + inner
    return found


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", packing.DTYPES)
@pytest.mark.parametrize("block", [1, 4])
def test_against_float64(
    shape: tuple[int, tuple[int, ...], tuple[int, ...], bool, int], dtype: DType, block: int
) -> None:
    channels, kernels, dilations, paired, time = shape
    blocks = blocks_of(channels, kernels, dilations, paired)
    x = torch.randn(2, time, channels, generator=torch.Generator().manual_seed(1))
    some = x if time else torch.randn(1, 9, channels)
    ranges = ranges_of(some, blocks, paired, block) if dtype == "int8" else None
    packed = ops.pack_resblock(blocks, paired=paired, dtype=dtype, block=block, ranges=ranges)
    wanted = reference.resblock(x.double(), double(blocks), paired, 0.1)
    for start in (0, 31):
        got = ops.resblock(x, packed, start=start)
        assert got.shape == wanted.shape
        if not time:
            continue
        error = got.double() - wanted
        if dtype == "float32" or not NATIVE:
            assert float(error.abs().max()) <= 1e-5 + 1e-5 * float(wanted.abs().max())
        else:
            added = wanted - x.double()
            assert 10 * torch.log10(added.square().sum() / error.square().sum()) > LEAST[dtype]


@needs_native
@pytest.mark.parametrize("dtype", packing.DTYPES)
@pytest.mark.parametrize("block", [1, 4])
def test_batch_pieces_and_threads_change_no_bit(dtype: DType, block: int) -> None:
    blocks = blocks_of(24, (3, 11), (1, 3, 5), True)
    x = torch.randn(4, 5000, 24, generator=torch.Generator().manual_seed(2))
    ranges = ranges_of(x[:, :300], blocks, True, block)
    packed = ops.pack_resblock(blocks, paired=True, dtype=dtype, block=block, ranges=ranges)
    try:
        whole = ops.resblock(x, packed)
        assert torch.equal(ops.resblock(x[2:3], packed), whole[2:3])
        for begin, end in ((0, 60), (1, 900), (2477, 2481), (4700, 5000)):
            low, high = max(begin - 160, 0), min(end + 160, 5000)
            piece = ops.resblock(x[:, low:high], packed, start=low, context=(begin - low, high - end))
            assert torch.equal(piece, whole[:, begin:end])
        torch.set_num_threads(3)
        assert torch.equal(ops.resblock(x[:1], packed), whole[:1])
    finally:
        torch.set_num_threads(1)


@needs_native
def test_neighbours_that_are_not_numbers_do_no_harm() -> None:
    """One sample of NaN stays alone, and a result's memory is written whole."""
    blocks = blocks_of(16, (3, 7), (1, 3), True)
    packed = ops.pack_resblock(blocks, paired=True)
    x = torch.randn(3, 100, 16, generator=torch.Generator().manual_seed(3))
    wanted = ops.resblock(x, packed)
    x[1] = float("nan")
    got = ops.resblock(x, packed)
    assert got[1].isnan().all()
    assert torch.equal(got[::2], wanted[::2])


@needs_native
@pytest.mark.parametrize("level", ["avx2", "plain", "off"])
def test_lesser_machines(level: str) -> None:
    """The same tests in a process that was told to use less than this processor has."""
    environment = {**os.environ, **({"VOICECLONE_NATIVE": "off"} if level == "off" else {"VOICECLONE_CPU": level})}
    environment["OMP_NUM_THREADS"] = "1"
    arguments = ["-q", "-x", "-p", "no:cacheprovider", "-k", "not lesser and not wrong", __file__]
    command = [sys.executable, "-m", "pytest", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stdout[-2000:]


def test_wrong_arguments() -> None:
    blocks = blocks_of(16, (3,), (1,), True)
    packed = ops.pack_resblock(blocks, paired=True)
    with pytest.raises(ValueError, match=r"x must be float32 \[B, T, 16\]"):
        ops.resblock(torch.zeros(1, 5, 8), packed)
    with pytest.raises(ValueError, match="context"):
        ops.resblock(torch.zeros(1, 5, 16), packed, context=(3, 3))
    with pytest.raises(ValueError, match="in pairs"):
        ops.pack_resblock([blocks[0][:1]], paired=True)
    with pytest.raises(ValueError, match="a weight must be"):
        ops.pack_resblock([[(torch.zeros(8, 16, 3), None, 1)]], paired=False)
    with pytest.raises(ValueError, match="1 ranges for 2"):
        ops.pack_resblock(
            blocks, paired=True, dtype="int8", ranges=ranges_of(torch.ones(1, 9, 16), blocks, True, 4)[:1]
        )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("shape", SHAPES)
def test_the_gpu_agrees_with_the_cpu(shape: tuple[int, tuple[int, ...], tuple[int, ...], bool, int]) -> None:
    channels, kernels, dilations, paired, time = shape
    blocks = blocks_of(channels, kernels, dilations, paired)
    x = torch.randn(2, time, channels, generator=torch.Generator().manual_seed(1))
    packed = ops.pack_resblock([[(w.cuda(), b.cuda(), d) for w, b, d in chain] for chain in blocks], paired=paired)
    wanted = reference.resblock(x.double(), double(blocks), paired, 0.1)
    got = ops.resblock(x.cuda(), packed).cpu()
    assert torch.allclose(got.double(), wanted, rtol=1e-5, atol=1e-5)
    if time > 40:
        part = ops.resblock(x.cuda(), packed, context=(5, 7)).cpu()
        assert torch.equal(part, got[:, 5:-7])
