"""The backend on a tiny random model: enrolment, streaming, and that nobody's samples depend on anybody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from voiceclone_gpt_sovits.folder import ModelFolder
from voiceclone_gpt_sovits.model import GptSovitsModel
from voiceclone_gpt_sovits.options import GptSovitsOptions
from voiceclone_gpt_sovits.recognition import recognise

from voiceclone import Reference, Utterance
from voiceclone.errors import LanguageUnsupported, ModelFilesInvalid, TextEmpty, VoiceIncompatible

TEXT = "The quick brown fox jumps. Then it rests."


@pytest.fixture(scope="module")
def model(model_folder: Path) -> Iterator[GptSovitsModel]:
    return GptSovitsModel(ModelFolder.find(model_folder))


def recording(seconds: float = 2.0, pitch: float = 120.0) -> Reference:
    time = np.arange(int(16000 * seconds)) / 16000
    wave = 0.3 * np.sin(2 * np.pi * pitch * time) * (1 + 0.3 * np.sin(9 * time))
    return Reference(wave.astype(np.float32), 16000, "The words of this.", "en")


@pytest.fixture(scope="module")
def voice(model: GptSovitsModel) -> bytes:
    return model.encode_voice([recording()])


def speak(model: GptSovitsModel, *utterances: Utterance) -> list[list[np.ndarray]]:
    sessions = [model.open(utterance) for utterance in utterances]
    pieces: list[list[np.ndarray]] = [[] for _ in sessions]
    alive = set(range(len(sessions)))
    while alive:
        rows = sorted(alive)
        for row, step in zip(rows, model.step([sessions[row] for row in rows]), strict=True):
            pieces[row] += [chunk.samples for chunk in step.chunks]
            if step.done:
                alive.discard(row)
                model.release(sessions[row])
    return pieces


def test_speaks_in_pieces(model: GptSovitsModel, voice: bytes) -> None:
    (pieces,) = speak(model, Utterance(TEXT, voice, seed=3))
    whole = np.concatenate(pieces)
    assert len(pieces) > 2
    assert np.isfinite(whole).all()
    assert np.abs(whole).max() <= 1
    assert np.abs(whole).max() > 0


def test_the_same_among_others(model: GptSovitsModel, voice: bytes) -> None:
    other = model.encode_voice([recording(1.0, 200.0), recording(1.5, 90.0)])
    mine = Utterance(TEXT, voice, seed=3)
    ((*alone,),) = speak(model, mine)
    crowd = [Utterance(f"Somebody else, number {row}.", other, seed=row, options=GptSovitsOptions(top_k=row + 1))
             for row in range(5)]  # fmt: skip
    together = speak(model, crowd[0], mine, *crowd[1:])[1]
    assert [len(piece) for piece in together] == [len(piece) for piece in alone]
    assert np.array_equal(np.concatenate(together), np.concatenate(alone))


def test_seeds_and_speed(model: GptSovitsModel, voice: bytes) -> None:
    first, again, other = (
        np.concatenate(speak(model, Utterance("Hello there.", voice, seed=seed))[0]) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert len(first) != len(other) or not np.array_equal(first, other)
    options = GptSovitsOptions(top_k=1)
    slow, fast = (
        len(np.concatenate(speak(model, Utterance("Hello.", voice, speaking_rate=rate, options=options))[0]))
        for rate in (1.0, 2.0)
    )
    assert fast == pytest.approx(slow / 2, rel=0.1)


def test_slots_come_back(model: GptSovitsModel, voice: bytes) -> None:
    before = model.decoder.free
    sessions = [model.open(Utterance(TEXT, voice)) for _ in range(before + 2)]
    model.step(sessions)
    for session in sessions:
        model.release(session)
    assert model.decoder.free == before


def test_a_voice_without_words_has_no_prompt(model: GptSovitsModel) -> None:
    reference = Reference(recording().samples, 16000)
    bare = model.encode_voice([reference])
    session = model.open(Utterance("Hello.", bare))
    assert session._voice.codes is None
    assert len(np.concatenate(speak(model, Utterance("Hello.", bare))[0])) > 0


def test_refusals(model: GptSovitsModel, voice: bytes, tmp_path: Path) -> None:
    with pytest.raises(TextEmpty):
        model.open(Utterance("...", voice))
    with pytest.raises(LanguageUnsupported):
        model.open(Utterance("Hello.", voice, language="zh"))
    with pytest.raises(VoiceIncompatible):
        model.open(Utterance("Hello.", b"nonsense"))
    with pytest.raises(ModelFilesInvalid, match=r"0 \.ckpt"):
        ModelFolder.find(tmp_path)


def test_recognised(model_folder: Path) -> None:
    found = recognise(model_folder)
    assert found.backend == "gpt_sovits"
    assert "voice-e15.ckpt" in found.files
    assert any(name.startswith("chinese-hubert-base/") for name in found.files)
