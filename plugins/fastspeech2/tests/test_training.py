"""The recipe from a manifest to a model folder that speaks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from voiceclone_fastspeech2.acoustic import AcousticModel, expand_index, interpolate_pitch
from voiceclone_fastspeech2.config import AcousticConfig, Fastspeech2Config
from voiceclone_fastspeech2.model import load
from voiceclone_fastspeech2.training.acoustic_task import AcousticTask
from voiceclone_fastspeech2.training.augment import TimbreAugmenter
from voiceclone_fastspeech2.training.features import FeatureStore, frame_durations
from voiceclone_fastspeech2.training.recipe import Budget, export, train_part

from voiceclone import ModelInfo, Reference, Utterance
from voiceclone.errors import InvalidManifest, ModelFilesInvalid
from voiceclone.nn.spectrogram import SpectrogramConfig
from voiceclone.nn.vocoder import VocoderConfig
from voiceclone.training.checkpoint import list_checkpoints, load_state, load_tensors

from .conftest import buzz

pytest.importorskip("tensorboard", reason="the training extra is not installed")
QUIET = Console(quiet=True)
SMALL = Fastspeech2Config(
    acoustic=AcousticConfig(
        text_channels=32, text_layers=1, prosody_channels=16, speaker_channels=16, speaker_layers=1, speaker_size=16,
        frame_channels=32, frame_layers=2,
    ),
    vocoder=VocoderConfig(channels=32, layers=2),
)  # fmt: skip


@pytest.fixture(scope="module")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both parts trained for a few steps."""
    folder = tmp_path_factory.mktemp("run")
    train_part("acoustic", corpus, folder, SMALL, Budget(steps=60), console=QUIET)
    train_part("vocoder", corpus, folder, SMALL, Budget(steps=40), console=QUIET)
    return folder


def test_training_lowers_the_losses(corpus: Path, run: Path) -> None:
    task = AcousticTask(AcousticModel(SMALL), FeatureStore(corpus, run / "features", SMALL.spectrogram))
    task.module.eval()
    with torch.no_grad():
        untrained = task.validate()
        task.module.load_state_dict(load_tensors(list_checkpoints(run / "acoustic")[-1], "model"))
        trained = task.validate()
    assert trained["unseen_mel"] < 0.85 * untrained["unseen_mel"]
    assert trained["unseen_duration"] < untrained["unseen_duration"]


def test_a_run_goes_on_where_it_stopped(corpus: Path, run: Path) -> None:
    train_part("vocoder", corpus, run, SMALL, Budget(steps=45), console=QUIET)
    assert load_state(list_checkpoints(run / "vocoder")[-1])["step"] == 45


def test_exported_model_speaks(run: Path, tmp_path: Path) -> None:
    revision = export(run, tmp_path / "model")
    model = load(ModelInfo("small", "fastspeech2", revision, path=str(tmp_path / "model")), "cpu")
    voice = model.encode_voice([Reference(buzz(130.0, 2.0, 1), 16000)])
    session = model.open(Utterance("Hello there.", voice))
    samples = np.concatenate([chunk.samples for step in iter_steps(model, session) for chunk in step.chunks])
    assert np.isfinite(samples).all()
    assert len(samples) >= 10 * 256


def iter_steps(model: object, session: object) -> list:  # type: ignore[type-arg]
    steps = []
    while not steps or not steps[-1].done:
        steps += model.step([session])  # type: ignore[attr-defined]
    return steps


def test_export_names_the_untrained_part(tmp_path: Path) -> None:
    with pytest.raises(ModelFilesInvalid, match="--part acoustic"):
        export(tmp_path, tmp_path / "model")


def test_unaligned_manifest_is_refused(corpus: Path, tmp_path: Path) -> None:
    from voiceclone_fastspeech2.training.features import extract

    from voiceclone.training.manifest import read_manifest

    item = replace(read_manifest(corpus)[0], phones=None, stresses=None, ends=None)
    with pytest.raises(InvalidManifest, match="low-0"):
        extract(corpus, item, SpectrogramConfig())


def test_damaged_weights_are_named(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    export(run, folder)
    info = ModelInfo("broken", "fastspeech2", "0", path=str(folder))
    config = json.loads((folder / "config.json").read_text())
    config["acoustic"]["frame_channels"] = 48
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelFilesInvalid, match="acoustic part"):
        load(info, "cpu")
    (folder / "config.json").write_text("{}")
    with pytest.raises(ModelFilesInvalid, match=r"config\.json"):
        load(info, "cpu")
    (folder / "config.json").write_text(SMALL.to_json())
    (folder / "model.safetensors").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(ModelFilesInvalid, match=r"model\.safetensors"):
        load(info, "cpu")


@pytest.mark.parametrize(("ends", "frames"), [((0.1, 0.5, 1.0), 62), ((0.001, 0.002, 0.5), 31)])
def test_durations_fill_the_frames(ends: tuple[float, ...], frames: int) -> None:
    durations = frame_durations(ends, frames, 62.5)
    assert durations.sum() == frames
    assert (durations >= 0).all()


def test_expanded_index_repeats_each_phone() -> None:
    index, mask = expand_index(torch.tensor([[2, 0, 3], [1, 1, 0]]), 5)
    assert index[0].tolist() == [0, 0, 2, 2, 2]
    assert mask.tolist() == [[True] * 5, [True, True, False, False, False]]


def test_pitch_line_runs_through_voiced_centres() -> None:
    pitch = torch.tensor([[9.0, 1.0, 9.0, 3.0]])
    voiced = torch.tensor([[False, True, False, True]])
    line = interpolate_pitch(pitch, voiced, torch.tensor([[2, 2, 4, 2]]), 10)[0]
    assert line[:3].tolist() == [1.0, 1.0, 1.0 + 2.0 * 0.0]
    assert line[9].item() == 3.0
    assert (line[3:9].diff() > 0).all()


def test_line_without_a_voiced_phone_is_flat() -> None:
    line = interpolate_pitch(torch.ones(1, 3), torch.zeros(1, 3, dtype=torch.bool), torch.tensor([[1, 2, 1]]), 4)
    assert line.tolist() == [[0.0] * 4]


def test_stretch_moves_the_spectrum() -> None:
    augmenter = TimbreAugmenter(SpectrogramConfig())
    mel = np.full((4, 80), -5.0, np.float32)
    mel[:, 30] = 0.0
    from voiceclone_fastspeech2.training.augment import Timbre

    moved = augmenter.apply(mel, Timbre(np.zeros(80, np.float32), 1.1))
    assert moved.argmax(axis=1).min() > 30
    same = augmenter.apply(mel, Timbre(np.zeros(80, np.float32), 1.0))
    np.testing.assert_array_equal(same, mel)
