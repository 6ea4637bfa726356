"""Checkpoints of every producer become one model; what is damaged or foreign gets a message that names it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from voiceclone_vits.checkpoint import Checkpoint, known, read_checkpoint
from voiceclone_vits.config import SpeakerKind
from voiceclone_vits.layouts import own
from voiceclone_vits.recognition import recognise
from voiceclone_vits.symbols import Alphabet

from voiceclone.errors import ModelFilesInvalid

from .conftest import GOLDEN, MODEL


def same_speech(one: Checkpoint, other: Checkpoint) -> None:
    """Both say the same tokens with the same noise in the same way."""
    from voiceclone_vits.synthesis import Controls, decode, expand, plan, row_noise

    waves = []
    tokens = torch.randint(1, one.config.text.vocabulary, (1, 15), generator=torch.Generator().manual_seed(3))
    for checkpoint in (one, other):
        net = checkpoint.build()
        speaker = torch.tensor([0]) if checkpoint.config.speaker_kind is SpeakerKind.NUMBER else None
        noise, controls = row_noise([torch.Generator().manual_seed(1)]), Controls()
        with torch.inference_mode():
            planned = plan(net, tokens, torch.tensor([15]), controls, noise, speakers=speaker)
            prior = expand(planned, controls, noise)
            z = net.flow(prior.z_p, prior.mask, planned.g, reverse=True)
            waves.append(decode(net, z, planned.frames, planned.g)[0])
    assert waves[0].abs().max() > 0
    torch.testing.assert_close(waves[1], waves[0], atol=2e-6, rtol=0)


def hf_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The original's names as transformers spells them, the present spelling of weight norm among them."""
    rules = [
        (r"^enc_p\.emb\.", "text_encoder.embed_tokens."), (r"^enc_p\.proj\.", "text_encoder.project."),
        (r"^enc_p\.encoder\.attn_layers\.(\d+)\.conv_([qkv])\.", r"text_encoder.encoder.layers.\1.attention.\2_proj."),
        (r"^enc_p\.encoder\.attn_layers\.(\d+)\.conv_o\.", r"text_encoder.encoder.layers.\1.attention.out_proj."),
        (r"^enc_p\.encoder\.attn_layers\.(\d+)\.", r"text_encoder.encoder.layers.\1.attention."),
        (r"^enc_p\.encoder\.norm_layers_1\.(\d+)\.", r"text_encoder.encoder.layers.\1.layer_norm."),
        (r"^enc_p\.encoder\.norm_layers_2\.(\d+)\.", r"text_encoder.encoder.layers.\1.final_layer_norm."),
        (r"^enc_p\.encoder\.ffn_layers\.(\d+)\.", r"text_encoder.encoder.layers.\1.feed_forward."),
        (r"^dp\.post_(pre|proj)\.", r"duration_predictor.post_conv_\1."),
        (r"^dp\.post_convs\.", "duration_predictor.post_conv_dds."), (r"^dp\.convs\.", "duration_predictor.conv_dds."),
        (r"^dp\.(pre|proj)\.", r"duration_predictor.conv_\1."),
        (r"^dp\.((?:post_)?flows)\.0\.m$", r"duration_predictor.\1.0.translate"),
        (r"^dp\.((?:post_)?flows)\.0\.logs$", r"duration_predictor.\1.0.log_scale"),
        (r"^dp\.((?:post_)?flows)\.(\d+)\.", lambda m: f"duration_predictor.{m[1]}.{(int(m[2]) + 1) // 2}."),
        (r"^(duration_predictor\.\w*flows\.\d+)\.(pre|proj)\.", r"\1.conv_\2."),
        (r"^(duration_predictor\.\w*flows\.\d+)\.convs\.", r"\1.conv_dds."),
        (r"^enc_q\.(pre|proj)\.", r"posterior_encoder.conv_\1."), (r"^enc_q\.enc\.", "posterior_encoder.wavenet."),
        (r"^flow\.flows\.(\d+)\.", lambda m: f"flow.flows.{int(m[1]) // 2}."),
        (r"^(flow\.flows\.\d+)\.(pre|post)\.", r"\1.conv_\2."), (r"^(flow\.flows\.\d+)\.enc\.", r"\1.wavenet."),
        (r"^dec\.ups\.", "decoder.upsampler."), (r"^dec\.", "decoder."), (r"^emb_g\.", "embed_speaker."),
        (r"convs_sep", "convs_dilated"), (r"convs_1x1", "convs_pointwise"),
        (r"\.gamma$", ".weight"), (r"\.beta$", ".bias"),
        (r"\.weight_g$", ".parametrizations.weight.original0"), (r"\.weight_v$", ".parametrizations.weight.original1"),
    ]  # fmt: skip
    renamed = {}
    for name, value in tensors.items():
        linear = re.search(r"attn_layers\.\d+\.conv_.\.weight", name)
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)  # type: ignore[call-overload]
        renamed[name] = value.squeeze(-1) if linear else value
    return renamed


