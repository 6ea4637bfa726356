"""Packed convolutions: kernels of every type against float64, odd shapes, pieces, batches, threads, errors."""

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

NATIVE = ops.describe().loaded
needs_native = pytest.mark.skipif(not NATIVE, reason="native kernels were not built")

#: In, out, taps, dilation, rows.
SHAPES = [(16, 32, 3, 1, 50), (16, 32, 7, 5, 500), (24, 20, 11, 3, 97), (64, 64, 5, 1, 1000), (48, 1, 7, 1, 33),
          (32, 32, 11, 5, 1), (20, 20, 1, 1, 7), (16, 16, 7, 12, 3), (17, 96, 3, 2, 640), (5, 3, 9, 1, 0)]  # fmt: skip
#: Signal to noise in dB that each type reaches on one layer; float32 is held to an absolute bound as well.
LEAST = {"float32": 120.0, "bfloat16": 46.0, "int8": 34.0}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """torch's own threads wait for each other by spinning, which takes minutes where other processes run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def decibels(got: Tensor, wanted: Tensor) -> float:
    noise = (got.double() - wanted.double()).square().sum().clamp(min=1e-30)
    return float(10 * torch.log10(wanted.double().square().sum() / noise))


def layer(inputs: int, outputs: int, taps: int, seed: int = 0) -> tuple[Tensor, Tensor, torch.Generator]:
    random = torch.Generator().manual_seed(seed)
    weight = torch.randn(outputs, inputs, taps, generator=random) / (inputs * taps) ** 0.5
    return weight, torch.randn(outputs, generator=random), random


def check_float32(got: Tensor, wanted: Tensor) -> None:
    assert got.shape == wanted.shape
    if wanted.numel():
        error = float((got.double() - wanted).abs().max())
        assert error <= 1e-5 + 1e-5 * float(wanted.abs().max()), f"off by {error}"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", packing.DTYPES)
@pytest.mark.parametrize("block", [1, 4])
def test_against_float64(shape: tuple[int, int, int, int, int], dtype: DType, block: int) -> None:
    inputs, outputs, taps, dilation, time = shape
    if block == 4 and taps < 2:
        pytest.skip("a single tap has no blocks")
    weight, bias, random = layer(inputs, outputs, taps)
    x = torch.randn(3, time, inputs, generator=random)
    wanted = reference.conv1d(x.double(), (weight.double(), bias.double(), dilation), 0.1)
    known = packing.input_range(functional.leaky_relu(x, 0.1), dilation, block) if dtype == "int8" and time else None
    if dtype == "int8" and not time:
        known = packing.input_range(torch.ones(1, 1, inputs), dilation, block)
    packed = ops.pack_conv1d(weight, bias, dilation=dilation, dtype=dtype, block=block, range=known)
    for start in (0, 7, -1_000_003):
        got = ops.conv1d(x, packed, slope=0.1, start=start)
        if dtype == "float32" or not NATIVE:
            check_float32(got, wanted)
        elif time:
            assert decibels(got, wanted) > LEAST[dtype]
            # A wrong row or channel would not show in the mean: no single value may be far off.
            assert float((got - wanted).abs().max()) < (0.3 if dtype == "int8" else 0.06)


@needs_native
@pytest.mark.parametrize("dtype", packing.DTYPES)
@pytest.mark.parametrize("block", [1, 4])
def test_batch_pieces_and_threads_change_no_bit(dtype: DType, block: int) -> None:
    weight, bias, random = layer(40, 48, 11)
    x = torch.randn(5, 9000, 40, generator=random)
    known = packing.input_range(x[:, :200], 3, block)
    packed = ops.pack_conv1d(weight, bias, dilation=3, dtype=dtype, block=block, range=known)
    try:
        whole = ops.conv1d(x, packed)
        assert torch.equal(ops.conv1d(x[3:4], packed), whole[3:4])
        for begin, end in ((1, 700), (4001, 4200), (8500, 9000)):
            low, high = max(begin - 40, 0), min(end + 40, 9000)
            piece = ops.conv1d(x[:, low:high], packed, start=low)
            assert torch.equal(piece[:, begin - low : end - low], whole[:, begin:end])
        torch.set_num_threads(3)
        assert torch.equal(ops.conv1d(x[:1], packed), whole[:1])
    finally:
        torch.set_num_threads(1)


def test_tanh_and_slope() -> None:
    weight, bias, random = layer(8, 4, 3)
    x = torch.randn(2, 31, 8, generator=random)
    got = ops.conv1d(x, ops.pack_conv1d(weight, bias), slope=0.01, tanh=True)
    check_float32(got, reference.conv1d(x.double(), (weight.double(), bias.double(), 1), 0.01, tanh=True))
    plain = ops.conv1d(x, ops.pack_conv1d(weight, None))
    check_float32(plain, functional.conv1d(x.double().mT, weight.double(), padding=1).mT)


@pytest.mark.parametrize(
    ("inputs", "outputs", "taps", "rate", "time"),
    [(16, 8, 16, 8, 10), (32, 16, 16, 10, 33), (8, 4, 4, 2, 5), (4, 2, 2, 2, 9), (6, 3, 3, 1, 4), (20, 10, 20, 10, 1),
     (64, 32, 7, 3, 50), (8, 8, 4, 2, 0)],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_upsampling(inputs: int, outputs: int, taps: int, rate: int, time: int, dtype: DType) -> None:
    random = torch.Generator().manual_seed(3)
    weight = torch.randn(inputs, outputs, taps, generator=random) / (inputs * taps / rate) ** 0.5
    bias, x = torch.randn(outputs, generator=random), torch.randn(2, time, inputs, generator=random)
    got = ops.upsample(x, ops.pack_upsample(weight, bias, rate, dtype=dtype), slope=0.1)
    wanted = reference.upsample(x.double(), weight.double(), bias.double(), rate, 0.1)
    assert got.shape == wanted.shape
    if dtype == "float32":
        check_float32(got, wanted)
    elif time:
        assert decibels(got, wanted) > LEAST["bfloat16"]


def test_nine_products_are_the_convolution() -> None:
    """The identity under blocks of four, in exact arithmetic on whole numbers."""
    random = torch.Generator().manual_seed(1)
    taps, inputs = torch.randint(-9, 9, (4,), generator=random), torch.randint(-9, 9, (7,), generator=random)
    products = (packing.nine_taps() @ taps.double()) * (packing.nine_inputs() @ inputs.double())
    p = products.view(3, 3)
    low, middle, high = p[0], p[1], p[2]
    outer = (low + middle, middle + high)
    got = [part for pair in outer for part in (pair[0] + pair[1], pair[1] + pair[2])]
    wanted = [sum(int(taps[j] * inputs[i + j]) for j in range(4)) for i in range(4)]
    assert [int(value) for value in got] == wanted


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
    weight, bias, _ = layer(8, 4, 3)
    packed = ops.pack_conv1d(weight, bias)
    with pytest.raises(ValueError, match=r"x must be float32 \[B, T, 8\]"):
        ops.conv1d(torch.zeros(1, 5, 9), packed)
    with pytest.raises(ValueError, match=r"x must be float32"):
        ops.conv1d(torch.zeros(1, 5, 8, dtype=torch.float64), packed)
    with pytest.raises(ValueError, match="odd taps"):
        ops.pack_conv1d(torch.zeros(4, 8, 2), None)
    with pytest.raises(ValueError, match="taps - rate even"):
        ops.pack_upsample(torch.zeros(4, 8, 3), None, 2)


@needs_native
def test_wrong_packing() -> None:
    weight, bias, _ = layer(8, 4, 3)
    with pytest.raises(ValueError, match="int8 needs the range"):
        ops.pack_conv1d(weight, bias, dtype="int8")
    with pytest.raises(ValueError, match="dtype must be one of"):
        ops.pack_conv1d(weight, bias, dtype="int4")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="block must be"):
        ops.pack_conv1d(weight, bias, block=3)
    packed = packing.pack_layers([packing.Layer(weight, bias)])
    x = torch.zeros(1, 5, 8)
    call = torch.ops.voiceclone.conv1d.default
    with pytest.raises(RuntimeError, match="conv1d: layer 0 reaches beyond"):
        call(x, packed.blob[:64].clone(), packed.spec, 4, 1.0, 0, False)
    with pytest.raises(RuntimeError, match="a spec has 9 integers a layer"):
        call(x, packed.blob, packed.spec[:-1], 4, 1.0, 0, False)
    with pytest.raises(RuntimeError, match="the weights do not make 40 channels"):
        call(x, packed.blob, packed.spec, 40, 1.0, 0, False)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("shape", SHAPES)
def test_the_gpu_agrees_with_the_cpu(shape: tuple[int, int, int, int, int]) -> None:
    inputs, outputs, taps, dilation, time = shape
    weight, bias, random = layer(inputs, outputs, taps)
    x = torch.randn(3, time, inputs, generator=random)
    wanted = reference.conv1d(x.double(), (weight.double(), bias.double(), dilation), 0.1)
    packed = ops.pack_conv1d(weight.cuda(), bias.cuda(), dilation=dilation)
    assert packed.native is not None
    check_float32(ops.conv1d(x.cuda(), packed, slope=0.1).cpu(), wanted)
    up = torch.randn(inputs, outputs, 8, generator=random) / (inputs * 2) ** 0.5
    wanted = reference.upsample(x.double(), up.double(), bias.double(), 4, 0.1)
    check_float32(ops.upsample(x.cuda(), ops.pack_upsample(up.cuda(), bias.cuda(), 4), slope=0.1).cpu(), wanted)
