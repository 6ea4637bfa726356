"""``voiceclone say`` and ``demo``: the files they write, the figures they print, what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from voiceclone.client import Client


def test_the_file_is_what_the_server_says(run: Any, address: str, tmp_path: Path) -> None:
    result = run("say", "Hello there.", "--voice", "ann", "--seed", 5, "-o", tmp_path / "a" / "out.wav")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == str(tmp_path / "a" / "out.wav")
    assert "first audio after" in result.stdout
    assert "RTF" in result.stdout
    with Client(address) as client:
        expected = client.say("Hello there.", "ann", seed=5)
    samples, rate = soundfile.read(tmp_path / "a" / "out.wav", dtype="int16")
    assert rate == expected.sample_rate
    np.testing.assert_array_equal(samples, expected.samples)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["out.wav"]


@pytest.mark.parametrize("suffix", ["flac", "ogg", "opus", "mp3"])
def test_the_ending_chooses_the_format(run: Any, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out.{suffix}"
    assert run("say", "Hello there.", "--voice", "ann", "-o", out).exit_code == 0
    info = soundfile.info(out)
    assert info.format == {"flac": "FLAC", "ogg": "OGG", "opus": "OGG", "mp3": "MP3"}[suffix]
    assert info.subtype == {"flac": "PCM_16", "ogg": "VORBIS", "opus": "OPUS", "mp3": "MPEG_LAYER_III"}[suffix]
    assert info.samplerate == 24_000


def test_timings_and_visemes_fit_the_audio(run: Any, tmp_path: Path) -> None:
    out, timings = tmp_path / "out.wav", tmp_path / "t.json"
    text = "Hello big world."
    result = run("say", text, "--voice", "ann", "-o", out, "--timings", timings, "--visemes", "--seed", 1)
    assert result.exit_code == 0, result.output
    data = json.loads(timings.read_text())
    assert data["sample_count"] == soundfile.info(out).frames
    words = [item for item in data["timings"] if item["kind"] == "word"]
    assert [text[item["span"][0] : item["span"][1]] for item in words] == ["Hello", "big", "world"]
    assert {"phoneme", "viseme"} <= {item["kind"] for item in data["timings"]}
    assert all(item["start_sample"] + item["sample_count"] <= data["sample_count"] for item in data["timings"])
    assert data["seed"] == 1


def test_visemes_alone_go_beside_the_audio(run: Any, tmp_path: Path) -> None:
    assert run("say", "Hi.", "--voice", "ann", "-o", tmp_path / "x.wav", "--visemes").exit_code == 0
    kinds = {item["kind"] for item in json.loads((tmp_path / "x.json").read_text())["timings"]}
    assert "viseme" in kinds


def test_text_comes_from_standard_input(run: Any, tmp_path: Path) -> None:
    result = run("say", "-", "--voice", "ann", "-o", tmp_path / "out.wav", text="Hello from a pipe.\n")
    assert result.exit_code == 0, result.output
    assert soundfile.info(tmp_path / "out.wav").duration > 0.5


def test_options_change_what_is_said(run: Any, tmp_path: Path) -> None:
    def duration(*options: object) -> float:
        out = tmp_path / "out.wav"
        assert run("say", "Hello there.", "--voice", "ann", "-o", out, *options).exit_code == 0
        return float(soundfile.info(out).duration)

    plain = duration("--option", "gap=0")
    assert duration("--rate", 2, "--option", "gap=0") == pytest.approx(plain / 2, rel=0.01)
    assert duration("--option", "gap=0.5") > plain
    assert duration("--sample-rate", 8000, "--option", "gap=0") == pytest.approx(plain, rel=0.01)
    assert soundfile.info(tmp_path / "out.wav").samplerate == 8000


def test_a_reference_is_cloned_for_the_call_only(run: Any, address: str, recording: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    common = ("say", "Hello.", "--reference", recording, "--model", "tone", "-o", out)
    refused = run(*common)
    assert refused.exit_code == 1
    assert "consent" in refused.stderr
    assert not out.exists()
    for ground in (("--consent-speaker", "Bea"), ("--i-have-consent",), ("--consent-method", "synthetic_speaker")):
        result = run(*common, *ground)
        assert result.exit_code == 0, result.output
        assert out.exists()
    with Client(address) as client:
        assert [voice.name for voice in client.voices("labels.temporary = true")] == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("say", "x", "--voice", "nobody"), 1, "does not exist"),
        (("say", " ", "--voice", "ann"), 1, "no text"),
        (("say", "...", "--voice", "ann"), 1, "no word"),
        (("say", "x", "--voice", "ann", "--option", "loud=1"), 1, "loud"),
        (("say", "x", "--voice", "ann", "--model", "nothing"), 1, "nothing"),
        (("say", "x"), 2, "--voice"),
        (("say", "x", "--voice", "ann", "--option", "gap"), 2, "KEY=VALUE"),
        (("say", "x", "--voice", "ann", "-o", "out.txt"), 2, ".wav"),
        (("say", "x", "--voice", "ann", "--rate", "9"), 2, "--rate"),
    ],
)
def test_what_cannot_be_said_is_an_error_in_one_line(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert words in result.stderr
    assert "Traceback" not in result.output
    assert not list(tmp_path.glob("*.wav"))


def test_an_unknown_server_is_an_error_and_starts_none(voiceclone: Any, tmp_path: Path) -> None:
    result = voiceclone("say", "x", "--voice", "ann", "--server", "127.0.0.1:1", "-o", tmp_path / "x.wav")
    assert result.exit_code == 1
    assert "127.0.0.1:1" in result.stderr


def test_without_a_server_one_is_started_for_the_call(voiceclone: Any, recording: Path, tmp_path: Path) -> None:
    made = voiceclone("voices", "clone", "cy", recording, "--i-have-consent", "--model", "tone", "--server", "local")
    assert made.exit_code == 0, made.output
    result = voiceclone("say", "Hello.", "--voice", "cy", "-o", tmp_path / "out.wav", "--server", "local")
    assert result.exit_code == 0, result.output
    assert soundfile.info(tmp_path / "out.wav").frames > 0


def test_the_demo_runs_again_and_again(voiceclone: Any, tmp_path: Path, recording: Path) -> None:
    for _ in range(2):
        result = voiceclone(
            "demo", "--model", "tone", "--out", tmp_path / "demo", "--reference", recording, "--i-have-consent"
        )
        assert result.exit_code == 0, result.output
        wav, timings = tmp_path / "demo" / "hello.wav", tmp_path / "demo" / "hello.json"
        assert result.stdout.splitlines()[-2:] == [str(wav), str(timings)]
        assert "first audio after" in result.stdout
        assert json.loads(timings.read_text())["sample_count"] == soundfile.info(wav).frames


def test_the_demo_wants_consent_for_a_recording_of_yours(voiceclone: Any, tmp_path: Path, recording: Path) -> None:
    result = voiceclone("demo", "--reference", recording, "--out", tmp_path / "demo")
    assert result.exit_code == 1
    assert "--consent-speaker" in result.stderr
