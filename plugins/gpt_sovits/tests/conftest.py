"""Weight files of tiny random models in upstream's own layouts, for the tests of this plugin."""

from __future__ import annotations

import io
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from voiceclone_gpt_sovits.files import Version
from voiceclone_gpt_sovits.gpt import Gpt, GptConfig
from voiceclone_gpt_sovits.sizes import EncoderSizes, SovitsSizes
from voiceclone_gpt_sovits.sovits import Sovits

from voiceclone.nn.hifigan import GeneratorConfig

GPT = GptConfig(layers=2, width=32, heads=4, hidden=64, phonemes=732)


def half(module: torch.nn.Module) -> dict[str, Tensor]:
    """The weights as they are published."""
    return {name: value.half() if value.is_floating_point() else value for name, value in module.state_dict().items()}


def sovits_sizes(version: Version = Version.V2, alphabet: int = 732) -> SovitsSizes:
    timbre, pro = 16, version.takes_speaker_embedding
    generator = GeneratorConfig(8, 32, (10, 8, 2, 2, 2), (16, 16, 8, 2, 2), speaker=timbre)
    encoder = EncoderSizes(16, 24, 2, 3, 1, 2, 1, 16, alphabet)
    return SovitsSizes(
        version, encoder, 32, 1024, 704, 16, timbre, 8, 2, 0.1, generator, 16, 12 if pro else 0
    )  # fmt: skip


def save_gpt(path: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    weights = OrderedDict((f"model.{name}", value) for name, value in half(Gpt(GPT)).items())
    config = {"model": {"head": GPT.heads, "EOS": GPT.end, "vocab_size": GPT.vocabulary}}
    torch.save(OrderedDict(weight=weights, config=config, info="GPT-e1"), path)
    return path


def sovits_payload(version: Version = Version.V2, alphabet: int = 732, seed: int = 0) -> OrderedDict[str, Any]:
    torch.manual_seed(seed)
    net = Sovits(sovits_sizes(version, alphabet), weight_norm=True)
    net.quantizer.table.normal_()
    return OrderedDict(weight=old_names(half(net)), config={"model": {"version": version.value}}, info="1epoch")


def old_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weight norm as upstream spells it."""
    spelled = {"original0": "weight_g", "original1": "weight_v"}
    return {
        name.replace(f".parametrizations.weight.{new}", f".{old}"): value
        for name, value in weights.items()
        for new, old in [next(((n, o) for n, o in spelled.items() if name.endswith(n)), ("original0", "weight_g"))]
    }


def save_with_head(payload: Any, path: Path, head: bytes = b"PK") -> Path:
    memory = io.BytesIO()
    torch.save(payload, memory)
    path.write_bytes(head + memory.getvalue()[2:])
    return path


@pytest.fixture(scope="session")
def tiny() -> Any:
    """The functions of this file."""
    return sys.modules[__name__]


@pytest.fixture
def gpt_file(tmp_path: Path) -> Path:
    return save_gpt(tmp_path / "s1.ckpt")


@pytest.fixture
def sovits_file(tmp_path: Path) -> Path:
    return save_with_head(sovits_payload(), tmp_path / "s2G.pth")


def save_hubert(folder: Path) -> Path:
    """As small as one can be; a frame every 320 samples."""
    from transformers import HubertConfig, HubertModel

    torch.manual_seed(0)
    config = HubertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    HubertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole model's folder."""
    folder = tmp_path_factory.mktemp("model")
    save_gpt(folder / "voice-e15.ckpt")
    save_with_head(sovits_payload(), folder / "voice_e8_s120.pth")
    save_hubert(folder / "chinese-hubert-base")
    return folder
