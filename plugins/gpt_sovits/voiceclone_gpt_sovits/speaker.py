"""ERes2NetV2, whose features of a voice v2Pro is conditioned on; parameter names are those of the published file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from voiceclone.checkpoints import find_tensors, load_into, read_payload
from voiceclone.errors import ModelFilesInvalid
from voiceclone_gpt_sovits.kaldi_fbank import fbank

#: Its rectifier has a ceiling.
_CEILING = 20.0


@dataclass(frozen=True, slots=True)
class SpeakerSizes:
    """The defaults are those of the published ``pretrained_eres2netv2w24s4ep4.ckpt``."""

    channels: int = 64
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    scale: int = 4
    #: Channels of a split in each stage.
    widths: tuple[int, ...] = (24, 48, 96, 192)
    #: Channels that leave each stage.
    outputs: tuple[int, ...] = (256, 512, 1024, 2048)
    embedding: int = 192
    statistics: int = 40960

    @classmethod
    def of(cls, weights: Mapping[str, Tensor]) -> SpeakerSizes:
        stages = range(1, 5)
        blocks = tuple(len({n.split(".")[1] for n in weights if n.startswith(f"layer{stage}.")}) for stage in stages)
        splits = {name.split(".")[3] for name in weights if name.startswith("layer1.0.convs.")}
        embedding, statistics = weights["seg_1.weight"].shape if "seg_1.weight" in weights else (0, 0)
        return cls(
            weights["conv1.weight"].shape[0], blocks, len(splits),
            tuple(weights[f"layer{stage}.0.convs.0.weight"].shape[0] for stage in stages),
            tuple(weights[f"layer{stage}.0.conv3.weight"].shape[0] for stage in stages), embedding, statistics,
        )  # fmt: skip


class Fusion(nn.Module):
    """Two maps ``[B, C, F, T]`` weighed against each other, place by place."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.local_att = nn.Sequential(
            nn.Conv2d(2 * channels, inner, 1), nn.BatchNorm2d(inner), nn.SiLU(),
            nn.Conv2d(inner, channels, 1), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        weight = self.local_att(torch.cat((x, y), dim=1)).tanh()
        joined: Tensor = x * (1.0 + weight) + y * (1.0 - weight)
        return joined


class Block(nn.Module):
    """A residual block whose channels are split, each split convolved together with the one before."""

    def __init__(self, inputs: int, outputs: int, width: int, scale: int, stride: int, fuses: bool) -> None:
        super().__init__()
        self.width = width
        self.conv1 = nn.Conv2d(inputs, width * scale, 1, stride, bias=False)
        self.bn1 = nn.BatchNorm2d(width * scale)
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(scale))
        self.bns = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(scale))
        self.fuse_models = nn.ModuleList(Fusion(width, width // 4) for _ in range(scale - 1) if fuses)
        self.conv3 = nn.Conv2d(width * scale, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        parts = torch.split(_clipped(self.bn1(self.conv1(x))), self.width, dim=1)
        found: list[Tensor] = []
        for index, (conv, norm) in enumerate(zip(self.convs, self.bns, strict=True)):
            part = parts[index]
            if found:
                part = self.fuse_models[index - 1](found[-1], part) if self.fuse_models else found[-1] + part
            found.append(_clipped(norm(conv(part))))
        return _clipped(self.bn3(self.conv3(torch.cat(found, dim=1))) + self.shortcut(x))


class SpeakerEncoder(nn.Module):
    """Filter banks ``[B, frames, 80]`` -> features ``[B, 20480]`` at the published size."""

    def __init__(self, sizes: SpeakerSizes) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, sizes.channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(sizes.channels)
        inputs = sizes.channels
        for stage, (count, outputs) in enumerate(zip(sizes.blocks, sizes.outputs, strict=True)):
            blocks = []
            for index in range(count):
                stride = 2 if stage and index == 0 else 1
                blocks.append(Block(inputs, outputs, sizes.widths[stage], sizes.scale, stride, stage >= 2))
                inputs = outputs
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.layer3_ds = nn.Conv2d(sizes.outputs[2], sizes.outputs[3], 3, 2, 1, bias=False)
        self.fuse34 = Fusion(sizes.outputs[3], sizes.outputs[3] // 4)
        if sizes.embedding:
            self.seg_1 = nn.Linear(sizes.statistics, sizes.embedding)

    def maps(self, banks: Tensor) -> dict[str, Tensor]:
        """The maps ``[B, C, F, T]`` after each stage and after both ends are joined ("fuse34")."""
        x = self.bn1(self.conv1(banks.transpose(1, 2)[:, None])).relu()
        found = {}
        for stage in range(1, 5):
            x = found[f"layer{stage}"] = self.get_submodule(f"layer{stage}")(x)
        found["fuse34"] = self.fuse34(x, self.layer3_ds(found["layer3"]))
        return found

    def forward(self, banks: Tensor) -> Tensor:
        """What v2Pro reads: the mean over time of every channel and frequency."""
        return self.maps(banks)["fuse34"].flatten(1, 2).mean(-1)

    def embed(self, banks: Tensor) -> Tensor:
        """The embedding ``[B, embedding]`` that the network was trained for, from mean and deviation over time."""
        x = self.maps(banks)["fuse34"].flatten(1, 2)
        deviation = (x.var(-1) + 1e-8).sqrt()
        embedding: Tensor = self.seg_1(torch.cat((x.mean(-1), deviation), dim=1))
        return embedding

    def listen(self, samples: Tensor) -> Tensor:
        """Samples ``[T]`` at 16 kHz -> ``[1, 20480]``."""
        features: Tensor = self(fbank(samples)[None])
        return features


def read_speaker_encoder(path: Path) -> SpeakerEncoder:
    """Raises ModelFilesInvalid."""
    return build_speaker_encoder(find_tensors(read_payload(path), path.name), path.name)


def build_speaker_encoder(weights: Mapping[str, Tensor], name: str) -> SpeakerEncoder:
    """The network with ``weights`` of a file called ``name``, in eval mode. Raises ModelFilesInvalid."""
    try:
        encoder = SpeakerEncoder(SpeakerSizes.of(weights))
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        raise ModelFilesInvalid(f"{name} is no ERes2NetV2: {error!r}.") from error
    load_into(encoder, weights, name, spare=lambda tensor: tensor.endswith("num_batches_tracked"))
    return encoder.eval()


def _clipped(x: Tensor) -> Tensor:
    return x.clamp(0.0, _CEILING)
