"""The corpus generator: texts and plans follow from the seed, and every engine's phones lie where its sound is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from voiceclone.text.phones import PAUSE, PHONE_IDS, VOWELS
from voiceclone.training.manifest import read_manifest
from voiceclone.training.synthetic import __main__ as command
from voiceclone.training.synthetic import generate, plan, voices
from voiceclone.training.synthetic.engines import Engine, Line, engine
from voiceclone.training.synthetic.harvard import HARVARD_SENTENCES
from voiceclone.training.synthetic.lexicon import demote_secondary, stress_pattern
from voiceclone.training.synthetic.speech import (
    SAMPLE_RATE,
    TARGET_RMS,
    EngineMissing,
    Segment,
    Speech,
    UnknownSymbol,
    assemble,
    clip_silence,
    normalise,
    pause_stresses,
    resample,
    warp,
)
from voiceclone.training.synthetic.symbols import ESPEAK, FESTIVAL, FLITE, lookup
from voiceclone.training.synthetic.text import TextSource, normalised

pytest.importorskip("gruut_lang_en", reason="the English lexicon comes with gruut")

ENGINES = [("espeak", "f2"), ("flite", "slt"), ("flite", "kal16"), ("festival", "ked")]


def installed(name: str) -> Engine:
    try:
        return engine(name)
    except EngineMissing as error:
        pytest.skip(str(error))


def tone(seconds: float, frequency: float = 200.0) -> NDArray[np.float32]:
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE).astype(np.float32)


def speech(pause: float = 0.5) -> Speech:
    silence = np.zeros(round(pause * SAMPLE_RATE), dtype=np.float32)
    samples = np.concatenate([silence, tone(1.0), silence])
    segments = [Segment("pau", pause), Segment("ay", pause + 1, 1, 0), Segment("pau", 2 * pause + 1)]
    return assemble(samples, segments, ["I"], "I?")


# -- texts and plans ------------------------------------------------------------------------------------------------


def test_texts_follow_from_the_seed() -> None:
    first, again, other = TextSource(1), TextSource(1), TextSource(2)
    sentences = [first.sentence() for _ in range(200)]
    assert sentences == [again.sentence() for _ in range(200)]
    assert sentences != [other.sentence() for _ in range(200)]


def test_sentences_are_4_to_16_plain_words() -> None:
    source = TextSource(3)
    for sentence in (source.sentence() for _ in range(2000)):
        assert 4 <= len(normalised(sentence).split()) <= 16, sentence
        assert sentence[-1] in ".?!", sentence
        assert not any(letter.isdigit() or letter in '{}"\\' for letter in sentence), sentence
        assert sentence.isascii()


def test_the_plan_follows_from_the_seed_and_keeps_the_splits_apart() -> None:
    jobs = plan.make_plan(0.5, seed=1)
    assert jobs == plan.make_plan(0.5, seed=1)
    assert len({job.id for job in jobs}) == len(jobs)
    texts = {
        split: {normalised(job.text) for job in jobs if job.split == split} for split in ("train", "valid", "test")
    }
    assert not texts["train"] & (texts["valid"] | texts["test"])
    assert not texts["valid"] & texts["test"]
    harvard = {normalised(sentence) for sentence in HARVARD_SENTENCES}
    assert not harvard & (texts["train"] | texts["valid"])
    trained = {job.base for job in jobs if job.split == "train"}
    assert not trained & {*voices.VALID_ESPEAK, *voices.TEST_FLITE, *voices.TEST_ESPEAK}


def test_the_test_split_is_twenty_sentences_and_four_references_a_voice() -> None:
    jobs = [job for job in plan.make_plan(0.1, seed=1) if job.split == "test"]
    assert len(voices.TEST_BASES) == len(set(voices.TEST_BASES)) == 17
    for base in voices.TEST_BASES:
        spoken = [job for job in jobs if job.base == base]
        assert [job.text for job in spoken if job.id.startswith("test-")] == list(HARVARD_SENTENCES)
        assert sum(job.id.startswith("ref-") for job in spoken) == 4


def test_a_voice_has_one_split() -> None:
    trained = (*voices.TRAIN_FLITE, *voices.TRAIN_FESTIVAL, *voices.TRAIN_ESPEAK)
    held_out = (*voices.VALID_ESPEAK, *voices.TEST_FLITE, *voices.TEST_ESPEAK)
    assert len({*trained, *held_out}) == len(trained) + len(held_out)


def test_hours_must_be_positive() -> None:
    with pytest.raises(ValueError, match="hours"):
        plan.make_plan(0, seed=1)


# -- symbols and stress ---------------------------------------------------------------------------------------------


def test_tables_lead_into_the_inventory() -> None:
    spoken = {*FLITE.values(), *FESTIVAL.values(), *(phone for phones in ESPEAK.values() for phone in phones)}
    assert spoken == PHONE_IDS.keys() - {"pad"}


def test_an_unknown_symbol_raises() -> None:
    with pytest.raises(UnknownSymbol, match="flite spoke 'qq'"):
        lookup(FLITE, "qq", "flite")


def test_secondary_stress_comes_from_the_lexicon() -> None:
    assert stress_pattern("understand") == (2, 0, 1)
    assert demote_secondary("understand", (1, 0, 1)) == (2, 0, 1)
    assert demote_secondary("understand", (1, 1)) == (1, 1)
    assert demote_secondary("xyzzyx", (1, 1)) == (1, 1)


@pytest.mark.parametrize(
    ("text", "count", "expected"),
    [
        ("It is.", 2, {0: 0, 2: 2}),
        ("Is it?", 2, {0: 0, 2: 4}),
        ("It is!", 2, {0: 0, 2: 3}),
        ("Yes! It is, sir.", 4, {0: 0, 2: 3, 4: 1, 6: 2}),
        ("It is not so.", 3, {0: 0, 2: 1, 4: 2}),
    ],
)
def test_pauses_carry_their_punctuation(text: str, count: int, expected: dict[int, int]) -> None:
    phones = [*(phone for _ in range(count - 1) for phone in (PAUSE, "iy")), PAUSE]
    assert pause_stresses(phones, text) == expected


# -- what is done to speech -----------------------------------------------------------------------------------------


def test_assembling_joins_pauses_and_fills_empty_phones() -> None:
    segments = [
        Segment("pau", 0.1),
        Segment("pau", 0.2),
        Segment("s", 0.5),
        Segment("iy", 0.5, 1, 0),
        Segment("pau", 2),
    ]
    result = assemble(tone(1.0), segments, ["see"], "See!")
    assert result.phones == ("pau", "s", "iy", "pau")
    assert result.stresses == (0, 0, 1, 3)
    assert result.ends == pytest.approx((0.2, 0.4, 0.5, 1.0))
    with pytest.raises(ValueError, match="nothing to speak"):
        assemble(tone(1.0), [], [], "...")


def test_resampling_moves_a_tone() -> None:
    moved = resample(tone(1.0, 400), SAMPLE_RATE // 2)
    assert len(moved) == SAMPLE_RATE // 2
    assert np.abs(np.fft.rfft(moved)).argmax() == 400  # of 8000 samples: 800 Hz at 16 kHz
    assert np.abs(moved).max() == pytest.approx(1.0, abs=0.01)


def test_a_warp_scales_all_times() -> None:
    plain, warped = speech(), warp(speech(), 1.25)
    assert np.array(warped.ends) * 1.25 == pytest.approx(np.array(plain.ends), abs=1e-3)
    assert warped.ends[-1] == pytest.approx(len(warped.samples) / SAMPLE_RATE)


def test_clipping_shortens_the_silence_at_both_ends_only() -> None:
    clipped = clip_silence(speech(pause=0.5))
    assert clipped.ends == pytest.approx((0.25, 1.25, 1.5))
    assert len(clipped.samples) == 1.5 * SAMPLE_RATE
    short = speech(pause=0.2)
    assert clip_silence(short).ends == pytest.approx(short.ends)


def test_loudness_is_measured_on_speech_and_bounded_by_the_peak() -> None:
    level = normalise(speech())
    assert np.sqrt(np.mean(level.samples[8000:24000] ** 2)) == pytest.approx(TARGET_RMS, rel=1e-3)
    spike = speech()
    spike.samples[:] *= 0.01
    spike.samples[9000] = 1.0
    assert np.abs(normalise(spike).samples).max() <= 0.9501


# -- engines --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("name", "voice"), ENGINES)
def test_an_engine_speaks_the_inventory_with_rising_ends(name: str, voice: str) -> None:
    source = TextSource(5)
    texts = [source.sentence() for _ in range(200)]
    for text, spoken in zip(texts, installed(name).speak([Line(text, voice) for text in texts]), strict=True):
        assert set(spoken.phones) <= PHONE_IDS.keys() - {"pad"}, text
        assert len(spoken.phones) == len(spoken.stresses) == len(spoken.ends)
        assert (np.diff((0.0, *spoken.ends)) > 0).all(), text
        assert spoken.ends[-1] == pytest.approx(len(spoken.samples) / SAMPLE_RATE)
        assert spoken.phones[0] == spoken.phones[-1] == PAUSE
        assert any(stress == 1 for phone, stress in zip(spoken.phones, spoken.stresses, strict=True) if phone in VOWELS)
        runs = [range(word.first_phone, word.first_phone + word.phone_count) for word in spoken.words]
        covered = [index for run in runs for index in run]
        assert covered == [index for index, phone in enumerate(spoken.phones) if phone != PAUSE], text


@pytest.mark.parametrize(("name", "voice"), ENGINES)
def test_phones_lie_where_their_sound_is(name: str, voice: str) -> None:
    """Sibilants are bright, vowels are dark, pauses are quiet: over their own spans."""
    brightness: dict[str, list[float]] = {"sibilant": [], "vowel": []}
    loudness: dict[str, list[float]] = {"pause": [], "speech": []}
    for spoken in installed(name).speak([Line(text, voice) for text in HARVARD_SENTENCES]):
        start = 0.0
        for phone, end in zip(spoken.phones, spoken.ends, strict=True):
            span = spoken.samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
            start = end
            power = np.abs(np.fft.rfft(span)) ** 2
            split = len(power) * 3 // 8  # 3 kHz
            ratio = float(10 * np.log10((power[split:].sum() + 1e-9) / (power[:split].sum() + 1e-9)))
            if phone in ("s", "sh") or phone in VOWELS:
                brightness["vowel" if phone in VOWELS else "sibilant"].append(ratio)
            level = float(10 * np.log10(np.mean(span**2) + 1e-9))
            loudness["pause" if phone == PAUSE else "speech"].append(level)
    assert np.median(brightness["sibilant"]) > np.median(brightness["vowel"]) + 15
    assert np.percentile(brightness["sibilant"], 10) > np.percentile(brightness["vowel"], 75)
    assert np.median(loudness["pause"]) < np.median(loudness["speech"]) - 20


def test_espeak_knows_secondary_stress_and_words() -> None:
    (spoken,) = installed("espeak").speak([Line("It isn't an understanding of the period.", "f2")])
    texts = [word.text for word in spoken.words]
    assert "isn't" in texts
    word = spoken.words[texts.index("understanding")]
    span = slice(word.first_phone, word.first_phone + word.phone_count)
    vowels = [
        stress for phone, stress in zip(spoken.phones[span], spoken.stresses[span], strict=True) if phone in VOWELS
    ]
    assert vowels == [2, 0, 1, 0]


@pytest.mark.parametrize(("name", "voice"), [("flite", "slt"), ("festival", "ked")])
def test_a_line_sounds_the_same_every_time(name: str, voice: str) -> None:
    line, other = Line("The fire was near the old mill.", voice), Line("Nobody saw the ships.", voice)
    first, _, again = installed(name).speak([line, other, line])
    assert np.array_equal(first.samples, again.samples)
    assert first.ends == again.ends


@pytest.mark.parametrize(("name", "voice"), [("espeak", "nobody"), ("flite", "kal"), ("festival", "nobody")])
def test_an_unknown_voice_is_refused(name: str, voice: str) -> None:
    with pytest.raises(ValueError, match=f"{voice}"):
        installed(name).speak([Line("Hello there.", voice)])


def test_a_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    from voiceclone.training.synthetic import espeak, festival, flite

    def missing(*_: object, **__: object) -> None:
        raise OSError("no such library")

    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("ctypes.CDLL", missing)
    for kind, package in (
        (espeak.EspeakEngine, "espeak-ng"),
        (flite.FliteEngine, "flite"),
        (festival.FestivalEngine, "festvox-kdlpc16k"),
    ):
        with pytest.raises(EngineMissing, match=f"apt-get install .*{package}"):
            kind()


# -- the corpus -----------------------------------------------------------------------------------------------------


@pytest.fixture
def few_jobs(monkeypatch: pytest.MonkeyPatch) -> list[plan.Job]:
    for name in ("espeak", "flite", "festival"):
        installed(name)
    jobs = plan.make_plan(0.05, seed=1)
    chosen = {job.speaker.split("/")[0] + job.split + str(job.warp != 1): job for job in jobs}
    monkeypatch.setattr(generate, "make_plan", lambda hours, seed: list(chosen.values()))
    return list(chosen.values())


def test_a_corpus_is_written_resumed_and_not_mixed(
    tmp_path: Path, few_jobs: list[plan.Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = list(few_jobs)
    monkeypatch.setattr(generate, "make_plan", lambda hours, seed: complete[:2])
    generate.generate_corpus(tmp_path, 1)
    first = (tmp_path / read_manifest(tmp_path)[0].audio).stat().st_mtime_ns
    monkeypatch.setattr(generate, "make_plan", lambda hours, seed: complete)
    summary = generate.generate_corpus(tmp_path, 1)
    items = read_manifest(tmp_path)
    assert {entry.id for entry in items} == {job.id for job in complete}
    assert sum(summary.utterances.values()) == len(items)
    written = {entry.id: tmp_path / entry.audio for entry in items}
    assert first in {path.stat().st_mtime_ns for path in written.values()}, "what was there was not rendered again"
    for entry in items:
        samples, rate = soundfile.read(tmp_path / entry.audio)
        assert entry.ends is not None
        assert (rate, len(samples) / rate) == (SAMPLE_RATE, entry.ends[-1])
        assert np.abs(samples).max() <= 0.951
    monkeypatch.setattr(generate, "make_plan", lambda hours, seed: complete[2:])
    with pytest.raises(ValueError, match="another corpus"):
        generate.generate_corpus(tmp_path, 1)


def test_the_command_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--help"])
    help_text = capsys.readouterr().out
    assert "apt-get install" in help_text
    assert "examples:" in help_text


def test_the_command_reports_a_missing_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> Engine:
        raise EngineMissing("flite is missing; install it with: apt-get install flite")

    monkeypatch.setattr(generate, "engine", missing)
    assert command.main(["--out", str(tmp_path / "corpus"), "--hours", "0.01"]) == 2
    assert "apt-get install flite" in capsys.readouterr().err
