"""Weight files: versions by their contents and heads, and that nothing in a file is ever run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from voiceclone_gpt_sovits.files import Version, read_gpt, read_sovits, version_of, with_lora
from voiceclone_gpt_sovits.gpt import GptConfig, build_gpt
from voiceclone_gpt_sovits.sovits import build_sovits
from voiceclone_gpt_sovits.speaker import read_speaker_encoder
from voiceclone_gpt_sovits.vocoders import read_vocoder

from voiceclone.errors import ModelFilesInvalid


def test_gpt_sizes_come_from_the_file(tiny: Any, gpt_file: Path) -> None:
    file = read_gpt(gpt_file)
    assert GptConfig.of(file) == tiny.GPT
    assert all(value.dtype == torch.float16 for value in file.weights.values())
    gpt = build_gpt(file)
    for name, value in file.weights.items():
        assert torch.equal(gpt.state_dict()[name], value.float()), name


@pytest.mark.parametrize(
    ("version", "head", "alphabet"),
    [
        (Version.V1, b"PK", 322),
        (Version.V2, b"PK", 732),
        (Version.V2_PRO, b"05", 732),
        (Version.V2_PRO_PLUS, b"06", 732),
    ],
)
def test_versions(tiny: Any, tmp_path: Path, version: Version, head: bytes, alphabet: int) -> None:
    file = read_sovits(tiny.save_with_head(tiny.sovits_payload(version, alphabet), tmp_path / "s2.pth", head))
    assert file.version is version
    net = build_sovits(file)
    assert net.sizes.version is version
    assert net.sizes.speaker == (12 if head != b"PK" else 0)
    speaker = torch.randn(1, 12) if net.sizes.speaker else None
    timbre = net.timbre(torch.rand(1, 1025, 9), speaker)
    codes, phonemes = torch.randint(0, 1024, (1, 5)), torch.randint(0, alphabet, (1, 4))
    with torch.inference_mode():
        found = net(codes, phonemes, timbre, torch.zeros(1, 8, 10))
    assert found.samples.shape == (1, 5 * 1280)
    assert bool(found.samples.isfinite().all())


def test_what_a_file_says_counts_only_where_its_tensors_allow() -> None:
    weights = {"enc_p.text_embedding.weight": torch.zeros(322, 4)}
    assert version_of(weights, {"model": {"version": "v4"}}) is Version.V1
    flow = {"cfm.estimator.proj_out.weight": torch.zeros(1)}
    assert version_of(flow, {"model": {"version": "v4"}}) is Version.V4
    assert version_of(flow, {}) is Version.V3
    assert version_of(flow, {}, b"04") is Version.V4


class Bomb:
    """Writes a file when it is unpickled by somebody careless."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch '{self.target}'",)


@pytest.mark.parametrize(
    ("name", "head", "read"),
    [("s1.ckpt", b"PK", read_gpt), ("s2.pth", b"PK", read_sovits), ("s2.pth", b"05", read_sovits),
     ("lora.pth", b"04", read_sovits), ("vocoder.pth", b"PK", read_vocoder), ("sv.ckpt", b"PK", read_speaker_encoder)],
)  # fmt: skip
def test_a_hostile_pickle_does_not_run(
    tiny: Any, tmp_path: Path, name: str, head: bytes, read: Callable[[Path], Any]
) -> None:
    target = tmp_path / "ran"
    payload = tiny.sovits_payload()
    payload["config"] = Bomb(target)
    path = tiny.save_with_head(payload, tmp_path / name, head)
    with pytest.raises(ModelFilesInvalid):
        read(path)
    assert not target.exists()
    if head == b"PK":  # the file is as dangerous as it claims to be
        torch.load(path, weights_only=False)
        assert target.exists()


@pytest.mark.parametrize("size", [0, 1, 7, 300, 5000])
def test_files_cut_short(tmp_path: Path, sovits_file: Path, size: int) -> None:
    short = tmp_path / "short.pth"
    for head in (b"PK", b"05"):
        short.write_bytes((head + sovits_file.read_bytes()[2:])[:size])
        with pytest.raises(ModelFilesInvalid):
            read_sovits(short)


def test_files_of_something_else(tmp_path: Path, gpt_file: Path, sovits_file: Path) -> None:
    with pytest.raises(ModelFilesInvalid, match="no s1"):
        read_gpt(sovits_file)
    with pytest.raises(ModelFilesInvalid, match="no s2"):
        read_sovits(gpt_file)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ModelFilesInvalid):
        read_sovits(tmp_path / "list.pth")
    with pytest.raises(ModelFilesInvalid):
        read_sovits(tmp_path / "nothing.pth")


def test_weights_that_are_missing_or_misshapen(tiny: Any, tmp_path: Path) -> None:
    payload = tiny.sovits_payload()
    del payload["weight"]["flow.flows.2.post.bias"]
    with pytest.raises(ModelFilesInvalid, match=r"flow\.flows\.2\.post\.bias"):
        build_sovits(read_sovits(tiny.save_with_head(payload, tmp_path / "s2.pth")))
    payload = tiny.sovits_payload()
    payload["weight"]["dec.conv_pre.weight"] = torch.zeros(3)
    with pytest.raises(ModelFilesInvalid):
        build_sovits(read_sovits(tiny.save_with_head(payload, tmp_path / "s2.pth")))


def test_a_lora_needs_its_base(tiny: Any, tmp_path: Path, sovits_file: Path) -> None:
    weights = {f"cfm.base_model.model.estimator.x.lora_{side}.default.weight": torch.ones(2, 2) for side in "AB"}
    path = tiny.save_with_head({"weight": weights, "lora_rank": 2, "config": {}}, tmp_path / "lora.pth", b"04")
    lora = read_sovits(path)
    assert (lora.version, lora.lora_rank) == (Version.V4, 2)
    with pytest.raises(ModelFilesInvalid, match="cannot be put on"):
        with_lora(read_sovits(sovits_file), lora)
