"""The quality harness on inputs small enough to check by hand, and its recogniser on a rendered sentence."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.quality import intervals, levels, prosody, similarity, wer
from benchmarks.quality.__main__ import main
from benchmarks.quality.data import Material, Spoken, Voice, familiarity, load_material
from benchmarks.quality.gates import Gate
from benchmarks.quality.judgements import Judgements
from benchmarks.quality.pronunciation import agreement
from benchmarks.quality.recognise import Recogniser, closed_dictionary, uniform_unigram
from benchmarks.quality.report import BEGIN, END, rewrite_card
from benchmarks.quality.systems import arpabet, load_model, other_voices
from voiceclone.errors import ModelNotFound
from voiceclone.text.english import EnglishFrontend
from voiceclone.text.phonemes import parse_phonemes
from voiceclone.training.manifest import ManifestItem
from voiceclone.training.synthetic.harvard import HARVARD_SENTENCES
from voiceclone.types import PhoneticAlphabet

RATE = 16_000


def needs(module: str) -> pytest.MarkDecorator:
    found = importlib.util.find_spec(module) is not None
    return pytest.mark.skipif(not found, reason=f"{module} is not installed: pip install -r requirements/quality.txt")


def item(base: str, split: str, text: str = "Some text.", id: str = "x") -> ManifestItem:
    return ManifestItem(id=id, audio=f"{id}.flac", text=text, speaker=base, base=base, split=split)  # type: ignore[arg-type]


def tone(hertz: float, seconds: float = 1.0) -> NDArray[np.float32]:
    """A buzz with ten harmonics, silence of 0.2 s on both sides."""
    time = np.arange(round(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 11)) * 0.1
    silence = np.zeros(RATE // 5)
    return np.concatenate((silence, wave, silence)).astype(np.float32)


class TestWords:
    def test_words_lose_case_and_punctuation_but_not_apostrophes(self) -> None:
        assert wer.words_of("It's the 'man's' -- FALL.") == ["it's", "the", "man's", "fall"]

    @pytest.mark.parametrize(
        ("expected", "got", "distance"),
        [("a b c", "a b c", 0), ("a b c", "a x c", 1), ("a b c", "a c", 1), ("a b c", "a b b c", 1), ("a b", "", 2)],
    )
    def test_edit_distance(self, expected: str, got: str, distance: int) -> None:
        assert wer.edit_distance(expected.split(), got.split()) == distance

    def test_wrong_sentence_takes_the_next_one_of_the_same_voice(self) -> None:
        texts = {"a": ("one two", "three four"), "b": ("five six", "one two")}
        scores = [wer.score(f"{s}{i}", s, text, text) for s, pair in texts.items() for i, text in enumerate(pair)]
        assert [score.errors for score in scores] == [0, 0, 0, 0]
        assert [score.errors for score in wer.wrong_sentence(scores)] == [2, 2, 2, 2]

    def test_every_word_and_the_end_are_equally_likely(self) -> None:
        lines = uniform_unigram(["b", "a"]).splitlines()
        assert "ngram 1=4" in lines
        chances = {line.split()[1]: 10 ** float(line.split()[0]) for line in lines if line.startswith("-")}
        assert chances.pop("<s>") < 1e-90
        assert sum(chances.values()) == pytest.approx(1.0, abs=1e-5)
        assert len(set(chances.values())) == 1

    def test_words_missing_in_the_dictionary_are_spelled_and_reported(self) -> None:
        known = "the DH AH\nthe(2) DH IY\nthere DH EH R\n"
        lines, missing = closed_dictionary(["the", "canoe"], known, EnglishFrontend())
        assert missing == ["canoe"]
        assert lines.splitlines() == ["canoe K AH N UW", "the DH AH", "the(2) DH IY"]


class TestIntervals:
    def test_ratio_is_of_sums_and_lies_in_its_interval(self) -> None:
        figure = intervals.ratio([1, 0, 3, 0], [10, 5, 10, 5])
        assert figure.value == pytest.approx(4 / 30)
        assert 0.0 <= figure.low < figure.value < figure.high <= 0.3
        assert figure == intervals.ratio([1, 0, 3, 0], [10, 5, 10, 5])

    def test_interval_narrows_with_more_utterances(self) -> None:
        few, many = intervals.mean([0.0, 1.0] * 5), intervals.mean([0.0, 1.0] * 200)
        assert many.high - many.low < 0.3 * (few.high - few.low)

    def test_what_two_systems_share_cancels_in_their_difference(self) -> None:
        errors = [0, 3, 1, 4, 0, 2]
        figure = intervals.difference([e + 1 for e in errors], errors, [10] * 6)
        assert (figure.value, figure.low, figure.high) == pytest.approx((0.1, 0.1, 0.1))

    def test_utterances_without_a_value_are_left_out(self) -> None:
        figure = intervals.mean([1.0, float("nan"), 3.0])
        assert (figure.value, figure.count) == (2.0, 2)
        with pytest.raises(ValueError, match="nothing to average"):
            intervals.mean([float("nan")])


class TestProsody:
    def test_path_follows_the_cheap_cells_from_corner_to_corner(self) -> None:
        cost = np.ones((3, 4))
        for cell in [(0, 0), (1, 1), (1, 2), (2, 3)]:
            cost[cell] = 0.0
        i, j = prosody.warp_path(cost)
        assert list(zip(i.tolist(), j.tolist(), strict=True)) == [(0, 0), (1, 1), (1, 2), (2, 3)]

    def test_path_of_one_row_visits_every_column(self) -> None:
        i, j = prosody.warp_path(np.zeros((1, 3)))
        assert (i.tolist(), j.tolist()) == ([0, 0, 0], [0, 1, 2])

    def test_path_aligns_a_sequence_with_its_slower_self(self) -> None:
        slow = np.repeat(np.arange(5), 3)
        i, j = prosody.warp_path(np.abs(np.arange(5)[:, None] - slow[None]))
        assert (i == slow[j]).all()

    @needs("pyworld")
    def test_speech_differs_from_itself_in_nothing_and_a_higher_slower_tone_by_what_was_done(self) -> None:
        truth = prosody.analyse(tone(150.0))
        same = prosody.compare(truth, truth)
        assert (same.f0_error, same.duration_ratio, same.mel_l1, same.mcd) == (0.0, 1.0, 0.0, 0.0)
        assert same.voicing_error == 0.0
        other = prosody.compare(prosody.analyse(tone(150.0 * 2 ** (3 / 12), 1.2)), truth)
        assert other.f0_level == pytest.approx(3.0, abs=0.1)
        assert other.f0_error == pytest.approx(3.0, abs=0.2)
        assert other.duration_ratio == pytest.approx(1.2, abs=0.04)
        assert other.mel_l1 > 0.1

    def test_levels_see_clipping_and_silence(self) -> None:
        found = levels.measure(tone(150.0) * 20)
        assert found.clipped_samples > 100
        assert found.leading_silence == pytest.approx(0.2, abs=0.02)
        assert found.trailing_silence == pytest.approx(0.2, abs=0.02)
        assert levels.measure(np.zeros(RATE, np.float32)).leading_silence == 1.0


class TestVoices:
    references = np.eye(3, dtype=np.float32)
    voices, bases = ("a", "a*1.1", "b"), ("a", "a", "b")

    def compare(self, row: list[float], speaker: str) -> similarity.VoiceScore:
        vectors = np.asarray([row], np.float32)
        return similarity.compare(vectors, [speaker], self.references, self.voices, self.bases)[0]

    def test_warps_of_one_base_are_one_identity(self) -> None:
        score = self.compare([0.1, 0.9, 0.2], "a")
        assert (score.right, score.nearest) == (True, "a")
        assert score.others == pytest.approx(0.2)

    def test_nearest_to_another_base_is_a_miss(self) -> None:
        score = self.compare([0.5, 0.1, 0.8], "a")
        assert (score.right, score.nearest) == (False, "b")
        assert score.own == pytest.approx(0.5)
        assert similarity.summarise([score])["margin"].value == pytest.approx(-0.3)

    def test_a_wrong_reference_is_never_of_the_same_identity(self) -> None:
        silence = np.zeros(1, np.float32)
        names = [("a", "a"), ("a*1.1", "a"), ("a*0.9", "a"), ("b", "b")]
        others = other_voices([Voice(speaker, base, "seen", silence) for speaker, base in names])
        assert others == {"a": "b", "a*1.1": "b", "a*0.9": "b", "b": "a*1.1"}

    def test_familiarity_comes_from_the_corpus_and_from_the_tables_without_training_split(self) -> None:
        corpus = [item("flite/awb", "train"), item("flite/slt", "valid"), item("flite/rms", "test")]
        assert [familiarity(entry.base, corpus) for entry in corpus] == ["seen", "early-stop", "unseen"]
        test_only = [
            item(base, "test") for base in ("flite/slt", "espeak/Annie", "flite/awb", "espeak/f5", "espeak/f2")
        ]
        expected = ["seen", "early-stop", "unseen", "unseen", "seen"]
        assert [familiarity(entry.base, test_only) for entry in test_only] == expected

    def test_verdicts_survive_a_run_that_died_in_a_line(self, tmp_path: Path) -> None:
        first = Judgements(tmp_path, "words")
        first.put(np.ones(3, np.float32), "one")
        first.close()
        with (tmp_path / "words.jsonl").open("a") as file:
            file.write('["torn')
        second = Judgements(tmp_path, "words")
        second.put(np.zeros(3, np.float32), "zero")
        second.close()
        third = Judgements(tmp_path, "words")
        assert [third.get(np.ones(3, np.float32)), third.get(np.zeros(3, np.float32))] == ["one", "zero"]
        assert third.get(np.ones(4, np.float32)) is None


class TestPhones:
    def test_corpus_phones_come_back_from_the_arpabet_that_a_caller_sends(self) -> None:
        phones = ("pau", "k", "ax", "n", "uw", "pau", "sh", "iy", "pau")
        stresses = (0, 0, 0, 0, 1, 1, 0, 2, 4)
        sentence = parse_phonemes(arpabet(phones, stresses), PhoneticAlphabet.ARPABET)
        assert tuple(phone.symbol for phone in sentence.phones) == phones
        assert tuple(phone.stress for phone in sentence.phones) == stresses

    def test_agreement_counts_phones_and_names_the_differences(self) -> None:
        read = EnglishFrontend().analyse("The boy was there.")[0].phones
        symbols, stresses = [phone.symbol for phone in read], [phone.stress for phone in read]
        silence = np.zeros(1, np.float32)
        line = Spoken("x", 0, "The boy was there.", "flite/slt", tuple(symbols), tuple(stresses), silence)
        same = agreement([line], EnglishFrontend())
        assert (same.agreement, same.stress_agreement, same.differences) == (1.0, 1.0, ())
        symbols[-2] = "zh"
        other = Spoken("x", 0, line.text, line.speaker, tuple(symbols), tuple(stresses), silence)
        found = agreement([other], EnglishFrontend())
        assert found.agreement == pytest.approx(1 - 1 / (len(symbols) - 2))
        assert found.differences == ((f"zh>{read[-2].symbol}", 1),)


class TestReport:
    def test_only_the_block_of_the_card_changes(self, tmp_path: Path) -> None:
        card = tmp_path / "card.md"
        card.write_text(f"# Card\n\n{BEGIN}\nold\n{END}\n\nrest\n")
        rewrite_card(card, "| new |\n")
        assert card.read_text() == f"# Card\n\n{BEGIN}\n| new |\n{END}\n\nrest\n"

    @pytest.mark.parametrize("text", ["none", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
    def test_a_card_without_its_marks_is_left_alone(self, tmp_path: Path, text: str) -> None:
        card = tmp_path / "card.md"
        card.write_text(text)
        with pytest.raises(ValueError, match="needs one line"):
            rewrite_card(card, "new")
        assert card.read_text() == text

    def test_gates_hold_at_their_bounds(self) -> None:
        assert Gate("g", 3.0, high=3.0).passed
        assert not Gate("g", 3.01, high=3.0).passed
        assert not Gate("g", float("nan"), low=0.0).passed
        assert Gate("g", 1.0, 0.95, 1.05).wanted == "0.95 to 1.05"

    def test_what_is_missing_is_said_in_one_line(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--corpus", str(tmp_path), "--out", str(tmp_path / "out.json")]) == 2
        assert "manifest.jsonl" in capsys.readouterr().err
        assert not (tmp_path / "out.json").exists()

    def test_an_unknown_model_names_those_there_are(self) -> None:
        with pytest.raises(ModelNotFound) as caught:
            load_model("no-such-model")
        assert "Models here" in caught.value.hint


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sentences and one reference by slt and rms, rendered by flite."""
    from voiceclone.training.synthetic.generate import render_batch
    from voiceclone.training.synthetic.plan import Job

    if shutil.which("flite") is None:
        pytest.skip("flite is not installed: apt-get install flite")
    folder = tmp_path_factory.mktemp("corpus")
    jobs = [
        Job(f"{kind}-{voice}-{number}", "test", text, f"flite/{voice}", f"flite/{voice}")
        for voice in ("slt", "rms")
        for kind, number, text in (
            ("test", 1, HARVARD_SENTENCES[0]),
            ("test", 5, HARVARD_SENTENCES[4]),
            ("ref", 1, "He asked for another cup of coffee before the meeting began."),
        )
    ]
    items = render_batch(jobs, folder)
    (folder / "manifest.jsonl").write_text("".join(entry.to_json() + "\n" for entry in items))
    return folder


