"""Runs every system over the test set and every judge over the systems; the figures come out as one `Result`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.quality import prosody, similarity, wer
from benchmarks.quality.data import Material
from benchmarks.quality.intervals import Figure, difference, mean, ratio
from benchmarks.quality.levels import Levels, measure
from benchmarks.quality.pronunciation import Agreement, agreement
from benchmarks.quality.recognise import Recogniser
from benchmarks.quality.systems import (
    COPY,
    ENGINE_PHONES,
    MODEL,
    SWAPPED,
    TRUTH,
    Cost,
    Loaded,
    copy_synthesis,
    enrol,
    other_voices,
    speak,
    utterances,
)
from voiceclone.text.english import EnglishFrontend

Samples = NDArray[np.float32]
#: system -> id of the line -> audio.
Audio = dict[str, dict[str, Samples]]


@dataclass(frozen=True)
class Words:
    """Word errors of one system in all, by speaker, against the ground truth, and against the wrong sentences."""

    all: Figure
    speakers: dict[str, Figure]
    over_truth: Figure
    wrong_sentence: Figure
    scores: list[wer.WordScore]
    word_count: int


@dataclass(frozen=True)
class Result:
    """Every figure of one run; groups of voices are ``all``, ``seen``, ``early-stop`` and ``unseen``."""

    audio: Audio
    words: dict[str, Words]
    open_words: dict[str, Words]
    voices: dict[str, dict[str, dict[str, Figure]]]
    misses: dict[str, list[str]]
    #: Share of utterances with a wrong reference whose nearest identity is the reference's, and the text's own voice.
    follows_reference: Figure
    follows_text: Figure
    #: system -> speaker or ``all`` -> figure by name.
    prosody: dict[str, dict[str, dict[str, Figure]]]
    levels: dict[str, dict[str, float]]
    pronunciation: dict[str, Agreement]
    missing_words: list[str]
    cost: Cost


def run(loaded: Loaded, material: Material, cache: Path, *, open_vocabulary: bool, processes: int) -> Result:
    """Judge ``loaded`` on ``material``. Raises ImportError where a judge is not installed."""
    closed = sorted({word for line in material.recognised for word in wer.words_of(line.text)})
    recogniser = Recogniser(cache, closed, processes)
    opened = Recogniser(cache, None, processes) if open_vocabulary else None
    speaker_judge = similarity.SpeakerJudge(cache)
    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress:

        def bar(name: str, total: int) -> Callable[[], None]:
            row = progress.add_task(name, total=total)
            return lambda: progress.advance(row)

        cost = Cost()
        audio = _speak_all(loaded, material, cost, bar)
        words = _words(audio, material, recogniser, "words", bar)
        open_words = _words(audio, material, opened, "words, open", bar) if opened else {}
        vectors = _embed(audio, material, speaker_judge, bar)
        figures, misses = _voices(vectors, material)
        prosodies = _prosody(audio, material, bar)
    follows = _follows(vectors, material)
    return Result(
        audio=audio,
        words=words,
        open_words=open_words,
        voices=figures,
        misses=misses,
        follows_reference=follows[0],
        follows_text=follows[1],
        prosody=prosodies,
        levels={system: _levels(lines) for system, lines in audio.items()},
        pronunciation=_pronunciation(material),
        missing_words=recogniser.missing,
        cost=cost,
    )


Bar = Callable[[str, int], Callable[[], None]]


def _speak_all(loaded: Loaded, material: Material, cost: Cost, bar: Bar) -> Audio:
    model, lines = loaded.model, material.spoken
    model.warm_up()
    held = enrol(model, material, bar("cloning", len(material.voices)))
    audio: Audio = {name: {} for name in (TRUTH, COPY, MODEL, ENGINE_PHONES, SWAPPED)}
    advance = bar("speaking", len(lines))
    compared = {line.id for line in material.compared}
    for line in lines:
        audio[TRUTH][line.id] = line.samples
        copied = copy_synthesis(model, line.samples)
        if copied is not None:
            audio[COPY][line.id] = copied
        for system, utterance in utterances(line, held).items():
            if system != SWAPPED or line.id in compared:
                # Speed is that of the plain request: text in, voice as enrolled.
                audio[system][line.id] = speak(model, utterance, cost if system == MODEL else Cost())
        advance()
    return {name: spoken for name, spoken in audio.items() if spoken}


def _words(audio: Audio, material: Material, recogniser: Recogniser, name: str, bar: Bar) -> dict[str, Words]:
    lines = material.recognised
    systems = [system for system in audio if system != SWAPPED]
    scores: dict[str, list[wer.WordScore]] = {}
    advance = bar(name, len(systems) * len(lines))
    for system in systems:
        heard = recogniser.transcribe([audio[system][line.id] for line in lines], advance)
        scores[system] = [
            wer.score(line.id, line.speaker, line.text, text) for line, text in zip(lines, heard, strict=True)
        ]
    return {system: _word_figures(own, scores[TRUTH]) for system, own in scores.items()}


def _word_figures(scores: list[wer.WordScore], truth: list[wer.WordScore]) -> Words:
    def rate(chosen: list[wer.WordScore]) -> Figure:
        return ratio([score.errors for score in chosen], [score.words for score in chosen])

    return Words(
        all=rate(scores),
        speakers={
            speaker: rate([score for score in scores if score.speaker == speaker])
            for speaker in dict.fromkeys(score.speaker for score in scores)
        },
        over_truth=difference(
            [score.errors for score in scores], [score.errors for score in truth], [score.words for score in scores]
        ),
        wrong_sentence=rate(wer.wrong_sentence(scores)),
        scores=scores,
        word_count=sum(score.words for score in scores),
    )


def _embed(audio: Audio, material: Material, judge: similarity.SpeakerJudge, bar: Bar) -> dict[str, similarity.Vectors]:
    advance = bar("voices", len(material.voices) + len(audio) * len(material.compared))
    vectors = {"references": judge.embed([voice.reference for voice in material.voices], advance)}
    for system, lines in audio.items():
        vectors[system] = judge.embed([lines[line.id] for line in material.compared], advance)
    return vectors


def _voices(
    vectors: dict[str, similarity.Vectors], material: Material
) -> tuple[dict[str, dict[str, dict[str, Figure]]], dict[str, list[str]]]:
    names, bases = [voice.speaker for voice in material.voices], [voice.base for voice in material.voices]
    groups: dict[str, set[str]] = {"all": set(names)}
    for voice in material.voices:
        groups.setdefault(voice.familiarity, set()).add(voice.speaker)
    figures: dict[str, dict[str, dict[str, Figure]]] = {}
    misses: dict[str, list[str]] = {}
    for system, own in vectors.items():
        if system in ("references", SWAPPED):
            continue
        scores = similarity.compare(
            own, [line.speaker for line in material.compared], vectors["references"], names, bases
        )
        figures[system] = {
            group: similarity.summarise([score for score in scores if score.speaker in members])
            for group, members in groups.items()
        }
        for name in names:
            figures[system][name] = similarity.summarise([score for score in scores if score.speaker == name])
        misses[system] = [f"{score.speaker} as {score.nearest}" for score in scores if not score.right]
    return figures, misses


def _follows(vectors: dict[str, similarity.Vectors], material: Material) -> tuple[Figure, Figure]:
    names, bases = [voice.speaker for voice in material.voices], [voice.base for voice in material.voices]
    others = other_voices(material.voices)
    texts = [line.speaker for line in material.compared]
    references = [others[speaker] for speaker in texts]
    by_reference = similarity.compare(vectors[SWAPPED], references, vectors["references"], names, bases)
    by_text = similarity.compare(vectors[SWAPPED], texts, vectors["references"], names, bases)
    return mean([float(score.right) for score in by_reference]), mean([float(score.right) for score in by_text])


def _prosody(audio: Audio, material: Material, bar: Bar) -> dict[str, dict[str, dict[str, Figure]]]:
    lines = material.recognised
    systems = [system for system in audio if system not in (TRUTH, SWAPPED)]
    advance = bar("prosody", len(lines) * (len(systems) + 1))
    truth = {}
    for line in lines:
        truth[line.id] = prosody.analyse(line.samples)
        advance()
    result: dict[str, dict[str, dict[str, Figure]]] = {}
    for system in systems:
        rows: dict[str, list[prosody.Prosody]] = {"all": []}
        for line in lines:
            row = prosody.compare(prosody.analyse(audio[system][line.id]), truth[line.id])
            rows["all"].append(row)
            rows.setdefault(line.speaker, []).append(row)
            advance()
        result[system] = {group: _prosody_figures(found) for group, found in rows.items()}
    return result


def _prosody_figures(rows: list[prosody.Prosody]) -> dict[str, Figure]:
    result = {}
    for field in fields(prosody.Prosody):
        values = [float(getattr(row, field.name)) for row in rows]
        # A system whose every utterance is unvoiced has no pitch to speak of; its other figures still count.
        if not all(np.isnan(values)):
            result[field.name] = mean(values)
    return result


def _levels(lines: dict[str, Samples]) -> dict[str, float]:
    rows = [measure(samples) for samples in lines.values()]
    merge: dict[str, Any] = {"peak": np.max, "clipped_samples": np.sum}
    return {
        field.name: round(float(merge.get(field.name, np.mean)([getattr(row, field.name) for row in rows])), 4)
        for field in fields(Levels)
    }


def _pronunciation(material: Material) -> dict[str, Agreement]:
    frontend = EnglishFrontend()
    engines: dict[str, list[Any]] = {}
    for line in material.spoken:
        engines.setdefault(line.speaker.partition("/")[0], []).append(line)
    return {engine: agreement(lines, frontend) for engine, lines in engines.items()}
