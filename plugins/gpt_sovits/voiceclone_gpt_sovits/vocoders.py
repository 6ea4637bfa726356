"""The vocoders of v3 and v4 from their files: BigVGAN from a folder, HiFi-GAN from a state dict."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from voiceclone.checkpoints import find_tensors, load_into, read_json, read_payload
from voiceclone.errors import ModelFilesInvalid
from voiceclone.nn.hifigan import Generator, GeneratorConfig
from voiceclone_gpt_sovits.bigvgan import BigVgan, BigVganConfig

#: Of the published v4 vocoder, which has no configuration beside it.
_RATES = (10, 6, 2, 2, 2)
V3_RATE, V4_RATE = 24000, 48000


@dataclass(frozen=True)
class Vocoder:
    """``run`` turns mels ``[B, mels, T]`` into samples ``[B, T * hop]`` at ``sample_rate``."""

    net: nn.Module
    run: Callable[[Tensor], Tensor]
    sample_rate: int
    hop: int


def read_vocoder(path: Path) -> Vocoder:
    """A folder of BigVGAN, or the weight file of v4's vocoder. Raises ModelFilesInvalid."""
    if path.is_dir():
        config = read_json(path / "config.json")
        named = ("bigvgan_generator.*", "*.pt", "*.pth", "*.bin", "*.safetensors")
        file = next((file for name in named for file in sorted(path.glob(name))), None)
        if file is None:
            raise ModelFilesInvalid(f"{path.name} holds no weights of a vocoder.")
        return build_bigvgan(find_tensors(read_payload(file), file.name), config, file.name)
    return build_hifigan(find_tensors(read_payload(path), path.name), path.name)


def build_bigvgan(weights: Mapping[str, Tensor], data: Mapping[str, object], name: str) -> Vocoder:
    """Raises ModelFilesInvalid."""
    try:
        config = BigVganConfig.of(data)
    except (KeyError, ValueError, TypeError) as error:
        raise ModelFilesInvalid(f"the configuration beside {name} is none of BigVGAN: {error!r}.") from error
    net = BigVgan(config)
    load_into(net, weights, name)
    rate = data.get("sampling_rate", V3_RATE)
    return Vocoder(net.eval(), net, rate if isinstance(rate, int) else V3_RATE, math.prod(config.rates))


def build_hifigan(
    weights: Mapping[str, Tensor], name: str, rates: tuple[int, ...] = _RATES,
    dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5),) * 3,
) -> Vocoder:  # fmt: skip
    """Raises ModelFilesInvalid."""
    try:
        plain = [f"ups.{stage}.weight" if f"ups.{stage}.weight" in weights else f"ups.{stage}.weight_v"
                 for stage in range(len(rates))]  # fmt: skip
        first = "conv_pre.weight" if "conv_pre.weight" in weights else "conv_pre.weight_v"
        kernels = tuple(
            next(weights[f"resblocks.{block}.convs1.0.{part}"].shape[2] for part in ("weight", "weight_v")
                 if f"resblocks.{block}.convs1.0.{part}" in weights)
            for block in range(len(dilations))
        )  # fmt: skip
        channels, mels = weights[first].shape[:2]
        config = GeneratorConfig(
            mels, channels, rates, tuple(weights[layer].shape[2] for layer in plain), kernels, dilations,
            post_bias="conv_post.bias" in weights,
        )  # fmt: skip
    except (KeyError, IndexError, ValueError, StopIteration) as error:
        raise ModelFilesInvalid(f"{name} is no vocoder of GPT-SoVITS: {error!r}.") from error
    net = Generator(config)
    load_into(net, weights, name)
    return Vocoder(net.eval(), lambda mel: net(mel.transpose(1, 2)), V4_RATE, config.hop)