@pytest.fixture(scope="module")
def material(corpus: Path) -> Material:
    return load_material(corpus)


class TestMaterial:
    def test_sentences_and_references_are_told_apart(self, material: Material) -> None:
        assert [voice.speaker for voice in material.voices] == ["flite/rms", "flite/slt"]
        assert {line.sentence for line in material.recognised} == {0, 4}
        assert len(material.spoken) == 4
        longest = max(len(line.samples) for line in material.spoken)
        assert all(RATE < len(voice.reference) <= 5 * RATE for voice in material.voices)
        assert longest < 5 * RATE

    def test_voices_without_a_reference_are_refused(self, corpus: Path, tmp_path: Path) -> None:
        lines = (corpus / "manifest.jsonl").read_text().splitlines(keepends=True)
        (tmp_path / "manifest.jsonl").write_text("".join(line for line in lines if json.loads(line)["id"][:3] != "ref"))
        with pytest.raises(ValueError, match="no recording to clone from"):
            load_material(tmp_path)


@needs("pocketsphinx")
@pytest.mark.quality
def test_the_recogniser_hears_what_is_said_and_the_cache_keeps_it(material: Material, tmp_path: Path) -> None:
    words = sorted({word for text in HARVARD_SENTENCES for word in wer.words_of(text)})
    audio = [line.samples for line in material.recognised]
    heard = Recogniser(tmp_path, words).transcribe(audio)
    scores = [wer.score(s.id, s.speaker, s.text, h) for s, h in zip(material.recognised, heard, strict=True)]
    assert sum(score.errors for score in scores) <= 0.3 * sum(score.words for score in scores)
    again = Recogniser(tmp_path, words, processes=1)
    assert again.transcribe(audio[::-1]) == heard[::-1]


@needs("resemblyzer")
@pytest.mark.quality
def test_the_speaker_judge_tells_two_voices_apart(material: Material, tmp_path: Path) -> None:
    judge = similarity.SpeakerJudge(tmp_path)
    vectors = judge.embed([line.samples for line in material.compared])
    references = judge.embed([voice.reference for voice in material.voices])
    names, bases = [voice.speaker for voice in material.voices], [voice.base for voice in material.voices]
    scores = similarity.compare(vectors, [line.speaker for line in material.compared], references, names, bases)
    assert all(score.right and score.own > score.others + 0.2 for score in scores)