def as_hugging_face(source: Path, folder: Path) -> Path:
    folder.mkdir()
    save_file(hf_names(torch.load(source / "G_7.pth")["model"]), folder / "model.safetensors")
    shared = {name: MODEL[name] for name in ("upsample_rates", "resblock_dilation_sizes", "resblock_kernel_sizes")}
    config = {"model_type": "vits", "num_attention_heads": 2, "sampling_rate": 22050, **shared}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def as_piper(source: Path, folder: Path) -> Path:
    folder.mkdir()
    state = {f"model_g.{name}": value for name, value in torch.load(source / "G_7.pth")["model"].items()}
    state["model_d.discriminators.0.x"] = torch.ones(1)
    hyper = {
        **MODEL,
        "upsample_rates": (8, 8, 4),
        "sample_rate": 22050,
        "hop_length": 256,
        "dataset": [Path("data.csv")],
    }
    torch.save({"state_dict": state, "hyper_parameters": hyper, "epoch": 1, "global_step": 9}, folder / "last.ckpt")
    voice = {
        "phoneme_id_map": {"_": [0], "^": [1], "$": [2], "ə": [3, 4]},
        "espeak": {"voice": "de"},
        "phoneme_type": "espeak",
    }
    (folder / "de.onnx.json").write_text(json.dumps(voice))
    return folder


def as_safetensors(source: Path, folder: Path) -> Path:
    folder.mkdir()
    save_file(torch.load(source / "G_7.pth")["model"], folder / "G_7.safetensors")
    shutil.copy(source / "config.json", folder)
    return folder


def as_parallel(source: Path, folder: Path) -> Path:
    """Saved with the prefixes of a model that was wrapped, and without the optimizer."""
    folder.mkdir()
    state = {f"module.{name}": value for name, value in torch.load(source / "G_7.pth")["model"].items()}
    torch.save({"model": state}, folder / "G_9.pth")
    torch.save({"model": {"w": torch.ones(1)}}, folder / "D_9.pth")
    torch.save({"model": {"w": torch.ones(1)}}, folder / "DUR_9.pth")
    shutil.copy(source / "config.json", folder)
    return folder


def as_own(source: Path, folder: Path) -> Path:
    own.write(read_checkpoint(source), folder)
    return folder


