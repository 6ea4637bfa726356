"""The test set: sentences that every voice speaks, recordings to clone from, and which voices training has heard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from voiceclone.training.manifest import ManifestItem, ManifestWriter, read_manifest
from voiceclone.training.synthetic import voices
from voiceclone.training.synthetic.generate import render_batch
from voiceclone.training.synthetic.harvard import HARVARD_SENTENCES
from voiceclone.training.synthetic.plan import Job, make_plan
from voiceclone.training.synthetic.speech import SAMPLE_RATE

Samples = NDArray[np.float32]
#: Whether training heard the voice, only early stopping did, or neither.
Familiarity = Literal["seen", "early-stop", "unseen"]

#: Seconds of recording that a voice is cloned from.
REFERENCE_SECONDS: Final = 5.0
#: Every so many sentences one is judged for its voice: the judge needs few, the words need all.
_VOICE_STRIDE: Final = 4
#: The recogniser understands no other engine: its error rate on espeak-ng itself is near one in two.
_RECOGNISED_ENGINE: Final = "flite"


@dataclass(frozen=True, eq=False)
class Spoken:
    """A test sentence as its own voice speaks it: ``samples`` ``[T]`` at 16 kHz, the engine's phones and stresses."""

    id: str
    #: Index of the sentence, the same for all voices.
    sentence: int
    text: str
    speaker: str
    phones: tuple[str, ...]
    stresses: tuple[int, ...]
    samples: Samples


@dataclass(frozen=True, eq=False)
class Voice:
    """A voice to clone: ``reference`` ``[T]`` is what the model hears of it; one ``base`` is one identity."""

    speaker: str
    base: str
    familiarity: Familiarity
    reference: Samples


@dataclass(frozen=True)
class Material:
    """All that is judged. `recognised` sentences are scored for their words, `compared` ones for their voice."""

    voices: tuple[Voice, ...]
    recognised: tuple[Spoken, ...]
    compared: tuple[Spoken, ...]
    sample_rate: int = SAMPLE_RATE

    def voice(self, speaker: str) -> Voice:
        return next(voice for voice in self.voices if voice.speaker == speaker)

    @property
    def spoken(self) -> tuple[Spoken, ...]:
        """Everything that is judged, each once."""
        return tuple({line.id: line for line in (*self.recognised, *self.compared)}.values())


def familiarity(base: str, items: Iterable[ManifestItem]) -> Familiarity:
    """What training knew of ``base``: from the corpus where it has a training split, else from the tables."""
    by_split: dict[str, set[str]] = defaultdict(set)
    for item in items:
        by_split[item.split].add(item.base)
    if not by_split["train"]:
        by_split["train"].update((*voices.TRAIN_FLITE, *voices.TRAIN_FESTIVAL, *voices.TRAIN_ESPEAK))
        by_split["valid"].update(voices.VALID_ESPEAK)
    if base in by_split["train"]:
        return "seen"
    return "early-stop" if base in by_split["valid"] else "unseen"


def load_material(corpus: Path, *, quick: bool = False) -> Material:
    """Read the test split of ``corpus``; ``quick`` takes a quarter of the sentences.

    Raises FileNotFoundError without a manifest, InvalidManifest on a broken one, ValueError where the test split lacks
    sentences or recordings to clone from.
    """
    items = read_manifest(corpus)
    test = [item for item in items if item.split == "test"]
    references = [item for item in test if item.text not in HARVARD_SENTENCES]
    numbers = {text: index for index, text in enumerate(HARVARD_SENTENCES)}
    found = tuple(
        Voice(speaker, base, familiarity(base, items), _reference(corpus, references, speaker))
        for speaker, base in sorted({(item.speaker, item.base) for item in test})
    )
    if len({voice.base for voice in found}) < 2:
        raise ValueError("the test split needs at least two voices; render one with voiceclone.training.synthetic")
    wanted = set(range(0, len(HARVARD_SENTENCES), _VOICE_STRIDE))
    by_speaker = {voice.speaker: voice for voice in found}
    recognised, compared = [], []
    for item in test:
        number = numbers.get(item.text)
        if number is None:
            continue
        voice = by_speaker[item.speaker]
        for_words = _is_recognised(voice) and (number in wanted or not quick)
        for_voice = number in (set(sorted(wanted)[:2]) if quick else wanted)
        if not (for_words or for_voice):
            continue
        line = _spoken(corpus, item, number)
        recognised += [line] if for_words else []
        compared += [line] if for_voice else []
    if not compared:
        raise ValueError("the test split holds none of the Harvard sentences")
    return Material(found, tuple(recognised), tuple(compared))


def _is_recognised(voice: Voice) -> bool:
    engine, _ = voices.engine_and_voice(voice.base)
    return engine == _RECOGNISED_ENGINE


def _spoken(corpus: Path, item: ManifestItem, number: int) -> Spoken:
    if item.phones is None or item.stresses is None:
        raise ValueError(f"{item.id} has no phones; the harness compares them with those of the frontend")
    return Spoken(item.id, number, item.text, item.speaker, item.phones, item.stresses, _read(corpus, item))


def _reference(corpus: Path, items: Sequence[ManifestItem], speaker: str) -> Samples:
    """About five seconds of the voice saying other things than the test sentences."""
    limit = round(REFERENCE_SECONDS * SAMPLE_RATE)
    parts: list[Samples] = []
    for item in items:
        if item.speaker == speaker and sum(map(len, parts)) < limit:
            parts.append(_read(corpus, item))
    if not parts:
        raise ValueError(f"{speaker} has no recording to clone from: the test split needs other sentences by it too")
    return np.concatenate(parts)[:limit]


def _read(corpus: Path, item: ManifestItem) -> Samples:
    samples, rate = soundfile.read(corpus / item.audio, dtype="float32", always_2d=True)
    if rate != SAMPLE_RATE:
        raise ValueError(f"{item.id} has {rate} Hz; the judges listen at {SAMPLE_RATE} Hz")
    return np.ascontiguousarray(samples.mean(axis=1), np.float32)


def render_test_split(folder: Path, seed: int = 1) -> Path:
    """Render the test split alone into ``folder``, unless it is there. Raises EngineMissing, naming what to install."""
    # The test split does not depend on the hours of training audio.
    jobs = [job for job in make_plan(0.01, seed) if job.split == "test"]
    batches: dict[str, list[Job]] = defaultdict(list)
    with ManifestWriter(folder) as writer:
        for job in jobs:
            if job.id not in writer:
                batches[voices.engine_and_voice(job.base)[0]].append(job)
        for batch in batches.values():
            for item in render_batch(batch, folder):
                writer.write(item)
        writer.finish()
    return folder
