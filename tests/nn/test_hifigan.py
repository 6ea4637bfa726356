"""HiFi-GAN: the original's waves, packed forms against the plain one, pieces with the bits of the whole, errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from voiceclone import ops
from voiceclone.nn.hifigan import Generator, GeneratorConfig
from voiceclone.nn.hifigan_inference import PackedGenerator, calibrate
from voiceclone.ops.packing import DTYPES, DType

#: jaywalnut310/vits 2e561ba, models.Generator, random weights, folded: "weights/NAME", "x", "g", "y".
GOLDEN = Path(__file__).parent
CASES = {
    "golden_hifigan_rb1": GeneratorConfig(24, 64, (4, 4, 4), (8, 8, 8), (3, 7), ((1, 3, 5),) * 2, speaker=12),
    "golden_hifigan_rb2": GeneratorConfig(
        20, 64, (8, 8, 4), (16, 16, 8), (3, 5, 7), ((1, 2), (2, 6), (3, 12)), resblock="2"
    ),
}
SMALL = GeneratorConfig(12, 64, (5, 4), (11, 8), (3, 11), ((1, 3, 5),) * 2, speaker=6, post_bias=True)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """torch's own threads wait for each other by spinning, which takes minutes where other processes run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def golden(name: str) -> tuple[Generator, Tensor, Tensor | None, Tensor]:
    tensors = load_file(GOLDEN / f"{name}.safetensors")
    generator = Generator(CASES[name])
    weights = {key.removeprefix("weights/"): value for key, value in tensors.items() if key.startswith("weights/")}
    generator.load_state_dict(weights)
    return generator.eval(), tensors["x"], tensors.get("g"), tensors["y"]


def loud(config: GeneratorConfig) -> Generator:
    """Random weights that keep a signal's size, as trained ones do."""
    torch.manual_seed(0)
    generator = Generator(config).eval()
    for name, module in generator.named_modules():
        if isinstance(module, (nn.Conv1d, nn.ConvTranspose1d)):
            fan = module.in_channels * module.kernel_size[0] / module.stride[0]
            nn.init.normal_(module.weight, 0.0, (0.5 if name.startswith("resblocks") else 1.2) / fan**0.5)
    nn.init.normal_(generator.conv_post.weight, 0.0, 0.05)
    return generator


def packed(generator: Generator, dtype: DType, *inputs: Any) -> PackedGenerator:
    return PackedGenerator(generator, dtype, calibrate(generator, [inputs]) if dtype == "int8" else None)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("form", ["plain", "packed"])
def test_golden(name: str, form: str) -> None:
    generator, x, g, y = golden(name)
    with torch.inference_mode():
        got = PackedGenerator(generator)(x, g) if form == "packed" else generator(x, g)
    assert got.shape == y.shape
    assert float((got - y).abs().max()) <= 5e-6


@pytest.mark.parametrize(("dtype", "least"), [("float32", 100.0), ("bfloat16", 35.0), ("int8", 25.0)])
def test_packed_against_plain(dtype: DType, least: float) -> None:
    generator = loud(SMALL)
    x, g = torch.randn(2, 40, 12), torch.randn(2, 6)
    with torch.inference_mode():
        wanted = generator(x, g)
    assert float(wanted.std()) > 0.02
    noise = packed(generator, dtype, x, g)(x, g) - wanted
    assert float(10 * torch.log10(wanted.square().sum() / noise.square().sum())) > least


@pytest.mark.skipif(not ops.describe().loaded, reason="plain convolutions choose their order of sums by size")
@pytest.mark.parametrize("dtype", DTYPES)
def test_pieces_have_the_bits_of_the_whole(dtype: DType) -> None:
    generator = loud(SMALL)
    x, g = torch.randn(1, 120, 12), torch.randn(1, 6)
    decoder = packed(generator, dtype, x, g)
    whole = decoder(x, g)
    assert whole.shape == (1, 120 * 20)
    for sizes in ([7, 30], [1], [120], [50, 1, 400]):
        assert torch.equal(torch.cat(list(decoder.chunks(x, sizes, g)), dim=1), whole)
    for begin, end in ((0, 1), (33, 64), (119, 120), (5, 5)):
        low, high = decoder.needed(begin, end)
        cut = x.clone()
        cut[:, :low] = float("nan")
        cut[:, high:] = float("nan")
        assert torch.equal(decoder.piece(cut, begin, end, g), whole[:, begin * 20 : end * 20])


def test_a_sample_alone_is_the_same_as_in_a_batch() -> None:
    generator = loud(SMALL)
    x, g = torch.randn(4, 30, 12), torch.randn(4, 6)
    decoder = PackedGenerator(generator)
    together = decoder(x, g)
    alone = decoder(x[2:3], g[2:3])
    assert torch.equal(alone, together[2:3]) or not ops.describe().loaded
    assert torch.allclose(alone, together[2:3], atol=1e-6)


def test_it_trains_with_weight_norm() -> None:
    config = GeneratorConfig(4, 8, (2, 2), (4, 4), (3,), ((1, 3),))
    generator = Generator(config, weight_norm=True)
    assert "ups.0.parametrizations.weight.original0" in generator.state_dict()
    generator(torch.randn(1, 5, 4)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in generator.parameters())
    assert PackedGenerator(generator)(torch.randn(1, 5, 4)).shape == (1, 20)


def test_wrong_arguments() -> None:
    generator = Generator(SMALL)
    with pytest.raises(ValueError, match=r"frames must be floating \[B, T, 12\]"):
        generator(torch.zeros(1, 12, 9), torch.zeros(1, 6))
    with pytest.raises(ValueError, match="takes speaker vectors"):
        generator(torch.zeros(1, 9, 12))
    with pytest.raises(ValueError, match=r"speaker must be \[1, 6\]"):
        generator(torch.zeros(1, 9, 12), torch.zeros(2, 6))
    with pytest.raises(ValueError, match="int8 needs the ranges"):
        PackedGenerator(generator, "int8")
    with pytest.raises(ValueError, match="not within 0 to 9"):
        PackedGenerator(generator).piece(torch.zeros(1, 9, 12), 3, 10, torch.zeros(1, 6))
    with pytest.raises(ValueError, match="at least one batch"):
        calibrate(generator, [])
    for wrong in ({"rates": (4,)}, {"rate_kernels": (15, 16, 4, 4)}, {"kernels": (3, 7)}, {"channels": 15}):
        with pytest.raises(ValueError, match=r"must|cannot"):
            GeneratorConfig(**wrong)  # type: ignore[arg-type]
