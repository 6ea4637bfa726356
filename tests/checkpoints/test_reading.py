"""Weight files of others: what is in them is read, what would run is refused, what is damaged is named."""

from __future__ import annotations

import argparse
import os
import pathlib
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations

from voiceclone.checkpoints import (
    Record,
    adapt_weight_norm,
    find_tensors,
    load_into,
    old_spelling,
    read_json,
    read_payload,
    strip_prefix,
)
from voiceclone.errors import ModelFilesInvalid


class Bomb:
    """Runs a command when it is unpickled the careless way."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.target}",)


class HParams:
    """As the originals keep their settings inside checkpoints."""

    def __init__(self) -> None:
        self.sampling_rate = 22050


@pytest.mark.parametrize("zipped", [True, False])
def test_a_hostile_pickle_does_not_run(tmp_path: Path, zipped: bool) -> None:
    struck = tmp_path / "struck"
    payload = {"model": {"w": torch.ones(2)}, "config": Bomb(struck)}
    torch.save(payload, tmp_path / "G_0.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelFilesInvalid, match=r"G_0\.pth wants (posix|os)\.system to be run"):
        read_payload(tmp_path / "G_0.pth")
    assert not struck.exists()
    # The proof that the file is loaded: read the careless way it strikes.
    torch.load(tmp_path / "G_0.pth", weights_only=False)
    assert struck.exists()


def test_a_bare_pickle_does_not_run_either(tmp_path: Path) -> None:
    struck = tmp_path / "struck"
    (tmp_path / "model.pth").write_bytes(pickle.dumps(Bomb(struck)))
    with pytest.raises(ModelFilesInvalid):
        read_payload(tmp_path / "model.pth")
    assert not struck.exists()


def test_what_trainers_keep_beside_weights_is_read(tmp_path: Path) -> None:
    payload = {
        "state_dict": OrderedDict(w=torch.arange(3.0)),
        "path": pathlib.PosixPath("data/train.csv"),
        "arguments": argparse.Namespace(epochs=3),
        "loss": np.float64(0.5),
        "curve": np.arange(3, dtype=np.float32),
    }
    torch.save(payload, tmp_path / "last.ckpt")
    read = read_payload(tmp_path / "last.ckpt")
    assert read["path"] == "data/train.csv"
    assert read["arguments"].epochs == 3
    assert float(read["loss"]) == 0.5
    assert read["curve"].tolist() == [0, 1, 2]
    assert torch.equal(find_tensors(read)["w"], torch.arange(3.0))


def test_a_foreign_object_is_read_as_a_record_where_it_is_named(tmp_path: Path) -> None:
    torch.save({"weight": {"w": torch.ones(1)}, "config": HParams()}, tmp_path / "s2.pth")
    with pytest.raises(ModelFilesInvalid, match="HParams"):
        read_payload(tmp_path / "s2.pth")
    config = read_payload(tmp_path / "s2.pth", [f"{HParams.__module__}.{HParams.__qualname__}"])["config"]
    assert isinstance(config, Record)
    assert config.sampling_rate == 22050


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "is no weight file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"PK\x03\x04" + bytes(60), "damaged"),
        (b"\x80\x02}q\x00.garbage", "damaged|no weight file|is no"),
        ((2**20).to_bytes(8, "little") + b'{"w":', "damaged"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "model.pth").write_bytes(content)
    with pytest.raises(ModelFilesInvalid, match=rf"model\.pth.*({message})"):
        find_tensors(read_payload(tmp_path / "model.pth"), "model.pth")


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    torch.save({"model": {"w": torch.randn(1000)}}, tmp_path / "G.pth")
    whole = (tmp_path / "G.pth").read_bytes()
    for end in (10, 100, len(whole) // 2, len(whole) - 30):
        (tmp_path / "G.pth").write_bytes(whole[:end])
        with pytest.raises(ModelFilesInvalid, match=r"G\.pth"):
            read_payload(tmp_path / "G.pth")


def test_bytes_flipped_inside_are_found(tmp_path: Path) -> None:
    torch.save({"model": {"w": torch.zeros(1000)}}, tmp_path / "G.pth")
    with zipfile.ZipFile(tmp_path / "G.pth") as archive:
        names = [name for name in archive.namelist() if name.endswith("data.pkl")]
    content = bytearray((tmp_path / "G.pth").read_bytes())
    place = content.find(b"_rebuild_tensor_v2")
    content[place : place + 8] = b"x" * 8
    (tmp_path / "G.pth").write_bytes(bytes(content))
    assert names
    with pytest.raises(ModelFilesInvalid, match=r"G\.pth"):
        read_payload(tmp_path / "G.pth")


def test_missing_files_and_bad_json_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFilesInvalid, match=r"G\.pth cannot be read"):
        read_payload(tmp_path / "G.pth")
    with pytest.raises(ModelFilesInvalid, match=r"config\.json is missing"):
        read_json(tmp_path / "config.json")
    for text in ("{", "[1]", '{"a": 1'):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ModelFilesInvalid, match=r"config\.json"):
            read_json(tmp_path / "config.json")


def test_tensors_are_found_under_wrappers_and_prefixes() -> None:
    w = torch.ones(1)
    assert list(find_tensors({"model": {"module.w": w, "module.b": w}, "step": 1})) == ["w", "b"]
    assert list(find_tensors({"_orig_mod.w": w})) == ["w"]
    assert strip_prefix({"model_g.w": w, "model_d.w": w}, "model_g.") == {"w": w}
    with pytest.raises(ModelFilesInvalid, match="no tensors"):
        find_tensors({"model": {"a": 1}})
    with pytest.raises(ModelFilesInvalid, match="holds a list"):
        find_tensors([1])


@pytest.mark.parametrize("layer", [nn.Conv1d(4, 6, 3), nn.ConvTranspose1d(4, 6, 4, 2), nn.Conv2d(2, 3, (5, 1))])
def test_every_spelling_of_weight_norm_computes_the_same(layer: nn.Module) -> None:
    plain = {name: value.clone() for name, value in layer.state_dict().items()}
    normed = nn.Sequential(parametrizations.weight_norm(layer))
    with torch.no_grad():
        layer.parametrizations.weight.original0.mul_(1.3)  # type: ignore[union-attr]
    new = normed.state_dict()
    old = old_spelling(new)
    assert set(old) == {"0.bias", "0.weight_g", "0.weight_v"}
    expected = layer.weight.detach()  # type: ignore[union-attr]
    for spelling in (new, old):
        folded = adapt_weight_norm(spelling, ["0.weight", "0.bias"])
        assert torch.equal(folded["0.weight"], expected)
        back = adapt_weight_norm(folded, new)
        torch.testing.assert_close(back["0.parametrizations.weight.original0"].flatten(),
                                   layer.parametrizations.weight.original0.flatten())  # type: ignore[union-attr]  # fmt: skip
    assert set(adapt_weight_norm({f"0.{name}": value for name, value in plain.items()}, new)) == set(new)


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    good = module.state_dict()
    load_into(module, {name: value.half() for name, value in good.items()}, "G.pth")
    assert module[0].weight.dtype == torch.float32
    bad = {**good, "1.weight": torch.zeros(5, 2), "extra": torch.zeros(1)}
    del bad["0.bias"]
    with pytest.raises(ModelFilesInvalid) as caught:
        load_into(module, bad, "G.pth")
    text = str(caught.value)
    assert "missing: 0.bias" in text
    assert "unknown: extra" in text
    assert "1.weight [5, 2] for [2, 2]" in text


def test_safetensors_are_read_whatever_they_are_called(tmp_path: Path) -> None:
    save_file({"w": torch.ones(2)}, tmp_path / "model.pth")
    assert torch.equal(read_payload(tmp_path / "model.pth")["w"], torch.ones(2))
