"""What the tests of this plugin share: small checkpoints of random weights, laid out as their trainers save them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from voiceclone_vits.config import SpeakerKind, TextConfig, VitsConfig
from voiceclone_vits.net import Vits
from voiceclone_vits.symbols import VITS_SYMBOLS

from voiceclone.nn.hifigan import GeneratorConfig

#: Of the golden cases that the repository carries.
GOLDEN = Path(__file__).parents[3] / "tests" / "golden" / "cases"

MODEL = {
    "inter_channels": 32, "hidden_channels": 32, "filter_channels": 48, "n_heads": 2, "n_layers": 2, "kernel_size": 3,
    "p_dropout": 0.1, "resblock": "2", "resblock_kernel_sizes": [3, 5], "resblock_dilation_sizes": [[1, 2], [2, 6]],
    "upsample_rates": [8, 8, 4], "upsample_initial_channel": 32, "upsample_kernel_sizes": [16, 16, 8],
}  # fmt: skip
DATA = {
    "sampling_rate": 22050, "filter_length": 512, "hop_length": 256, "win_length": 512, "n_mel_channels": 20,
    "add_blank": True, "text_cleaners": ["english_cleaners2"], "n_speakers": 0,
}  # fmt: skip


def liven(net: Vits, seed: int) -> Vits:
    """Random weights loud enough to be heard, with tokens of two frames or so."""
    torch.manual_seed(seed)
    for module in net.dec.modules():
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
            nn.init.normal_(module.weight, 0.0, 1.2 / (module.weight[0].numel()) ** 0.5)
    for flow in net.flow.flows:
        if hasattr(flow, "post"):
            nn.init.normal_(flow.post.weight, 0.0, 0.05)
    if hasattr(net.dp, "flows"):
        net.dp.flows[0].m.data[0] = -0.7
    return net


def original_layout(folder: Path, *, speakers: int = 0, seed: int = 1, data: dict[str, Any] | None = None) -> Path:
    """G_7.pth and config.json as the original's train.py leaves them."""
    from voiceclone_vits.config import DurationConfig, FlowConfig, PosteriorConfig

    gin = 16 if speakers else 0
    decoder = GeneratorConfig(32, 32, (8, 8, 4), (16, 16, 8), (3, 5), ((1, 2), (2, 6)), "2", gin)
    config = VitsConfig(
        TextConfig(len(VITS_SYMBOLS), 32, 48, 2, 2), 32,
        SpeakerKind.NUMBER if speakers else SpeakerKind.ONE, speakers, gin,
        DurationConfig(filter=32), FlowConfig(hidden=32), PosteriorConfig(257, hidden=32, layers=4), decoder,
    )  # fmt: skip
    torch.manual_seed(seed)
    net = liven(Vits(config), seed)
    new, old = (".parametrizations.weight.original0", ".parametrizations.weight.original1"), (".weight_g", ".weight_v")
    state = {name.replace(new[0], old[0]).replace(new[1], old[1]): value for name, value in net.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"model": state, "iteration": 7, "optimizer": None, "learning_rate": 2e-4}, folder / "G_7.pth")
    described = {
        "train": {},
        "data": {**DATA, **(data or {})},
        "model": {**MODEL, **({"gin_channels": gin} if gin else {})},
    }
    (folder / "config.json").write_text(json.dumps(described), "utf-8")
    return folder


@pytest.fixture(scope="session")
def make() -> Callable[..., Path]:
    return original_layout


@pytest.fixture(scope="session")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One speaker, English phonemes, stochastic durations."""
    return original_layout(tmp_path_factory.mktemp("vits") / "single")


@pytest.fixture(scope="session")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three speakers."""
    return original_layout(tmp_path_factory.mktemp("vits") / "several", speakers=3)
