"""``voiceclone vits`` on small checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner
from voiceclone_vits.checkpoint import read_checkpoint
from voiceclone_vits.cli import register
from voiceclone_vits.model import VitsModel

from voiceclone.errors import PreconditionFailed, VoicecloneError


@pytest.fixture
def cli() -> typer.Typer:
    app = typer.Typer()
    register(app)
    app.command("unused")(lambda: None)
    return app


def test_say_convert_and_show(cli: typer.Typer, several: Path, tmp_path: Path) -> None:
    run, spoken, converted = CliRunner(), tmp_path / "said.wav", tmp_path / "converted.wav"
    said = run.invoke(cli, ["vits", "say", str(several), "Hello there, you.", "-o", str(spoken), "--speaker", "2"])
    assert said.exit_code == 0, said.output
    samples, rate = soundfile.read(spoken)
    assert rate == 22050
    assert np.abs(samples).max() > 1e-3
    arguments = ["vits", "convert", str(several), str(spoken), "-o", str(converted), "--source", "2", "--target", "0"]
    assert run.invoke(cli, arguments).exit_code == 0
    other, _ = soundfile.read(converted)
    assert len(other) == len(samples) // 256 * 256
    assert not np.array_equal(other, samples[: len(other)])
    shown = run.invoke(cli, ["vits", "show", str(several)]).output
    assert "jaywalnut310/vits" in shown
    assert "0, 1, 2" in shown
    assert isinstance(run.invoke(cli, [*arguments[:-1], "nobody"]).exception, VoicecloneError)


def test_one_speaker_cannot_be_converted(single: Path) -> None:
    model = VitsModel(read_checkpoint(single))
    noise = np.random.default_rng(0).normal(0, 0.1, 22050).astype(np.float32)
    with pytest.raises(PreconditionFailed, match="one speaker"):
        model.convert(noise, 22050, model.speaker_voice(""), model.speaker_voice(""))


def test_conversion_resamples_and_follows_its_seed(several: Path) -> None:
    model = VitsModel(read_checkpoint(several))
    noise = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    voices = model.speaker_voice("0"), model.speaker_voice("1")
    one, same, other = (model.convert(noise, 16000, *voices, seed=seed) for seed in (1, 1, 2))
    assert abs(len(one) - 22050) < 256
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