@pytest.mark.parametrize("convert", [as_hugging_face, as_piper, as_safetensors, as_parallel, as_own])
@pytest.mark.parametrize("speakers", ["single", "several"])
def test_every_layout_is_the_same_model(
    convert: Callable[[Path, Path], Path], speakers: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    source: Path = request.getfixturevalue(speakers)
    expected, found = read_checkpoint(source), read_checkpoint(convert(source, tmp_path / "converted"))
    audio = expected.config.audio
    assert replace(found.config, audio=audio) == expected.config
    same_speech(expected, found)
    recognised = recognise(tmp_path / "converted")
    assert recognised is not None
    assert recognised.backend == "vits"
    assert all((tmp_path / "converted" / name).is_file() for name in recognised.files)


def test_own_layout_keeps_everything(several: Path, tmp_path: Path) -> None:
    before = read_checkpoint(several)
    own.write(before, tmp_path / "mine")
    after = read_checkpoint(tmp_path / "mine")
    assert (after.config, after.symbols, after.speakers) == (before.config, before.symbols, before.speakers)
    assert all(torch.equal(value, after.tensors[name]) for name, value in before.tensors.items())


def test_a_file_is_read_like_its_folder(single: Path) -> None:
    assert read_checkpoint(single / "G_7.pth").config == read_checkpoint(single).config


def test_weight_norm_is_kept_for_training(single: Path) -> None:
    checkpoint = read_checkpoint(single)
    names = checkpoint.build(weight_norm=True).state_dict()
    assert any(name.endswith("original0") for name in names)
    assert not any(name.endswith("original0") for name in checkpoint.build().state_dict())


def test_piper_phonemes_have_ends_and_several_ids(single: Path, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(as_piper(single, tmp_path / "voice"))
    assert checkpoint.languages == ("de",)
    assert checkpoint.symbols.alphabet is Alphabet.IPA
    assert checkpoint.symbols.encode([("ə", 0), ("ə", 1)]).ids == [1, 0, 3, 4, 0, 3, 4, 0, 2]
    assert set(checkpoint.training) == {"discriminator"}


def test_coqui_speaker_vectors_are_averaged_by_name(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(GOLDEN / "i_coqui_yourtts_dvec_lang_sdp", tmp_path / "yourtts"))
    clips: dict[str, Any] = {
        f"{name}-{take}": {"name": name, "embedding": [float(take)] * 24} for name in ("anna", "ben") for take in (1, 3)
    }
    (folder / "speakers.json").write_text(json.dumps(clips))
    (folder / "language_ids.json").write_text(json.dumps({"en": 0, "fr-fr": 1, "pt-br": 2}))
    checkpoint = read_checkpoint(folder)
    assert checkpoint.config.speaker_kind is SpeakerKind.VECTOR
    assert (checkpoint.speakers, checkpoint.languages) == (("anna", "ben"), ("en", "fr-fr", "pt-br"))
    assert checkpoint.vectors["anna"].tolist() == [2.0] * 24


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: (f / "G_7.pth").write_bytes((f / "G_7.pth").read_bytes()[:5000]), r"G_7\.pth is damaged"),
        (lambda f: (f / "G_7.pth").write_bytes(b"PK nothing"), r"G_7\.pth is damaged"),
        (lambda f: (f / "config.json").write_text("{"), r"config\.json is no JSON"),
        (lambda f: _edit(f, n_heads="two"), r"model\.n_heads must be a int, it is 'two'"),
        (lambda f: _edit(f, n_heads=5), r"divisible|fit"),
        (lambda f: _edit(f, upsample_rates=[8, 8]), r"3 upsamplings .* names 2 rates"),
        (lambda f: _edit(f, upsample_rates=[8, 8, 3]), "must exceed its rate"),
        (lambda f: _edit(f, upsample_rates=["a", 8, 4]), r"original"),
        (lambda f: _state(f, lambda s: s.pop("enc_p.proj.weight")), r"enc_p\.proj\.weight is missing"),
        (lambda f: _state(f, lambda s: s.pop("dec.conv_post.weight")), r"missing: dec\.conv_post\.weight"),
        (lambda f: _state(f, lambda s: s.update(more=torch.ones(1))), "unknown: more"),
        (lambda f: _state(f, lambda s: s.update({"dec.conv_post.weight": torch.ones(2, 2, 7)})), "of another shape"),
        (lambda f: torch.save({"model": {"discriminators.0.w": torch.ones(1)}}, f / "G_7.pth"), "is no VITS generator"),
    ],
)  # fmt: skip
def test_damage_is_named(single: Path, tmp_path: Path, harm: Callable[[Path], object], message: str) -> None:
    folder = Path(shutil.copytree(single, tmp_path / "harmed"))
    harm(folder)
    with pytest.raises(ModelFilesInvalid, match=message):
        read_checkpoint(folder).build()
    with pytest.raises(ModelFilesInvalid):
        recognise(folder)


def _edit(folder: Path, **settings: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["model"].update(settings)
    (folder / "config.json").write_text(json.dumps(config))


def _state(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    payload = torch.load(folder / "G_7.pth")
    change(payload["model"])
    torch.save(payload, folder / "G_7.pth")


def test_what_is_no_vits_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(ModelFilesInvalid, match="nothing at 'gone'"):
        read_checkpoint(tmp_path / "gone")
    (tmp_path / "model.safetensors").write_bytes(b"x")
    (tmp_path / "config.json").write_text('{"model_type": "bark"}')
    assert not known(tmp_path)
    assert recognise(tmp_path) is None
    with pytest.raises(ModelFilesInvalid, match=r"found config\.json, model\.safetensors\. Expected one of: G_\*\.pth"):
        read_checkpoint(tmp_path)
